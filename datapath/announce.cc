// SPDX-License-Identifier: Apache-2.0
// Announce: see announce.h.
#include "datapath/announce.h"

#include "datapath/checksum.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::size_t kFrameMin = 60;
constexpr std::array<std::uint8_t, 6> kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

std::span<const std::uint8_t> v4_bytes(const IpAddr& ip) noexcept {
    return std::span(ip.bytes).subspan(12);
}

OwnFrame make_gratuitous_arp(const MacAddr& mac, const IpAddr& ip) noexcept {
    OwnFrame frame;
    frame.copy(kBroadcast).copy(mac.bytes).be16(0x0806);
    frame.bytes({0, 1, 0x08, 0, 6, 4, 0, 1});
    frame.copy(mac.bytes).copy(v4_bytes(ip)).zeros(6).copy(v4_bytes(ip));
    return frame.pad(kFrameMin);
}

// To all nodes; the override flag replaces what they knew.
OwnFrame make_advertisement(const MacAddr& mac, const IpAddr& ip) noexcept {
    constexpr std::uint16_t kIcmpSize = 32;
    constexpr std::size_t kAddresses = 22, kIcmp = 54;
    OwnFrame frame;
    frame.bytes({0x33, 0x33, 0, 0, 0, 1}).copy(mac.bytes).be16(0x86dd);
    frame.bytes({0x60, 0, 0, 0}).be16(kIcmpSize).bytes({58, 255}).copy(ip.bytes);
    frame.bytes({0xff, 0x02}).zeros(13).bytes({1});
    frame.bytes({136, 0, 0, 0, 0x20, 0, 0, 0}).copy(ip.bytes).bytes({2, 1}).copy(mac.bytes);
    const std::uint32_t pseudo = std::uint32_t{raw_sum(frame.all().data() + kAddresses, 32)} +
                                 Be16::from_host(kIcmpSize).raw + Be16::from_host(58).raw;
    frame.checksum(kIcmp, kIcmp + kIcmpSize, kIcmp + 2, pseudo);
    return frame;
}

const Domain* find_domain(const Snapshot& snapshot, DomainId id) noexcept {
    const auto at = std::find_if(snapshot.domains.begin(), snapshot.domains.end(),
                                 [id](const Domain& each) { return each.id == id; });
    return at == snapshot.domains.end() ? nullptr : &*at;
}

void send_one(WorkerContext& context, const Announcement& one) noexcept {
    const Domain* domain = find_domain(*context.snapshot, one.domain);
    const bool is_gone = one.vnic != kNoPort && context.snapshot->port(one.vnic) == nullptr;
    if (domain == nullptr || is_gone) { return; }
    const auto index = static_cast<std::uint16_t>(domain - context.snapshot->domains.data());
    FlowKey key;
    key.source_mac = one.mac;
    const PortIndex out = way_out(context, index, one.vnic, key);
    if (out == kNoPort) { return; }
    const OwnFrame frame =
        one.ip.family == IpFamily::kNone ? make_rarp(one.mac) : make_gratuitous(one.mac, one.ip);
    send_own(context, out, {frame.all()}, domain);
}

}  // namespace

OwnFrame make_rarp(const MacAddr& mac) noexcept {
    OwnFrame frame;
    frame.copy(kBroadcast).copy(mac.bytes).be16(0x8035);
    frame.bytes({0, 1, 0x08, 0, 6, 4, 0, 3}).copy(mac.bytes).zeros(4).copy(mac.bytes).zeros(4);
    return frame.pad(kFrameMin);
}

OwnFrame make_gratuitous(const MacAddr& mac, const IpAddr& ip) noexcept {
    return ip.is_v4() ? make_gratuitous_arp(mac, ip) : make_advertisement(mac, ip);
}

bool SendAnnouncements::step(WorkerContext& context) noexcept {
    for (const Announcement& one : frames_) { send_one(context, one); }
    return true;
}

}  // namespace sluice::datapath
