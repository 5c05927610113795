// SPDX-License-Identifier: Apache-2.0
// Slot 2 in the pipeline: which rule decides, what a connection lets through, and what a change of
// rules does to one that runs.
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;
using enum TcpTalk::Side;

nlohmann::json with_dfw(std::string_view dfw, nlohmann::json document = two_vms()) {
    document["dfw"] = json_of(dfw);
    return document;
}

/// Default drop, and this one rule.
nlohmann::json only(const std::string& rule, nlohmann::json document = two_vms()) {
    return with_dfw(R"({"default": "drop", "sections": [{"name": "s", "rules": [)" + rule + "]}]}",
                    std::move(document));
}

void establish(Pipeline& p, TcpTalk& talk) {
    p.send("vm1", talk.syn())
        .step()
        .send("vm2", talk.syn_ack())
        .step()
        .send("vm1", talk.ack(kClient))
        .step();
    ASSERT_EQ(p.sent("vm2").size(), 2u);
    ASSERT_EQ(p.sent("vm1").size(), 1u);
}

/// One frame from a vNIC: true if the other one got it.
bool passes(Pipeline& p, const std::string& sender, const Bytes& frame) {
    p.send(sender, frame).step();
    return !p.sent(sender == "vm1" ? "vm2" : "vm1").empty();
}

TEST(FirewallTcp, LetsAConversationThroughOnARuleForItsBeginning) {
    for (const Path& path : {v4(kVm1, kVm2), v6(kVm1, kVm2)}) {
        Pipeline p(only(R"({"name": "web", "services": ["tcp/80"]})"));
        TcpTalk talk(path);
        establish(p, talk);
        EXPECT_TRUE(passes(p, "vm1", talk.data(kClient)));
        EXPECT_TRUE(passes(p, "vm2", talk.data(kServer, 500)));
        EXPECT_TRUE(passes(p, "vm2", talk.fin(kServer)));
        EXPECT_TRUE(passes(p, "vm1", talk.fin(kClient)));
        EXPECT_TRUE(passes(p, "vm2", talk.ack(kServer)));
        ASSERT_EQ(p.connections().size(), 1u);
        EXPECT_EQ(p.connections()[0].state, ConnectionState::kTcpTimeWait);
        EXPECT_EQ(p.drops(), 0u);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(FirewallTcp, DropsWhatNoRuleAllows) {
    Pipeline p(only(R"({"name": "web", "services": ["tcp/80"]})"));
    TcpTalk other(v4(kVm1, kVm2), 40000, 81);
    EXPECT_FALSE(passes(p, "vm1", other.syn()));
    EXPECT_EQ(p.drops("vm1", DropReason::kDfwDeny), 1u);
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST(FirewallTcp, DoesNotBeginInMidStream) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    EXPECT_FALSE(passes(p, "vm1", talk.data(kClient)));
    EXPECT_FALSE(passes(p, "vm2", talk.syn_ack()));
    EXPECT_EQ(p.drops(DropReason::kTcpNoConnection), 2u);
}

TEST(FirewallTcp, BeginsInMidStreamWhereStrictnessIsOff) {
    Pipeline p(with_dfw(
        R"({"sections": [{"name": "s", "tcp_strict": false, "rules": [{"name": "all"}]}]})"));
    TcpTalk talk(v4(kVm1, kVm2));
    EXPECT_TRUE(passes(p, "vm1", talk.data(kClient)));
    EXPECT_TRUE(passes(p, "vm2", talk.data(kServer)));
}

TEST(FirewallTcp, DropsWhatIsOutsideTheWindow) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    establish(p, talk);
    EXPECT_FALSE(passes(
        p, "vm1", tcp(v4(kVm1, kVm2), 40000, 80, {.sequence = 500'000'000, .ack = 2'000'001})));
    EXPECT_EQ(p.drops("vm1", DropReason::kTcpWindow), 1u);
    EXPECT_TRUE(passes(p, "vm1", talk.data(kClient)));
}

TEST(FirewallTcp, AResetEndsTheConversation) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    establish(p, talk);
    EXPECT_TRUE(passes(p, "vm2", talk.reset(kServer)));
    p.advance(12 * kSecond);
    EXPECT_FALSE(passes(p, "vm1", talk.data(kClient)));
    EXPECT_EQ(p.drops("vm1", DropReason::kTcpNoConnection), 1u);
}

TEST(FirewallTcp, AWrongChecksumOpensNothing) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    Bytes syn = talk.syn();
    syn.back() ^= 1U;
    EXPECT_FALSE(passes(p, "vm1", syn));
    EXPECT_EQ(p.drops("vm1", DropReason::kBadL4Checksum), 1u);
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST(FirewallUdp, LetsTheAnswerThroughAndNothingElse) {
    for (const bool is_v6 : {false, true}) {
        const Path out = is_v6 ? v6(kVm1, kVm2) : v4(kVm1, kVm2);
        Pipeline p(only(
            R"({"name": "dns", "direction": "out", "services": ["udp/53"], "applied_to": ["vm1"]},
                           {"name": "in", "direction": "in", "services": ["udp/53"], "applied_to": ["vm2"]})"));
        EXPECT_FALSE(passes(p, "vm2", udp(out.back(), 53, 1000))) << "an answer to no question";
        EXPECT_TRUE(passes(p, "vm1", udp(out, 1000, 53)));
        EXPECT_TRUE(passes(p, "vm2", udp(out.back(), 53, 1000)));
        EXPECT_FALSE(passes(p, "vm2", udp(out.back(), 53, 1001)));
        EXPECT_EQ(p.drops("vm2", DropReason::kDfwDeny), 2u);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(FirewallIcmp, LetsAnEchoReplyThroughOnlyAfterItsRequest) {
    for (const Path& out : {v4(kVm1, kVm2), v6(kVm1, kVm2)}) {
        Pipeline p(two_vms());
        EXPECT_FALSE(passes(p, "vm2", pong(out.back())));
        EXPECT_EQ(p.drops("vm2", DropReason::kIcmpNoConnection), 1u);
        EXPECT_TRUE(passes(p, "vm1", ping(out)));
        EXPECT_TRUE(passes(p, "vm2", pong(out.back())));
        EXPECT_FALSE(passes(p, "vm2", pong(out.back(), 8))) << "another identifier";
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(FirewallRules, AreTakenInOrderOfSectionsAndRules) {
    Pipeline p(with_dfw(R"({"sections": [
        {"name": "first", "rules": [{"name": "no53", "action": "drop", "services": ["udp/53"]}]},
        {"name": "second", "rules": [{"name": "udp", "action": "allow", "services": ["udp"]}, {"name": "no54", "action": "drop", "services": ["udp/54"]}]}]})"));
    EXPECT_FALSE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 53)));
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 54)));
}

TEST(FirewallRules, HaveADirectionSeenFromTheVm) {
    Pipeline p(with_dfw(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "direction": "out", "applied_to": ["vm1"]}]}]})"));
    EXPECT_FALSE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_TRUE(passes(p, "vm2", udp(v4(kVm2, kVm1), 3, 4)));
}

TEST(FirewallRules, ApplyToNamedVnicsOnly) {
    Pipeline p(with_dfw(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "applied_to": ["vm3"]}]}]})",
        three_vms()));
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    p.send("vm1", udp(v4(kVm1, kVm3), 1, 2)).step();
    EXPECT_EQ(p.sent("vm3"), Frames{});
    EXPECT_EQ(p.slot("vm3", kSlotDfw, Direction::kToVm), (SlotFigures{1, 1}));
}

TEST(FirewallRules, NameSetsAndTagGroups) {
    nlohmann::json document = two_vms();
    document["ports"][0]["tags"] = {{"app", "web"}};
    document["groups"] = json_of(R"([{"name": "webs", "tags": {"app": "web"}}])");
    document["address_sets"] = json_of(R"([{"name": "peers", "members": ["10.0.0.2"]}])");
    document = only(R"({"name": "a", "source": ["webs"], "destination": ["peers"]})", document);
    Pipeline p(document);
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_FALSE(passes(p, "vm1", udp(v6(kVm1, kVm2), 1, 2))) << "the set has no IPv6 member";
    document["address_sets"][0]["members"] = {"10.0.0.2", "2001:db8::2"};
    p.apply(document);
    EXPECT_TRUE(passes(p, "vm1", udp(v6(kVm1, kVm2), 1, 2)));
    document["ports"][0]["tags"] = {{"app", "db"}};
    p.apply(document);
    EXPECT_FALSE(passes(p, "vm1", udp(v4(kVm1, kVm2), 5, 6)));
}

TEST(FirewallRules, CanBeNegated) {
    Pipeline p(only(R"({"name": "a", "source": ["10.0.0.1"], "negate_source": true})"));
    EXPECT_FALSE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_TRUE(passes(p, "vm2", udp(v4(kVm2, kVm1), 3, 4)));
}

TEST(FirewallRules, DoNotTouchExcludedVnics) {
    nlohmann::json document = with_dfw(R"({"default": "drop", "exclude": ["vm1", "vm2"]})");
    Pipeline p(document);
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{0, 0}));
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST(RuleChange, ADropRuleStopsRunningTcpAtTheNextPacketInBothDirections) {
    for (const TcpTalk::Side side : {kClient, kServer}) {
        Pipeline p(two_vms());
        TcpTalk talk(v4(kVm1, kVm2));
        establish(p, talk);
        p.apply(with_dfw(
            R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "services": ["tcp/80"]}]}]})"));
        EXPECT_FALSE(passes(p, side == kClient ? "vm1" : "vm2", talk.data(side)));
        EXPECT_EQ(p.connections().size(), 0u);
        p.apply(two_vms());
        EXPECT_FALSE(passes(p, "vm1", talk.data(kClient))) << "TCP has to begin anew";
        TcpTalk again(v4(kVm1, kVm2), 40001);
        establish(p, again);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(RuleChange, UdpReturnsWhenTheRuleIsGone) {
    const nlohmann::json closed = with_dfw(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "services": ["udp/53"]}]}]})");
    Pipeline p(two_vms());
    const Bytes question = udp(v4(kVm1, kVm2), 1000, 53);
    EXPECT_TRUE(passes(p, "vm1", question));
    p.apply(closed);
    EXPECT_FALSE(passes(p, "vm1", question));
    EXPECT_FALSE(passes(p, "vm1", question));
    p.apply(two_vms());
    EXPECT_TRUE(passes(p, "vm1", question));
    EXPECT_EQ(p.drops("vm1", DropReason::kDfwDeny), 2u);
}

TEST(RuleChange, ThatDoesNotConcernAConnectionLeavesIt) {
    Pipeline p(two_vms());
    TcpTalk talk(v4(kVm1, kVm2));
    establish(p, talk);
    p.apply(with_dfw(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "services": ["tcp/22"]}]}]})"));
    EXPECT_TRUE(passes(p, "vm2", talk.data(kServer)));
    EXPECT_TRUE(passes(p, "vm1", talk.data(kClient)));
    EXPECT_EQ(p.connections().size(), 1u);
}

TEST(RuleChange, OfAnAddressSetStopsWhatItNames) {
    nlohmann::json document = two_vms();
    document["address_sets"] = json_of(R"([{"name": "bad", "members": ["192.0.2.1"]}])");
    document = with_dfw(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "source": ["bad"]}]}]})",
        document);
    Pipeline p(document);
    TcpTalk talk(v4(kVm1, kVm2));
    establish(p, talk);
    document["address_sets"][0]["members"] = {"192.0.2.1", "10.0.0.1"};
    p.apply(document);
    EXPECT_FALSE(passes(p, "vm1", talk.data(kClient)));
}

TEST(RuleChange, MakesAStatelessSectionForgetItsConnection) {
    Pipeline p(
        with_dfw(R"({"sections": [{"name": "s", "stateful": true, "rules": [{"name": "all"}]}]})"));
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_EQ(p.connections().size(), 1u);
    p.apply(with_dfw(
        R"({"sections": [{"name": "s", "stateful": false, "rules": [{"name": "all"}]}]})"));
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST(ForgedTuple, OfAnotherVnicDoesNotEndAConnection) {
    // vm3 may send nothing. With SpoofGuard off it sends in vm1's name.
    Pipeline p(with_dfw(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "direction": "out", "applied_to": ["vm3"]}]}]})",
        three_vms()));
    TcpTalk talk(v4(kVm1, kVm2));
    establish(p, talk);
    Path forged = v4(kVm1, kVm2);
    forged.source_mac = kVm3.mac;
    p.send("vm3",
           tcp(forged, 40000, 80,
               {.flags = kTcpAck, .sequence = 1'000'001, .ack = 2'000'001, .payload_size = 10}))
        .step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("vm3", DropReason::kDfwDeny), 1u);
    EXPECT_TRUE(passes(p, "vm1", talk.data(kClient)));
    EXPECT_TRUE(passes(p, "vm2", talk.data(kServer)));
}

}  // namespace
}  // namespace sluice::test
