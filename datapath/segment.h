// SPDX-License-Identifier: Apache-2.0
// Segment: cuts a TCP frame that its sender left to be cut (TSO) into frames that fit the wire, for
// a receiver that doesn't take it whole. A copying segmenter of our own: rte_gso knows no IPv6 and
// shares payload between mbufs, which a later step would rewrite. Called by output; the worker that
// polls the egress port; pure but for the pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

struct rte_mbuf;
struct rte_mempool;

namespace sluice::datapath {

/// Bytes of the largest frame that becomes of this one, whether it asks for segmentation or not.
[[nodiscard]] std::uint32_t size_on_wire(const rte_mbuf& frame) noexcept;

/// How many frames become of `frame`, which asks for segmentation: ol_flags, l2_len, l3_len, l4_len
/// and tso_segsz as convert_offload() checked them. 1 to kTsoSegmentMax; 1: its payload needs no
/// cut. 0: it can't be cut (its headers say more than it holds).
[[nodiscard]] std::size_t segment_count(const rte_mbuf& frame) noexcept;

/// What a segment's TCP checksum field holds.
enum class SegmentSum : std::uint8_t {
    kPartial,  ///< The pseudo header's sum: left to the receiver, ol_flags say so.
    kFull,     ///< The checksum: the segment owes nothing.
};

/// Cuts segments `first` to `first` + out.size(), of segment_count(frame), off `frame`, into fresh
/// frames of `pool`, in order: headers with length, IPv4 id and checksum, sequence number and flags
/// of each segment; payload copied, and summed while it is near. FIN and PSH stay on the last, CWR
/// on the first (RFC 3168 §6.1.2). Ingress port and hash are the frame's. `frame` stays the
/// caller's, unchanged; bytes behind its IP packet are not copied.
/// @return false: `pool` is out of buffers; nothing was made.
[[nodiscard]] bool segment(const rte_mbuf& frame, rte_mempool& pool, std::size_t first,
                           SegmentSum sum, std::span<rte_mbuf*> out) noexcept;

}  // namespace sluice::datapath
