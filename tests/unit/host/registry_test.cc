// SPDX-License-Identifier: Apache-2.0
#include "src/host/registry.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace sluice::host {
namespace {

TEST(RuleRegistry, UsesAFreedSlotAgainWithAnotherGeneration) {
    RuleRegistry rules;
    const RuleId first = rules.acquire({"s", "r"});
    rules.keep_only({});
    std::set<std::uint32_t> between;
    RuleId again{};
    for (int i = 0; i < 20000 && rule_slot(again) != rule_slot(first); ++i) {
        again = rules.acquire({"s", std::to_string(i)});
        between.insert(rule_slot(again));
        rules.keep_only({});
    }
    EXPECT_EQ(rule_slot(again), rule_slot(first));
    EXPECT_NE(again, first);
    EXPECT_GT(between.size(), 16000U) << "and not soon";
}

TEST(RuleRegistry, NeedsNoMoreCountersThanLiveAndRestingRules) {
    RuleRegistry rules;
    for (int i = 0; i < 3000; ++i) {
        std::set<RuleId> kept;
        for (int rule = 0; rule < 20; ++rule) {
            kept.insert(rules.acquire({"s" + std::to_string(i), std::to_string(rule)}));
        }
        rules.keep_only(kept);
    }
    EXPECT_LT(rules.slot_end(), 17000U) << "of 60 000 names, 20 at a time";
}

TEST(RuleRegistry, NamesStayWithTheirIds) {
    RuleRegistry rules;
    const RuleId a = rules.acquire({"s", "a"});
    const RuleId b = rules.acquire({"s", "b"});
    EXPECT_EQ(rules.acquire({"s", "a"}), a);
    rules.keep_only({b});
    EXPECT_EQ(rules.find({"s", "a"}), RuleId{});
    EXPECT_EQ(rules.name_of(a), nullptr);
    ASSERT_NE(rules.name_of(b), nullptr);
    EXPECT_EQ(rules.name_of(b)->second, "b");
    EXPECT_EQ(rules.take_freed_slots(), std::vector{rule_slot(a)});
}

}  // namespace
}  // namespace sluice::host
