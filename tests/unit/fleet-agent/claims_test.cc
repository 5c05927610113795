// SPDX-License-Identifier: Apache-2.0
// Which claim of a MAC counts, and a property test: whatever claims come and go, what the fleet
// table was told is what a plain model of the rule says.
#include "controller-agent/fleet/claims.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "sluice/base/limits.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

const SegmentMac kPlace{"dvs0/vni5001", *parse_mac("02:00:00:00:00:01")};
const Claimant kA{"a", *parse_ip("172.16.0.1")}, kB{"b", *parse_ip("172.16.0.2")};

/// The fleet table, as changes make it.
struct Told {
    std::map<SegmentMac, FleetBinding> bindings;
    std::size_t changes = 0;

    void take(Claims& claims) {
        for (const BindingChange& each : claims.take_changes()) {
            ++changes;
            const SegmentMac place{each.binding.segment, each.binding.mac};
            if (each.is_gone) {
                bindings.erase(place);
            } else {
                bindings[place] = each.binding;
            }
        }
    }
    [[nodiscard]] std::string vtep() const {
        return bindings.contains(kPlace) ? to_string(bindings.at(kPlace).vtep) : "none";
    }
};

TEST(FleetClaims, TextReadsBack) {
    const Claim claim{3, 1700000000000, {*parse_ip("10.0.0.1"), *parse_ip("fd00::1")}};
    EXPECT_EQ(to_text(claim), "3 1700000000000 10.0.0.1 fd00::1");
    EXPECT_EQ(parse_claim(to_text(claim)), claim);
    EXPECT_EQ(parse_claim("1 2"), (Claim{1, 2, {}}));
    for (const char* text : {"", "1", "1 x", "x 1", "-1 2", "1 2 ten", "1 2 10.0.0.1  10.0.0.2"}) {
        EXPECT_FALSE(parse_claim(text)) << text;
    }
}

TEST(FleetClaims, TheHighestSequenceThenTheNewestThenTheName) {
    Claims claims;
    Told told;
    claims.set(kPlace, kA, {1, 100, {}});
    told.take(claims);
    EXPECT_EQ(told.vtep(), "172.16.0.1");
    claims.set(kPlace, kB, {1, 100, {}});
    told.take(claims);
    EXPECT_EQ(told.vtep(), "172.16.0.1") << "a comes before b";
    claims.set(kPlace, kB, {1, 101, {}});
    told.take(claims);
    EXPECT_EQ(told.vtep(), "172.16.0.2") << "newer";
    claims.set(kPlace, kA, {2, 50, {}});
    told.take(claims);
    EXPECT_EQ(told.vtep(), "172.16.0.1") << "a higher sequence";
    EXPECT_EQ(claims.hosts(kPlace), (std::vector<std::string>{"a", "b"}));
    EXPECT_EQ(claims.highest(kPlace), 2);
}

TEST(FleetClaims, AWithdrawnOneCountsUntilItsDeadlineBehindAllOthers) {
    Claims claims;
    Told told;
    claims.set(kPlace, kA, {9, 100, {}});
    told.take(claims);
    claims.withdraw(kPlace, kA, 1000);
    EXPECT_EQ(claims.expire(999), 1000);
    told.take(claims);
    EXPECT_EQ(told.vtep(), "172.16.0.1");
    claims.set(kPlace, kB, {1, 1, {}});
    told.take(claims);
    EXPECT_EQ(told.vtep(), "172.16.0.2") << "another host has it";
    EXPECT_EQ(claims.expire(1000), std::nullopt);
    claims.withdraw(kPlace, kB, 2000);
    claims.set(kPlace, kB, {1, 1, {}});
    claims.expire(3000);
    told.take(claims);
    EXPECT_EQ(told.vtep(), "172.16.0.2") << "it came back";
    EXPECT_EQ(told.changes, 2u);
}

TEST(FleetClaims, AnOwnMacIsNowhereElse) {
    Claims claims;
    Told told;
    claims.set(kPlace, kA, {1, 1, {}});
    claims.set_own({kPlace});
    told.take(claims);
    EXPECT_EQ(told.changes, 0u);
    claims.set_own({});
    told.take(claims);
    EXPECT_EQ(told.vtep(), "172.16.0.1");
    claims.set_own({kPlace});
    told.take(claims);
    EXPECT_EQ(told.vtep(), "none");
}

TEST(FleetClaims, RestoredOnesAreConfirmedWithoutAChange) {
    Claims claims;
    Told told;
    claims.restore({kPlace.segment, kPlace.mac, {*parse_ip("10.0.0.1")}, kA.vtep});
    told.take(claims);
    claims.set(kPlace, kA, {4, 5, {*parse_ip("10.0.0.1")}});
    claims.withdraw_restored(10);
    claims.expire(10);
    told.take(claims);
    EXPECT_EQ(told.changes, 1u);
    EXPECT_EQ(claims.highest(kPlace), 4);
    claims.restore({"dvs0/vni9", kPlace.mac, {}, kA.vtep});
    claims.withdraw_restored(20);
    claims.expire(20);
    told.take(claims);
    EXPECT_EQ(told.bindings.size(), 1u);
}

TEST(FleetClaims, AreBoundedAMac) {
    Claims claims;
    for (std::size_t i = 0; i < kFleetClaimMax + 3; ++i) {
        claims.set(kPlace, {"h" + std::to_string(i), kA.vtep},
                   {static_cast<std::int64_t>(i), 0, {}});
    }
    EXPECT_EQ(claims.hosts(kPlace).size(), kFleetClaimMax);
    EXPECT_EQ(claims.hosts(kPlace).front(), "h" + std::to_string(kFleetClaimMax + 2));
    EXPECT_EQ(claims.left_out(), 3u);
}

/// The rule, written once more.
class Model {
public:
    struct One {
        Claim claim;
        bool stands = true;
        std::int64_t deadline = 0;
    };
    std::map<SegmentMac, std::map<Claimant, One>> places;
    std::set<SegmentMac> own;

    [[nodiscard]] std::map<SegmentMac, FleetBinding> bindings() const {
        std::map<SegmentMac, FleetBinding> out;
        for (const auto& [place, claims] : places) {
            if (own.contains(place) || claims.empty()) { continue; }
            const auto best =
                std::min_element(claims.begin(), claims.end(), [](const auto& a, const auto& b) {
                    const auto key = [](const auto& each) {
                        return std::tuple(!each.second.stands, -each.second.claim.sequence,
                                          -each.second.claim.at_ms, each.first);
                    };
                    return key(a) < key(b);
                });
            out[place] = {place.segment, place.mac, best->second.claim.ips, best->first.vtep};
        }
        return out;
    }
    void expire(std::int64_t now) {
        for (auto& [place, claims] : places) {
            std::erase_if(claims, [&](const auto& each) {
                return !each.second.stands && each.second.deadline <= now;
            });
        }
    }
};

TEST(FleetClaims, AgreeWithAPlainModel) {
    for (std::uint32_t seed = 1; seed <= 20; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const auto pick = [&](std::uint32_t count) {
            return static_cast<std::uint32_t>(random() % count);
        };
        Claims claims;
        Model model;
        Told told;
        std::int64_t now = 1;
        for (int step = 0; step < 2000; ++step) {
            SegmentMac place{"dvs0/vni" + std::to_string(1 + pick(3)), {}};
            place.mac.bytes = {2, 0, 0, 0, 0, static_cast<std::uint8_t>(pick(4))};
            const std::string host(1, static_cast<char>('a' + pick(5)));
            const Claimant who{host, IpAddr::v4(0xac100000U + static_cast<unsigned char>(host[0]))};
            switch (pick(5)) {
                case 0:
                case 1: {
                    const Claim claim{pick(4), pick(4), {IpAddr::v4(0x0a000000U + pick(3))}};
                    claims.set(place, who, claim);
                    model.places[place][who] = {claim, true, 0};
                    break;
                }
                case 2:
                    claims.withdraw(place, who, now + 20);
                    if (model.places[place].contains(who)) {
                        Model::One& one = model.places[place][who];
                        one.stands = false;
                        one.deadline = now + 20;
                    }
                    break;
                case 3: {
                    std::set<SegmentMac> own;
                    if (pick(2) == 0) { own.insert(place); }
                    model.own = own;
                    claims.set_own(std::move(own));
                    break;
                }
                default:
                    now += pick(10);
                    claims.expire(now);
                    model.expire(now);
                    break;
            }
            if (pick(3) == 0) {
                told.take(claims);
                ASSERT_EQ(told.bindings, model.bindings()) << "step " << step;
            }
        }
    }
}

}  // namespace
}  // namespace sluice::fleet
