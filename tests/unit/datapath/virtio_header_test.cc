// SPDX-License-Identifier: Apache-2.0
// The virtio header of a TAP, both ways: every request that the kernel's stack may make, and each
// that it was not offered or that points outside of its frame.
#include "datapath/virtio_header.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kRequests = RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG;

/// A frame of `bytes`; only what virtio_header.cc reads is set.
rte_mbuf frame_of(std::uint32_t bytes) {
    rte_mbuf frame{};
    frame.pkt_len = bytes;
    return frame;
}

VirtioHeader checksum_at(std::uint16_t start, std::uint16_t offset) {
    VirtioHeader header;
    header.flags = 1;
    header.checksum_start = start;
    header.checksum_offset = offset;
    return header;
}

VirtioHeader segmentation(std::uint8_t type, std::uint16_t size) {
    VirtioHeader header = checksum_at(34, 16);
    header.gso_type = type;
    header.segment_size = size;
    return header;
}

TEST(VirtioHeader, WithoutAWishSetsNothing) {
    rte_mbuf frame = frame_of(60);
    VirtioHeader header;
    header.flags = 2;  // DATA_VALID is the stack's opinion, not a wish.
    EXPECT_TRUE(take_header(header, frame));
    EXPECT_EQ(frame.ol_flags & kRequests, 0u);
}

TEST(VirtioHeader, AsksForTheChecksumOfTcpAndUdp) {
    rte_mbuf tcp = frame_of(60);
    EXPECT_TRUE(take_header(checksum_at(34, 16), tcp));
    EXPECT_EQ(tcp.ol_flags & kRequests, RTE_MBUF_F_TX_TCP_CKSUM);
    rte_mbuf udp = frame_of(60);
    EXPECT_TRUE(take_header(checksum_at(34, 6), udp));
    EXPECT_EQ(udp.ol_flags & kRequests, RTE_MBUF_F_TX_UDP_CKSUM);
}

TEST(VirtioHeader, AsksForSegmentation) {
    for (const std::uint8_t type : {std::uint8_t{1}, std::uint8_t{4}}) {
        rte_mbuf frame = frame_of(9000);
        EXPECT_TRUE(take_header(segmentation(type, 1448), frame));
        EXPECT_EQ(frame.ol_flags & kRequests, RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG);
        EXPECT_EQ(frame.tso_segsz, 1448);
    }
}

TEST(VirtioHeader, RefusesWhatWasNotOffered) {
    for (const int type : {2, 3, 5, 0x80, 0x81, 0x84, 0xff}) {  // UFO, USO, ECN and nonsense.
        rte_mbuf frame = frame_of(9000);
        EXPECT_FALSE(take_header(segmentation(static_cast<std::uint8_t>(type), 1448), frame))
            << type;
    }
}

TEST(VirtioHeader, RefusesWhatContradictsItself) {
    rte_mbuf frame = frame_of(60);
    EXPECT_FALSE(take_header(checksum_at(34, 8), frame));      // No such field.
    EXPECT_FALSE(take_header(checksum_at(45, 16), frame));     // Behind the end by one byte...
    EXPECT_TRUE(take_header(checksum_at(42, 16), frame));      // ...and the last that fits.
    EXPECT_FALSE(take_header(checksum_at(65535, 16), frame));  // No wrap.
    EXPECT_FALSE(take_header(segmentation(1, 0), frame));
    VirtioHeader udp = segmentation(1, 1448);
    udp.checksum_offset = 6;
    EXPECT_FALSE(take_header(udp, frame));
    VirtioHeader bare = segmentation(1, 1448);
    bare.flags = 0;
    EXPECT_FALSE(take_header(bare, frame));
}

TEST(VirtioHeader, SaysWhatALeavingFrameStillLacks) {
    rte_mbuf frame = frame_of(9000);
    EXPECT_EQ(header_of(frame).flags, 0);
    frame.l2_len = 18;  // One tag.
    frame.l3_len = 40;
    frame.l4_len = 32;
    frame.tso_segsz = 1428;
    frame.ol_flags = RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV6;
    VirtioHeader header = header_of(frame);
    EXPECT_EQ(header.flags, 1);
    EXPECT_EQ(header.gso_type, 0);
    EXPECT_EQ(header.checksum_start, 58);
    EXPECT_EQ(header.checksum_offset, 6);
    frame.ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV6;
    header = header_of(frame);
    EXPECT_EQ(header.gso_type, 4);
    EXPECT_EQ(header.segment_size, 1428);
    EXPECT_EQ(header.header_size, 90);
    EXPECT_EQ(header.checksum_offset, 16);
    frame.ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4;
    EXPECT_EQ(header_of(frame).gso_type, 1);
}

}  // namespace
}  // namespace sluice::datapath
