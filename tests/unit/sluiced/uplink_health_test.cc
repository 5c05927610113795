// SPDX-License-Identifier: Apache-2.0
// When an uplink is used again, and which vNIC a loaded one gives away.
#include "src/sluiced/uplink_health.h"

#include <gtest/gtest.h>

#include "src/sluiced/uplink_load.h"

namespace sluice::daemon {
namespace {

constexpr FailbackRules kHold{true, 10000}, kStay{false, 10000};

TEST(UplinkHealth, IsUsedAtOnceWhenItIsNew) {
    UplinkHealth one;
    EXPECT_FALSE(one.note("its device is not opened yet", 0));
    one.settle(kHold, true, false, 0);
    EXPECT_FALSE(one.is_used());
    EXPECT_FALSE(one.note("", 100));
    one.settle(kHold, true, false, 100);
    EXPECT_TRUE(one.is_used());
}

class FailedUplink : public testing::Test {
protected:
    FailedUplink() {
        one.note("", 0);
        one.settle(kHold, true, false, 0);
        EXPECT_TRUE(one.note("no carrier", 1000)) << "it has just failed";
        EXPECT_FALSE(one.note("no carrier", 1100));
        one.settle(kHold, true, false, 1100);
        EXPECT_FALSE(one.is_used());
    }
    bool look(const FailbackRules& rules, std::uint64_t now_ms, bool other_is_used = true,
              bool other_failed = false) {
        one.note("", now_ms);
        one.settle(rules, other_is_used, other_failed, now_ms);
        return one.is_used();
    }
    UplinkHealth one;
};

TEST_F(FailedUplink, ComesBackWhenItsLinkHasHeld) {
    EXPECT_FALSE(look(kHold, 2000));
    EXPECT_EQ(one.why(kHold, 2000), "is back, and is used again in 10 s");
    EXPECT_FALSE(look(kHold, 11900));
    EXPECT_TRUE(look(kHold, 12000));
    EXPECT_EQ(one.why(kHold, 12000), "");
}

TEST_F(FailedUplink, AFlapStartsTheHoldAnew) {
    EXPECT_FALSE(look(kHold, 2000));
    one.note("no carrier", 11000);
    EXPECT_EQ(one.why(kHold, 11000), "no carrier");
    EXPECT_FALSE(look(kHold, 12000));
    EXPECT_FALSE(look(kHold, 21900));
    EXPECT_TRUE(look(kHold, 22000));
}

TEST_F(FailedUplink, IsNotWaitedForWhenThereIsNoOther) {
    EXPECT_FALSE(look(kHold, 2000));
    EXPECT_TRUE(look(kHold, 2100, false));
}

TEST_F(FailedUplink, WithoutFailbackWaitsForTheNextFailure) {
    EXPECT_FALSE(look(kStay, 2000));
    EXPECT_FALSE(look(kStay, 1000000));
    EXPECT_TRUE(look(kStay, 1000100, true, true));
}

constexpr PortIndex kUp0{100}, kUp1{101};

TEST(UplinkLoad, MovesTheVnicThatEvensOutBest) {
    const std::vector<VnicLoad> vnics{{PortIndex{1}, kUp0, 700},
                                      {PortIndex{2}, kUp0, 250},
                                      {PortIndex{3}, kUp0, 50},
                                      {PortIndex{4}, kUp1, 500}};
    EXPECT_EQ(next_move({{kUp0, 1000}, {kUp1, 500}}, vnics, 10), (LoadMove{PortIndex{2}, kUp1}));
    EXPECT_FALSE(next_move({{kUp0, 1000}, {kUp1, 600}}, vnics, 10)) << "within 75 %";
    EXPECT_FALSE(next_move({{kUp0, 1000}, {kUp1, 500}}, vnics, 2000)) << "not worth it";
    EXPECT_FALSE(next_move({{kUp0, 1000}}, vnics, 10)) << "nowhere to go";
}

TEST(UplinkLoad, LeavesALoneElephantWhereItIs) {
    EXPECT_FALSE(next_move({{kUp0, 1000}, {kUp1, 0}}, {{PortIndex{1}, kUp0, 1000}}, 10));
}

}  // namespace
}  // namespace sluice::daemon
