// SPDX-License-Identifier: Apache-2.0
// What comes out of a service's legs: what belongs to a connection that it inspects goes on, by the
// right leg only; what it made up, or whose header it rewrote, is the leg's own.
#include "tests/packet/redirect_rig.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using nlohmann::json;
using enum TcpTalk::Side;

class RedirectReturn : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] static PipelineOptions options() { return {.flow_cache = GetParam()}; }
    [[nodiscard]] static json document(const TestService& service) {
        return with_chain(two_vms(), {service}, service_rule(service));
    }
    [[nodiscard]] static std::uint16_t vid(Pipeline& p) {
        return p.dataplane().snapshot().domains[0].service_vid;
    }
};
INSTANTIATE_TEST_SUITE_P(, RedirectReturn, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "Cached" : "Walked"; });

const TestService kIds{};

TEST_P(RedirectReturn, ByTheWrongLegItIsDropped) {
    Pipeline p(document(kIds), options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", frame).step();
    const Frames handed = at_leg(p, "ids-in");
    ASSERT_EQ(handed.size(), 1U);
    for (int i = 0; i < 2; ++i) { p.send("ids-in", handed[0]).step(); }
    EXPECT_EQ(p.drops("ids-in", DropReason::kServiceReturn), 2U);
    EXPECT_EQ(p.sent("vm2"), Frames{});
    p.send("ids-out", handed[0]).step();
    EXPECT_EQ(p.sent("vm2"), Frames{frame});
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectReturn, WhatItMadeUpIsJudgedByTheLegsRules) {
    json with_rules = document(kIds);
    with_rules["acls"] = json_of(R"([{"name": "legs", "applied_to": ["ids-out"], "rules": [
        {"name": "no", "action": "deny", "services": ["udp/99"]}]}])");
    Pipeline p(with_rules, options());
    const Bytes fine = udp(v4(kVm1, kVm2), 5, 98);
    const Bytes refused = udp(v4(kVm1, kVm2), 5, 99);
    p.send("ids-out", tagged(fine, vid(p))).send("ids-out", tagged(refused, vid(p))).step();
    EXPECT_EQ(p.sent("vm2"), Frames{fine});
    EXPECT_EQ(p.drops("ids-out", DropReason::kAclDeny), 1U);
    EXPECT_EQ(at_leg(p, "ids-in"), Frames{});  // It does not inspect itself.
    EXPECT_EQ(at_leg(p, "ids-out"), Frames{});
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectReturn, ARewrittenHeaderMakesItTheLegsOwn) {
    json with_rules = document(kIds);
    with_rules["acls"] = json_of(R"([{"name": "legs", "applied_to": ["ids-out"], "rules": [
        {"name": "no", "action": "deny", "services": ["udp/99"]}]}])");
    Pipeline p(with_rules, options());
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).step();
    ASSERT_EQ(at_leg(p, "ids-in").size(), 1U);
    const Bytes other = udp(v4(kVm1, kVm2), 1000, 54);
    p.send("ids-out", tagged(other, vid(p))).step();
    EXPECT_EQ(p.sent("vm2"), Frames{other});
    p.send("ids-out", tagged(udp(v4(kVm1, kVm2), 1000, 99), vid(p))).step();
    EXPECT_EQ(p.drops("ids-out", DropReason::kAclDeny), 1U);
    // To another port than its connection goes to.
    p.send("ids-out", tagged(udp(Path{kVm1.mac, kVm3.mac, kVm1.ip4, kVm2.ip4}, 1000, 53), vid(p)))
        .step();
    EXPECT_EQ(p.drops("ids-out", DropReason::kUnknownUnicast), 1U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectReturn, AServiceMayResetWhatItInspects) {
    Pipeline p(document(kIds), options());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn());
    run(p, {kIds});
    const Bytes reset = talk.reset(kServer);
    p.send("ids-in", tagged(reset, vid(p))).step();  // In the server's name.
    EXPECT_EQ(p.sent("vm1"), Frames{reset});
    EXPECT_EQ(p.drops(), 0U);
}

TEST_P(RedirectReturn, ConversationsOfTheServiceItselfGoNowhere) {
    Pipeline p(document(kIds), options());
    const Bytes question = arp(kVm3.mac, kBroadcast, {1, kVm3.mac, kVm3.ip4, MacAddr{}, kVm1.ip4});
    p.send("ids-out", tagged(question, vid(p))).send("ids-in", question).step();
    EXPECT_EQ(p.drops("ids-out", DropReason::kServiceReturn), 1U);
    EXPECT_EQ(p.drops("ids-in", DropReason::kVlanNotAllowed), 1U);
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectReturn, NothingIsSwitchedOrFloodedToALeg) {
    json all = document(kIds);
    all["port_groups"][0]["mac_learning"] = {{"enabled", true}, {"unknown_unicast_flood", true}};
    Pipeline p(all, options());
    p.send("ids-out", tagged(udp(v4(kVm3, kVm1), 1, 2), vid(p))).step();  // Teaches nothing.
    (void)p.sent("vm1");
    (void)p.sent("vm2");
    p.send("vm1", udp(v4(kVm1, kVm3), 5, 6));
    EXPECT_EQ(run(p, {kIds}), 1U);
    EXPECT_EQ(p.sent("vm2").size(), 1U);  // Flooded, behind the service.
    p.send("vm1", ethernet(kVm1.mac, kBroadcast, 0x88b6, Bytes(46))).step();
    EXPECT_EQ(at_leg(p, "ids-in"), Frames{});
    EXPECT_EQ(at_leg(p, "ids-out"), Frames{});
    EXPECT_EQ(p.sent("vm2").size(), 1U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectReturn, WhatWasInsideDuringAFlushOutsmartsNobody) {
    Pipeline p(document(kIds), options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", frame).step();
    const Frames inside = at_leg(p, "ids-in");
    ASSERT_EQ(inside.size(), 1U);
    p.flush_connections();
    p.send("ids-out", inside[0]).step();
    EXPECT_EQ(p.sent("vm2"), Frames{frame});
    for (int i = 0; i < 3; ++i) {
        p.send("vm1", frame).step();
        EXPECT_EQ(at_leg(p, "ids-in").size(), 1U);
    }
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectReturn, TheFirewallsNewWordIsHeardBehindTheService) {
    json all = document(kIds);
    Pipeline p(all, options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", frame);
    run(p, {kIds});
    p.send("vm1", frame).step();
    const Frames inside = at_leg(p, "ids-in");
    all["dfw"] = json_of(R"({"sections": [{"name": "s", "rules": [
        {"name": "no", "action": "drop", "applied_to": ["vm2"]}]}]})");
    p.apply(all);
    (void)p.sent("vm2");
    p.send("ids-out", inside.at(0)).step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("ids-out", DropReason::kDfwDeny), 1U);
    p.send("vm1", frame).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kDfwDeny), 1U);
    EXPECT_EQ(at_leg(p, "ids-in"), Frames{});
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
