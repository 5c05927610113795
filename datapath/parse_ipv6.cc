// SPDX-License-Identifier: Apache-2.0
// IPv6 of the general parser (RFC 8200): header, addresses, extension headers, fragment header.
#include "datapath/parse.h"
#include "datapath/parse_layers.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kOptionPad1 = 0;
constexpr std::uint8_t kOptionJumbo = 0xc2;
constexpr std::uint32_t kFragmentHeaderSize = 8;
constexpr std::uint32_t kAhSizeMin = 16;  // RFC 4302 §2.2: 12 bytes, padded to 8 in IPv6.

/// Where the walk over extension headers stands.
struct Chain {
    std::uint32_t offset = 0;  ///< Of the next header, in the frame.
    std::uint32_t size = 0;    ///< Bytes from there by the payload length.
    std::uint8_t next = 0;     ///< Its protocol.
    std::uint8_t count = 0;    ///< Extension headers so far.
    std::uint32_t before = 0;  ///< Bytes of extension headers before the fragment header.
    bool fragment_header = false;
};

[[nodiscard]] bool is_loopback_or_mapped(const std::uint8_t* ip) noexcept {
    if (load<std::uint64_t>(ip) != 0) { return false; }
    const std::uint64_t low = (std::uint64_t{load_be32(ip + 8)} << 32U) | load_be32(ip + 12);
    return low == 1 || low >> 32U == 0xffffU;  // ::1, ::ffff:0:0/96 (RFC 4291 §2.5).
}

[[nodiscard]] bool is_unspecified(const std::uint8_t* ip) noexcept {
    return (load<std::uint64_t>(ip) | load<std::uint64_t>(ip + 8)) == 0;
}

/// Groups of reserved (0) and interface-local (1) scope never leave a node (RFC 4291 §2.7 and its
/// erratum 3480).
[[nodiscard]] bool is_unsent_group(const std::uint8_t* ip) noexcept {
    return ip[0] == 0xff && (ip[1] & 0x0fU) <= 1;
}

/// Addresses that can't be on the wire. Source :: is left to the caller, who knows the protocol.
[[nodiscard]] bool are_plausible(const std::uint8_t* source,
                                 const std::uint8_t* destination) noexcept {
    return source[0] != 0xff && !is_loopback_or_mapped(source) &&
           !is_loopback_or_mapped(destination) && !is_unspecified(destination) &&
           !is_unsent_group(destination) && std::memcmp(source, destination, 16) != 0;
}

/// Options of a hop-by-hop or destination options header: each inside it, no jumbogram (RFC 2675 is
/// refused).
[[nodiscard]] DropReason check_options(const std::uint8_t* option,
                                       const std::uint8_t* end) noexcept {
    while (option < end) {
        if (*option == kOptionPad1) {
            ++option;
            continue;
        }
        if (end - option < 2 || option[1] > end - option - 2) { return DropReason::kBadIpOption; }
        if (*option == kOptionJumbo) { return DropReason::kBadIpOption; }
        option += 2 + option[1];
    }
    return DropReason::kNone;
}

/// Moves behind a header of `size` bytes, all of which must be here.
[[nodiscard]] DropReason step_over(const ParsedFrame& frame, Chain& chain,
                                   std::uint32_t size) noexcept {
    if (size > chain.size || chain.offset + size > frame.data_size) {
        return DropReason::kBadIpHeader;
    }
    chain.next = frame.data[chain.offset];
    chain.offset += size;
    chain.size -= size;
    return DropReason::kNone;
}

[[nodiscard]] DropReason parse_options_header(const ParsedFrame& frame, Chain& chain) noexcept {
    if (chain.next == kProtocolHopByHop && chain.count > 0) { return DropReason::kBadIpHeader; }
    const std::uint8_t* header = frame.data + chain.offset;
    const std::uint32_t size = (header[1] + 1U) * 8U;
    const DropReason reason = step_over(frame, chain, size);
    return reason == DropReason::kNone ? check_options(header + 2, header + size) : reason;
}

[[nodiscard]] DropReason parse_routing_header(const ParsedFrame& frame, Chain& chain) noexcept {
    const std::uint8_t* header = frame.data + chain.offset;
    if (header[2] == 0) { return DropReason::kBadIpOption; }  // RFC 5095.
    return step_over(frame, chain, (header[1] + 1U) * 8U);
}

[[nodiscard]] DropReason parse_ah(const ParsedFrame& frame, Chain& chain) noexcept {
    const std::uint32_t size = (frame.data[chain.offset + 1] + 2U) * 4U;
    if (size < kAhSizeMin || size % 8 != 0) { return DropReason::kBadIpHeader; }
    return step_over(frame, chain, size);
}

[[nodiscard]] DropReason parse_fragment_header(ParsedFrame& frame, Chain& chain) noexcept {
    if (chain.fragment_header) { return DropReason::kBadFragment; }
    chain.fragment_header = true;
    const std::uint8_t* header = frame.data + chain.offset;
    const std::uint16_t field = load_be16(header + 2);
    frame.fragment_offset = field & 0xfff8U;
    frame.more_fragments = (field & 1U) != 0;
    frame.fragment = frame.more_fragments || frame.fragment_offset != 0;
    if (frame.fragment) {  // Else it is an atomic one: RFC 6946.
        frame.fragment_id = load_be32(header + 4);
        frame.key.flags |= kKeyFragment;
    }
    const DropReason reason = step_over(frame, chain, kFragmentHeaderSize);
    if (reason != DropReason::kNone || !frame.fragment) { return reason; }
    return check_fragment(frame, chain.size, chain.before, chain.next);
}

[[nodiscard]] bool is_extension(std::uint8_t protocol) noexcept {
    return protocol == kProtocolHopByHop || protocol == kProtocolRouting ||
           protocol == kProtocolFragment || protocol == kProtocolAh ||
           protocol == kProtocolDestinationOptions;
}

[[nodiscard]] DropReason parse_extension(ParsedFrame& frame, Chain& chain) noexcept {
    if (chain.count == kExtensionHeaderMax) { return DropReason::kBadIpHeader; }
    if (chain.size < 8 || chain.offset + 8 > frame.data_size) { return DropReason::kBadIpHeader; }
    const std::uint32_t start = chain.offset;
    DropReason reason = DropReason::kNone;
    switch (chain.next) {
        case kProtocolRouting: reason = parse_routing_header(frame, chain); break;
        case kProtocolFragment: reason = parse_fragment_header(frame, chain); break;
        case kProtocolAh: reason = parse_ah(frame, chain); break;
        default: reason = parse_options_header(frame, chain); break;
    }
    ++chain.count;
    if (!chain.fragment_header) { chain.before += chain.offset - start; }
    return reason;
}

/// Walks the extension headers up to the transport header, or up to the fragment header of a later
/// fragment: what stands behind that one is payload. A chain that leaves the first fragment is
/// refused (RFC 7112 §5).
[[nodiscard]] DropReason parse_extensions(ParsedFrame& frame, Chain& chain) noexcept {
    while (is_extension(chain.next) && frame.fragment_offset == 0) {
        const DropReason reason = parse_extension(frame, chain);
        if (reason != DropReason::kNone) { return reason; }
    }
    return DropReason::kNone;
}

[[nodiscard]] DropReason check_header(const ParsedFrame& frame,
                                      std::uint32_t& payload_size) noexcept {
    if (frame.data_size - std::uint32_t{frame.l3_offset} < kIpv6Size) {
        return DropReason::kBadIpHeader;
    }
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    if (ip[0] >> 4U != 6) { return DropReason::kBadIpHeader; }
    payload_size = load_be16(ip + 4);
    const bool jumbogram = payload_size == 0 && ip[6] == kProtocolHopByHop;
    const bool too_long = payload_size > frame.frame_size - frame.l3_offset - kIpv6Size;
    return jumbogram || too_long ? DropReason::kBadIpLength : DropReason::kNone;
}

void fill_key(FlowKey& key, const std::uint8_t* ip) noexcept {
    std::memcpy(key.source_ip, ip + 8, 16);
    std::memcpy(key.destination_ip, ip + 24, 16);
    key.dscp = static_cast<std::uint8_t>((load_be16(ip) >> 6U) & 0x3fU);
    key.flags |= kKeyIpv6;
}

/// :: is a node that has no address yet: DAD, router solicitation, its first group reports.
[[nodiscard]] bool may_be_unspecified(const ParsedFrame& frame) noexcept {
    if (frame.inspect_kind == InspectKind::kMld) { return true; }
    if (frame.inspect_kind != InspectKind::kNd) { return false; }
    const std::uint8_t type = frame.data[frame.l4_offset];
    return type == 133 || type == 135;
}

}  // namespace

DropReason parse_ipv6(ParsedFrame& frame) noexcept {
    std::uint32_t payload_size = 0;
    DropReason reason = check_header(frame, payload_size);
    if (reason != DropReason::kNone) { return reason; }
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    fill_key(frame.key, ip);
    if (!are_plausible(ip + 8, ip + 24)) { return DropReason::kBadIpAddress; }
    Chain chain{frame.l3_offset + kIpv6Size, payload_size, ip[6]};
    reason = parse_extensions(frame, chain);
    if (reason != DropReason::kNone) { return reason; }
    frame.key.protocol = chain.next;
    if (chain.next == kProtocolIcmp) { return DropReason::kBadIcmp; }
    reason = parse_transport(frame,
                             {chain.offset, chain.size, chain.next, ip[7], chain.fragment_header});
    if (reason == DropReason::kNone && is_unspecified(ip + 8) && !may_be_unspecified(frame)) {
        return DropReason::kBadIpAddress;
    }
    return reason;
}

// The chain was walked and checked by parse_ipv6(): it has a fragment header.
std::uint32_t ipv6_fragment_start(const ParsedFrame& frame) noexcept {
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    std::uint32_t offset = frame.l3_offset + kIpv6Size;
    std::uint8_t next = ip[6];
    while (next != kProtocolFragment && offset + 8 <= frame.data_size) {
        const std::uint8_t* header = frame.data + offset;
        offset += next == kProtocolAh ? (header[1] + 2U) * 4U : (header[1] + 1U) * 8U;
        next = header[0];
    }
    return offset + kFragmentHeaderSize;
}

}  // namespace sluice::datapath
