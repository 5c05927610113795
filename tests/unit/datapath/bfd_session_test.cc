// SPDX-License-Identifier: Apache-2.0
// BfdSession against RFC 5880: states, timers, Poll Sequences, discriminators. Two sessions talk
// over a wire that the test holds.
#include "datapath/bfd_session.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace sluice::test {
namespace {

using datapath::BfdDiagnostic;
using datapath::BfdPacket;
using datapath::BfdSession;
using datapath::BfdState;
using datapath::BfdTimers;

constexpr std::uint64_t kMs = 1'000'000;
constexpr BfdTimers kTimers{300000, 3};

BfdPacket packet(BfdState state, std::uint32_t mine = 7, std::uint32_t yours = 1) {
    BfdPacket out;
    out.state = state;
    out.multiplier = 3;
    out.mine = mine;
    out.yours = yours;
    out.desired_tx_us = state == BfdState::kUp ? 300000 : 1000000;
    out.required_rx_us = 300000;
    return out;
}

// Two ends, and a wire that can be cut each way.
struct Talk {
    BfdSession a{kTimers, 1, 0}, b{kTimers, 2, 0};
    bool a_to_b = true, b_to_a = true;
    std::uint64_t now = 0;
    unsigned sent = 0;

    void step() {
        a.expire(now);
        b.expire(now);
        for (int turn = 0; turn < 4; ++turn) {
            while (const auto out = a.send(now, 11)) {
                ++sent;
                if (a_to_b) { b.receive(*out, now); }
            }
            while (const auto out = b.send(now, 5)) {
                if (b_to_a) { a.receive(*out, now); }
            }
        }
    }
    void run(std::uint64_t ms) {
        for (std::uint64_t i = 0; i < ms; ++i) {
            now += kMs;
            step();
        }
    }
};

TEST(BfdSession, ComesUpWithThreePackets) {
    Talk talk;
    talk.step();
    EXPECT_EQ(talk.a.state(), BfdState::kUp);
    EXPECT_EQ(talk.b.state(), BfdState::kUp);
    EXPECT_EQ(talk.a.diagnostic(), BfdDiagnostic::kNone);
}

TEST(BfdSession, SendsFasterOnceBothKnowThatItIsUp) {
    Talk talk;
    talk.run(500);
    EXPECT_EQ(talk.a.interval_us(), 300000u);
    EXPECT_EQ(talk.a.detection_ns(), 900 * kMs);
    talk.sent = 0;
    talk.run(9000);
    EXPECT_GE(talk.sent, 30u);  // 75 to 100 % of 300 ms.
    EXPECT_LE(talk.sent, 41u);
}

TEST(BfdSession, GoesDownAfterTheDetectionTimeAndComesBack) {
    Talk talk;
    talk.run(2000);
    talk.b_to_a = false;
    talk.run(850 - 300);
    EXPECT_EQ(talk.a.state(), BfdState::kUp);
    talk.run(400);
    EXPECT_EQ(talk.a.state(), BfdState::kDown);
    EXPECT_EQ(talk.a.diagnostic(), BfdDiagnostic::kDetectionTimeExpired);
    EXPECT_TRUE(talk.a.has_failed());
    EXPECT_EQ(talk.b.state(), BfdState::kDown) << "a says so";
    EXPECT_EQ(talk.b.diagnostic(), BfdDiagnostic::kNeighbourDown);
    talk.b_to_a = true;
    talk.run(2500);
    EXPECT_EQ(talk.a.state(), BfdState::kUp);
    EXPECT_EQ(talk.b.state(), BfdState::kUp);
    EXPECT_FALSE(talk.a.has_failed());
}

TEST(BfdSession, APeerThatNeverAnsweredHasNotFailed) {
    Talk talk;
    talk.b_to_a = false;
    talk.run(10000);
    EXPECT_EQ(talk.a.state(), BfdState::kDown);
    EXPECT_FALSE(talk.a.is_heard());
    EXPECT_FALSE(talk.a.has_failed());
    EXPECT_GE(talk.sent, 10u);
    EXPECT_LE(talk.sent, 14u) << "once a second at most";
}

// §6.8.6, one state and one packet after the other.
TEST(BfdSession, FollowsTheStateMachine) {
    struct Row {
        BfdState from, heard, to;
    };
    constexpr Row kRows[] = {
        {BfdState::kDown, BfdState::kDown, BfdState::kInit},
        {BfdState::kDown, BfdState::kInit, BfdState::kUp},
        {BfdState::kDown, BfdState::kUp, BfdState::kDown},
        {BfdState::kDown, BfdState::kAdminDown, BfdState::kDown},
        {BfdState::kInit, BfdState::kDown, BfdState::kInit},
        {BfdState::kInit, BfdState::kInit, BfdState::kUp},
        {BfdState::kInit, BfdState::kUp, BfdState::kUp},
        {BfdState::kInit, BfdState::kAdminDown, BfdState::kDown},
        {BfdState::kUp, BfdState::kDown, BfdState::kDown},
        {BfdState::kUp, BfdState::kInit, BfdState::kUp},
        {BfdState::kUp, BfdState::kUp, BfdState::kUp},
        {BfdState::kUp, BfdState::kAdminDown, BfdState::kDown},
    };
    for (const Row& row : kRows) {
        BfdSession session(kTimers, 1, 0);
        if (row.from != BfdState::kDown) { session.receive(packet(BfdState::kDown), 1); }
        if (row.from == BfdState::kUp) { session.receive(packet(BfdState::kUp), 1); }
        ASSERT_EQ(session.state(), row.from);
        session.receive(packet(row.heard), 2);
        EXPECT_EQ(session.state(), row.to) << int(row.from) << " heard " << int(row.heard);
    }
}

TEST(BfdSession, ForgetsTheRemoteDiscriminatorWhenNothingComes) {
    BfdSession session(kTimers, 1, 0);
    session.receive(packet(BfdState::kDown, 99), kMs);
    EXPECT_EQ(session.send(kMs, 0)->yours, 99u);
    session.expire(kMs + 2999 * kMs);
    EXPECT_EQ(session.state(), BfdState::kInit) << "the peer sends once a second";
    session.expire(kMs + 3000 * kMs);
    EXPECT_EQ(session.state(), BfdState::kDown);
    EXPECT_EQ(session.send(5000 * kMs, 0)->yours, 0u);
}

TEST(BfdSession, AnswersAPollAtOnceAndNeverPollsInIt) {
    BfdSession session(kTimers, 1, 0);
    BfdPacket asks = packet(BfdState::kInit);
    asks.is_poll = true;
    session.receive(asks, kMs);
    ASSERT_EQ(session.state(), BfdState::kUp);
    EXPECT_LE(session.due_ns(), kMs);
    const auto answer = session.send(kMs, 0);
    ASSERT_TRUE(answer);
    EXPECT_TRUE(answer->is_final);
    EXPECT_FALSE(answer->is_poll);
    const auto next = session.send(kMs, 0);
    ASSERT_TRUE(next);
    EXPECT_TRUE(next->is_poll) << "it is new that it is up";
    EXPECT_FALSE(next->is_final);
}

TEST(BfdSession, ALongerIntervalHoldsWhenThePeerConfirmedIt) {
    BfdSession session(kTimers, 1, 0);
    session.receive(packet(BfdState::kInit), kMs);
    BfdPacket confirms = packet(BfdState::kUp);
    confirms.is_final = true;
    session.receive(confirms, kMs);
    session.configure({1000000, 3}, 2 * kMs);
    EXPECT_EQ(session.interval_us(), 300000u);
    const auto asks = session.send(2 * kMs, 0);
    ASSERT_TRUE(asks);
    EXPECT_TRUE(asks->is_poll);
    EXPECT_EQ(asks->desired_tx_us, 1000000u);
    session.receive(confirms, 3 * kMs);
    EXPECT_EQ(session.interval_us(), 1000000u);
    EXPECT_EQ(session.detection_ns(), 3000 * kMs) << "what this end expects counts, too";
}

TEST(BfdSession, NeverSendsFasterThanThePeerListens) {
    BfdSession session(kTimers, 1, 0);
    BfdPacket slow = packet(BfdState::kInit);
    slow.required_rx_us = 2000000;
    session.receive(slow, kMs);
    EXPECT_EQ(session.interval_us(), 2000000u);
    slow.state = BfdState::kUp;
    slow.required_rx_us = 0;
    session.receive(slow, 2 * kMs);
    while (session.send(2 * kMs, 0)) {}
    EXPECT_FALSE(session.send(60000 * kMs, 0)) << "it wants none";
}

TEST(BfdSession, AdminDownOfThePeerIsNoFailure) {
    Talk talk;
    talk.run(2000);
    talk.b.shut_down(talk.now);
    talk.run(10);
    EXPECT_EQ(talk.a.state(), BfdState::kDown);
    EXPECT_EQ(talk.a.remote_state(), BfdState::kAdminDown);
    EXPECT_FALSE(talk.a.has_failed());
    EXPECT_EQ(talk.b.state(), BfdState::kAdminDown);
    EXPECT_EQ(talk.b.diagnostic(), BfdDiagnostic::kAdministrativelyDown);
}

TEST(BfdSession, JitterStaysWithinAQuarter) {
    for (const auto multiplier : {std::uint8_t{1}, std::uint8_t{3}}) {
        BfdSession session({1000000, multiplier}, 1, 0);
        std::uint64_t least = ~0ULL, most = 0;
        std::uint64_t now = 0;
        for (std::uint32_t random = 0; random < 200; ++random) {
            ASSERT_TRUE(session.send(now, random * 7919U));
            least = std::min(least, session.due_ns() - now);
            most = std::max(most, session.due_ns() - now);
            now = session.due_ns();
        }
        EXPECT_GE(least, 750 * kMs);
        EXPECT_LE(most, (multiplier == 1 ? 900 : 1000) * kMs);
        EXPECT_GT(most, least);
    }
}

}  // namespace
}  // namespace sluice::test
