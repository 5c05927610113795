// SPDX-License-Identifier: Apache-2.0
// Jumbo frames: 9 000 bytes of layer 3 in chained buffers through every stage, byte for byte.
#include <rte_mbuf.h>

#include "tests/packet/pipeline.h"
#include "tests/packet/reassemble.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

constexpr std::size_t kMtu = 9000;
constexpr std::size_t kUdp4Max = kMtu - 20 - 8;
constexpr std::size_t kUdp6Max = kMtu - 40 - 8;
/// The headers always lie in the first buffer: a port copies frames into buffers of its own.
const std::vector<std::vector<std::uint16_t>> kCuts = {
    {}, {62}, {63, 1, 2047}, {128, 0, 333, 2048}, {2048, 2048, 2048}};

nlohmann::json with_mtu(nlohmann::json document) {
    document["switches"][0]["mtu"] = kMtu;
    return document;
}

nlohmann::json access_and_trunk() {
    nlohmann::json out = with_mtu(two_vms());
    out["port_groups"] =
        json_of(R"([{"name": "access", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
                    {"name": "trunk", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["1-20"]}}])");
    out["ports"][0]["port_group"] = "access";
    out["ports"][1]["port_group"] = "trunk";
    return out;
}

TEST(Jumbo, PassesInAnyBuffers) {
    Pipeline p(with_mtu(two_vms()));
    for (const auto& cuts : kCuts) {
        for (const Bytes& frame :
             {udp(v4(kVm1, kVm2), 1, 2, kUdp4Max), udp(v6(kVm1, kVm2), 1, 2, kUdp6Max)}) {
            ASSERT_EQ(frame.size(), kMtu + 14);
            p.send("vm1", frame, cuts).step();
            EXPECT_EQ(p.sent("vm2"), std::vector<Bytes>{frame});
        }
    }
    EXPECT_TRUE(p.packets_conserved());
}

// A burst of small frames sets the count back to all that fit.
TEST(Jumbo, ComesInBurstsThatStayInTheCache) {
    PipelineOptions options;
    options.buffer_count = 4095;
    Pipeline p(with_mtu(two_vms()), options);
    const Bytes large = udp(v4(kVm1, kVm2), 1, 2, kUdp4Max);
    const Bytes small = udp(v4(kVm1, kVm2), 1, 2);
    const std::size_t fitting = kBurstBytes / large.size();
    ASSERT_LT(fitting, kBurstMax);
    for (std::size_t i = 0; i < kBurstMax + 2 * fitting; ++i) { p.send("vm1", large); }
    EXPECT_EQ(p.poll(0), kBurstMax) << "nothing is known of the first burst";
    EXPECT_EQ(p.poll(0), fitting);
    EXPECT_EQ(p.poll(0), fitting);
    for (std::size_t i = 0; i < fitting + kBurstMax; ++i) { p.send("vm1", small); }
    EXPECT_EQ(p.poll(0), fitting);
    EXPECT_EQ(p.poll(0), kBurstMax);
    EXPECT_EQ(p.sent("vm2").size(), 2 * kBurstMax + 3 * fitting);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Jumbo, TagIsPushedAndPopped) {
    Pipeline p(access_and_trunk());
    for (const auto& cuts : kCuts) {
        const Bytes there = udp(v4(kVm1, kVm2), 1, 2, kUdp4Max);
        const Bytes back = udp(v4(kVm2, kVm1), 2, 1, kUdp4Max);
        p.send("vm1", there, cuts).send("vm2", tagged(back, 10), cuts).step();
        EXPECT_EQ(p.sent("vm2"), std::vector<Bytes>{tagged(there, 10)});
        EXPECT_EQ(p.sent("vm1"), std::vector<Bytes>{back});
    }
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Jumbo, IsCopiedWholeToEveryMember) {
    nlohmann::json document = with_mtu(three_vms());
    Pipeline p(document);
    Path path = v4(kVm1, kVm2);
    path.destination_mac = kBroadcast;
    path.destination = ip("10.0.0.255");
    const Bytes frame = udp(path, 1, 2, kUdp4Max);
    for (const auto& cuts : kCuts) {
        p.send("vm1", frame, cuts).step();
        EXPECT_EQ(p.sent("vm2"), std::vector<Bytes>{frame});
        EXPECT_EQ(p.sent("vm3"), std::vector<Bytes>{frame});
    }
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Jumbo, ChecksumIsFinishedOverAllBuffers) {
    Pipeline p(access_and_trunk());
    for (const auto& cuts : kCuts) {
        const Bytes frame = udp(v4(kVm1, kVm2), 1, 2, kUdp4Max - 1);
        p.send("vm1", QueuedFrame{with_partial_checksum(frame),
                                  cuts,
                                  {RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV4, 0}})
            .step();
        EXPECT_EQ(p.sent("vm2"), std::vector<Bytes>{tagged(frame, 10)});
    }
    EXPECT_TRUE(p.packets_conserved());
}

// ICMP is verified at ingress, over all buffers.
TEST(Jumbo, ChecksumIsVerifiedOverAllBuffers) {
    Pipeline p(with_mtu(two_vms()));
    const Bytes good = icmp(v4(kVm1, kVm2), 8, 7, kMtu - 28);
    Bytes bad = good;
    bad.back() ^= 1U;
    for (const auto& cuts : kCuts) {
        p.send("vm1", good, cuts).send("vm1", bad, cuts).step();
        EXPECT_EQ(p.sent("vm2"), std::vector<Bytes>{good});
    }
    EXPECT_EQ(p.drops("vm1", DropReason::kBadL4Checksum), kCuts.size());
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Jumbo, OneByteMoreIsRefused) {
    Pipeline p(access_and_trunk());
    p.send("vm1", udp(v4(kVm1, kVm2), 1, 2, kUdp4Max + 1)).step();
    p.send("vm2", tagged(udp(v4(kVm2, kVm1), 2, 1, kUdp4Max + 1), 10)).step();
    EXPECT_TRUE(p.sent("vm2").empty());
    EXPECT_TRUE(p.sent("vm1").empty());
    EXPECT_EQ(p.drops("vm1", DropReason::kOversizeFrame), 1u);
    EXPECT_EQ(p.drops("vm2", DropReason::kOversizeFrame), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Jumbo, SegmentsAreChainsToo) {
    Pipeline p(with_mtu(two_vms()));
    TcpTalk talk(v6(kVm1, kVm2));
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    p.send("vm1", talk.ack(TcpTalk::kClient)).step();
    p.port("vm2").clear_sent();
    const Bytes frame = with_partial_checksum(talk.data(TcpTalk::kClient, 60000));
    p.send("vm1",
           QueuedFrame{frame, {}, {RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM, kMtu - 60}})
        .step();
    EXPECT_EQ(faults_of_cut(frame, p.sent("vm2"), kMtu - 60, Sum::kRight), "");
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
