// SPDX-License-Identifier: Apache-2.0
// Parse: the first stage. Turns a received frame into a ParsedFrame and its flow key in one pass,
// every length checked, every malformed frame named. Files: parse_plain.h (TCP and UDP,
// straight-line), parse.cc (the choice), parse_general.cc (everything else, from Ethernet
// up), parse_ipv4.cc, parse_ipv6.cc, parse_transport.cc, parse_offload.cc. Both ways give the same
// result for a frame that both can read; tests hold them to it. Called by the worker that polls the
// ingress port; pure.
#pragma once

#include <cstdint>

#include "sluice/iochain/frame.h"

struct rte_mbuf;

namespace sluice::datapath {

/// Most IPv6 extension headers of one packet; real ones carry three at most (RFC 8200 §4.1).
inline constexpr unsigned kExtensionHeaderMax = 8;

/// Parses one frame. Headers must lie in the first segment; payload may follow in others. Beyond
/// parse_frame() this takes over what the mbuf's flags say of the transport checksum, and verifies
/// the checksum of ICMP, ICMPv6, IGMP, DHCP and of TCP segments with SYN, FIN or RST (whole packets
/// only;
/// kPartial and kGood are believed): DropReason::kBadL4Checksum.
void parse_mbuf(const rte_mbuf& frame, PortIndex port, ParsedFrame& out) noexcept;

/// The part of parse_mbuf() that concerns the transport checksum, once the rest of `out` is there.
void judge_checksum(const rte_mbuf& frame, ParsedFrame& out) noexcept;

/// parse_mbuf() for a frame that the straight-line way (parse_plain.h) did not accept.
void parse_uncommon(const rte_mbuf& frame, PortIndex port, ParsedFrame& out) noexcept;

/// Parses a frame without an mbuf: `data_size` bytes lie at `data`, `frame_size` (at least
/// data_size) are all there are. Fills every field of `out`; the transport checksum stays kUnknown.
void parse_frame(const std::uint8_t* data, std::uint16_t data_size, std::uint32_t frame_size,
                 PortIndex port, ParsedFrame& out) noexcept;

/// parse_frame() without its straight-line way for plain TCP and UDP. For tests and benchmarks.
void parse_frame_general(const std::uint8_t* data, std::uint16_t data_size,
                         std::uint32_t frame_size, PortIndex port, ParsedFrame& out) noexcept;

/// What an mbuf's flags say of the transport checksum: RX good, or a TX request as librte_vhost
/// leaves it at dequeue.
[[nodiscard]] L4Checksum checksum_of_flags(std::uint64_t ol_flags) noexcept;

/// Checks the offloads that a guest asked for against what parse found, and sets flags and header
/// lengths as the TX side wants them (l2_len, l3_len and l4_len end where parse says; TX_IPV4 or
/// TX_IPV6). An impossible request makes `parsed` kBad with kBadOffload. A frame without a request
/// is left alone.
void convert_offload(rte_mbuf& frame, ParsedFrame& parsed) noexcept;

/// Where a fragment's bytes belong in its datagram.
struct FragmentExtent {
    std::uint32_t begin = 0;  ///< First byte, in bytes from the start of the fragmentable part.
    std::uint32_t end = 0;    ///< One behind its last byte.
    std::uint32_t at = 0;     ///< Where its first byte lies in the frame.
    std::uint32_t l4_begin =
        0;  ///< Head only: where the transport header starts (behind IPv6 extension headers).
};

/// Extent of `frame`, which parse found to be a fragment.
[[nodiscard]] FragmentExtent fragment_extent(const ParsedFrame& frame) noexcept;

}  // namespace sluice::datapath
