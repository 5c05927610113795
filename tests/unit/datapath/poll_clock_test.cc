// SPDX-License-Identifier: Apache-2.0
// A poll's time follows the clock by the cycle counter, and never goes back.
#include "datapath/poll_clock.h"

#include <gtest/gtest.h>

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kHz = 2'000'000'000;  // Two cycles a nanosecond.
constexpr std::uint64_t kTsc = 1ULL << 60U;

TEST(PollClock, CountsCyclesBetweenLooksAtTheClock) {
    PollClock clock(kHz);
    int looks = 0;
    const auto read = [&] {
        ++looks;
        return std::uint64_t{5'000'000};
    };
    EXPECT_EQ(clock.at(kTsc, read), 5'000'000U);
    EXPECT_NEAR(static_cast<double>(clock.at(kTsc + 1000, read)), 5'000'500.0, 1);
    EXPECT_NEAR(static_cast<double>(clock.at(kTsc + 2'000'000, read)), 6'000'000.0, 1);
    EXPECT_EQ(looks, 1) << "a millisecond is not over";
}

TEST(PollClock, LooksAgainAfterAMillisecond) {
    PollClock clock(kHz);
    EXPECT_EQ(clock.at(kTsc, [] { return std::uint64_t{1000}; }), 1000U);
    EXPECT_EQ(clock.at(kTsc + 2'000'001, [] { return std::uint64_t{1'003'000}; }), 1'003'000U);
    EXPECT_NEAR(static_cast<double>(clock.at(kTsc + 2'000'201, [] { return std::uint64_t{0}; })),
                1'003'100.0, 1);
}

TEST(PollClock, StandsStillWhereTheCounterRanAhead) {
    PollClock clock(kHz);
    EXPECT_EQ(clock.at(kTsc, [] { return std::uint64_t{1000}; }), 1000U);
    const std::uint64_t late = clock.at(kTsc + 2'000'000, [] { return std::uint64_t{0}; });
    EXPECT_EQ(clock.at(kTsc + 2'000'002, [] { return std::uint64_t{900'000}; }), late);
    EXPECT_EQ(clock.at(kTsc + 2'000'004, [] { return std::uint64_t{0}; }), late);
}

TEST(PollClock, LooksAgainIfTheCounterWasSetBack) {
    PollClock clock(kHz);
    EXPECT_EQ(clock.at(kTsc, [] { return std::uint64_t{1000}; }), 1000U);
    EXPECT_EQ(clock.at(7, [] { return std::uint64_t{2000}; }), 2000U);
}

}  // namespace
}  // namespace sluice::datapath
