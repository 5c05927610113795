// SPDX-License-Identifier: Apache-2.0
// Noisy neighbours: a worker's cycles are shared out among the ports that want more of them, and
// who fills a place (a queue to another worker, the pool, what waits for neighbours) pays for it.
// What frames cost is given by the ports (TestCycles), so that shares are exact.
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include <algorithm>

#include "datapath/limits.h"
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kWindow = 2'600'000;  // 1 ms at 2.6 GHz.
constexpr std::uint64_t kRound = kWindow / datapath::kShareRoundsPerWindow;

PipelineOptions shared(unsigned workers = 1) {
    PipelineOptions options;
    options.worker_count = workers;
    options.share_cycles = kWindow;
    options.cycles = TestCycles::read;
    return options;
}

Bytes from(const Vnic& vm, std::uint16_t port = 1000) { return udp(v4(vm, kVm3), port, 7); }

/// vm1 and vm2 send to vm3 on one worker.
class Overload : public testing::Test {
protected:
    /// Keeps `count` frames waiting at each of `names` for so many cycles.
    void run(std::uint64_t cycles, const std::vector<std::string>& names, std::size_t count = 64) {
        for (const std::uint64_t end = TestCycles::now + cycles; TestCycles::now < end;) {
            for (const std::string& name : names) {
                while (waiting(name) < count) { add(name); }
            }
            const std::uint64_t begun = TestCycles::now;
            const std::size_t moved = p.poll(0);
            idle_ += moved == 0 ? 1U : 0U;
            longest_ = std::max(longest_, TestCycles::now - begun);
            taken_ += moved;
            for (const char* name : {"vm1", "vm2", "vm3"}) { p.port(name).clear_sent(); }
        }
    }
    void add(const std::string& name) {
        p.send(name, from(name == "vm1" ? kVm1 : kVm2));
        ++queued_[name];
    }
    std::size_t waiting(const std::string& name) {
        return queued_[name] - context().ports[p.index_of(name).value].rx_packets.get();
    }
    [[nodiscard]] std::uint64_t cycles(const std::string& name) {
        return context().ports[p.index_of(name).value].cycles.get();
    }
    [[nodiscard]] double part(const std::string& name) {
        return static_cast<double>(cycles(name)) /
               static_cast<double>(cycles("vm1") + cycles("vm2"));
    }
    [[nodiscard]] std::uint64_t held(const std::string& name) {
        return context().held_rounds[p.index_of(name).value].get();
    }
    datapath::WorkerContext& context() { return p.dataplane().worker(0).context(); }

    Pipeline p{three_vms(), shared()};
    std::map<std::string, std::size_t> queued_;
    std::size_t idle_ = 0, taken_ = 0;
    std::uint64_t longest_ = 0;
};

TEST_F(Overload, PortsWithFramesOfOneToTwentyGetEqualCycles) {
    p.port("vm1").receive_cycles = 2000;
    p.port("vm2").receive_cycles = 100;
    run(20 * kWindow, {"vm1", "vm2"});
    EXPECT_NEAR(part("vm1"), 0.5, 0.025);
    EXPECT_EQ(idle_, 0U);
    p.step();
    EXPECT_EQ(p.drops(), 0U) << "who is passed over waits, and loses nothing";
    EXPECT_TRUE(p.packets_conserved());
}

TEST_F(Overload, WhatAReceiverCostsCountsForTheSender) {
    p.port("vm1").receive_cycles = p.port("vm2").receive_cycles = 100;
    p.port("vm3").send_cycles = 0;
    run(2 * kWindow, {"vm1", "vm2"});
    const std::uint64_t before = cycles("vm1");
    p.port("vm3").send_cycles = 5000;
    run(20 * kWindow, {"vm1", "vm2"});
    EXPECT_GT(cycles("vm1") - before, 9 * kWindow);
    EXPECT_EQ(cycles("vm3"), 0U);
}

TEST_F(Overload, AnIdleWorkerGivesEverythingToOnePort) {
    p.port("vm1").receive_cycles = 20'000;
    run(20 * kWindow, {"vm1"});
    EXPECT_EQ(held("vm1"), 0U);
    EXPECT_EQ(idle_, 0U);
    EXPECT_GE(cycles("vm1"), 19 * kWindow);
}

TEST_F(Overload, ALightPortIsServedWithinATurn) {
    p.port("vm1").receive_cycles = 2000;
    p.port("vm2").receive_cycles = 100;
    for (int i = 0; i < 1000; ++i) {  // Until what its frames cost is known.
        add("vm2");
        run(1, {"vm1"});
    }
    longest_ = 0;
    for (int i = 0; i < 5000; ++i) {
        add("vm2");
        run(1, {"vm1"});
        ASSERT_EQ(waiting("vm2"), 0U) << "served in the next round";
    }
    EXPECT_LE(longest_, kRound) << "which is short";
    EXPECT_EQ(held("vm1") + held("vm2"), 0U) << "and nobody is passed over for it";
}

TEST_F(Overload, APortThatCannotSendCostsItsOwnSendersOnly) {
    p.port("vm3").room = 0;
    for (int i = 0; i < 100; ++i) {
        p.send("vm1", from(kVm1)).send("vm2", udp(v4(kVm2, kVm1), 1, 2));
    }
    p.step();
    EXPECT_EQ(p.drops("vm1", DropReason::kTxQueueFull), 100U);
    EXPECT_EQ(p.sent("vm1").size(), 100U);
    EXPECT_EQ(p.drops("vm2", DropReason::kTxQueueFull), 0U);
    EXPECT_TRUE(p.packets_conserved());
}

// A machine behind the uplink.
const Vnic kFar{mac("02:00:00:00:0f:01"), ip("10.0.0.200"), ip("2001:db8::f1")};

// Turns vm3 into an uplink of the domain of the others.
void make_uplink(Pipeline& p) {
    auto next = std::make_unique<datapath::Snapshot>(p.dataplane().snapshot());
    ++next->generation;
    const PortIndex index = p.index_of("vm3");
    next->ports[index.value]->is_uplink = true;
    next->ports[index.value]->policy_epoch = next->generation;
    next->ports[index.value]->chain = std::make_shared<const ChainProgram>();
    for (datapath::Domain& domain : next->domains) {
        std::erase(domain.members, index);
        auto rows = domain.macs.rows();
        std::erase_if(rows, [&](const auto& row) { return row.port == index; });
        domain.macs = datapath::MacTable(std::move(rows));
        domain.fabric = {index};
        domain.epoch = next->generation;
    }
    static_cast<void>(p.dataplane().publish(std::move(next)));
    p.step();
    p.dataplane().reclaim();
}

// The fabric can't wait: what is new of it gives way to what is known, and neither takes all.
TEST(OverloadByUplink, LosesNewFlowsOnly) {
    PipelineOptions options = shared();
    options.buffer_count = 4095;
    options.connection_capacity = 1U << 18U;
    Pipeline p(three_vms(), options);
    make_uplink(p);
    const Bytes known = udp(v4(kFar, kVm1), 5000, 7), own = udp(v4(kVm2, kVm1), 1, 2);
    p.send("vm3", known).send("vm2", own).step();
    p.port("vm3").receive_cycles = 2000;
    p.port("vm2").receive_cycles = 100;
    const auto received = [&](const char* port) {
        return p.dataplane().worker(0).context().ports[p.index_of(port).value].rx_packets.get();
    };
    std::uint32_t flood = 0;
    std::uint64_t sent = received("vm3"), sent_own = received("vm2");
    for (int round = 0; round < 20'000; ++round) {
        while (sent - received("vm3") < 64) {
            const auto port = static_cast<std::uint16_t>(1 + flood++ % 60'000U);
            p.send("vm3", sent++ % 32 == 0 ? known : udp(v4(kFar, kVm1), port, 8));
        }
        while (sent_own - received("vm2") < 64) {
            p.send("vm2", own);
            ++sent_own;
        }
        p.poll(0);
        p.port("vm1").clear_sent();
    }
    p.step();
    const std::uint64_t lost = p.drops("vm3", DropReason::kFirstPacketShare);
    EXPECT_GT(lost, sent / 5);
    EXPECT_LT(lost, sent * 4 / 5) << "new flows get in, too";
    EXPECT_EQ(p.drops(), lost) << "and nothing else is lost";
    EXPECT_TRUE(p.packets_conserved());
}

/// vm1 and vm3 on the first worker, vm2 on the second.
TEST(Handover, TheOneWhoFillsTheQueuePays) {
    PipelineOptions options = shared(2);
    options.buffer_count = 8191;
    Pipeline p(three_vms(), options);
    const Bytes flood = udp(v4(kVm1, kVm2), 1, 2), rare = udp(v4(kVm3, kVm2), 1, 2);
    constexpr unsigned kRounds = 2000;
    for (unsigned i = 0; i < kRounds; ++i) {  // The second takes 32 frames while the first gets 66.
        for (int k = 0; k < 64; ++k) { p.send("vm1", flood); }
        p.send("vm3", rare).send("vm3", rare).poll(0);
        p.poll(0);
        p.poll(1);
        p.port("vm2").clear_sent();
    }
    EXPECT_GT(p.drops("vm1", DropReason::kWorkerQueueFull), kRounds * 20U);
    EXPECT_EQ(p.drops("vm3", DropReason::kWorkerQueueFull), 0U);
    p.step();
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Handover, HoldsABoundedPartOfThePool) {
    PipelineOptions options = shared(2);
    Pipeline p(three_vms(), options);
    const Bytes frame = udp(v4(kVm1, kVm2), 1, 2, 1400);
    for (int i = 0; i < 2000; ++i) {  // In pieces: eight buffers a frame.
        p.send("vm1", frame, {200, 200, 200, 200, 200, 200, 200});
    }
    while (p.poll(0) > 0) {}
    const unsigned used = options.buffer_count - rte_mempool_avail_count(&p.pool());
    EXPECT_LE(used, options.buffer_count / 2 / datapath::kHandoverPoolShare);
    EXPECT_GT(used, 100U);
    EXPECT_GT(p.drops("vm1", DropReason::kWorkerQueueFull), 1900U);
    p.step();
    EXPECT_TRUE(p.packets_conserved());
}

TEST(PoolLow, PassesOverTheVnicThatHoldsBuffers) {
    PipelineOptions options = shared();
    options.buffer_count = 511;
    Pipeline p(three_vms(), options);
    const std::vector<Bytes> pieces = fragments(udp(v4(kVm1, kVm3), 1000, 7, 1000), 400, 7);
    for (std::uint16_t id = 0; id < 60; ++id) {  // Last pieces only: they wait.
        p.send("vm1", fragments(udp(v4(kVm1, kVm3), 1000, 7, 1000), 400, id).back());
    }
    p.step();
    const std::uint32_t kept =
        p.dataplane().worker(0).context().fragments.held_buffers(p.index_of("vm1"));
    ASSERT_GT(kept, datapath::kPoolLowHeldMax);
    std::vector<rte_mbuf*> taken(rte_mempool_avail_count(&p.pool()) -
                                 options.buffer_count / datapath::kPoolLowShare + 1);
    ASSERT_EQ(rte_pktmbuf_alloc_bulk(&p.pool(), taken.data(), static_cast<unsigned>(taken.size())),
              0);
    for (int i = 0; i < 64; ++i) { p.poll(0); }
    p.send("vm1", from(kVm1));
    for (int i = 0; i < 100; ++i) { p.send("vm2", from(kVm2)).step(); }
    EXPECT_EQ(p.sent("vm3").size(), 100U) << "vm2's, all of them";
    EXPECT_TRUE(p.port("vm1").has_queued());
    rte_pktmbuf_free_bulk(taken.data(), static_cast<unsigned>(taken.size()));
    for (int i = 0; i < 64; ++i) { p.poll(0); }
    EXPECT_EQ(p.sent("vm3").size(), 1U) << "vm1's, as soon as there are buffers";
    p.forget_fragments();
    EXPECT_TRUE(p.packets_conserved());
}

/// vm1 sends frames of 60 kB that are cut for vm3, vm2 a small one now and then.
class LargeFrames : public Overload {
protected:
    static constexpr std::uint64_t kReceiveCycles = 8000, kSegmentCycles = 200;
    static constexpr std::size_t kSize = 60000;
    static constexpr std::uint16_t kSegment = 1400;

    void SetUp() override {
        p.port("vm1").receive_cycles = kReceiveCycles;
        p.port("vm3").send_cycles = kSegmentCycles;
        p.port("vm3").partial_checksum = true;
        p.send("vm1", talk_.syn()).step().send("vm3", talk_.syn_ack()).step();
        p.send("vm1", talk_.ack(TcpTalk::kClient)).step();
        large_ = {with_partial_checksum(talk_.data(TcpTalk::kClient, kSize)),
                  {},
                  {RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4, kSegment}};
        for (int i = 0; i < 1000; ++i) { round(); }  // Until what frames cost is known.
        longest_ = 0;
    }
    void round() {
        while (p.port("vm1").queued_count() < 2) { p.send("vm1", large_); }
        add("vm2");
        run(1, {});
    }
    // Until a frame of vm1 stands before segment `next`; 0: received, and not looked at.
    void stop_at(std::uint16_t next) {
        for (int i = 0; i < 20; ++i) {
            add("vm2");
            p.poll(0);
            const datapath::LargeFrames& large = context().large;
            if (large.has(vm1_) && context().large.of(vm1_).next == next) { return; }
            if (p.port("vm1").queued_count() < 2) { p.send("vm1", large_); }
        }
        FAIL() << "large frames are sent on at once";
    }
    [[nodiscard]] std::uint64_t received() {
        return context().ports[p.index_of("vm1").value].rx_packets.get();
    }

    TcpTalk talk_{v4(kVm1, kVm3)};
    const PortIndex vm1_ = p.index_of("vm1");
    QueuedFrame large_;  // Sent again and again: within the receiver's window.
};

TEST_F(LargeFrames, TakeSeveralTurns) {
    const std::uint64_t before = received();
    for (int i = 0; i < 1000; ++i) { round(); }
    EXPECT_LE(longest_,
              std::max(kReceiveCycles, datapath::kCutAtOnce * kSegmentCycles) + 2 * kSegmentCycles)
        << "vm2 waits for a part of one";
    EXPECT_NEAR(static_cast<double>(received() - before), 250, 2)
        << "received, 16, 16 and 11 segments";
    EXPECT_EQ(waiting("vm2"), 0U);
    p.step();
    EXPECT_EQ(p.drops(), 0U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_F(LargeFrames, ArriveWholeAndInOrder) {
    p.step();
    p.port("vm3").clear_sent();
    p.send("vm1", large_);
    stop_at(datapath::kCutAtOnce);
    while (context().large.has(vm1_)) { p.poll(0); }
    std::vector<Bytes> segments = p.sent("vm3");
    std::erase_if(segments, [](const Bytes& frame) { return frame.size() < 500; });  // vm2's.
    ASSERT_EQ(segments.size(), kSize / kSegment + 1);
    Bytes payload;
    for (const Bytes& one : segments) {
        payload.insert(payload.end(), one.begin() + 54, one.end());
    }
    EXPECT_EQ(payload, Bytes(large_.bytes.begin() + 54, large_.bytes.end()));
}

TEST_F(LargeFrames, OfAPortThatGoesAreDropped) {
    for (const std::uint16_t next : {std::uint16_t{0}, std::uint16_t{datapath::kCutAtOnce}}) {
        p.apply(three_vms());
        stop_at(next);
        const std::uint64_t before = p.drops(DropReason::kPortDown);
        nlohmann::json document = three_vms();
        document["ports"].erase(document["ports"].begin());
        p.apply(document);
        p.poll(0);
        EXPECT_EQ(p.drops(DropReason::kPortDown), before + 1) << next;
        EXPECT_EQ(context().large.count(), 0U);
        p.step();
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST_F(LargeFrames, ToAPortThatGoesDownAreDropped) {
    stop_at(datapath::kCutAtOnce);
    p.port("vm3").up = false;
    const std::uint64_t before = p.drops("vm1", DropReason::kPortDown);
    while (context().large.has(vm1_)) { p.poll(0); }
    EXPECT_EQ(p.drops("vm1", DropReason::kPortDown), before + 1);
    p.step();
    EXPECT_TRUE(p.packets_conserved());
}

TEST_F(LargeFrames, OutliveAChangeThatIsNotTheirs) {
    stop_at(datapath::kCutAtOnce);
    EXPECT_EQ(p.books().held, 1U);
    p.apply(three_vms());
    p.step();
    EXPECT_EQ(p.drops(), 0U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_F(LargeFrames, GoTheirWayBeforeAWorkerEnds) {
    for (const std::uint16_t next : {std::uint16_t{0}, std::uint16_t{datapath::kCutAtOnce}}) {
        stop_at(next);
        p.port("vm3").clear_sent();
        p.dataplane().finish(0);
        EXPECT_EQ(p.sent("vm3").size(), kSize / kSegment + 1 - next);
        EXPECT_EQ(context().large.count(), 0U);
    }
    p.step();
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
