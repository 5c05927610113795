// SPDX-License-Identifier: Apache-2.0
// Transport headers of the general parser: TCP (RFC 9293), UDP, SCTP, ICMP, ICMPv6, IGMP; which of
// them are conversations with the switch; and what a head fragment must hold.
#include "datapath/parse_layers.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kIcmpSize = 8;
constexpr std::uint32_t kSctpSize = 12;
constexpr std::uint32_t kSctpChunkSize = 4;  // Header of a chunk, counted in its length.
constexpr std::uint8_t kNdHopLimit = 255;

// ICMP types that a host may get, as sets of bit numbers (IANA; obsolete and experimental ones are
// left out).
constexpr std::uint64_t kIcmpKnown =
    0x1ULL | 0x38ULL | (0x1fULL << 8U) | (0x3fULL << 13U);  // 0, 3-5, 8-12, 13-18.
constexpr std::uint64_t kIcmpErrors = 0x38ULL | (1ULL << 11U) | (1ULL << 12U);    // 3-5, 11, 12.
constexpr std::uint64_t kIcmpQueries = 0x1ULL | (1ULL << 8U) | (0x3fULL << 13U);  // 0, 8, 13-18.

[[nodiscard]] bool contains(std::uint64_t set, std::uint8_t type) noexcept {
    return type < 64 && (set >> type & 1U) != 0;
}

void fill_ports(FlowKey& key, const std::uint8_t* l4) noexcept {
    key.source_port.raw = load<std::uint16_t>(l4);
    key.destination_port.raw = load<std::uint16_t>(l4 + 2);
    key.flags |= kKeyPorts;
}

[[nodiscard]] bool is_group_destination(const FlowKey& key) noexcept {
    const bool v4_group = key.has(kKeyIpv4) && key.destination_ip[12] >= 224;
    const bool v6_group = key.has(kKeyIpv6) && key.destination_ip[0] == 0xff;
    return key.destination_mac.is_group() || v4_group || v6_group;
}

[[nodiscard]] DropReason parse_tcp(ParsedFrame& frame, const std::uint8_t* l4,
                                   std::uint32_t available) noexcept {
    if (available < kTcpSize) { return DropReason::kBadL4Header; }
    const std::uint32_t header_size = (l4[12] >> 4U) * 4U;
    if (header_size < kTcpSize || header_size > available) { return DropReason::kBadL4Header; }
    fill_ports(frame.key, l4);
    frame.tcp_flags = l4[13];
    frame.tcp_header_size = static_cast<std::uint8_t>(header_size);
    if (frame.key.source_port.raw == 0 || frame.key.destination_port.raw == 0) {
        return DropReason::kBadL4Header;
    }
    if ((kTcpFlagsValid >> (frame.tcp_flags & kTcpFlagsJudged) & 1U) == 0) {
        return DropReason::kBadTcpFlags;
    }
    if (is_group_destination(frame.key)) { return DropReason::kBadIpAddress; }
    const bool judged = (frame.tcp_flags & kTcpSyn) != 0;
    return judged && !tcp_options_ok(l4 + kTcpSize, l4 + header_size) ? DropReason::kBadTcpOption
                                                                      : DropReason::kNone;
}

[[nodiscard]] InspectKind dhcp_kind(const FlowKey& key) noexcept {
    const std::uint32_t first = key.has(kKeyIpv4) ? 67U : 546U;
    const bool source = key.source_port.host() - first < 2U;
    const bool destination = key.destination_port.host() - first < 2U;
    if (!source && !destination) { return InspectKind::kNone; }
    return key.has(kKeyIpv4) ? InspectKind::kDhcp4 : InspectKind::kDhcp6;
}

/// A head fragment with nothing but the UDP header hides its contents; no path is that narrow (RFC
/// 1858 §3).
[[nodiscard]] DropReason parse_udp(ParsedFrame& frame, const std::uint8_t* l4,
                                   std::uint32_t available) noexcept {
    if (available < kUdpSize) { return DropReason::kBadL4Header; }
    const std::uint32_t size = load_be16(l4 + 4);
    if (size < kUdpSize || (size > frame.l4_size && !frame.fragment)) {
        return DropReason::kBadL4Header;
    }
    if (frame.fragment && frame.l4_size == kUdpSize) { return DropReason::kBadFragment; }
    fill_ports(frame.key, l4);
    const InspectKind kind = dhcp_kind(frame.key);
    if (kind == InspectKind::kNone) { return DropReason::kNone; }
    set_inspect(frame, kind);
    return DropReason::kNone;
}

[[nodiscard]] DropReason parse_sctp(ParsedFrame& frame, const std::uint8_t* l4,
                                    std::uint32_t available) noexcept {
    if (available < kSctpSize) { return DropReason::kBadL4Header; }
    fill_ports(frame.key, l4);
    if (frame.key.source_port.raw == 0 || frame.key.destination_port.raw == 0) {
        return DropReason::kBadL4Header;  // RFC 9260 §3.1.
    }
    const bool has_chunk = available >= kSctpSize + kSctpChunkSize;
    return has_chunk && load_be16(l4 + kSctpSize + 2) < kSctpChunkSize ? DropReason::kBadL4Header
                                                                       : DropReason::kNone;
}

/// Type and code as source port; identifier of queries as destination port.
void fill_icmp(FlowKey& key, const std::uint8_t* l4, bool query) noexcept {
    key.source_port.raw = load<std::uint16_t>(l4);
    if (query) { key.destination_port.raw = load<std::uint16_t>(l4 + 4); }
    key.flags |= kKeyPorts;
}

[[nodiscard]] DropReason parse_icmp(ParsedFrame& frame, const std::uint8_t* l4,
                                    std::uint32_t available) noexcept {
    if (available < kIcmpSize) { return DropReason::kBadL4Header; }
    fill_icmp(frame.key, l4, contains(kIcmpQueries, l4[0]));
    if (!contains(kIcmpKnown, l4[0])) { return DropReason::kBadIcmp; }
    if (contains(kIcmpErrors, l4[0])) { set_inspect(frame, InspectKind::kIcmpError); }
    return DropReason::kNone;
}

/// Smallest size of ND messages 133..137: RS, RA, NS, NA, redirect (RFC 4861 §4).
constexpr std::uint8_t kNdSizeMin[] = {8, 16, 24, 24, 40};

/// What any ND message must be (RFC 4861 §6.1, §7.1, §8.1): hop limit 255, code 0, whole, options
/// of a length, and without a fragment header (RFC 6980 §5).
[[nodiscard]] bool is_nd_valid(const TransportInput& input, const std::uint8_t* l4,
                               std::uint32_t available) noexcept {
    const std::uint32_t size_min = kNdSizeMin[l4[0] - 133U];
    if (input.hop_limit != kNdHopLimit || l4[1] != 0 || input.fragment_header) { return false; }
    if (available < size_min || available < input.size) { return false; }
    for (std::uint32_t at = size_min; at < available;) {
        if (available - at < 8 || l4[at + 1] == 0 || l4[at + 1] * 8U > available - at) {
            return false;
        }
        at += l4[at + 1] * 8U;
    }
    return true;
}

[[nodiscard]] DropReason parse_icmpv6(ParsedFrame& frame, const TransportInput& input,
                                      const std::uint8_t* l4, std::uint32_t available) noexcept {
    if (available < kIcmpSize) { return DropReason::kBadL4Header; }
    const std::uint8_t type = l4[0];
    fill_icmp(frame.key, l4, type == 128 || type == 129);
    if (type >= 1 && type <= 4) {
        set_inspect(frame, InspectKind::kIcmpError);
    } else if (type >= 133 && type <= 137) {
        set_inspect(frame, InspectKind::kNd);
        return is_nd_valid(input, l4, available) ? DropReason::kNone : DropReason::kBadNd;
    } else if ((type >= 130 && type <= 132) || type == 143) {
        set_inspect(frame, InspectKind::kMld);
        // From a neighbour: RFC 2710 §3, RFC 3810 §5.
        return input.hop_limit == 1 ? DropReason::kNone : DropReason::kBadMembership;
    } else if (type < 128 || type > 153) {
        return DropReason::kBadIcmp;
    }
    return DropReason::kNone;
}

[[nodiscard]] DropReason parse_igmp(ParsedFrame& frame, std::uint32_t available) noexcept {
    set_inspect(frame, InspectKind::kIgmp);
    return available < 8 ? DropReason::kBadL4Header : DropReason::kNone;
}

[[nodiscard]] DropReason parse_protocol(ParsedFrame& frame, const TransportInput& input) noexcept {
    const std::uint8_t* l4 = frame.data + input.offset;
    const std::uint32_t contiguous = frame.data_size - input.offset;
    const std::uint32_t available = contiguous < input.size ? contiguous : input.size;
    switch (input.protocol) {
        case kProtocolTcp: return parse_tcp(frame, l4, available);
        case kProtocolUdp: return parse_udp(frame, l4, available);
        case kProtocolSctp: return parse_sctp(frame, l4, available);
        case kProtocolIcmp: return parse_icmp(frame, l4, available);
        case kProtocolIcmpv6: return parse_icmpv6(frame, input, l4, available);
        case kProtocolIgmp:
            return frame.key.has(kKeyIpv4) ? parse_igmp(frame, available) : DropReason::kNone;
        default: return DropReason::kNone;
    }
}

/// Conversations that are judged when all their pieces have come (fragment_gather.cc). ND must not
/// come in pieces (RFC 6980); who reports groups sends several reports instead (RFC 3376 §4.2.16).
[[nodiscard]] bool is_gathered(InspectKind kind) noexcept {
    return kind == InspectKind::kDhcp4 || kind == InspectKind::kDhcp6 ||
           kind == InspectKind::kIcmpError;
}

/// A head must hold its transport header (RFC 1858 §3).
[[nodiscard]] DropReason judge_head(const ParsedFrame& frame, DropReason reason) noexcept {
    if (reason == DropReason::kBadL4Header) { return DropReason::kBadFragment; }
    const bool is_conversation = frame.frame_class == FrameClass::kInspect;
    if (reason == DropReason::kNone && is_conversation && !is_gathered(frame.inspect_kind)) {
        return DropReason::kBadFragment;
    }
    return reason;
}

}  // namespace

bool tcp_options_ok(const std::uint8_t* option, const std::uint8_t* end) noexcept {
    while (option < end && *option != 0) {
        if (*option == 1) {
            ++option;
            continue;
        }
        if (end - option < 2 || option[1] < 2 || option[1] > end - option) { return false; }
        option += option[1];
    }
    return true;
}

DropReason parse_transport(ParsedFrame& frame, const TransportInput& input) noexcept {
    frame.l4_size = input.size;
    if (frame.fragment_offset != 0) { return DropReason::kNone; }
    const bool here = input.size > 0 && input.offset < frame.data_size;
    frame.l4_offset = here ? static_cast<std::uint16_t>(input.offset) : std::uint16_t{0};
    const DropReason reason = parse_protocol(frame, input);
    return frame.fragment ? judge_head(frame, reason) : reason;
}

}  // namespace sluice::datapath
