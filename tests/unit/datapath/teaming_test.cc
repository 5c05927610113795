// SPDX-License-Identifier: Apache-2.0
// Teaming: which uplink a vNIC's frames leave by, and who moves when one fails.
#include "datapath/teaming.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

namespace sluice::datapath {
namespace {

constexpr PortIndex kUp0{1000}, kUp1{1001}, kUp2{1002}, kUp3{1003};
constexpr std::uint16_t kVnics = 900;

class Teaming : public testing::Test {
protected:
    [[nodiscard]] PortIndex way(std::uint16_t vnic) const {
        return choose_uplink(*reach, team, PortIndex{vnic}, key);
    }
    /// Uplink by vNIC.
    [[nodiscard]] std::map<std::uint16_t, std::uint16_t> all() const {
        std::map<std::uint16_t, std::uint16_t> ways;
        for (std::uint16_t vnic = 0; vnic < kVnics; ++vnic) { ways[vnic] = way(vnic).value; }
        return ways;
    }
    static std::map<std::uint16_t, int> counted(
        const std::map<std::uint16_t, std::uint16_t>& ways) {
        std::map<std::uint16_t, int> counts;
        for (const auto& [vnic, uplink] : ways) { ++counts[uplink]; }
        return counts;
    }

    std::unique_ptr<Reach> reach = std::make_unique<Reach>();
    Team team{model::TeamingPolicy::kPortId, false, {kUp0, kUp1, kUp2}, {}};
    FlowKey key;
};

TEST_F(Teaming, SharesVnicsOut) {
    for (const auto& [uplink, count] : counted(all())) {
        EXPECT_GT(count, kVnics / 3 * 8 / 10) << uplink;
        EXPECT_LT(count, kVnics / 3 * 12 / 10) << uplink;
    }
    EXPECT_EQ(counted(all()).size(), 3u);
}

TEST_F(Teaming, OnlyVnicsOfAFailedUplinkMoveAndTheyComeBack) {
    const auto before = all();
    reach->set(kUp1, false);
    const auto after = all();
    for (const auto& [vnic, uplink] : before) {
        if (uplink == kUp1.value) {
            EXPECT_NE(after.at(vnic), kUp1.value);
        } else {
            EXPECT_EQ(after.at(vnic), uplink);
        }
    }
    EXPECT_EQ(counted(after).size(), 2u) << "both that are left take some";
    reach->set(kUp1, true);
    EXPECT_EQ(all(), before);
}

TEST_F(Teaming, ANewUplinkTakesItsShareAndMovesNobodyElse) {
    const auto before = all();
    team.active.push_back(kUp3);
    int moved = 0;
    for (const auto& [vnic, uplink] : all()) {
        if (uplink == before.at(vnic)) { continue; }
        EXPECT_EQ(uplink, kUp3.value);
        ++moved;
    }
    EXPECT_GT(moved, kVnics / 4 * 8 / 10);
    EXPECT_LT(moved, kVnics / 4 * 12 / 10);
}

TEST_F(Teaming, StandbysStandInInOrder) {
    team.active = {kUp0, kUp1};
    team.standby = {kUp2, kUp3};
    const auto before = all();
    EXPECT_EQ(counted(before).size(), 2u) << "no standby is used while nothing fails";
    reach->set(kUp1, false);
    for (const auto& [vnic, uplink] : all()) {
        EXPECT_EQ(uplink, before.at(vnic) == kUp1.value ? kUp2.value : kUp0.value);
    }
    reach->set(kUp0, false);
    EXPECT_EQ(counted(all()).count(kUp2.value) + counted(all()).count(kUp3.value), 2u);
    reach->set(kUp2, false);
    EXPECT_EQ(counted(all()).at(kUp3.value), kVnics) << "one is left for all";
    reach->set(kUp3, false);
    EXPECT_EQ(way(1), kNoPort);
}

TEST_F(Teaming, ExplicitTakesTheFirstThatWorks) {
    team = {model::TeamingPolicy::kExplicit, false, {kUp2, kUp0}, {kUp1}};
    EXPECT_EQ(way(7), kUp2);
    reach->set(kUp2, false);
    EXPECT_EQ(way(7), kUp0);
    reach->set(kUp0, false);
    EXPECT_EQ(way(7), kUp1);
    reach->set(kUp2, true);
    EXPECT_EQ(way(7), kUp2);
}

TEST_F(Teaming, SourceMacGoesByTheFrame) {
    team.policy = model::TeamingPolicy::kSourceMac;
    std::map<std::uint16_t, int> counts;
    for (std::uint8_t last = 0; last < 200; ++last) {
        key.source_mac = MacAddr{{2, 0, 0, 0, 0, last}};
        EXPECT_EQ(way(1), way(2)) << "whoever sends it";
        ++counts[way(1).value];
    }
    EXPECT_EQ(counts.size(), 3u);
}

TEST_F(Teaming, IpHashIsTheSameBothWaysAndDiffersByFlow) {
    team.policy = model::TeamingPolicy::kIpHash;
    std::map<std::uint16_t, int> counts;
    for (std::uint16_t port = 1000; port < 1300; ++port) {
        FlowKey there;
        there.flags = kKeyIpv4 | kKeyPorts;
        there.source_ip[15] = 1;
        there.destination_ip[15] = 2;
        there.source_port = Be16::from_host(port);
        there.destination_port = Be16::from_host(80);
        FlowKey back = there;
        std::swap(back.source_ip, back.destination_ip);
        std::swap(back.source_port, back.destination_port);
        const PortIndex uplink = choose_uplink(*reach, team, PortIndex{1}, there);
        EXPECT_EQ(uplink, choose_uplink(*reach, team, PortIndex{2}, back));
        ++counts[uplink.value];
    }
    for (const auto& [uplink, count] : counts) { EXPECT_GT(count, 60) << uplink; }
    EXPECT_EQ(counts.size(), 3u);
}

TEST_F(Teaming, LoadPrefersWhatControlSaysWhileThatWorks) {
    team.policy = model::TeamingPolicy::kLoad;
    const PortIndex home = way(5);
    const PortIndex other = home == kUp0 ? kUp1 : kUp0;
    EXPECT_TRUE(reach->prefer(PortIndex{5}, other));
    EXPECT_FALSE(reach->prefer(PortIndex{5}, other)) << "no news";
    EXPECT_EQ(way(5), other);
    reach->set(other, false);
    EXPECT_NE(way(5), other);
    EXPECT_NE(way(5), kNoPort);
    reach->set(other, true);
    EXPECT_EQ(way(5), other);
    team.policy = model::TeamingPolicy::kPortId;
    EXPECT_EQ(way(5), home) << "others don't look at it";
}

TEST_F(Teaming, TheRoutersMacLeavesByOneUplink) {
    Snapshot snapshot;
    snapshot.teams.push_back(team);
    snapshot.routers.emplace_back();
    snapshot.routers[0].pmac = MacAddr{{2, 0, 0, 0, 9, 9}};
    snapshot.domains.emplace_back();
    snapshot.domains[0].team = 0;
    snapshot.domains[0].router = 0;
    const auto way_of = [&](std::uint16_t vnic) {
        return find_way_out(snapshot, *reach, 0, PortIndex{vnic}, key);
    };
    key.source_mac = snapshot.routers[0].pmac;
    std::map<std::uint16_t, int> counts;
    for (std::uint16_t vnic = 0; vnic < 50; ++vnic) { ++counts[way_of(vnic).value]; }
    EXPECT_EQ(counts.size(), 1u);
    key.source_mac = MacAddr{{2, 0, 0, 0, 0, 1}};
    for (std::uint16_t vnic = 0; vnic < 50; ++vnic) { ++counts[way_of(vnic).value]; }
    EXPECT_EQ(counts.size(), 3u) << "what vNICs send leaves by theirs";
}

}  // namespace
}  // namespace sluice::datapath
