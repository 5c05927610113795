// SPDX-License-Identifier: Apache-2.0
// See virtio_header.h. The constants are virtio's own (virtio 1.2 §5.1.6).
#include "datapath/virtio_header.h"

#include <rte_mbuf.h>

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kNeedsChecksum = 1;
constexpr std::uint8_t kGsoNone = 0;
constexpr std::uint8_t kGsoTcp4 = 1;
constexpr std::uint8_t kGsoTcp6 = 4;
constexpr std::uint16_t kTcpChecksumAt = 16;  // In the transport header.
constexpr std::uint16_t kUdpChecksumAt = 6;
constexpr std::uint16_t kChecksumBytes = 2;

}  // namespace

bool take_header(const VirtioHeader& header, rte_mbuf& frame) noexcept {
    const bool segment = header.gso_type == kGsoTcp4 || header.gso_type == kGsoTcp6;
    if (header.gso_type != kGsoNone && !segment) { return false; }
    if ((header.flags & kNeedsChecksum) == 0) { return !segment; }
    const std::uint32_t end =
        std::uint32_t{header.checksum_start} + header.checksum_offset + kChecksumBytes;
    const bool is_tcp = header.checksum_offset == kTcpChecksumAt;
    if (end > frame.pkt_len || (!is_tcp && header.checksum_offset != kUdpChecksumAt)) {
        return false;
    }
    if (segment && (!is_tcp || header.segment_size == 0)) { return false; }
    frame.ol_flags |= is_tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM;
    if (segment) {
        frame.ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
        frame.tso_segsz = header.segment_size;
    }
    return true;
}

VirtioHeader header_of(const rte_mbuf& frame) noexcept {
    VirtioHeader header;
    const std::uint64_t request = frame.ol_flags & RTE_MBUF_F_TX_L4_MASK;
    if (request == RTE_MBUF_F_TX_L4_NO_CKSUM) { return header; }
    header.flags = kNeedsChecksum;
    header.checksum_start = static_cast<std::uint16_t>(frame.l2_len + frame.l3_len);
    header.checksum_offset = request == RTE_MBUF_F_TX_TCP_CKSUM ? kTcpChecksumAt : kUdpChecksumAt;
    if ((frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0) {
        header.gso_type = (frame.ol_flags & RTE_MBUF_F_TX_IPV6) != 0 ? kGsoTcp6 : kGsoTcp4;
        header.segment_size = frame.tso_segsz;
        header.header_size = static_cast<std::uint16_t>(frame.l2_len + frame.l3_len + frame.l4_len);
    }
    return header;
}

}  // namespace sluice::datapath
