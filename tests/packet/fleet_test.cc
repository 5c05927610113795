// SPDX-License-Identifier: Apache-2.0
// What a controller tells of MACs and addresses on other hosts: where frames go by it, what is
// answered and routed by it, and what counts before and behind it. Each fact with cached programs
// and without.
#include "datapath/trace.h"
#include "tests/packet/fleet_rig.h"
#include "tests/packet/router_rig.h"
#include "tests/packet/tunnel_rig.h"

namespace sluice::test {
namespace {

const std::string kLan = "dvs0/vni5001";
const std::string kTepB = "172.16.0.2", kTepC = "172.16.0.3";

RigOptions two_remotes(bool is_cached, unsigned worker_count = 1) {
    RigOptions options;
    options.remotes = {kTepB, kTepC};
    options.pipeline.flow_cache = is_cached;
    options.pipeline.worker_count = worker_count;
    return options;
}

class FleetTable : public testing::TestWithParam<bool> {
protected:
    void SetUp() override { rig.resolve_all(); }
    void TearDown() override { EXPECT_TRUE(p.packets_conserved()); }
    /// Where tunnels took what vm1 sends.
    std::vector<IpAddr> ways_of(const Bytes& sent) {
        p.send("vm1", sent).step();
        std::vector<IpAddr> ways;
        for (const Unwrapped& each : rig.tunnelled()) {
            EXPECT_EQ(each.inner, sent);
            ways.push_back(each.outer.destination);
        }
        return ways;
    }
    /// Questions of vm1 are answered by the switch, if it can.
    void suppress() {
        auto next = std::make_unique<datapath::Snapshot>(p.dataplane().snapshot());
        ++next->generation;
        next->ports[p.index_of("vm1").value]->arp_suppression = true;
        static_cast<void>(p.dataplane().publish(std::move(next)));
        p.step();
        p.dataplane().reclaim();
        controller.on_snapshot();
    }
    using Ways = std::vector<IpAddr>;
    TunnelRig rig{two_remotes(GetParam())};
    Pipeline& p = rig.pipeline();
    Controller controller{p};
    const Bytes frame = udp(v4(kVm1, kFar), 1000, 53);
    const Ways first{ip(kTepB)}, second{ip(kTepC)}, both{ip(kTepB), ip(kTepC)};
};
INSTANTIATE_TEST_SUITE_P(, FleetTable, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(FleetTable, AFrameGoesToTheVtepThatTheControllerNames) {
    EXPECT_EQ(ways_of(frame), both) << "unknown: by the replication mode";
    controller.tell(kLan, kFar, kTepB);
    for (int i = 0; i < 3; ++i) { EXPECT_EQ(ways_of(frame), first); }
    EXPECT_EQ(ways_of(udp(v6(kVm1, kFar), 1, 2)), first);
}

TEST_P(FleetTable, AMoveRepointsTheNextPacketOfAFlow) {
    controller.tell(kLan, kFar, kTepB);
    for (int i = 0; i < 3; ++i) { EXPECT_EQ(ways_of(frame), first); }
    controller.tell(kLan, kFar, kTepC);
    for (int i = 0; i < 3; ++i) { EXPECT_EQ(ways_of(frame), second); }
    EXPECT_EQ(p.drops(), 0u);
}

TEST_P(FleetTable, WhatIsTakenBackFloodsAgain) {
    controller.tell(kLan, kFar, kTepB);
    EXPECT_EQ(ways_of(frame), first);
    controller.take_back(kLan, kFar);
    EXPECT_EQ(ways_of(frame), both);
    EXPECT_EQ(p.dataplane().fleet().size(), 0u);
}

TEST_P(FleetTable, NothingAgesAndFlowsOfOthersKeepTheirPrograms) {
    controller.tell(kLan, kFar, kTepB);
    EXPECT_EQ(ways_of(frame), first);
    p.send("vm1", udp(v4(kVm1, kVm2), 1, 2)).step();
    const Vnic other{mac("02:00:00:00:0f:02"), ip("10.0.0.201"), ip("2001:db8::f2")};
    controller.tell(kLan, other, kTepC);
    p.advance(100000 * kSecond).step();
    rig.resolve_all();  // The underlay's own next hop does age.
    EXPECT_EQ(ways_of(frame), first);
    p.send("vm1", udp(v4(kVm1, kVm2), 1, 2)).step();
    EXPECT_EQ(p.sent("vm2").size(), 2u);
}

TEST_P(FleetTable, ItCountsBeforeWhatFramesTeachWhichServesBehindIt) {
    controller.tell(kLan, kFar, kTepB);
    rig.receive(udp(v4(kFar, kVm1), 9, 9), 1);
    EXPECT_EQ(p.sent("vm1").size(), 1u) << "it is not kept out, either";
    EXPECT_EQ(ways_of(frame), first);
    controller.take_back(kLan, kFar);
    EXPECT_EQ(ways_of(frame), second);
}

TEST_P(FleetTable, AVtepThatCannotBeReachedIsNone) {
    controller.tell(kLan, kFar, kTepB);
    EXPECT_EQ(ways_of(frame), first);
    rig.set_works(0, false);
    p.dataplane().note_fleet_change();
    EXPECT_EQ(ways_of(frame), second) << "flooded to those that work";
    rig.set_works(0, true);
    p.dataplane().note_fleet_change();
    EXPECT_EQ(ways_of(frame), first);
}

TEST_P(FleetTable, AMacOfThisHostIsHere) {
    controller.tell(kLan, kVm2, kTepB);
    const Bytes to_vm2 = udp(v4(kVm1, kVm2), 1, 2);
    EXPECT_EQ(ways_of(to_vm2), Ways{});
    EXPECT_EQ(p.sent("vm2"), Frames{to_vm2});
    rig.receive(udp(v4(kVm2, kVm1), 1, 2), 0);
    EXPECT_EQ(rig.drops(DropReason::kTunnelSpoofedMac), 1u);
}

TEST_P(FleetTable, QuestionsAreAnsweredInPlace) {
    suppress();
    controller.tell(kLan, kFar, kTepB);
    p.send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kFar.ip4})).step();
    Bytes answer = arp(kFar.mac, kVm1.mac, {2, kFar.mac, kFar.ip4, kVm1.mac, kVm1.ip4});
    answer.resize(60);
    EXPECT_EQ(p.sent("vm1"), Frames{answer});
    const Path solicited{kVm1.mac, mac("33:33:ff:00:00:f1"), kVm1.ip6, ip("ff02::1:ff00:f1")};
    p.send("vm1", neighbour(solicited, 135, kFar.ip6)).step();
    EXPECT_EQ(p.sent("vm1"),
              Frames{neighbour({kFar.mac, kVm1.mac, kFar.ip6, kVm1.ip6}, 136, kFar.ip6)});
    EXPECT_TRUE(rig.cable().empty());
    EXPECT_TRUE(p.sent("vm2").empty());
    controller.take_back(kLan, kFar);
    p.send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kFar.ip4})).step();
    EXPECT_EQ(rig.cable().size(), 2u);
}

TEST_P(FleetTable, AnAddressWhoseMacIsHereIsNotAnsweredByIt) {
    suppress();
    const Vnic late{kVm2.mac, ip("10.0.0.77"), ip("2001:db8::77")};
    controller.tell(kLan, late, kTepB);
    p.send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, late.ip4})).step();
    EXPECT_TRUE(p.sent("vm1").empty());
    EXPECT_EQ(p.sent("vm2").size(), 1u) << "it answers for itself";
}

TEST_P(FleetTable, TheTraceSaysWhoKnewIt) {
    controller.tell(kLan, kFar, kTepB);
    datapath::TraceCommand command(p.index_of("vm1"), frame);
    p.run(0, command);
    const auto& steps = command.trace.steps;
    const auto found =
        std::find_if(steps.begin(), steps.begin() + command.trace.count,
                     [](const auto& step) { return step.what == datapath::TraceWhat::kFound; });
    ASSERT_NE(found, steps.begin() + command.trace.count);
    EXPECT_TRUE(found->is_told && !found->is_static);
    EXPECT_EQ(found->argument, 1u);
}

/// red and blue with an uplink, joined by a router; kStranger is in blue beyond the uplink.
class FleetRouter : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] static nlohmann::json document() {
        nlohmann::json document = two_networks();
        document["uplinks"] = json_of(R"([{"name": "up", "device": "net_null0"}])");
        document["switches"][0]["uplinks"] = {"up"};
        return document;
    }
    Pipeline p{document(), PipelineOptions{.flow_cache = GetParam()}};
    Controller controller{p};
    const Bytes frame = udp(to_router(kVm1, kStranger, false), 1000, 53);
    const Frames there{
        tagged(routed(frame, {pmac_of(p), kStranger.mac, kVm1.ip4, kStranger.ip4}), 20)};
    const std::string blue = "dvs0/vlan20";
};
INSTANTIATE_TEST_SUITE_P(, FleetRouter, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(FleetRouter, ResolvesItsNextHopsWithoutAQuestion) {
    controller.tell(blue, kStranger, "");
    for (int i = 0; i < 2; ++i) {
        p.send("vm1", frame).step();
        EXPECT_EQ(p.sent("up"), there);
    }
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(FleetRouter, WhatWaitsForAnAnswerGoesOnWhenTheControllerKnows) {
    p.send("vm1", frame).step();
    EXPECT_EQ(p.books().held, 1u);
    static_cast<void>(p.sent("up"));
    controller.tell(blue, kStranger, "");
    p.step();
    EXPECT_EQ(p.sent("up"), there);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(FleetRouter, AnAddressOfTheDocumentIsNobodysElse) {
    nlohmann::json learning = document();
    for (nlohmann::json& group : learning["port_groups"]) {
        group["mac_learning"] = {{"enabled", true}};  // Behind vm4 there may be other MACs.
    }
    p.apply(learning);
    controller.on_snapshot();
    Vnic claimant = kStranger;
    claimant.ip4 = kVm4.ip4;
    controller.tell(blue, claimant, "");
    p.send("vm1", udp(to_router(kVm1, kVm4, false), 1000, 53)).step();
    EXPECT_EQ(p.books().held, 1u) << "it waits for vm4's answer";
}

TEST_P(FleetRouter, AnotherMacOfTheAddressIsTakenByTheNextPacket) {
    controller.tell(blue, kStranger, "");
    p.send("vm1", frame).step();
    EXPECT_EQ(p.sent("up"), there);
    Vnic successor = kStranger;
    successor.mac = mac("02:00:00:00:0f:09");
    controller.tell(blue, successor, "");
    p.send("vm1", frame).step();
    const Path next{pmac_of(p), successor.mac, kVm1.ip4, kStranger.ip4};
    EXPECT_EQ(p.sent("up"), Frames{tagged(routed(frame, next), 20)});
    controller.take_back(blue, successor);
    p.send("vm1", frame).step();
    EXPECT_EQ(p.sent("up"), there) << "who had it before has it again";
}

}  // namespace
}  // namespace sluice::test
