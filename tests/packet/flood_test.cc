// SPDX-License-Identifier: Apache-2.0
// One VM floods with SYNs; the others lose no connection and open new ones.
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

// SYNs of vm1 to vm3, each of a tuple of its own, for the whole range of both ports.
class SynFlood {
public:
    Bytes next() {
        const auto source = static_cast<std::uint16_t>(1024U + count_ % 60'000U);
        const auto destination = static_cast<std::uint16_t>(1U + count_ / 60'000U);
        ++count_;
        return tcp(v4(kVm1, kVm3), source, destination, {.flags = kTcpSyn, .sequence = count_});
    }

private:
    std::uint32_t count_ = 0;
};

void send_syns(Pipeline& p, SynFlood& flood, unsigned count) {
    for (unsigned i = 0; i < count; ++i) { p.send("vm1", flood.next()); }
}

void establish(Pipeline& p, TcpTalk& talk) {
    p.send("vm2", talk.syn()).step().send("vm3", talk.syn_ack()).step();
    p.send("vm2", talk.ack(TcpTalk::kClient)).step();
}

std::size_t take(Pipeline& p) {
    const std::size_t count = p.sent("vm3").size();
    (void)p.sent("vm1");
    (void)p.sent("vm2");
    return count;
}

TEST(SynFlood, OfAMillionLosesNoConnectionOfAnotherVmAndLetsItsNewOnesIn) {
    constexpr unsigned kRounds = 1000, kSynsPerRound = 1000;
    PipelineOptions options;
    options.flow_capacity = 1U << 17U;
    options.connection_capacity = 1U << 20U;
    Pipeline p(three_vms(), options);
    std::vector<TcpTalk> old;
    for (std::uint16_t port = 0; port < 100; ++port) {
        old.emplace_back(v4(kVm2, kVm3), 10000 + port);
        establish(p, old.back());
    }
    SynFlood flood;
    unsigned opened = 0;
    for (std::uint16_t round = 0; round < kRounds; ++round) {
        send_syns(p, flood, kSynsPerRound);
        p.step();
        take(p);
        TcpTalk fresh(v4(kVm2, kVm3), 20000 + round);
        establish(p, fresh);
        take(p);
        p.send("vm2", fresh.data(TcpTalk::kClient)).step();
        opened += take(p) == 1 ? 1U : 0U;
        p.advance(kMillisecond);
    }
    EXPECT_EQ(opened, kRounds);
    for (TcpTalk& talk : old) { p.send("vm2", talk.data(TcpTalk::kClient)); }
    p.step();
    EXPECT_EQ(take(p), old.size());
    EXPECT_EQ(p.drops("vm2", DropReason::kConnectionLimit), 0U);
    EXPECT_TRUE(p.packets_conserved());
}

// A guest's ring is where its own frames wait: none is lost, and it has no more of the worker.
TEST(SynFlood, WaitsForItsTurnsWhileAnotherVmWaits) {
    constexpr unsigned kWaiting = 3200;
    PipelineOptions options;
    options.share_cycles = 1'000'000;
    options.cycles = TestCycles::read;
    options.connection_capacity = 1U << 20U;
    options.flow_capacity = 1U << 17U;
    Pipeline p(three_vms(), options);
    TcpTalk known(v4(kVm2, kVm3)), own(v4(kVm1, kVm3));
    establish(p, known);
    p.send("vm1", own.syn()).step().send("vm3", own.syn_ack()).step();
    p.send("vm1", own.ack(TcpTalk::kClient)).step();
    (void)take(p);
    p.port("vm1").receive_cycles = 3000;
    p.port("vm2").receive_cycles = 100;
    SynFlood flood;
    send_syns(p, flood, kWaiting);
    p.send("vm1", own.data(TcpTalk::kClient, 8));
    for (unsigned i = 0; i < kWaiting; ++i) { p.send("vm2", known.data(TcpTalk::kClient, 8)); }
    while (p.port("vm2").has_queued()) { p.poll(0); }
    EXPECT_TRUE(p.port("vm1").has_queued()) << "what costs more takes longer";
    const auto& held = p.dataplane().worker(0).context().held_rounds;
    EXPECT_GT(held[p.index_of("vm1").value].get(), 0U);
    p.step();
    EXPECT_EQ(p.drops(), 0U);
    EXPECT_EQ(take(p), 2 * kWaiting + 1);
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
