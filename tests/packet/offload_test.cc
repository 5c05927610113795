// SPDX-License-Identifier: Apache-2.0
// What a guest leaves to its device: passed on whole to a receiver that takes it, finished or named
// for one that doesn't.
#include <rte_mbuf.h>

#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kTcpChecksum = RTE_MBUF_F_TX_TCP_CKSUM;
constexpr std::uint64_t kUdpChecksum = RTE_MBUF_F_TX_UDP_CKSUM;
constexpr std::uint64_t kSegment = RTE_MBUF_F_TX_TCP_SEG;
constexpr std::uint64_t kFamilies = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6;

/// As librte_vhost leaves it: the request, and the family as it saw it.
QueuedFrame asking(const Bytes& frame, std::uint64_t flags, bool is_v6 = false,
                   std::uint16_t segment_size = 0) {
    return {with_partial_checksum(frame),
            {},
            {flags | (is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4), segment_size}};
}

TEST(PartialChecksum, PassesToAReceiverThatTakesIt) {
    Pipeline p(two_vms());
    p.port("vm2").partial_checksum = true;
    const QueuedFrame frame = asking(udp(v4(kVm1, kVm2), 1, 2, 100), kUdpChecksum);
    p.send("vm1", frame).step();
    const std::vector<SentFrame> sent = p.port("vm2").take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].bytes, frame.bytes);
    EXPECT_EQ(sent[0].offload.ol_flags & RTE_MBUF_F_TX_L4_MASK, kUdpChecksum);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(PartialChecksum, IsFinishedForAReceiverThatDoesNot) {
    for (const Path& path : {v4(kVm1, kVm2), v6(kVm1, kVm2)}) {
        for (const std::size_t size : {0U, 1U, 100U, 1200U}) {
            Pipeline p(two_vms());
            TcpTalk talk(path);
            const Bytes datagram = udp(path, 1, 2, size);
            const Bytes syn = talk.syn();
            p.send("vm1", asking(datagram, kUdpChecksum, path.is_v6()))
                .send("vm1", asking(syn, kTcpChecksum, path.is_v6()))
                .step();
            const std::vector<SentFrame> sent = p.port("vm2").take_sent();
            ASSERT_EQ(sent.size(), 2u);
            EXPECT_EQ(sent[0].bytes, datagram) << "the sum that the sender would have computed";
            EXPECT_EQ(sent[1].bytes, syn);
            EXPECT_TRUE(has_right_checksum(sent[0].bytes));
            EXPECT_EQ(sent[0].offload.ol_flags & RTE_MBUF_F_TX_L4_MASK, 0u);
        }
    }
}

TEST(PartialChecksum, IsFinishedOverSegmentsAndBehindATag) {
    nlohmann::json document = two_vms();
    document["port_groups"] =
        json_of(R"([{"name": "lan", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
                                          {"name": "trunk", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["1-20"]}}])");
    document["ports"][1]["port_group"] = "trunk";
    Pipeline p(document);
    const Bytes frame = udp(v4(kVm1, kVm2), 1, 2, 777);
    QueuedFrame queued = asking(frame, kUdpChecksum);
    queued.cuts = {101, 303};
    p.send("vm1", queued).step();
    EXPECT_EQ(p.sent("vm2"), std::vector<Bytes>{tagged(frame, 10)});
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Tso, PassesWholeToAReceiverThatTakesIt) {
    for (const bool is_v6 : {false, true}) {
        Pipeline p(two_vms());
        p.port("vm2").partial_checksum = p.port("vm2").tso4 = p.port("vm2").tso6 = true;
        TcpTalk talk(is_v6 ? v6(kVm1, kVm2) : v4(kVm1, kVm2));
        p.send("vm1", talk.syn())
            .step()
            .send("vm2", talk.syn_ack())
            .step()
            .send("vm1", talk.ack(TcpTalk::kClient))
            .step();
        p.port("vm2").clear_sent();
        const QueuedFrame large =
            asking(talk.data(TcpTalk::kClient, 9000), kTcpChecksum | kSegment, is_v6, 1400);
        p.send("vm1", large).step();
        const std::vector<SentFrame> sent = p.port("vm2").take_sent();
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent[0].bytes, large.bytes);
        EXPECT_EQ(sent[0].offload.ol_flags & kSegment, kSegment);
        EXPECT_EQ(sent[0].offload.ol_flags & kFamilies,
                  is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
        EXPECT_EQ(sent[0].offload.segment_size, 1400u);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(Tso, IsDroppedForAReceiverThatDoesNot) {
    Pipeline p(two_vms());
    p.port("vm2").partial_checksum = p.port("vm2").tso6 = true;
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn())
        .step()
        .send("vm2", talk.syn_ack())
        .step()
        .send("vm1", talk.ack(TcpTalk::kClient))
        .step();
    p.port("vm2").clear_sent();
    p.send("vm1", asking(talk.data(TcpTalk::kClient, 9000), kTcpChecksum | kSegment, false, 1400))
        .step();
    EXPECT_EQ(p.sent("vm2"), std::vector<Bytes>{});
    EXPECT_EQ(p.drops("vm1", DropReason::kOffloadMissing), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(BadOffload, IsNamed) {
    Pipeline p(two_vms());
    QueuedFrame frame{udp(v4(kVm1, kVm2), 1, 2), {}, {kTcpChecksum | RTE_MBUF_F_TX_IPV4, 0}};
    p.send("vm1", frame).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kBadOffload), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
