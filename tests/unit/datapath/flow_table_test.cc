// SPDX-License-Identifier: Apache-2.0
// FlowTable: buckets that overflow, eviction of a full table, room.
#include "datapath/flow_table.h"

#include <gtest/gtest.h>

#include <vector>

namespace sluice::datapath {
namespace {

constexpr PortIndex kQuiet{1}, kNoisy{2};

struct Rig {
    explicit Rig(std::uint32_t capacity)
        : table(
              capacity, 8, 7, [](void* count, std::uint32_t) { ++*static_cast<unsigned*>(count); },
              &retired) {}

    static FlowKey key(PortIndex port, std::uint32_t number) {
        FlowKey out;
        out.port = port;
        out.source_port.raw = static_cast<std::uint16_t>(number);
        out.destination_port.raw = static_cast<std::uint16_t>(number >> 16U);
        return out;
    }
    bool insert(PortIndex port, std::uint32_t number) {
        Program program;
        program.ending = Ending::kOutput;
        const FlowKey k = key(port, number);
        const bool is_in = table.insert(k, table.hash(k), program) != kNoFlow;
        table.end_burst();
        return is_in;
    }
    bool has(PortIndex port, std::uint32_t number) const {
        const FlowKey k = key(port, number);
        return table.find(k, table.hash(k)) != kNoFlow;
    }
    void remove(PortIndex port, std::uint32_t number) {
        const FlowKey k = key(port, number);
        table.remove(table.find(k, table.hash(k)));
        table.end_burst();
    }

    unsigned retired = 0;
    FlowTable table;
};

TEST(FlowTable, FindsWhatItsFirstBucketHadNoRoomFor) {
    Rig rig(1U << 12U);
    std::vector<std::uint32_t> in;
    for (std::uint32_t i = 0; i < 4000; ++i) {
        if (rig.insert(kQuiet, i)) { in.push_back(i); }
    }
    EXPECT_GT(in.size(), 3900u);
    for (const std::uint32_t i : in) {
        const bool is_evicted = i < rig.retired;  // The oldest ones were, in order.
        EXPECT_EQ(rig.has(kQuiet, i), !is_evicted) << i;
    }
}

TEST(FlowTable, FindsTheRestWhenEverySecondFlowIsGone) {
    Rig rig(1U << 12U);
    for (std::uint32_t i = 0; i < 3000; ++i) { ASSERT_TRUE(rig.insert(kQuiet, i)); }
    for (std::uint32_t i = 0; i < 3000; i += 2) { rig.remove(kQuiet, i); }
    for (std::uint32_t i = 0; i < 3000; ++i) { EXPECT_EQ(rig.has(kQuiet, i), i % 2 == 1) << i; }
    EXPECT_EQ(rig.table.size(), 1500u);
}

TEST(FlowTable, FullEvictsOfThePortThatHasMost) {
    Rig rig(1024);
    for (std::uint32_t i = 0; i < 50; ++i) { ASSERT_TRUE(rig.insert(kQuiet, i)); }
    unsigned refused = 0;  // Both of their buckets were full.
    for (std::uint32_t i = 0; i < 20000; ++i) { refused += rig.insert(kNoisy, i) ? 0U : 1U; }
    EXPECT_LT(refused, 200u);
    for (std::uint32_t i = 0; i < 50; ++i) { EXPECT_TRUE(rig.has(kQuiet, i)) << i; }
    EXPECT_FALSE(rig.has(kNoisy, 0));
    EXPECT_LT(rig.table.size(), 1024u);
    for (std::uint32_t i = 50; i < 100; ++i) { (void)rig.insert(kQuiet, i); }
    EXPECT_GT(rig.table.size_of_port(kQuiet), 95u) << "the noisy one made room";
}

TEST(FlowTable, FullMakesRoomForAPortThatHasNothing) {
    Rig rig(1024);
    for (std::uint32_t i = 0; i < 960; ++i) { ASSERT_TRUE(rig.insert(kNoisy, i)); }
    EXPECT_TRUE(rig.insert(kQuiet, 1));
    EXPECT_TRUE(rig.has(kQuiet, 1));
    EXPECT_EQ(rig.retired, 1u);
}

TEST(FlowTable, HasRoomBelowTheQuotaAndBeforeItIsFull) {
    Rig rig(1024);
    rig.table.set_quota(kQuiet, 3);
    for (std::uint32_t i = 0; i < 3; ++i) {
        EXPECT_TRUE(rig.table.has_room(kQuiet));
        ASSERT_TRUE(rig.insert(kQuiet, i));
    }
    EXPECT_FALSE(rig.table.has_room(kQuiet));
    EXPECT_TRUE(rig.table.has_room(kNoisy));
    for (std::uint32_t i = 0; i < 2000; ++i) { (void)rig.insert(kNoisy, i); }
    EXPECT_FALSE(rig.table.has_room(kNoisy));
}

}  // namespace
}  // namespace sluice::datapath
