// SPDX-License-Identifier: Apache-2.0
// The ring from a worker to control: order, loss that is counted, two threads.
#include "datapath/events.h"

#include <gtest/gtest.h>

#include <thread>

namespace sluice::datapath {
namespace {

TEST(EventRing, KeepsOrderAndCountsWhatFindsItFull) {
    EventRing<int> ring(4);
    int got = 0;
    EXPECT_FALSE(ring.pop(got));
    for (int i = 0; i < 6; ++i) { ring.push(i); }
    EXPECT_EQ(ring.lost(), 2u);
    for (int i = 0; i < 4; ++i) {
        ASSERT_TRUE(ring.pop(got));
        EXPECT_EQ(got, i);
    }
    EXPECT_FALSE(ring.pop(got));
    ring.push(7);
    ASSERT_TRUE(ring.pop(got));
    EXPECT_EQ(got, 7);
}

TEST(EventRing, LosesNothingUncountedBetweenTwoThreads) {
    constexpr std::uint64_t kCount = 200'000;
    EventRing<std::uint64_t> ring(64);
    std::thread writer([&] {
        for (std::uint64_t i = 1; i <= kCount; ++i) { ring.push(i); }
    });
    std::uint64_t taken = 0, last = 0;
    const auto take = [&] {
        std::uint64_t got = 0;
        while (ring.pop(got)) {
            ASSERT_GT(got, last);
            last = got;
            ++taken;
        }
    };
    while (taken + ring.lost() < kCount) { take(); }
    writer.join();
    take();
    EXPECT_EQ(taken + ring.lost(), kCount);
}

}  // namespace
}  // namespace sluice::datapath
