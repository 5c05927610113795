// SPDX-License-Identifier: Apache-2.0
// Beacon: see beacon.h. On the wire: broadcast, ethertype, "SLBC", the sending process's number (8
// bytes), the port index of the uplink that it left by (2 bytes).
#include "datapath/beacon.h"

#include <cstring>

#include "datapath/own_frame.h"

namespace sluice::datapath {
namespace {

constexpr std::size_t kHeader = 14;  // Beacons are untagged.
constexpr std::size_t kBeaconBytes = kHeader + 4 + 8 + 2;
constexpr std::size_t kFrameMin = 60;
constexpr std::array<std::uint8_t, 4> kMagic{'S', 'L', 'B', 'C'};

OwnFrame make_beacon(std::uint64_t host, const BeaconSource& source) noexcept {
    std::array<std::uint8_t, sizeof host> number;
    std::memcpy(number.data(), &host, sizeof host);
    OwnFrame frame;
    frame.bytes({0xff, 0xff, 0xff, 0xff, 0xff, 0xff}).copy(source.mac.bytes).be16(kEtherBeacon);
    return frame.copy(kMagic).copy(number).be16(source.uplink.value).pad(kFrameMin);
}

}  // namespace

bool take_beacon_of_uplink(WorkerContext& context, const Packet& packet) noexcept {
    const ParsedFrame& frame = packet.frame;
    if (!context.snapshot->port(frame.key.port)->is_uplink || frame.key.has(kKeyTagged) ||
        frame.data_size < kBeaconBytes ||
        std::memcmp(frame.data + kHeader, kMagic.data(), kMagic.size()) != 0) {
        return false;
    }
    const std::uint8_t* body = frame.data + kHeader + kMagic.size();
    std::uint64_t host = 0;
    std::memcpy(&host, body, sizeof host);
    const PortIndex from{static_cast<std::uint16_t>(body[8] << 8U | body[9])};
    if (host == context.reach.beacons().host() && from.value < kPortMax && from != frame.key.port) {
        context.reach.beacons().note(from, frame.key.port, context.now_ns);
    }
    context.counters.flow_misses.add(1);  // It was looked up, and has no flow.
    consume(context, packet.mbuf);
    return true;
}

bool SendBeacons::step(WorkerContext& context) noexcept {
    for (const BeaconSource& source : sources_) {
        const OwnFrame frame = make_beacon(context.reach.beacons().host(), source);
        send_own(context, source.uplink, {frame.all()}, nullptr);
    }
    return true;
}

}  // namespace sluice::datapath
