// SPDX-License-Identifier: Apache-2.0
// What becomes of a guest's offload request.
#include <gtest/gtest.h>

#include "parse_frames.h"
#include "sluice/base/limits.h"

namespace sluice::datapath::test {
namespace {

constexpr std::uint64_t kTso = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;

struct Outcome {
    ParsedFrame parsed;
    std::uint64_t flags;
    unsigned l2, l3, l4;
};

Outcome converted(const Bytes& frame, std::uint64_t flags, std::uint16_t segment_size = 0) {
    Mbuf mbuf(frame);
    mbuf.head().ol_flags = flags;
    mbuf.head().tso_segsz = segment_size;
    Outcome outcome{};
    parse_mbuf(mbuf.head(), kPort, outcome.parsed);
    convert_offload(mbuf.head(), outcome.parsed);
    outcome.flags = mbuf.head().ol_flags;
    outcome.l2 = static_cast<unsigned>(mbuf.head().l2_len);
    outcome.l3 = static_cast<unsigned>(mbuf.head().l3_len);
    outcome.l4 = static_cast<unsigned>(mbuf.head().l4_len);
    return outcome;
}

DropReason reason(const Bytes& frame, std::uint64_t flags, std::uint16_t segment_size = 0) {
    return converted(frame, flags, segment_size).parsed.reason;
}

TEST(Offload, PartialChecksumOfTcp4) {
    const auto out = converted(ipv4_frame(6, tcp(kTcpAck, Bytes(9)), {.vlan = 5}),
                               RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV6);
    EXPECT_EQ(out.parsed.reason, DropReason::kNone);
    EXPECT_EQ(out.parsed.l4_checksum, L4Checksum::kPartial);
    EXPECT_EQ(out.flags, RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4);
    EXPECT_EQ(out.l2, 18U);
    EXPECT_EQ(out.l3, 20U);
    EXPECT_EQ(out.l4, 20U);
}

TEST(Offload, SegmentationOfTcp6BehindOptions) {
    const Bytes frame = ipv6_frame(
        60, Bytes{6, 0, 1, 4, 0, 0, 0, 0} + tcp(kTcpAck, Bytes(4000), {}, true, Bytes(12, 1)));
    const auto out = converted(frame, RTE_MBUF_F_TX_TCP_SEG, 1400);
    EXPECT_EQ(out.parsed.reason, DropReason::kNone);
    EXPECT_EQ(out.flags, kTso | RTE_MBUF_F_TX_IPV6);
    EXPECT_EQ(out.l2, 14U);
    EXPECT_EQ(out.l3, 48U);
    EXPECT_EQ(out.l4, 32U);
}

TEST(Offload, PartialChecksumIsNotVerified) {
    Bytes syn = ipv4_frame(6, tcp(kTcpSyn));
    syn[50] ^= 1U;
    EXPECT_EQ(reason(syn, 0), DropReason::kBadL4Checksum);
    EXPECT_EQ(reason(syn, RTE_MBUF_F_TX_TCP_CKSUM), DropReason::kNone);
    EXPECT_EQ(reason(syn, RTE_MBUF_F_RX_L4_CKSUM_GOOD), DropReason::kNone);
    EXPECT_EQ(reason(syn, RTE_MBUF_F_RX_L4_CKSUM_BAD), DropReason::kBadL4Checksum);
    EXPECT_EQ(reason(syn, RTE_MBUF_F_RX_L4_CKSUM_NONE), DropReason::kBadL4Checksum);
}

TEST(Offload, ImpossibleRequests) {
    const Bytes tcp4 = ipv4_frame(6, tcp(kTcpAck, Bytes(64)));
    const Bytes udp4 = ipv4_frame(17, udp(1, 2, Bytes(64)));
    const Bytes head = ipv4_frame(17, udp(1, 2, Bytes(64)), {}, {.fragment = 0x2000});
    EXPECT_EQ(reason(tcp4, kTso, 0), DropReason::kBadOffload);
    EXPECT_EQ(reason(tcp4, kTso, 65500), DropReason::kBadOffload);
    EXPECT_EQ(reason(tcp4, kTso, kTsoPayloadMin - 1), DropReason::kBadOffload);
    EXPECT_EQ(reason(tcp4, kTso, kTsoPayloadMin), DropReason::kNone);
    for (const std::uint8_t flags : Bytes{kTcpSyn, kTcpRst | kTcpAck, kTcpUrg | kTcpAck}) {
        EXPECT_EQ(reason(ipv4_frame(6, tcp(flags, Bytes(64))), kTso, 64), DropReason::kBadOffload);
    }
    const auto routed = [](std::uint8_t left) {
        return ipv6_frame(
            43, Bytes{6, 2, 4, left} + Bytes(4) + kIp6A + tcp(kTcpAck, Bytes(64), {}, true));
    };
    EXPECT_EQ(reason(routed(1), kTso, 64), DropReason::kBadOffload);
    EXPECT_EQ(reason(routed(0), kTso, 64), DropReason::kNone);
    EXPECT_EQ(reason(udp4, kTso, 1000), DropReason::kBadOffload);
    EXPECT_EQ(reason(udp4, RTE_MBUF_F_TX_UDP_SEG | RTE_MBUF_F_TX_UDP_CKSUM, 1000),
              DropReason::kBadOffload);
    EXPECT_EQ(reason(udp4, RTE_MBUF_F_TX_TCP_CKSUM), DropReason::kBadOffload);
    EXPECT_EQ(reason(tcp4, RTE_MBUF_F_TX_UDP_CKSUM), DropReason::kBadOffload);
    EXPECT_EQ(reason(tcp4, RTE_MBUF_F_TX_SCTP_CKSUM), DropReason::kBadOffload);
    EXPECT_EQ(reason(head, RTE_MBUF_F_TX_UDP_CKSUM), DropReason::kBadOffload);
    EXPECT_EQ(reason(ipv4_frame(1, icmp(8, 0)), RTE_MBUF_F_TX_UDP_CKSUM), DropReason::kBadOffload);
    EXPECT_EQ(reason(ethernet(0x0806, Bytes(28)), RTE_MBUF_F_TX_TCP_CKSUM),
              DropReason::kBadOffload);
}

TEST(Offload, NoRequestIsLeftAlone) {
    const auto out = converted(ipv4_frame(17, udp(1, 2, Bytes(64))), RTE_MBUF_F_RX_RSS_HASH);
    EXPECT_EQ(out.flags, RTE_MBUF_F_RX_RSS_HASH);
    EXPECT_EQ(out.l3, 0U);
}

}  // namespace
}  // namespace sluice::datapath::test
