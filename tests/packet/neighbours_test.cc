// SPDX-License-Identifier: Apache-2.0
// Frames that wait for a neighbour: how many, how long, what becomes of them; on one worker and
// between two.
#include "datapath/neighbours.h"
#include "datapath/limits.h"

#include <gtest/gtest.h>
#include <rte_mbuf.h>

#include "datapath/stages.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using datapath::NeighbourQuestion;
using datapath::WorkerContext;

const MacAddr kMac = mac("02:00:00:00:0c:01");

// What the questions of the running test led to.
struct Heard {
    unsigned asked = 0, resumed = 0, given_up = 0;
};
Heard g_heard;

void ask(WorkerContext&, const NeighbourQuestion&) noexcept { ++g_heard.asked; }
void resume(WorkerContext& context, const NeighbourQuestion&, rte_mbuf* frame) noexcept {
    ++g_heard.resumed;
    datapath::consume(context, frame);
}
void give_up(WorkerContext&, const NeighbourQuestion&, rte_mbuf&) noexcept { ++g_heard.given_up; }

class Neighbours : public testing::Test {
protected:
    Neighbours() { g_heard = {}; }

    [[nodiscard]] NeighbourQuestion question(const IpAddr& ip) {
        NeighbourQuestion out;
        out.domain = p_.dataplane().snapshot().domains[0].id;
        out.ip = ip;
        out.ask = ask;
        out.resume = resume;
        out.give_up = give_up;
        return out;
    }
    [[nodiscard]] NeighbourQuestion question(std::uint32_t number) {
        return question(IpAddr::v4(0x0a000000U + number));
    }
    WorkerContext& context(unsigned worker = 0) { return p_.dataplane().worker(worker).context(); }
    /// A frame of `port` waits for the answer.
    void hold(const NeighbourQuestion& asks, const std::string& port = "vm1", unsigned worker = 0) {
        rte_mbuf* frame = rte_pktmbuf_alloc(&p_.pool());
        ASSERT_NE(frame, nullptr);
        ASSERT_NE(rte_pktmbuf_append(frame, 60), nullptr);
        frame->port = p_.index_of(port).value;
        context(worker).counters.received.add(1);
        datapath::hold_for_neighbour(context(worker), asks, frame);
    }
    void pass(std::uint64_t ms) {
        for (std::uint64_t i = 0; i < ms; ++i) { p_.advance(kMillisecond).step(); }
    }
    void learn(const NeighbourQuestion& asks, unsigned worker = 0) {
        datapath::learn_neighbour(context(worker), asks.domain, asks.ip, kMac, p_.index_of("vm2"));
    }
    Pipeline p_{three_vms(), {.worker_count = 2, .buffer_count = 4095}};
};

TEST_F(Neighbours, WaitForOneQuestionAndGoOnInOrder) {
    const auto asks = question(200);
    hold(asks);
    hold(asks);
    EXPECT_EQ(g_heard.asked, 1u);
    EXPECT_EQ(p_.books().held, 2u);
    EXPECT_EQ(p_.books().unaccounted(), 0);
    learn(asks);
    p_.step();
    EXPECT_EQ(g_heard.resumed, 2u);
    EXPECT_EQ(datapath::find_neighbour(context(), asks.domain, asks.ip), kMac);
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, GoOnWhenAnotherWorkerHeardTheAnswer) {
    const auto asks = question(200);
    hold(asks);
    learn(asks, 1);
    p_.step();
    EXPECT_EQ(g_heard.resumed, 1u);
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, AreAskedForAFewTimesThenGivenUpAndRemembered) {
    const auto asks = question(200);
    hold(asks);
    pass(kNeighbourProbeMs * kNeighbourProbeCount - 10);
    EXPECT_EQ(g_heard.asked, kNeighbourProbeCount);
    EXPECT_EQ(p_.books().held, 1u);
    pass(20);
    EXPECT_EQ(g_heard.given_up, 1u);
    EXPECT_EQ(p_.drops("vm1", DropReason::kNeighbourUnreachable), 1u);
    hold(asks);
    EXPECT_EQ(p_.drops("vm1", DropReason::kNeighbourUnreachable), 2u) << "at once";
    EXPECT_EQ(g_heard.asked, kNeighbourProbeCount) << "and nobody is asked";
    pass(kNeighbourUnreachableMs);
    hold(asks);
    EXPECT_EQ(g_heard.asked, kNeighbourProbeCount + 1);
    learn(asks);
    p_.step();
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, ALateAnswerIsWelcome) {
    const auto asks = question(200);
    hold(asks);
    pass(kNeighbourProbeMs * kNeighbourProbeCount + 10);
    ASSERT_TRUE(datapath::is_asked_for(context(), asks.domain, asks.ip));
    learn(asks);
    p_.step();
    hold(asks);
    p_.step();
    EXPECT_EQ(p_.drops("vm1", DropReason::kNeighbourUnreachable), 1u);
    EXPECT_EQ(g_heard.resumed, 1u);
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, HoldSoManyFramesAnAddress) {
    const auto asks = question(200);
    for (std::size_t i = 0; i < kNeighbourHeldMax + 3; ++i) { hold(asks); }
    EXPECT_EQ(p_.books().held, kNeighbourHeldMax);
    EXPECT_EQ(p_.drops("vm1", DropReason::kNeighbourQueueFull), 3u);
    learn(asks);
    p_.step();
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, OnePortCantTakeAllTheRoom) {
    for (std::uint32_t i = 0; i < kNeighbourWaitPerPortMax + 10U; ++i) { hold(question(1000 + i)); }
    EXPECT_EQ(p_.drops("vm1", DropReason::kNeighbourQueueFull), 10u);
    hold(question(2000), "vm2");
    EXPECT_EQ(p_.drops("vm2", DropReason::kNeighbourQueueFull), 0u);
    pass(kNeighbourProbeMs * kNeighbourProbeCount + 10);
    EXPECT_EQ(p_.books().held, 0u);
    hold(question(3000));
    EXPECT_EQ(p_.drops("vm1", DropReason::kNeighbourQueueFull), 10u)
        << "what did not answer makes room";
    pass(5000);
    EXPECT_EQ(context().neighbours.size(), 0u);
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, OnePortCantFillTheBuffers) {
    constexpr std::uint32_t kOfPort =
        4095 / 2 / kNeighbourHeldPoolShare / datapath::kNeighbourHeldPortShare;
    for (std::uint32_t i = 0; i < 30; ++i) {
        for (std::size_t k = 0; k < kNeighbourHeldMax; ++k) { hold(question(1000 + i)); }
    }
    EXPECT_EQ(p_.books().held, kOfPort);
    EXPECT_EQ(p_.drops("vm1", DropReason::kNeighbourQueueFull), 30 * kNeighbourHeldMax - kOfPort);
    for (std::size_t k = 0; k < kNeighbourHeldMax; ++k) { hold(question(2000), "vm2"); }
    EXPECT_EQ(p_.drops("vm2", DropReason::kNeighbourQueueFull), 0u);
    pass(kNeighbourProbeMs * kNeighbourProbeCount + 10);
    EXPECT_EQ(p_.books().held, 0u);
    pass(5000);
    EXPECT_EQ(context().neighbours.held_buffers(p_.index_of("vm1")), 0u);
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, GuestsLeaveRoomForVteps) {
    const std::size_t room = kNeighbourWaitMax - kNeighbourWaitReserve;
    const char* const ports[] = {"vm1", "vm2", "vm3", "vm1"};
    for (std::uint32_t i = 0; i < kNeighbourWaitMax; ++i) {
        hold(question(1000 + i), ports[i / kNeighbourWaitPerPortMax]);
    }
    EXPECT_EQ(context().neighbours.size(), room);
    EXPECT_LE(p_.books().held, 4095u / 2 / kNeighbourHeldPoolShare);
    auto next_hop = question(9999);
    next_hop.is_underlay = true;
    datapath::want_neighbour(context(), next_hop);
    EXPECT_TRUE(datapath::is_asked_for(context(), next_hop.domain, next_hop.ip));
    pass(5000);
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, EndWithWhatTheyBelongTo) {
    hold(question(200));
    auto stale = question(201);
    stale.domain = DomainId{4711};
    hold(stale);
    nlohmann::json document = three_vms();
    document["ports"].erase(2);
    p_.apply(document);
    EXPECT_EQ(p_.books().held, 1u) << "the domain is the same";
    EXPECT_EQ(p_.drops(DropReason::kNeighbourUnreachable), 1u);
    pass(5000);
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, WhatIsNotUsedIsForgotten) {
    const auto asks = question(200);
    hold(asks);
    learn(asks);
    p_.step();
    pass(kNeighbourAgeS * 1000 + 1000);
    EXPECT_EQ(g_heard.asked, 1u);
    EXPECT_FALSE(datapath::find_neighbour(context(), asks.domain, asks.ip));
    EXPECT_TRUE(p_.packets_conserved());
}

// A cached flow does not look: it is made to, and who looked is seen.
TEST_F(Neighbours, FlowsAreMadeToLookBeforeTheRowEnds) {
    const auto asks = question(200);
    hold(asks);
    learn(asks);
    pass(38000);
    const std::uint32_t epoch = context().learned.epoch();
    pass(4000);
    EXPECT_NE(context().learned.epoch(), epoch);
    EXPECT_EQ(g_heard.asked, 1u);
    EXPECT_TRUE(datapath::find_neighbour(context(), asks.domain, asks.ip));
    pass(5000);
    EXPECT_EQ(g_heard.asked, 1u + kNeighbourProbeCount);
    EXPECT_TRUE(p_.packets_conserved());
}

TEST_F(Neighbours, WhatIsUsedIsAskedForAgain) {
    const auto asks = question(200);
    hold(asks);
    learn(asks);
    for (int second = 0; second < 60; ++second) {
        pass(1000);
        const unsigned before = g_heard.asked;
        ASSERT_TRUE(datapath::find_neighbour(context(), asks.domain, asks.ip)) << second;
        if (before > 1) {
            EXPECT_GE(second, 40);
            EXPECT_LE(second, 47);
            learn(asks);
            break;
        }
    }
    EXPECT_GT(g_heard.asked, 1u);
    EXPECT_TRUE(p_.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
