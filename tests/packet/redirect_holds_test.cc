// SPDX-License-Identifier: Apache-2.0
// How long what was decided of redirected connections holds: connections that end while a packet is
// inside a service or is judged, services that fail for a packet that goes nowhere, and rules for
// the answers. Each with and without the flow cache.
#include "tests/packet/redirect_rig.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using nlohmann::json;
using enum TcpTalk::Side;

const TestService kIds{};

class RedirectHolds : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] static PipelineOptions options() { return {.flow_cache = GetParam()}; }
    [[nodiscard]] static json document(const json& rule, const char* dfw) {
        json out = with_chain(two_vms(), {kIds}, service_rule(kIds, rule));
        out["dfw"] = json_of(dfw);
        return out;
    }
    static void open(Pipeline& p, TcpTalk& talk) {
        p.send("vm1", talk.syn());
        run(p, {kIds});
        p.send("vm2", talk.syn_ack());
        run(p, {kIds});
        p.send("vm1", talk.ack(kClient)).send("vm1", talk.data(kClient));
        run(p, {kIds});
    }
};
INSTANTIATE_TEST_SUITE_P(, RedirectHolds, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "Cached" : "Walked"; });

TEST_P(RedirectHolds, WhatIsInsideAsItsConnectionIsReplacedIsTheLegsOwn) {
    Pipeline p(document(json::object(), R"({"default": "drop", "sections": [{"name": "s",
                   "rules": [{"name": "r", "source": ["10.0.0.1"], "applied_to": ["vm1", "vm2"]}]}]})"),
               options());
    TcpTalk talk(v4(kVm1, kVm2));
    open(p, talk);
    EXPECT_EQ(p.sent("vm2").size(), 3U);
    p.send("vm1", talk.data(kClient)).send("vm1", talk.reset(kClient)).step();
    const Frames inside = at_leg(p, "ids-in");
    ASSERT_EQ(inside.size(), 2U);
    p.send("vm2", tcp(v4(kVm2, kVm1), 80, 40000, {.flags = kTcpSyn, .sequence = 7})).step();
    EXPECT_EQ(p.drops("vm2", DropReason::kDfwDeny), 1U);  // It began another one, and may not.
    EXPECT_EQ(p.connections().size(), 0U);
    for (const Bytes& frame : inside) { p.send("ids-out", frame).step(); }
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("ids-out", DropReason::kDfwDeny), 2U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectHolds, APacketThatIsDroppedSkipsNoService) {
    Pipeline p(document(json::object(), R"({"default": "allow"})"), options());
    TcpTalk talk(v4(kVm1, kVm2));
    open(p, talk);
    set_works(p, "ids", false);
    p.send("vm1", tcp(v4(kVm1, kVm2), 40000, 80,
                      {.sequence = 900'000'000, .ack = 1'900'000'000, .payload_size = 10}))
        .step();
    EXPECT_EQ(p.drops(), 1U);
    set_works(p, "ids", true);
    p.send("vm1", talk.data(kClient));
    EXPECT_EQ(run(p, {kIds}), 1U);
    EXPECT_EQ(p.slot("vm1", 4, Direction::kFromVm).packets, 4U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectHolds, ASkippedServiceCountsThePacketOnce) {
    Pipeline p(document(json::object(), R"({"default": "allow"})"), options());
    TcpTalk talk(v4(kVm1, kVm2));
    open(p, talk);
    set_works(p, "ids", false);
    for (int i = 0; i < 2; ++i) { p.send("vm1", talk.data(kClient)).step(); }
    EXPECT_EQ(p.sent("vm2").size(), 5U);
    EXPECT_EQ(p.slot("vm1", 2, Direction::kFromVm).packets, 5U);
    EXPECT_EQ(p.slot("vm2", 2, Direction::kToVm).packets, 5U);
    EXPECT_EQ(p.rule("default", "default").packets, 6U);
}

TEST_P(RedirectHolds, ARuleForTheAnswersOpensAConnectionForThem) {
    const json rule = {{"applied_to", {"vm2"}}, {"initiator", "out"}};
    Pipeline p(document(rule, R"({"sections": [{"name": "s", "stateful": false, "rules": [
                   {"name": "no", "action": "drop", "source": ["10.0.0.2"]}, {"name": "all"}]}]})"),
               options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    for (int i = 0; i < 2; ++i) { p.send("vm1", frame).step(); }
    EXPECT_EQ(p.connections().size(), 0U);  // Nothing may answer.
    p.apply(document(rule, R"({"sections": [{"name": "s", "stateful": false,
                                "rules": [{"name": "all"}]}]})"));
    p.send("vm1", frame).step();
    EXPECT_EQ(p.connections().size(), 1U);
    p.send("vm2", udp(v4(kVm2, kVm1), 53, 1000));
    EXPECT_EQ(run(p, {kIds}), 0U);  // An answer, of a connection that no rule takes.
    EXPECT_EQ(p.sent("vm1").size(), 1U);
}

TEST_P(RedirectHolds, AConnectionBetweenOthersIsMissedOnceItHasEnded) {
    json all = document(json::object(), R"({"sections": [{"name": "s", "stateful": false,
                                            "rules": [{"name": "all"}]}]})");
    all["ports"].push_back(three_vms()["ports"][2]);
    Pipeline p(all, options());
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53));
    EXPECT_EQ(run(p, {kIds}), 1U);
    const Bytes foreign = udp(Path{kVm3.mac, kVm1.mac, kVm2.ip4, kVm1.ip4}, 53, 1000);
    for (int i = 0; i < 2; ++i) { p.send("vm3", foreign); }
    EXPECT_EQ(run(p, {kIds}), 0U);
    p.flush_connections();
    p.send("vm3", foreign);
    EXPECT_EQ(run(p, {kIds}), 1U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectHolds, AnAnswerOutlivesTheConnectionThatAFirewallEnds) {
    const auto rules = [](const char* action) {
        return std::string(R"({"default": "drop", "sections": [
            {"name": "a", "rules": [{"name": "r", "source": ["10.0.0.1"],
                                     "applied_to": ["vm1", "vm2"], "action": ")") +
               action + R"("}]},
            {"name": "b", "stateful": false, "rules": [{"name": "all", "source": ["10.0.0.2"]}]}]})";
    };
    Pipeline p(document(json::object(), rules("allow").c_str()), options());
    p.send("vm1", ping(v4(kVm1, kVm2)));
    EXPECT_EQ(run(p, {kIds}), 1U);
    p.apply(document(json::object(), rules("drop").c_str()));
    const Bytes answer = pong(v4(kVm2, kVm1));
    p.send("vm2", answer);
    run(p, {kIds});
    EXPECT_EQ(p.sent("vm1"), Frames{answer});
    EXPECT_EQ(p.drops(), 0U);
    EXPECT_EQ(p.connections().size(), 0U);
}

}  // namespace
}  // namespace sluice::test
