// SPDX-License-Identifier: Apache-2.0
// virtio_net_hdr of a TAP, both ways: what the kernel's stack asks for becomes the mbuf flags that
// librte_vhost leaves for a guest's wish (convert_offload() checks them against our own parse), and
// what a frame still lacks when it leaves becomes a header that the stack finishes. Pure; called by
// TapPort on its worker.
#pragma once

#include <cstdint>

struct rte_mbuf;

namespace sluice::datapath {

/// The legacy header of 10 bytes, fields in the CPU's order (virtio 1.2 §5.1.6; tun's default).
struct VirtioHeader {
    std::uint8_t flags = 0;
    std::uint8_t gso_type = 0;
    std::uint16_t header_size = 0;
    std::uint16_t segment_size = 0;
    std::uint16_t checksum_start = 0;   ///< Bytes from the frame's start.
    std::uint16_t checksum_offset = 0;  ///< Bytes from checksum_start.
};
static_assert(sizeof(VirtioHeader) == 10);

/// Sets `frame`'s TX flags and tso_segsz from `header`.
/// @return false if the header asks for what was not offered or points outside of the frame
[[nodiscard]] bool take_header(const VirtioHeader& header, rte_mbuf& frame) noexcept;

/// The header for a frame as it leaves; l2_len, l3_len and l4_len are set where flags ask for work.
[[nodiscard]] VirtioHeader header_of(const rte_mbuf& frame) noexcept;

}  // namespace sluice::datapath
