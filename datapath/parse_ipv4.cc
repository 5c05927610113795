// SPDX-License-Identifier: Apache-2.0
// IPv4 of the general parser (RFC 791, RFC 1812 §5.2.2 and §5.3.7): header, options, addresses,
// fragment fields.
#include "datapath/parse.h"
#include "datapath/parse_layers.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kOptionEnd = 0;
constexpr std::uint8_t kOptionNop = 1;
constexpr std::uint8_t kOptionLooseSource = 131;
constexpr std::uint8_t kOptionStrictSource = 137;

[[nodiscard]] DropReason check_options(const std::uint8_t* option,
                                       const std::uint8_t* end) noexcept {
    while (option < end && *option != kOptionEnd) {
        if (*option == kOptionNop) {
            ++option;
            continue;
        }
        if (end - option < 2 || option[1] < 2 || option[1] > end - option) {
            return DropReason::kBadIpOption;
        }
        if (*option == kOptionLooseSource || *option == kOptionStrictSource) {
            return DropReason::kBadIpOption;
        }
        option += option[1];
    }
    return DropReason::kNone;
}

/// Addresses that can't be on the wire (RFC 6890). Source 0.0.0.0 is left to the caller, who knows
/// the protocol.
[[nodiscard]] bool are_plausible(std::uint32_t source, std::uint32_t destination) noexcept {
    const std::uint32_t source_net = source >> 24U;
    const std::uint32_t destination_net = destination >> 24U;
    const bool bad_source =
        (source_net == 0 && source != 0) || source_net == 127 || source_net >= 224;
    const bool bad_destination = destination_net == 0 || destination_net == 127 ||
                                 (destination_net >= 240 && destination != 0xffffffffU);
    return !bad_source && !bad_destination && source != destination;
}

/// Length fields and checksum. Sets `header_size` and `total_size` in bytes.
[[nodiscard]] DropReason check_header(const ParsedFrame& frame, std::uint32_t& header_size,
                                      std::uint32_t& total_size) noexcept {
    const std::uint32_t available = frame.data_size - std::uint32_t{frame.l3_offset};
    if (available < kIpv4Size) { return DropReason::kBadIpHeader; }
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    header_size = (ip[0] & 0x0fU) * 4U;
    total_size = load_be16(ip + 2);
    if (ip[0] >> 4U != 4 || header_size < kIpv4Size || header_size > available) {
        return DropReason::kBadIpHeader;
    }
    if (total_size < header_size || total_size > frame.frame_size - frame.l3_offset) {
        return DropReason::kBadIpLength;
    }
    if (header_sum(ip, header_size) != 0xffff) { return DropReason::kBadIpChecksum; }
    return check_options(ip + kIpv4Size, ip + header_size);
}

void fill_key(FlowKey& key, const std::uint8_t* ip) noexcept {
    std::memcpy(key.source_ip + 12, ip + 12, 4);
    std::memcpy(key.destination_ip + 12, ip + 16, 4);
    key.protocol = ip[9];
    key.dscp = static_cast<std::uint8_t>(ip[1] >> 2U);
    key.flags |= kKeyIpv4;
}

void fill_fragment(ParsedFrame& frame, const std::uint8_t* ip) noexcept {
    const std::uint16_t field = load_be16(ip + 6);
    frame.fragment_offset = static_cast<std::uint16_t>((field & 0x1fffU) * 8U);
    frame.more_fragments = (field & 0x2000U) != 0;
    frame.fragment = frame.more_fragments || frame.fragment_offset != 0;
    if (!frame.fragment) { return; }
    frame.fragment_id = load_be16(ip + 4);
    frame.key.flags |= kKeyFragment;
}

/// 0.0.0.0 asks for an address (DHCP; what follows its head is judged with it) or joins a group
/// before it has one (RFC 3376 §4.2.13).
[[nodiscard]] bool may_be_unspecified(const ParsedFrame& frame) noexcept {
    if (frame.fragment_offset != 0) { return frame.key.protocol == kProtocolUdp; }
    return frame.inspect_kind == InspectKind::kDhcp4 || frame.inspect_kind == InspectKind::kIgmp;
}

}  // namespace

DropReason parse_ipv4(ParsedFrame& frame) noexcept {
    std::uint32_t header_size = 0;
    std::uint32_t total_size = 0;
    DropReason reason = check_header(frame, header_size, total_size);
    if (reason != DropReason::kNone) { return reason; }
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    fill_key(frame.key, ip);
    const std::uint32_t source = load_be32(ip + 12);
    if (!are_plausible(source, load_be32(ip + 16))) { return DropReason::kBadIpAddress; }
    fill_fragment(frame, ip);
    const std::uint32_t payload_size = total_size - header_size;
    if (frame.fragment) {
        reason = check_fragment(frame, payload_size, header_size, frame.key.protocol);
        if (reason != DropReason::kNone) { return reason; }
    }
    if (frame.key.protocol == kProtocolIcmpv6) { return DropReason::kBadIcmp; }
    reason = parse_transport(
        frame, {frame.l3_offset + header_size, payload_size, frame.key.protocol, ip[8], false});
    if (reason == DropReason::kNone && source == 0 && !may_be_unspecified(frame)) {
        return DropReason::kBadIpAddress;
    }
    return reason;
}

DropReason check_fragment(const ParsedFrame& frame, std::uint32_t size, std::uint32_t before,
                          std::uint8_t protocol) noexcept {
    const bool odd_size = frame.more_fragments && size % 8 != 0;
    const bool too_long = before + frame.fragment_offset + size > kDatagramMax;
    const bool rewrites_tcp =
        protocol == kProtocolTcp && frame.fragment_offset == 8;  // RFC 3128 §3.
    return size == 0 || odd_size || too_long || rewrites_tcp ? DropReason::kBadFragment
                                                             : DropReason::kNone;
}

FragmentExtent fragment_extent(const ParsedFrame& frame) noexcept {
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    const bool v4 = frame.key.has(kKeyIpv4);
    const std::uint32_t start =
        v4 ? frame.l3_offset + (ip[0] & 0x0fU) * 4U : ipv6_fragment_start(frame);
    const std::uint32_t size = v4 ? load_be16(ip + 2) : kIpv6Size + load_be16(ip + 4);
    FragmentExtent extent;
    extent.at = start;
    extent.begin = frame.fragment_offset;
    extent.end = extent.begin + frame.l3_offset + size - start;
    extent.l4_begin = frame.l4_offset == 0 ? 0 : frame.l4_offset - start;
    return extent;
}

}  // namespace sluice::datapath
