// SPDX-License-Identifier: Apache-2.0
// Echo between VTEPs: see vtep_echo.h. A probe carries 16 bytes: number of the pair, sequence, a
// random cookie, zero.
#include "datapath/vtep_echo.h"

#include <algorithm>

#include "datapath/parse_layers.h"
#include "datapath/stages.h"
#include "datapath/underlay.h"
#include "datapath/underlay_frame.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kIcmpSize = 8, kPayloadSize = 16;
constexpr std::uint8_t kEchoRequestV4 = 8, kEchoRequestV6 = 128;
constexpr std::uint64_t kPathMtuNs = 600'000'000'000;  // RFC 1191 §6.3, RFC 8201 §4.
constexpr std::uint16_t kPathMtuMinV4 = 576, kPathMtuMinV6 = 1280;

// The quoted packet, if it is one of our tunnel's.
struct Quoted {
    IpAddr source, destination;
    std::uint8_t protocol = 0;
    std::uint16_t destination_port = 0;
};

bool read_quoted_v4(const std::uint8_t* ip, std::uint32_t size, Quoted& out) noexcept {
    if (size < kIpv4Size + 4 || ip[0] >> 4U != 4) { return false; }
    const std::uint32_t header = (ip[0] & 0xfU) * 4U;
    if (header < kIpv4Size || size < header + 4) { return false; }
    out.source = IpAddr::v4(load_be32(ip + 12));
    out.destination = IpAddr::v4(load_be32(ip + 16));
    out.protocol = ip[9];
    out.destination_port = load_be16(ip + header + 2);
    return true;
}

bool read_quoted_v6(const std::uint8_t* ip, std::uint32_t size, Quoted& out) noexcept {
    if (size < kIpv6Size + 4 || ip[0] >> 4U != 6) { return false; }
    out.source.family = out.destination.family = IpFamily::kV6;
    std::copy_n(ip + 8, 16, out.source.bytes.begin());
    std::copy_n(ip + 24, 16, out.destination.bytes.begin());
    out.protocol = ip[6];
    out.destination_port = load_be16(ip + kIpv6Size + 2);
    return true;
}

// Of a "too big" message: the next hop's MTU. 0: it is none.
std::uint32_t told_mtu(const ParsedFrame& parsed, const std::uint8_t* icmp) noexcept {
    if (parsed.key.has(kKeyIpv4)) {
        return icmp[0] == 3 && icmp[1] == 4 ? load_be16(icmp + 6) : 0U;
    }
    return icmp[0] == 2 ? load_be32(icmp + 4) : 0U;
}

}  // namespace

void EchoProbe::count(bool is_lost) noexcept {
    lost = lost << 1U | (is_lost ? 1U : 0U);
    counted = std::min<std::uint8_t>(static_cast<std::uint8_t>(counted + 1U), kEchoWindow);
}

std::uint8_t EchoProbe::loss_percent() const noexcept {
    if (counted == 0) { return 0; }
    const std::uint64_t window = lost & ((std::uint64_t{1} << counted) - 1U);
    return static_cast<std::uint8_t>(__builtin_popcountll(window) * 100 / counted);
}

void send_echo(WorkerContext& context, const VtepConfig& vtep, std::uint32_t number, VtepPeer& peer,
               const MacAddr& next_hop) noexcept {
    EchoProbe& echo = peer.echo;
    if (echo.sent_ns != 0) { echo.count(true); }
    echo.sent_ns = std::max<std::uint64_t>(context.now_ns, 1);
    ++echo.sequence;
    echo.cookie = context.vtep_peers.random();
    const bool is_v4 = vtep.ip.is_v4();
    UnderlayIp ip;
    ip.destination_mac = next_hop;
    ip.destination = peer.ip;
    ip.protocol = is_v4 ? kProtocolIcmp : kProtocolIcmpv6;
    UnderlayFrame frame(vtep, ip);
    frame.put8(is_v4 ? kEchoRequestV4 : kEchoRequestV6).put8(0).put16(0);
    frame.put16(static_cast<std::uint16_t>(number))
        .put16(static_cast<std::uint16_t>(echo.sequence));
    frame.put32(number).put32(echo.sequence).put32(echo.cookie).put32(0);
    frame.finish_ip();
    frame.send(context);
}

void note_echo_reply(WorkerContext& context, std::uint16_t vtep,
                     const ParsedFrame& parsed) noexcept {
    const std::uint32_t end = parsed.l4_offset + kIcmpSize + kPayloadSize;
    if (parsed.l4_size < kIcmpSize + kPayloadSize || end > parsed.data_size) { return; }
    const std::uint8_t* payload = parsed.data + parsed.l4_offset + kIcmpSize;
    VtepPeer* peer = context.vtep_peers.find(load_be32(payload), vtep, parsed.key.source());
    if (peer == nullptr || peer->echo.sent_ns == 0) { return; }
    EchoProbe& echo = peer->echo;
    if (load_be32(payload + 4) != echo.sequence || load_be32(payload + 8) != echo.cookie) {
        return;
    }
    const std::uint64_t rtt_us = (context.now_ns - std::min(echo.sent_ns, context.now_ns)) / 1000U;
    echo.last_rtt_us = static_cast<std::uint32_t>(std::clamp<std::uint64_t>(rtt_us, 1, UINT32_MAX));
    const std::int64_t before = echo.average_rtt_us;
    echo.average_rtt_us =
        before == 0 ? echo.last_rtt_us
                    : static_cast<std::uint32_t>(before + (echo.last_rtt_us - before) / 8);
    echo.sent_ns = 0;
    echo.count(false);
    context.vtep_peers.hurry(*peer);
}

void note_icmp_error(WorkerContext& context, std::uint16_t vtep,
                     const ParsedFrame& parsed) noexcept {
    const VtepConfig& config = context.snapshot->vteps[vtep];
    if (parsed.l4_offset == 0 || parsed.l4_offset + kIcmpSize > parsed.data_size) { return; }
    const std::uint8_t* icmp = parsed.data + parsed.l4_offset;
    const std::uint32_t size =
        std::min<std::uint32_t>(parsed.l4_size, parsed.data_size - parsed.l4_offset) - kIcmpSize;
    const std::uint32_t told = told_mtu(parsed, icmp);
    Quoted quoted;
    const bool is_v4 = config.ip.is_v4();
    if (told == 0 || told >= config.mtu ||
        !(is_v4 ? read_quoted_v4(icmp + kIcmpSize, size, quoted)
                : read_quoted_v6(icmp + kIcmpSize, size, quoted)) ||
        !(quoted.source == config.ip) || quoted.protocol != kProtocolUdp ||
        quoted.destination_port != config.udp_port) {
        return;
    }
    VtepPeer* peer = context.vtep_peers.search(*context.snapshot, vtep, quoted.destination);
    if (peer == nullptr) { return; }
    const std::uint16_t least = is_v4 ? kPathMtuMinV4 : kPathMtuMinV6;
    const auto mtu = static_cast<std::uint16_t>(std::max<std::uint32_t>(told, least));
    // Only ever less, so that nobody can make all flows be looked at again and again.
    if (mtu >= underlay_mtu(context, vtep, context.vtep_peers.remote_of(*peer))) { return; }
    peer->path_mtu = mtu;
    peer->path_mtu_until_ns = context.now_ns + kPathMtuNs;
    context.learned.note_change();
    context.refresh_stamp();
}

}  // namespace sluice::datapath
