// SPDX-License-Identifier: Apache-2.0
// What slot 0 does packet by packet: TCP flags, DSCP marks, counters of rules that end and of rules
// that go on. With and without the flow cache.
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using enum TcpTalk::Side;
using Frames = std::vector<Bytes>;

nlohmann::json with_rules(std::string_view rules, const std::string& port = "vm1") {
    nlohmann::json document = two_vms();
    document["acls"] = nlohmann::json::array(
        {{{"name", "acl1"}, {"applied_to", {port}}, {"rules", json_of(rules)}}});
    return document;
}

Bytes marked(const Bytes& frame, std::uint8_t dscp) { return with_dscp(frame, dscp); }

/// With the flow cache (true) and without.
class AclSteps : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] PipelineOptions options() const {
        PipelineOptions options;
        options.flow_cache = GetParam();
        return options;
    }
};

INSTANTIATE_TEST_SUITE_P(Cached, AclSteps, testing::Bool());

TEST_P(AclSteps, JudgesEachPacketOfAFlowByItsTcpFlags) {
    Pipeline p(with_rules(R"([{"name": "no", "action": "deny", "tcp_flags": "psh"}])"), options());
    TcpTalk talk(v4(kVm1, kVm2));
    const Frames client{talk.syn()}, server{talk.syn_ack()};
    p.send("vm1", client[0]).step().send("vm2", server[0]).step();
    const Bytes ack = talk.ack(kClient), pushed = talk.data(kClient), bare = talk.ack(kClient);
    p.send("vm1", ack).step().send("vm1", pushed).step().send("vm1", ack).step();
    EXPECT_EQ(p.sent("vm2"), (Frames{client[0], ack, ack}));
    EXPECT_EQ(p.drops("vm1", DropReason::kAclDeny), 1u);
    p.send("vm2", talk.data(kServer)).step();
    EXPECT_EQ(p.sent("vm1"), server) << "both directions";
    EXPECT_EQ(p.drops("vm2", DropReason::kAclDeny), 1u);
    EXPECT_EQ(p.slot("vm1", kSlotDvfilter, Direction::kFromVm), (SlotFigures{4, 1}));
    EXPECT_EQ(p.slot("vm1", kSlotDvfilter, Direction::kToVm), (SlotFigures{2, 1}));
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{3, 0}))
        << "what slot 0 drops never comes to slot 2";
    EXPECT_EQ(p.rule("acl acl1", "no"), (RuleFigures{2, 2, 2 * pushed.size()}));
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(AclSteps, ADeniedSynOpensNothing) {
    Pipeline p(
        with_rules(
            R"([{"name": "no", "action": "deny", "direction": "in", "tcp_flags": "syn,!ack"}])"),
        options());
    TcpTalk inwards(v4(kVm2, kVm1)), outwards(v4(kVm1, kVm2), 40001);
    p.send("vm2", inwards.syn()).step().send("vm1", outwards.syn()).step();
    p.send("vm2", outwards.syn_ack()).step().send("vm2", inwards.syn()).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u) << "the answer to its own SYN";
    EXPECT_EQ(p.connections().size(), 1u);
    EXPECT_EQ(p.drops("vm2", DropReason::kAclDeny), 2u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(AclSteps, AFirstPacketThatIsDeniedSaysNothingOnTheNext) {
    Pipeline p(with_rules(R"([{"name": "no", "action": "deny", "tcp_flags": "urg"}])"), options());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", tcp(v4(kVm1, kVm2), 40000, 80, {.flags = kTcpSyn | kTcpUrg})).step();
    EXPECT_EQ(p.connections().size(), 0u);
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    EXPECT_EQ(p.connections().size(), 1u);
}

TEST_P(AclSteps, AFlagsRuleIsForTcpAlone) {
    Pipeline p(with_rules(R"([{"name": "no", "action": "deny", "tcp_flags": "!syn"}])"), options());
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).send("vm1", ping(v6(kVm1, kVm2))).step();
    EXPECT_EQ(p.sent("vm2").size(), 2u);
}

TEST_P(AclSteps, LaterFragmentsHaveTheFlagsOfTheirHead) {
    Pipeline p(with_rules(R"([{"name": "no", "action": "deny", "tcp_flags": "psh"}])"), options());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    for (const Bytes& piece : fragments(talk.data(kClient, 400), 200, 1)) { p.send("vm1", piece); }
    p.step();
    EXPECT_EQ(p.sent("vm2").size(), 1u) << "the SYN alone";
    EXPECT_EQ(p.drops("vm1", DropReason::kAclDeny), 1u) << "the head";
    EXPECT_EQ(p.drops("vm1", DropReason::kFragmentNoHead), 2u) << "what follows a refused head";
}

TEST_P(AclSteps, MarksWithoutTouchingEcnAndMendsTheChecksum) {
    Pipeline p(with_rules(R"([{"name": "ef", "direction": "out", "set_dscp": 46}])"), options());
    Bytes plain = udp(v4(kVm1, kVm2), 1000, 53), six = udp(v6(kVm1, kVm2), 1000, 53);
    plain[15] |= 1;  // ECT(1); parse verifies the header's checksum:
    plain[24] = plain[25] = 0;
    std::uint32_t sum = 0;
    for (std::size_t i = 14; i < 34; i += 2) { sum += plain[i] << 8U | plain[i + 1]; }
    sum = ~((sum & 0xffffU) + (sum >> 16U));
    plain[24] = static_cast<std::uint8_t>(sum >> 8U);
    plain[25] = static_cast<std::uint8_t>(sum);
    p.send("vm1", plain).send("vm1", plain).send("vm1", six).step();
    const Frames got = p.sent("vm2");
    ASSERT_EQ(got.size(), 3u);
    EXPECT_EQ(got[0], got[1]);
    EXPECT_EQ(got[0][15], 46 << 2 | 1);
    sum = 0;
    for (std::size_t i = 14; i < 34; i += 2) { sum += got[0][i] << 8U | got[0][i + 1]; }
    EXPECT_EQ((sum & 0xffffU) + (sum >> 16U), 0xffffU);
    EXPECT_EQ(got[2], marked(six, 46));
    p.send("vm2", plain).step();
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(AclSteps, LaterRulesSeeTheDscpThatTheFrameCameWith) {
    nlohmann::json document = with_rules(R"([{"name": "m", "direction": "out", "set_dscp": 46}])");
    document["acls"].push_back({{"name", "acl2"}, {"applied_to", {"vm2"}}, {"rules", json_of(R"([
        {"name": "marked", "action": "deny", "direction": "in", "dscp": 46},
        {"name": "low", "direction": "in", "dscp": 0, "set_dscp": 8}])")}});
    Pipeline p(document, options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53), ten = marked(frame, 10);
    p.send("vm1", frame).send("vm1", ten).step();
    EXPECT_EQ(p.sent("vm2"), (Frames{marked(frame, 8), marked(frame, 46)}))
        << "the destination's mark wins";
}

TEST_P(AclSteps, CopiesBearTheSourcesMarkOrTheirReceivers) {
    nlohmann::json document = three_vms();
    document["acls"] = json_of(R"([
        {"name": "a", "applied_to": ["vm1"], "rules": [{"name": "m", "direction": "out", "set_dscp": 46}]},
        {"name": "b", "applied_to": ["vm3"], "rules": [{"name": "m", "direction": "in", "set_dscp": 8}]}])");
    Pipeline p(document, options());
    Path path = v4(kVm1, kVm2);
    path.destination_mac = kBroadcast;
    path.destination = ip("255.255.255.255");
    const Bytes frame = udp(path, 1000, 2000);
    p.send("vm1", frame).send("vm1", frame).step();
    EXPECT_EQ(p.sent("vm2"), (Frames{marked(frame, 46), marked(frame, 46)}));
    EXPECT_EQ(p.sent("vm3"), (Frames{marked(frame, 8), marked(frame, 8)}));
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(AclSteps, AFlagsRuleMarksThePacketsThatItMatches) {
    Pipeline p(with_rules(R"([{"name": "m", "tcp_flags": "psh", "set_dscp": 10}])"), options());
    TcpTalk talk(v4(kVm1, kVm2));
    const Bytes syn = talk.syn(), syn_ack = talk.syn_ack(), data = talk.data(kClient),
                ack = talk.ack(kClient);
    p.send("vm1", syn).step().send("vm2", syn_ack).step();
    p.send("vm1", data).step().send("vm1", ack).step().send("vm1", talk.data(kClient, 0)).step();
    const Frames got = p.sent("vm2");
    ASSERT_EQ(got.size(), 4u);
    EXPECT_EQ(got[0], syn);
    EXPECT_EQ(got[1], marked(data, 10));
    EXPECT_EQ(got[2], ack);
    EXPECT_EQ(got[3][15], 10 << 2);
}

TEST_P(AclSteps, TagsAndMarksTogether) {
    nlohmann::json document = with_rules(R"([{"name": "m", "direction": "out", "set_dscp": 46}])");
    document["port_groups"].push_back(
        json_of(R"({"name": "t", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["10"]}})"));
    document["port_groups"].push_back(
        json_of(R"({"name": "a", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}})"));
    document["ports"][0]["port_group"] = "t";
    document["ports"][1]["port_group"] = "a";
    Pipeline p(document, options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", tagged(frame, 10)).send("vm1", tagged(frame, 10)).step();
    EXPECT_EQ(p.sent("vm2"), (Frames{marked(frame, 46), marked(frame, 46)}));
}

TEST_P(AclSteps, MarksWhatIsInspected) {
    Pipeline p(with_rules(R"([{"name": "m", "direction": "out", "set_dscp": 46}])"), options());
    const Bytes frame = neighbour(v6(kVm1, kVm2), 135, kVm2.ip6);
    p.send("vm1", frame)
        .send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kVm2.ip4}));
    p.step();
    const Frames got = p.sent("vm2");
    ASSERT_EQ(got.size(), 2u);
    EXPECT_EQ(got[0], marked(frame, 46));
    EXPECT_EQ(p.rule("acl acl1", "m").packets, 2u);
}

TEST_P(AclSteps, CountsEachRuleThatMatchedOnce) {
    nlohmann::json document = with_rules(R"([
        {"name": "all", "action": "count"},
        {"name": "dns", "action": "count", "services": ["udp/53"], "set_dscp": 8},
        {"name": "yes", "action": "permit", "services": ["udp/53"]},
        {"name": "no", "action": "deny", "services": ["udp/54"]},
        {"name": "never", "action": "permit", "services": ["udp/53"]}])");
    document["acls"][0]["applied_to"] = {"vm1", "vm2"};
    Pipeline p(document, options());
    const Bytes dns = udp(v4(kVm1, kVm2), 1000, 53), no = udp(v4(kVm1, kVm2), 1000, 54);
    for (int i = 0; i < 3; ++i) { p.send("vm1", dns).step(); }
    p.send("vm1", no).send("vm1", no).step();
    EXPECT_EQ(p.sent("vm2"), (Frames{marked(dns, 8), marked(dns, 8), marked(dns, 8)}));
    EXPECT_EQ(p.rule("acl acl1", "all"), (RuleFigures{5, 5, 3 * dns.size() + 2 * no.size()}));
    EXPECT_EQ(p.rule("acl acl1", "dns"), (RuleFigures{3, 3, 3 * dns.size()}));
    EXPECT_EQ(p.rule("acl acl1", "yes"), (RuleFigures{3, 3, 3 * dns.size()}));
    EXPECT_EQ(p.rule("acl acl1", "no"), (RuleFigures{2, 2, 2 * no.size()}));
    EXPECT_EQ(p.rule("acl acl1", "never"), (RuleFigures{0, 0, 0}));
}

TEST_P(AclSteps, CreditsTheRulesThatJudgedThePackets) {
    const char* rules = R"([{"name": "old", "action": "permit"}])";
    Pipeline p(with_rules(rules), options());
    const Bytes dns = udp(v4(kVm1, kVm2), 1000, 53);
    for (int i = 0; i < 5; ++i) { p.send("vm1", dns).step(); }
    p.apply(
        with_rules(R"([{"name": "new", "action": "count"}, {"name": "old", "action": "permit"}])"));
    for (int i = 0; i < 2; ++i) { p.send("vm1", dns).step(); }
    EXPECT_EQ(p.rule("acl acl1", "old").packets, 7u);
    EXPECT_EQ(p.rule("acl acl1", "new").packets, 2u) << "not what went before it came";
}

TEST_P(AclSteps, CountsTcpConnectionsWithTheirReplies) {
    Pipeline p(with_rules(R"([{"name": "all", "action": "count"}])"), options());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    p.send("vm1", talk.ack(kClient)).step().send("vm2", talk.data(kServer)).step();
    EXPECT_EQ(p.rule("acl acl1", "all").packets, 4u);
    p.send("vm1", tcp(v4(kVm1, kVm2), 40000, 80, {.sequence = 900'000'000})).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kTcpWindow), 1u) << "the connection step refuses it";
    EXPECT_EQ(p.rule("acl acl1", "all").packets, 5u) << "slot 0 had judged it before";
}

}  // namespace
}  // namespace sluice::test
