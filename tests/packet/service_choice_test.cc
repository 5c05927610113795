// SPDX-License-Identifier: Apache-2.0
// Which instance a connection gets: shares by weight, what moves when one goes, the ramp of one
// that came back. Pure: no pipeline is stepped.
#include "datapath/service_choice.h"

#include <gtest/gtest.h>

#include <map>

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kNow = 1'000'000'000'000;
constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kConnections = 40000;

ServiceRuleConfig rule_of(std::vector<ServiceRuleConfig::Choice> instances) {
    ServiceRuleConfig rule;
    rule.instances = std::move(instances);
    return rule;
}

// Of the n-th connection of 10.0.0.1.
std::uint64_t hash_of(std::uint64_t n) {
    ConnectionTuple tuple;
    tuple.ip_a[12] = 10;
    tuple.ip_a[15] = 1;
    tuple.port_a = Be16::from_host(static_cast<std::uint16_t>(n));
    tuple.port_b = Be16::from_host(static_cast<std::uint16_t>(n >> 16U));
    return service_hash(tuple);
}

std::map<std::uint16_t, double> shares_of(const ServiceRuleConfig& rule,
                                          const ServiceStates& states, std::uint64_t now_ns) {
    std::map<std::uint16_t, double> shares;
    for (std::uint64_t n = 0; n < kConnections; ++n) {
        shares[pick_instance(rule, states, hash_of(n), now_ns)] += 1.0 / kConnections;
    }
    return shares;
}

TEST(ServiceChoice, GivesSharesByWeight) {
    const ServiceStates states;
    auto shares = shares_of(rule_of({{1, 1}, {2, 2}, {3, 5}}), states, kNow);
    EXPECT_NEAR(shares[1], 1.0 / 8, 0.01);
    EXPECT_NEAR(shares[2], 2.0 / 8, 0.01);
    EXPECT_NEAR(shares[3], 5.0 / 8, 0.01);
}

TEST(ServiceChoice, EqualConnectionsMeetEqualInstances) {
    const ServiceStates states;
    const ServiceRuleConfig rule = rule_of({{1, 1}, {2, 1}});
    for (std::uint64_t n = 0; n < 100; ++n) {
        EXPECT_EQ(pick_instance(rule, states, hash_of(n), kNow),
                  pick_instance(rule, states, hash_of(n), kNow + 7 * kMs));
    }
}

TEST(ServiceChoice, MovesOnlyWhatTheFailedInstanceHad) {
    ServiceStates states;
    const ServiceRuleConfig rule = rule_of({{1, 1}, {2, 1}, {3, 1}});
    std::vector<std::uint16_t> before;
    for (std::uint64_t n = 0; n < kConnections; ++n) {
        before.push_back(pick_instance(rule, states, hash_of(n), kNow));
    }
    states.set(2, ServiceState::kDown, kNow);
    for (std::uint64_t n = 0; n < kConnections; ++n) {
        const std::uint16_t after = pick_instance(rule, states, hash_of(n), kNow);
        EXPECT_NE(after, 2);
        if (before[n] != 2) { EXPECT_EQ(after, before[n]); }
    }
}

TEST(ServiceChoice, DrainingAndFailedInstancesGetNothing) {
    ServiceStates states;
    EXPECT_EQ(pick_instance(rule_of({{1, 0}}), states, hash_of(1), kNow), kNoService);
    EXPECT_EQ(pick_instance(rule_of({}), states, hash_of(1), kNow), kNoService);
    states.set(1, ServiceState::kDown, kNow);
    EXPECT_EQ(pick_instance(rule_of({{1, 5}}), states, hash_of(1), kNow), kNoService);
    EXPECT_EQ(pick_instance(rule_of({{1, 5}, {2, 1}}), states, hash_of(1), kNow), 2);
}

TEST(ServiceChoice, OneThatCameBackGetsAGrowingShare) {
    ServiceStates states;
    const ServiceRuleConfig rule = rule_of({{1, 1}, {2, 1}});
    states.set(1, ServiceState::kDown, kNow - kMs);
    states.set(1, ServiceState::kUp, kNow);
    EXPECT_LT(shares_of(rule, states, kNow)[1], 0.02);
    EXPECT_NEAR(shares_of(rule, states, kNow + kServiceRampMs * kMs / 2)[1], 1.0 / 3, 0.01);
    EXPECT_NEAR(shares_of(rule, states, kNow + kServiceRampMs * kMs)[1], 1.0 / 2, 0.01);
}

TEST(ServiceChoice, TheOnlyOneThatWorksTakesAllWhileItRamps) {
    ServiceStates states;
    states.set(1, ServiceState::kDown, kNow);
    states.set(1, ServiceState::kUp, kNow);
    for (std::uint64_t n = 0; n < 100; ++n) {
        EXPECT_EQ(pick_instance(rule_of({{1, 1}}), states, hash_of(n), kNow), 1);
    }
}

}  // namespace
}  // namespace sluice::datapath
