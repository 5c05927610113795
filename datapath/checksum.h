// SPDX-License-Identifier: Apache-2.0
// Transport checksums (RFC 1071) over frames of one or more segments. Our own sum:
// rte_raw_cksum_mbuf() of DPDK 22.11 loses carries when a segment before the last has an odd size.
// Called by parse and by the connection step; pure.
#pragma once

#include <cstddef>
#include <cstdint>

struct rte_mbuf;

namespace sluice {
struct FlowKey;
struct ParsedFrame;
}  // namespace sluice

namespace sluice::datapath {

/// One's complement sum of `size` bytes as 16-bit words in memory order, folded, not inverted; an
/// odd last byte counts as followed by zero.
[[nodiscard]] std::uint16_t raw_sum(const std::uint8_t* data, std::size_t size) noexcept;

/// The same over `size` bytes from `offset` on, segment by segment. The frame must hold them; what
/// is missing counts zero.
[[nodiscard]] std::uint16_t raw_sum(const rte_mbuf& frame, std::uint32_t offset,
                                    std::uint32_t size) noexcept;

/// True if the transport checksum of `frame` is right: TCP, UDP, ICMP, ICMPv6, IGMP. True also
/// where there is none to check: UDP that sent zero, fragments, other protocols, an IPv6 routing
/// header that still names another destination. `parsed` is parse's result for `frame`; its
/// l4_checksum is neither read nor written.
[[nodiscard]] bool l4_checksum_ok(const rte_mbuf& frame, const ParsedFrame& parsed) noexcept;

/// l4_checksum_ok() of a datagram whose bytes came in pieces.
/// @param l4    its first eight bytes
/// @param size  of transport header and payload
/// @param sum   of raw_sum() over these, piece by piece, each at an even offset
[[nodiscard]] bool l4_sum_ok(const FlowKey& key, const std::uint8_t* l4, std::uint32_t size,
                             std::uint64_t sum) noexcept;

/// True for an IPv6 packet with a routing header that has segments left: its transport checksum is
/// over the last destination (RFC 8200 §8.1), which only the sender knows for sure. `parsed` is
/// parse's result.
[[nodiscard]] bool is_source_routed(const ParsedFrame& parsed) noexcept;

/// Writes into the checksum field what a sender leaves there that leaves the rest to its device:
/// the sum over addresses, length and protocol. TCP only; headers, lengths included, must be right
/// and lie in the first segment; ol_flags, l2_len and l3_len as convert_offload() set them.
void write_pseudo_header_sum(rte_mbuf& frame) noexcept;

/// What a TCP frame's pseudo header adds to raw_sum()s, but for the length; ol_flags, l2_len and
/// l3_len as above. All segments of a frame have it in common.
[[nodiscard]] std::uint64_t tcp_pseudo_sum(const rte_mbuf& frame) noexcept;
/// Folds sums of words in memory order to one.
[[nodiscard]] std::uint16_t fold(std::uint64_t sum) noexcept;

/// Computes and writes the checksum of a TCP or UDP frame whose sender left it out, for a receiver
/// that can't finish it: ol_flags, l2_len and l3_len as convert_offload() set them. The flags stay.
/// Of a source-routed packet the pseudo-header is the sender's, from the checksum field.
/// False, and nothing written, if the headers do not lie in the first segment or say more than the
/// frame holds.
[[nodiscard]] bool fill_l4_checksum(rte_mbuf& frame) noexcept;

/// A checksum after one of its words became another (RFC 1624 §3, eqn. 3: HC' = ~(~HC + ~m + m')).
[[nodiscard]] inline std::uint16_t mended(std::uint16_t checksum, std::uint16_t before,
                                          std::uint16_t after) noexcept {
    std::uint32_t sum = static_cast<std::uint16_t>(~checksum);
    sum += static_cast<std::uint16_t>(~before);
    sum += after;
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(~(sum + (sum >> 16U)));
}

}  // namespace sluice::datapath
