// SPDX-License-Identifier: Apache-2.0
// Underlay: see underlay.h. Which VTEP a frame of the fabric concerns, and which of its few
// services gets it. What is unicast to its MAC ends here, whatever it is; of groups only what is
// about its address does.
#include "datapath/underlay.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "datapath/bfd.h"
#include "datapath/parse.h"
#include "datapath/parse_layers.h"
#include "datapath/stages.h"
#include "datapath/underlay_neighbours.h"
#include "datapath/vtep_echo.h"
#include "sluice/iochain/token_bucket.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kEchoReplyV4 = 0, kEchoRequestV4 = 8;
constexpr std::uint8_t kEchoRequestV6 = 128, kEchoReplyV6 = 129;
constexpr std::uint8_t kEchoTtl = 64;

bool is_on_its_vlan(const VtepConfig& vtep, const FlowKey& key) noexcept {
    // VID 0 is a priority tag only (IEEE 802.1Q §9.6).
    return (key.has(kKeyTagged) ? key.vlan : std::uint16_t{0}) == vtep.vlan;
}

bool is_v6(const ParsedFrame& parsed) noexcept { return parsed.key.has(kKeyIpv6); }

// Turns a request into its answer where it lies: payload, options and size stay.
void turn_echo(const ParsedFrame& parsed, const VtepConfig& vtep, rte_mbuf& frame) noexcept {
    auto* data = rte_pktmbuf_mtod(&frame, std::uint8_t*);
    std::memcpy(data, parsed.key.source_mac.bytes.data(), 6);
    std::memcpy(data + 6, vtep.mac.bytes.data(), 6);
    std::uint8_t* ip = data + parsed.l3_offset;
    const std::uint32_t size = is_v6(parsed) ? 16 : 4;
    std::uint8_t* source = ip + (is_v6(parsed) ? 8 : 12);
    std::swap_ranges(source, source + size, source + size);
    std::uint8_t* icmp = data + parsed.l4_offset;
    const std::uint8_t request = icmp[0];
    icmp[0] = is_v6(parsed) ? kEchoReplyV6 : kEchoReplyV4;
    // Only the type's word changed (RFC 1624); addresses that change places don't count.
    const auto before = static_cast<std::uint16_t>(request << 8U | icmp[1]);
    const auto after = static_cast<std::uint16_t>(icmp[0] << 8U | icmp[1]);
    std::uint32_t sum = static_cast<std::uint16_t>(~load_be16(icmp + 2)) +
                        std::uint32_t{static_cast<std::uint16_t>(~before)} + after;
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    const auto checksum = __builtin_bswap16(static_cast<std::uint16_t>(~sum));
    std::memcpy(icmp + 2, &checksum, sizeof checksum);
    if (is_v6(parsed)) {
        ip[7] = kEchoTtl;
        return;
    }
    ip[8] = kEchoTtl;
    const std::uint32_t header = (ip[0] & 0xfU) * 4U;
    std::memset(ip + 10, 0, 2);
    const auto header_checksum = static_cast<std::uint16_t>(~header_sum(ip, header));
    std::memcpy(ip + 10, &header_checksum, sizeof header_checksum);
}

void answer_echo(WorkerContext& context, std::uint16_t index, const ParsedFrame& parsed,
                 rte_mbuf* frame) noexcept {
    const VtepConfig& vtep = context.snapshot->vteps[index];
    if (!take_token(context.vtep_peers.local(index).answers, kUnderlayAnswersPps, context.now_ns)) {
        return drop(context, frame, DropReason::kUnderlayRate);
    }
    if (rte_mbuf_refcnt_read(frame) != 1) {
        return drop(context, frame, DropReason::kNoBuffer);  // Somebody else reads it.
    }
    turn_echo(parsed, vtep, *frame);
    output(context, frame, vtep.uplink);
}

// IP to the VTEP's own address.
void take_ip(WorkerContext& context, std::uint16_t index, const ParsedFrame& parsed,
             rte_mbuf* frame) noexcept {
    const FlowKey& key = parsed.key;
    const std::uint8_t protocol = is_v6(parsed) ? kProtocolIcmpv6 : kProtocolIcmp;
    if (parsed.fragment || parsed.l4_offset == 0) {
        return drop(context, frame, DropReason::kUnderlayNotForUs);
    }
    if (key.protocol == kProtocolUdp) {
        const std::uint16_t port = key.destination_port.host();
        if (port == kBfdPort || port == kBfdMultihopPort) {
            return take_bfd(context, index, parsed, frame);
        }
    }
    if (key.protocol != protocol) { return drop(context, frame, DropReason::kUnderlayNotForUs); }
    const std::uint8_t type = parsed.data[parsed.l4_offset];
    if (type == (is_v6(parsed) ? kEchoRequestV6 : kEchoRequestV4)) {
        return answer_echo(context, index, parsed, frame);
    }
    if (type == (is_v6(parsed) ? kEchoReplyV6 : kEchoReplyV4)) {
        note_echo_reply(context, index, parsed);
        return consume(context, frame);
    }
    if (parsed.inspect_kind != InspectKind::kIcmpError) {
        return drop(context, frame, DropReason::kUnderlayNotForUs);
    }
    note_icmp_error(context, index, parsed);
    consume(context, frame);
}

// Sent to the MAC of VTEP `index`.
void take_own(WorkerContext& context, std::uint16_t index, const ParsedFrame& parsed,
              rte_mbuf* frame) noexcept {
    const VtepConfig& vtep = context.snapshot->vteps[index];
    if (parsed.frame_class == FrameClass::kBad) { return drop(context, frame, parsed.reason); }
    if (parsed.inspect_kind == InspectKind::kArp && take_arp(context, index, parsed, frame)) {
        return;
    }
    if (parsed.inspect_kind == InspectKind::kNd && take_nd(context, index, parsed, frame)) {
        return;
    }
    const bool is_for_us = parsed.key.is_ip() && parsed.key.destination() == vtep.ip &&
                           parsed.inspect_kind != InspectKind::kNd;
    if (!is_for_us) { return drop(context, frame, DropReason::kUnderlayNotForUs); }
    take_ip(context, index, parsed, frame);
}

// Sent to a group: only what is about its address.
bool take_group(WorkerContext& context, std::uint16_t index, const ParsedFrame& parsed,
                rte_mbuf* frame) noexcept {
    switch (parsed.inspect_kind) {
        case InspectKind::kArp: return take_arp(context, index, parsed, frame);
        case InspectKind::kNd: return take_nd(context, index, parsed, frame);
        default: return false;
    }
}

}  // namespace

bool take_underlay(WorkerContext& context, PortIndex uplink, rte_mbuf* frame) noexcept {
    ParsedFrame parsed;
    parse_mbuf(*frame, uplink, parsed);
    const auto& vteps = context.snapshot->vteps;
    const bool is_group = parsed.key.destination_mac.is_group();
    const auto count = static_cast<std::uint16_t>(vteps.size());
    for (std::uint16_t index = 0; index < count; ++index) {
        const VtepConfig& vtep = vteps[index];
        if (vtep.uplink != uplink || !is_on_its_vlan(vtep, parsed.key)) { continue; }
        if (!is_group && parsed.key.destination_mac == vtep.mac) {
            take_own(context, index, parsed, frame);
            return true;
        }
        if (is_group && take_group(context, index, parsed, frame)) { return true; }
    }
    return false;
}

IpAddr next_hop_of(const VtepConfig& vtep, const IpAddr& remote) noexcept {
    if (remote.family != vtep.ip.family) { return {}; }
    const IpPrefix subnet{remote, vtep.prefix_length};
    if (subnet.contains(vtep.ip)) { return remote; }
    return vtep.gateway.value_or(IpAddr{});
}

NeighbourQuestion underlay_question(const Snapshot& snapshot, std::uint16_t vtep,
                                    const IpAddr& next_hop,
                                    decltype(NeighbourQuestion::resume) resume) noexcept {
    NeighbourQuestion question;
    question.domain = snapshot.vteps[vtep].underlay;
    question.ip = next_hop;
    question.index = vtep;
    question.is_underlay = true;
    question.ask = ask_underlay;
    question.resume = resume;
    return question;
}

std::uint16_t underlay_mtu(const WorkerContext& context, std::uint16_t vtep,
                           std::uint16_t remote) noexcept {
    const std::uint16_t mtu = context.snapshot->vteps[vtep].mtu;
    const VtepPeer* peer = context.vtep_peers.find(vtep, remote);
    const bool is_lower =
        peer != nullptr && peer->path_mtu != 0 && context.now_ns < peer->path_mtu_until_ns;
    return is_lower ? std::min(mtu, peer->path_mtu) : mtu;
}

}  // namespace sluice::datapath
