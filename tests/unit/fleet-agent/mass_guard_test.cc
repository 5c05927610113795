// SPDX-License-Identifier: Apache-2.0
// What the guard holds and what it lets through.
#include "controller-agent/fleet/mass_guard.h"

#include <gtest/gtest.h>

#include "sluice/base/limits.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

json ports(int first, int count) {
    json list = json::array();
    for (int i = first; i < first + count; ++i) {
        list.push_back({{"name", "vm" + std::to_string(i)}});
    }
    return {{"ports", list}};
}

TEST(FleetMassGuard, CountsWhatHasANameAtAnyDepth) {
    const json document = json::parse(R"({
        "host": {"name": "h1"}, "ports": [{"name": "a", "ips": ["10.0.0.1"]}],
        "dfw": {"default": "drop", "sections": [{"name": "s", "rules": [{"name": "a"}, {"name": "b"}]}]},
        "routers": [{"name": "r", "routes": [{"prefix": "0.0.0.0/0"}]}]})");
    EXPECT_EQ(objects_of(document).size(), 5u);
    EXPECT_TRUE(objects_of(json(nullptr)).empty());
}

TEST(FleetMassGuard, HoldsMoreThanHalfAndMoreThanTheLimit) {
    const int many = static_cast<int>(kFleetGuardRows) * 2;
    const MassGuard guard(objects_of(ports(0, many)));
    EXPECT_FALSE(guard.check(objects_of(ports(0, many / 2)), false)) << "exactly half";
    EXPECT_TRUE(guard.check(objects_of(ports(0, many / 2 - 1)), false));
    EXPECT_FALSE(guard.check(objects_of(ports(0, 0)), true)) << "it is meant";
    EXPECT_TRUE(guard.check(objects_of(ports(1000, many)), false)) << "others came instead";
    const MassGuard small(objects_of(ports(0, static_cast<int>(kFleetGuardRows))));
    EXPECT_FALSE(small.check(objects_of(ports(0, 0)), false));
}

TEST(FleetMassGuard, WhatGoesInSeveralCommitsAddsUp) {
    MassGuard guard(objects_of(ports(0, 300)));
    std::int64_t now_ms = 1000;
    for (const int left : {260, 220, 180}) {
        ASSERT_FALSE(guard.check(objects_of(ports(0, left)), false)) << left;
        guard.accept(objects_of(ports(0, left)), false, now_ms += 100);
    }
    EXPECT_TRUE(guard.check(objects_of(ports(0, 140)), false));
    guard.rest(now_ms + kFleetCalmMs);
    EXPECT_TRUE(guard.check(objects_of(ports(0, 140)), false)) << "not yet";
    guard.rest(now_ms + kFleetCalmMs + 1);
    EXPECT_FALSE(guard.check(objects_of(ports(0, 140)), false)) << "long after it";
}

TEST(FleetMassGuard, AfterAnEpochItCountsAnew) {
    MassGuard guard(objects_of(ports(0, 300)));
    guard.accept(objects_of(ports(0, 250)), true, 1000);
    EXPECT_FALSE(guard.check(objects_of(ports(0, 140)), false));
    EXPECT_TRUE(guard.check(objects_of(ports(0, 120)), false));
}

}  // namespace
}  // namespace sluice::fleet
