// SPDX-License-Identifier: Apache-2.0
// ARP and neighbour discovery of VTEPs: see underlay_neighbours.h. Only what this worker asked for
// is learned, so that nobody can make it believe anything unasked; a claim about a known neighbour
// only makes it ask again.
#include "datapath/underlay_neighbours.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "datapath/membership.h"
#include "datapath/parse_layers.h"
#include "datapath/stages.h"
#include "datapath/underlay.h"
#include "datapath/underlay_frame.h"
#include "sluice/iochain/token_bucket.h"

namespace sluice::datapath {
namespace {

constexpr MacAddr kBroadcastMac{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
constexpr MacAddr kAllNodesMac{{0x33, 0x33, 0, 0, 0, 1}};
constexpr std::uint32_t kArpSize = 28;
constexpr std::uint16_t kArpRequest = 1, kArpReply = 2;
constexpr std::uint32_t kNdSize = 24;
constexpr std::uint8_t kSolicitation = 135, kAdvertisement = 136, kHopLimit = 255;
constexpr std::uint8_t kSourceLinkLayer = 1, kTargetLinkLayer = 2;
constexpr std::uint32_t kSolicited = 0x40000000, kOverride = 0x20000000;
constexpr std::uint64_t kDefendNs = 10'000'000'000;  // RFC 5227 §1.1, DEFEND_INTERVAL.

IpAddr v6_at(const std::uint8_t* at) noexcept {
    IpAddr ip;
    ip.family = IpFamily::kV6;
    std::memcpy(ip.bytes.data(), at, ip.bytes.size());
    return ip;
}

IpAddr all_nodes() noexcept {
    IpAddr ip;
    ip.family = IpFamily::kV6;
    ip.bytes[0] = 0xff;
    ip.bytes[1] = 0x02;
    ip.bytes[15] = 1;
    return ip;
}

bool is_unspecified(const IpAddr& ip) noexcept { return ip.bytes == IpAddr{}.bytes; }

void send_arp(WorkerContext& context, const VtepConfig& vtep, std::uint16_t operation,
              const MacAddr& to, const MacAddr& target_mac, const IpAddr& target) noexcept {
    UnderlayFrame frame(vtep, to, kEtherArp);
    frame.put16(1).put16(kEtherIpv4).put8(6).put8(4).put16(operation);
    frame.put(vtep.mac.bytes).put_ip(vtep.ip).put(target_mac.bytes).put_ip(target);
    frame.send(context);
}

// A solicitation of `target`, or an advertisement of the VTEP's own address.
void send_nd(WorkerContext& context, const VtepConfig& vtep, std::uint8_t type, const MacAddr& to,
             const IpAddr& destination, std::uint32_t flags, const IpAddr& target) noexcept {
    UnderlayIp ip;
    ip.destination_mac = to;
    ip.destination = destination;
    ip.protocol = kProtocolIcmpv6;
    ip.hop_limit = kHopLimit;
    UnderlayFrame frame(vtep, ip);
    frame.put8(type).put8(0).put16(0).put32(flags).put_ip(target);
    frame.put8(type == kSolicitation ? kSourceLinkLayer : kTargetLinkLayer).put8(1);
    frame.put(vtep.mac.bytes).finish_ip();
    frame.send(context);
}

// Somebody else says that the VTEP's address is his: noted, and answered once in a while.
void note_rival(WorkerContext& context, std::uint16_t vtep, const MacAddr& mac) noexcept {
    LocalVtep& local = context.vtep_peers.local(vtep);
    local.rival = mac;
    local.rival_ns = context.now_ns;
    if (context.now_ns < local.defend_ns) { return; }
    local.defend_ns = context.now_ns + kDefendNs;
    announce_vtep(context, context.snapshot->vteps[vtep]);
}

// What `mac` says of its own address `ip`.
void hear_claim(WorkerContext& context, const VtepConfig& vtep, const IpAddr& ip,
                const MacAddr& mac, bool is_answer) noexcept {
    if (is_answer && is_asked_for(context, vtep.underlay, ip)) {
        return learn_neighbour(context, vtep.underlay, ip, mac, vtep.uplink);
    }
    const auto known = find_neighbour(context, vtep.underlay, ip);
    if (known && !(*known == mac)) { doubt_neighbour(context, vtep.underlay, ip); }
}

bool may_answer(WorkerContext& context, std::uint16_t vtep) noexcept {
    return take_token(context.vtep_peers.local(vtep).answers, kUnderlayAnswersPps, context.now_ns);
}

// The link-layer address option of `type`, if there is one. Parse has checked the options.
std::optional<MacAddr> link_layer_option(const std::uint8_t* icmp, std::uint32_t size,
                                         std::uint8_t type) noexcept {
    for (std::uint32_t at = kNdSize; at + 8 <= size; at += std::max(icmp[at + 1] * 8U, 8U)) {
        if (icmp[at] != type || icmp[at + 1] != 1) { continue; }
        MacAddr mac;
        std::memcpy(mac.bytes.data(), icmp + at + 2, mac.bytes.size());
        return mac;
    }
    return std::nullopt;
}

struct Arp {
    std::uint16_t operation;
    MacAddr mac;  // Of the sender, as in the frame's header.
    IpAddr sender, target;
};

// Ethernet and IPv4 only; who names another MAC than he sends from is not heard.
std::optional<Arp> read_arp(const ParsedFrame& parsed) noexcept {
    constexpr std::uint8_t kKinds[] = {0, 1, 0x08, 0x00, 6, 4};
    const std::uint8_t* arp = parsed.data + parsed.l3_offset;
    if (parsed.key.ethertype.host() != kEtherArp || parsed.l3_offset == 0 ||
        parsed.l3_offset + kArpSize > parsed.data_size ||
        std::memcmp(arp, kKinds, sizeof kKinds) != 0 ||
        std::memcmp(arp + 8, parsed.key.source_mac.bytes.data(), 6) != 0) {
        return std::nullopt;
    }
    return Arp{load_be16(arp + 6), parsed.key.source_mac, IpAddr::v4(load_be32(arp + 14)),
               IpAddr::v4(load_be32(arp + 24))};
}

void answer_solicitation(WorkerContext& context, const VtepConfig& vtep,
                         const ParsedFrame& parsed) noexcept {
    const IpAddr asker = parsed.key.source();
    if (is_unspecified(asker)) {  // Duplicate address detection (RFC 4862 §5.4.3).
        return send_nd(context, vtep, kAdvertisement, kAllNodesMac, all_nodes(), kOverride,
                       vtep.ip);
    }
    send_nd(context, vtep, kAdvertisement, parsed.key.source_mac, asker, kSolicited | kOverride,
            vtep.ip);
}

bool take_solicitation(WorkerContext& context, std::uint16_t index, const ParsedFrame& parsed,
                       rte_mbuf* frame) noexcept {
    const VtepConfig& vtep = context.snapshot->vteps[index];
    if (!(v6_at(parsed.data + parsed.l4_offset + 8) == vtep.ip)) { return false; }
    if (is_unspecified(parsed.key.source())) { note_rival(context, index, parsed.key.source_mac); }
    if (!may_answer(context, index)) {
        drop(context, frame, DropReason::kUnderlayRate);
        return true;
    }
    answer_solicitation(context, vtep, parsed);
    consume(context, frame);
    return true;
}

bool take_advertisement(WorkerContext& context, std::uint16_t index, const ParsedFrame& parsed,
                        rte_mbuf* frame) noexcept {
    const VtepConfig& vtep = context.snapshot->vteps[index];
    const std::uint8_t* icmp = parsed.data + parsed.l4_offset;
    const MacAddr& from = parsed.key.source_mac;
    const bool is_to_us = parsed.key.destination_mac == vtep.mac;
    const IpAddr target = v6_at(icmp + 8);
    const auto mac = link_layer_option(icmp, parsed.l4_size, kTargetLinkLayer);
    if (target == vtep.ip) {
        if (!(from == vtep.mac)) { note_rival(context, index, from); }
    } else if (mac && *mac == from) {
        hear_claim(context, vtep, target, from, is_to_us);
    }
    if (!is_to_us) { return false; }
    consume(context, frame);
    return true;
}

}  // namespace

bool take_arp(WorkerContext& context, std::uint16_t index, const ParsedFrame& parsed,
              rte_mbuf* frame) noexcept {
    const VtepConfig& vtep = context.snapshot->vteps[index];
    const bool is_to_us = parsed.key.destination_mac == vtep.mac;
    const std::optional<Arp> arp = read_arp(parsed);
    if (!arp || !vtep.ip.is_v4()) {
        if (!is_to_us) { return false; }
        drop(context, frame, DropReason::kBadArp);
        return true;
    }
    const bool is_claim = arp->sender == vtep.ip;
    if (is_claim && !(arp->mac == vtep.mac)) { note_rival(context, index, arp->mac); }
    if (!is_claim && arp->sender.v4_host() != 0) {
        hear_claim(context, vtep, arp->sender, arp->mac, is_to_us && arp->operation == kArpReply);
    }
    const bool is_question = arp->operation == kArpRequest && arp->target == vtep.ip;
    if (!is_question && !is_to_us) { return false; }
    if (is_question && !is_claim) {
        if (!may_answer(context, index)) {
            drop(context, frame, DropReason::kUnderlayRate);
            return true;
        }
        send_arp(context, vtep, kArpReply, arp->mac, arp->mac, arp->sender);
    }
    consume(context, frame);
    return true;
}

bool take_nd(WorkerContext& context, std::uint16_t index, const ParsedFrame& parsed,
             rte_mbuf* frame) noexcept {
    if (!context.snapshot->vteps[index].ip.is_v6()) { return false; }
    switch (parsed.data[parsed.l4_offset]) {
        case kSolicitation: return take_solicitation(context, index, parsed, frame);
        case kAdvertisement: return take_advertisement(context, index, parsed, frame);
        default: return false;
    }
}

void announce_vtep(WorkerContext& context, const VtepConfig& vtep) noexcept {
    if (vtep.ip.is_v4()) {
        return send_arp(context, vtep, kArpRequest, kBroadcastMac, MacAddr{}, vtep.ip);
    }
    send_nd(context, vtep, kAdvertisement, kAllNodesMac, all_nodes(), kOverride, vtep.ip);
}

void ask_underlay(WorkerContext& context, const NeighbourQuestion& question) noexcept {
    const VtepConfig& vtep = context.snapshot->vteps[question.index];
    const auto known = find_neighbour(context, question.domain, question.ip);
    if (question.ip.is_v4()) {
        return send_arp(context, vtep, kArpRequest, known.value_or(kBroadcastMac), MacAddr{},
                        question.ip);
    }
    const IpAddr group = solicited_node(question.ip);
    send_nd(context, vtep, kSolicitation, known ? *known : group_mac(group),
            known ? question.ip : group, 0, question.ip);
}

}  // namespace sluice::datapath
