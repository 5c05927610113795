// SPDX-License-Identifier: Apache-2.0
// While others wait, a port's first packets get its share of the worker's cycles and no more.
#include "datapath/fair_share.h"

#include <gtest/gtest.h>

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kWindow = 1000;
constexpr PortIndex kFlood{1}, kVictim{2}, kThird{3};

/// A worker of three ports with a cycle counter of its own.
class FairShareTest : public testing::Test {
protected:
    /// One burst; returns whether the port had had its share.
    bool burst(PortIndex port, std::uint64_t cycles, std::uint32_t slow, bool was_full = true) {
        share.begin(port, tsc);
        const bool used_up = share.is_used_up();
        share.end(port, cycles, 32, slow, was_full);
        tsc += cycles;
        return used_up;
    }
    /// Lets the running window end at once.
    void end_window() { tsc = begun + kWindow, begun = tsc; }

    std::uint64_t begun = 10 * kWindow;
    std::uint64_t tsc = begun;
    FairShare share{8, kWindow};
};

TEST_F(FairShareTest, DoesNotBoundAPortThatNobodyWaitsFor) {
    for (int window = 0; window < 3; ++window) {
        for (int i = 0; i < 9; ++i) { EXPECT_FALSE(burst(kFlood, 100, 32)); }
        end_window();
        EXPECT_FALSE(burst(kVictim, 10, 0, false)) << "it sends, and does not wait";
    }
}

TEST_F(FairShareTest, HoldsAFloodToHalfOfTheWindowWhileAnotherPortWaits) {
    burst(kFlood, 100, 32);
    burst(kVictim, 100, 0);
    end_window();
    for (int i = 0; i < 5; ++i) { EXPECT_FALSE(burst(kFlood, 100, 32)) << i; }
    EXPECT_TRUE(burst(kFlood, 10, 32)) << "500 of 1000 cycles are spent";
    EXPECT_FALSE(burst(kVictim, 100, 32)) << "its own first packets have a share of their own";
    end_window();
    EXPECT_FALSE(burst(kFlood, 100, 32)) << "a new window";
}

TEST_F(FairShareTest, DividesByThePortsThatWait) {
    for (const PortIndex port : {kFlood, kVictim, kThird}) { burst(port, 100, 32); }
    end_window();
    for (int i = 0; i < 4; ++i) { EXPECT_FALSE(burst(kFlood, 100, 32)) << i; }
    EXPECT_TRUE(burst(kFlood, 100, 32)) << "a third of 1000 is spent";
}

TEST_F(FairShareTest, CountsOnlyWhatFirstPacketsCost) {
    burst(kFlood, 320, 0);  // 10 cycles a frame that a program carries.
    burst(kVictim, 320, 0);
    end_window();
    burst(kFlood, 320, 1);  // 310 of them for the other frames.
    burst(kVictim, 100, 0);
    for (int i = 0; i < 4; ++i) { EXPECT_FALSE(burst(kFlood, 100, 0)) << "cached flows are free"; }
}

TEST_F(FairShareTest, BoundsNobodyAfterAWindowWithSlack) {
    burst(kFlood, 100, 32);
    burst(kVictim, 100, 0);
    share.note_idle();
    end_window();
    for (int i = 0; i < 9; ++i) { EXPECT_FALSE(burst(kFlood, 100, 32)) << i; }
}

TEST_F(FairShareTest, ForgetsWhoWaitedBeforeAPause) {
    burst(kFlood, 100, 32);
    burst(kVictim, 100, 0);
    end_window();
    end_window();
    for (int i = 0; i < 9; ++i) { EXPECT_FALSE(burst(kFlood, 100, 32)) << i; }
}

TEST_F(FairShareTest, BoundsNobodyWithoutAWindow) {
    FairShare unbounded{8, 0};
    for (int i = 0; i < 3; ++i) {
        for (const PortIndex port : {kFlood, kVictim}) {
            unbounded.begin(port, 1);
            EXPECT_FALSE(unbounded.is_used_up());
            unbounded.end(port, 1'000'000, 32, 32, true);
        }
    }
}

}  // namespace
}  // namespace sluice::datapath
