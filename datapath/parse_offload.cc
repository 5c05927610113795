// SPDX-License-Identifier: Apache-2.0
// What a guest's virtio header asked for, checked after our own parse. librte_vhost turns the
// header into TX flags by a parse of its own; nothing of that is believed but the wish itself.
// Called by the worker right after parse.
#include <rte_mbuf.h>

#include "datapath/checksum.h"
#include "datapath/parse.h"
#include "datapath/parse_layers.h"
#include "sluice/base/limits.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kChecksumRequest = RTE_MBUF_F_TX_L4_MASK;
constexpr std::uint64_t kRequests =
    kChecksumRequest | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG | RTE_MBUF_F_TX_IP_CKSUM |
    RTE_MBUF_F_TX_OUTER_IP_CKSUM | RTE_MBUF_F_TX_OUTER_UDP_CKSUM | RTE_MBUF_F_TX_OUTER_IPV4 |
    RTE_MBUF_F_TX_OUTER_IPV6 | RTE_MBUF_F_TX_TUNNEL_MASK | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6;
constexpr std::uint32_t kL2LengthMax = 127;  // Bits of rte_mbuf::l2_len, l3_len.
constexpr std::uint32_t kL3LengthMax = 511;
constexpr std::uint32_t kTcpHeaderMax = 60;

/// The checksum flag that fits what parse found; 0 if a request for `flags` is impossible.
[[nodiscard]] std::uint64_t checksum_flag(std::uint64_t flags, std::uint8_t protocol) noexcept {
    const std::uint64_t request = flags & kChecksumRequest;
    if (protocol == kProtocolTcp) {
        const bool fits = request == RTE_MBUF_F_TX_TCP_CKSUM ||
                          (request == 0 && (flags & RTE_MBUF_F_TX_TCP_SEG) != 0);
        return fits ? RTE_MBUF_F_TX_TCP_CKSUM : 0;
    }
    return protocol == kProtocolUdp && request == RTE_MBUF_F_TX_UDP_CKSUM ? RTE_MBUF_F_TX_UDP_CKSUM
                                                                          : 0;
}

/// Each segment gets a copy of the headers. So no segment is to carry less than a TCP header can
/// be, none opens or aborts a connection a second time, none has an urgent pointer of its own, and
/// the checksum must be ours to compute.
[[nodiscard]] bool segmentation_ok(const rte_mbuf& frame, const ParsedFrame& parsed,
                                   std::uint32_t l3_size) noexcept {
    static_assert(kTsoPayloadMin >= kTcpHeaderMax);
    const std::uint32_t headers = l3_size + parsed.tcp_header_size;
    return parsed.key.protocol == kProtocolTcp && frame.tso_segsz >= kTsoPayloadMin &&
           frame.tso_segsz + headers <= kDatagramMax &&
           (parsed.tcp_flags & (kTcpSyn | kTcpRst | kTcpUrg)) == 0 &&
           parsed.l4_offset + parsed.l4_size ==
               parsed.frame_size &&  // Nothing behind the datagram.
           (l3_size <= kIpv6Size || !is_source_routed(parsed));
}

void refuse(ParsedFrame& parsed) noexcept {
    parsed.frame_class = FrameClass::kBad;
    parsed.inspect_kind = InspectKind::kNone;
    parsed.reason = DropReason::kBadOffload;
}

}  // namespace

void convert_offload(rte_mbuf& frame, ParsedFrame& parsed) noexcept {
    const std::uint64_t flags = frame.ol_flags;
    if ((flags & kRequests) == 0 || parsed.frame_class == FrameClass::kBad) [[likely]] { return; }
    frame.ol_flags = flags & ~kRequests;
    if ((flags & (kChecksumRequest | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_UDP_SEG)) == 0) {
        return;
    }
    const bool segment = (flags & RTE_MBUF_F_TX_TCP_SEG) != 0;
    const std::uint64_t checksum = checksum_flag(flags, parsed.key.protocol);
    const std::uint32_t l3_size = std::uint32_t{parsed.l4_offset} - parsed.l3_offset;
    const bool possible = parsed.l4_offset != 0 && !parsed.fragment && checksum != 0 &&
                          parsed.l3_offset <= kL2LengthMax && l3_size <= kL3LengthMax &&
                          (flags & RTE_MBUF_F_TX_UDP_SEG) == 0;
    if (!possible || (segment && !segmentation_ok(frame, parsed, l3_size))) {
        refuse(parsed);
        return;
    }
    frame.l2_len = parsed.l3_offset & 0x7fU;
    frame.l3_len = l3_size & 0x1ffU;
    frame.l4_len =
        parsed.key.protocol == kProtocolTcp ? parsed.tcp_header_size : std::uint8_t{kUdpSize};
    frame.ol_flags |=
        checksum | (parsed.key.has(kKeyIpv4) ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6);
    if (segment) { frame.ol_flags |= RTE_MBUF_F_TX_TCP_SEG; }
}

}  // namespace sluice::datapath
