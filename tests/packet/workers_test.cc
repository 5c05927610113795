// SPDX-License-Identifier: Apache-2.0
// Two workers: vm1 and vm3 on the first, vm2 on the second. Frames cross by a ring, connections are
// one for both.
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

PipelineOptions two_workers() {
    PipelineOptions options;
    options.worker_count = 2;
    return options;
}

TEST(Workers, HandFramesOver) {
    Pipeline p(three_vms(), two_workers());
    const Bytes frame = udp(v4(kVm1, kVm2), 1, 2);
    for (int i = 0; i < 100; ++i) { p.send("vm1", frame); }
    p.poll(0);
    EXPECT_EQ(p.books().held, 32u) << "a burst on its way";
    EXPECT_EQ(p.books().unaccounted(), 0);
    p.step();
    EXPECT_EQ(p.sent("vm2"), Frames(100, frame));
    EXPECT_EQ(p.dataplane().worker(0).context().counters.handed_over.get(), 100u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Workers, TrackOneConnectionTogether) {
    Pipeline p(three_vms(), two_workers());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn())
        .step()
        .send("vm2", talk.syn_ack())
        .step()
        .send("vm1", talk.ack(TcpTalk::kClient))
        .step();
    for (int i = 0; i < 10; ++i) {
        p.send("vm1", talk.data(TcpTalk::kClient))
            .step()
            .send("vm2", talk.data(TcpTalk::kServer))
            .step();
    }
    ASSERT_EQ(p.connections().size(), 1u);
    EXPECT_EQ(p.connections()[0].state, ConnectionState::kTcpEstablished);
    EXPECT_EQ(p.connections()[0].packets, 23u);
    EXPECT_EQ(p.drops(), 0u);
    EXPECT_EQ(p.slot("vm2", kSlotDfw, Direction::kToVm).packets, 12u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Workers, ReplicateAcross) {
    Pipeline p(three_vms(), two_workers());
    const Bytes frame = arp(kVm2.mac, kBroadcast, {1, kVm2.mac, kVm2.ip4, {}, kVm1.ip4});
    p.send("vm2", frame).step();
    EXPECT_EQ(p.sent("vm1"), Frames{frame});
    EXPECT_EQ(p.sent("vm3"), Frames{frame});
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Workers, ChargeADropBehindTheRingToTheSender) {
    Pipeline p(three_vms(), two_workers());
    p.port("vm2").up = false;
    p.send("vm1", udp(v4(kVm1, kVm2), 1, 2)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kPortDown), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Workers, DropFramesForAPortThatWentWhileTheyWereOnTheirWay) {
    Pipeline p(three_vms(), two_workers());
    p.send("vm1", udp(v4(kVm1, kVm2), 1, 2));
    p.poll(0);
    nlohmann::json document = three_vms();
    document["ports"].erase(1);
    p.apply(document);
    EXPECT_EQ(p.drops("vm1", DropReason::kPortDown), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Workers, DropWhatTheirRingCannotHold) {
    PipelineOptions options = two_workers();
    options.buffer_count = 8191;
    Pipeline p(three_vms(), options);
    constexpr std::size_t kSent = kWorkerQueueFrames + 200;
    for (std::size_t i = 0; i < kSent; ++i) { p.send("vm1", udp(v4(kVm1, kVm2), 1, 2)); }
    while (p.poll(0) > 0) {}
    EXPECT_GE(p.drops("vm1", DropReason::kWorkerQueueFull), 200u);
    p.step();
    EXPECT_EQ(p.sent("vm2").size() + p.drops("vm1", DropReason::kWorkerQueueFull), kSent);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Workers, PassOnToASnapshotBeforeItIsSettled) {
    Pipeline p(three_vms(), two_workers());
    auto next = std::make_unique<datapath::Snapshot>(p.dataplane().snapshot());
    ++next->generation;
    const std::uint64_t token = p.dataplane().publish(std::move(next));
    EXPECT_FALSE(p.dataplane().is_settled(token));
    p.poll(0);
    EXPECT_FALSE(p.dataplane().is_settled(token)) << "one of two";
    p.poll(1);
    EXPECT_TRUE(p.dataplane().is_settled(token));
    p.dataplane().set_online(1, false);
    auto another = std::make_unique<datapath::Snapshot>(p.dataplane().snapshot());
    ++another->generation;
    const std::uint64_t later = p.dataplane().publish(std::move(another));
    p.poll(0);
    EXPECT_TRUE(p.dataplane().is_settled(later)) << "one that sleeps holds nothing";
    p.dataplane().set_online(1, true);
    p.poll(1);
    p.dataplane().reclaim();
}

}  // namespace
}  // namespace sluice::test
