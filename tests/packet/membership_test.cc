// SPDX-License-Identifier: Apache-2.0
// Groups, negation and exclusion with traffic: who belongs to a group is what its tags say at the
// next packet, for connections that run as well.
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using enum TcpTalk::Side;

nlohmann::json with_groups(const std::string& rule, const std::string& other = "allow") {
    nlohmann::json document = three_vms();
    document["groups"] = json_of(R"([{"name": "red", "tags": {"colour": "red"}},
        {"name": "red-web", "tags": {"colour": "red", "app": "web"}}, {"name": "void", "tags": {"x": "y"}}])");
    document["ports"][0]["tags"] = {{"colour", "red"}};
    document["dfw"] = {{"default", other},
                       {"sections", json_of(R"([{"name": "s", "rules": [)" + rule + "]}]")}};
    return document;
}

/// One frame to vm2, or from there to vm1: true if it came out.
bool passes(Pipeline& p, const std::string& sender, const Bytes& frame) {
    p.send(sender, frame).step();
    return !p.sent(sender == "vm2" ? "vm1" : "vm2").empty();
}

void establish(Pipeline& p, TcpTalk& talk) {
    ASSERT_TRUE(passes(p, "vm1", talk.syn()));
    ASSERT_TRUE(passes(p, "vm2", talk.syn_ack()));
    ASSERT_TRUE(passes(p, "vm1", talk.ack(kClient)));
}

class Membership : public testing::TestWithParam<bool> {
protected:
    Pipeline p{three_vms(), {.flow_cache = GetParam()}};
};

TEST_P(Membership, AsSourceEndsAndReturnsWithTheTag) {
    nlohmann::json document = with_groups(R"({"name": "r", "source": ["red"]})", "drop");
    p.apply(document);
    const Bytes datagram = udp(v4(kVm1, kVm2), 1, 2);
    TcpTalk talk(v4(kVm1, kVm2));
    establish(p, talk);
    EXPECT_TRUE(passes(p, "vm1", datagram));
    EXPECT_FALSE(passes(p, "vm3", udp(v4(kVm3, kVm2), 1, 2)));

    document["ports"][0]["tags"] = {{"colour", "blue"}};
    document["ports"][2]["tags"] = {{"colour", "red"}};
    p.apply(document);
    EXPECT_FALSE(passes(p, "vm1", talk.data(kClient)));
    EXPECT_FALSE(passes(p, "vm2", talk.data(kServer)));
    EXPECT_FALSE(passes(p, "vm1", datagram));
    EXPECT_TRUE(passes(p, "vm3", udp(v4(kVm3, kVm2), 1, 2)));
    EXPECT_EQ(p.connections().size(), 1u) << "vm3's";

    document["ports"][0]["tags"] = {{"colour", "red"}};
    p.apply(document);
    EXPECT_TRUE(passes(p, "vm1", datagram));
}

TEST_P(Membership, AsDestinationEndsAConnectionFromEitherSide) {
    for (const TcpTalk::Side side : {kClient, kServer}) {
        nlohmann::json document = with_groups(R"({"name": "r", "destination": ["red"]})", "drop");
        document["ports"][1]["tags"] = {{"colour", "red"}, {"app", "web"}};
        p.apply(document);
        TcpTalk talk(v6(kVm1, kVm2), side == kClient ? 40000 : 40001);
        establish(p, talk);
        document["ports"][1].erase("tags");
        p.apply(document);
        EXPECT_FALSE(passes(p, side == kClient ? "vm1" : "vm2", talk.data(side)));
        EXPECT_EQ(p.connections().size(), 0u);
    }
}

TEST_P(Membership, AsAppliedToDecidesWhoseRuleItIs) {
    nlohmann::json document =
        with_groups(R"({"name": "r", "action": "drop", "applied_to": ["red-web"]})");
    p.apply(document);
    TcpTalk talk(v4(kVm1, kVm2));
    establish(p, talk);
    EXPECT_TRUE(passes(p, "vm1", talk.data(kClient))) << "one tag of two is no membership";
    document["ports"][0]["tags"] = {{"colour", "red"}, {"app", "web"}};
    p.apply(document);
    EXPECT_FALSE(passes(p, "vm1", talk.data(kClient)));
    EXPECT_FALSE(passes(p, "vm2", udp(v4(kVm2, kVm1), 1, 2)));
    document["ports"][0]["tags"] = {{"app", "web"}};
    p.apply(document);
    EXPECT_TRUE(passes(p, "vm2", udp(v4(kVm2, kVm1), 1, 2)));
}

TEST_P(Membership, OfNobodyMatchesNothingAndNegatedEverything) {
    p.apply(with_groups(R"({"name": "r", "action": "drop", "source": ["void"]})"));
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    p.apply(with_groups(
        R"({"name": "r", "action": "drop", "source": ["void"], "negate_source": true})"));
    EXPECT_FALSE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    p.apply(with_groups(R"({"name": "r", "action": "drop", "applied_to": ["void"]})"));
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
}

TEST_P(Membership, ANegatedSourceIsEverybodyElse) {
    nlohmann::json document = with_groups(
        R"({"name": "r", "action": "drop", "source": ["red", "192.0.2.0/24"], "negate_source": true, "direction": "in"})");
    p.apply(document);
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_TRUE(passes(p, "vm1", udp(v6(kVm1, kVm2), 1, 2)));
    EXPECT_FALSE(passes(p, "vm3", udp(v4(kVm3, kVm2), 1, 2)));
    EXPECT_FALSE(passes(p, "vm3", udp(v6(kVm3, kVm2), 1, 2)));
    document["ports"][2]["tags"] = {{"colour", "red"}};
    document["ports"][0].erase("tags");
    p.apply(document);
    EXPECT_FALSE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_TRUE(passes(p, "vm3", udp(v4(kVm3, kVm2), 1, 2)));
}

TEST_P(Membership, ANegatedDestinationIsEverywhereElse) {
    p.apply(with_groups(
        R"({"name": "r", "action": "drop", "destination": ["10.0.0.2"], "negate_destination": true, "direction": "out"})"));
    EXPECT_TRUE(passes(p, "vm1", udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_FALSE(passes(p, "vm1", udp(v6(kVm1, kVm2), 1, 2))) << "the other family is elsewhere";
    EXPECT_FALSE(passes(p, "vm2", ping(v4(kVm2, kVm1)))) << "vm1 is not 10.0.0.2";
}

TEST_P(Membership, AnExcludedVnicIsTouchedByNoRuleAndNoDefault) {
    nlohmann::json document = with_groups(R"({"name": "r", "action": "drop"})", "drop");
    document["dfw"]["exclude"] = {"red", "vm2"};
    p.apply(document);
    TcpTalk talk(v4(kVm1, kVm2));
    EXPECT_TRUE(passes(p, "vm1", talk.data(kClient))) << "nobody tracks it";
    EXPECT_EQ(p.connections().size(), 0u);
    EXPECT_FALSE(passes(p, "vm3", udp(v4(kVm3, kVm2), 1, 2))) << "vm3's own rules hold";
    document["ports"][0].erase("tags");  // vm1 leaves the group, so it is excluded no more.
    p.apply(document);
    EXPECT_FALSE(passes(p, "vm1", talk.data(kClient)));
}

TEST_P(Membership, ExclusionEndsWithTheConnectionsThatItLetGo) {
    nlohmann::json document = with_groups(R"({"name": "r", "services": ["tcp/80"]})", "drop");
    p.apply(document);
    TcpTalk talk(v4(kVm1, kVm2));
    establish(p, talk);
    document["dfw"]["exclude"] = {"vm1"};
    p.apply(document);
    EXPECT_TRUE(passes(p, "vm1", talk.data(kClient))) << "vm2's side goes on tracking it";
    EXPECT_TRUE(passes(p, "vm2", talk.data(kServer)));
    document["dfw"]["exclude"] = nlohmann::json::array();
    p.apply(document);
    EXPECT_TRUE(passes(p, "vm1", talk.data(kClient)));
    EXPECT_TRUE(p.packets_conserved());
}

INSTANTIATE_TEST_SUITE_P(Modes, Membership, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "Cached" : "Walked"; });

}  // namespace
}  // namespace sluice::test
