// SPDX-License-Identifier: Apache-2.0
// Several services on a connection's way: their order, that each inspects once, what the firewall
// keeps from them, figures of slots and rules, and what changes of the document do to connections
// that are there.
#include "tests/packet/redirect_rig.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using nlohmann::json;
using enum TcpTalk::Side;

class RedirectChain : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] static PipelineOptions options() { return {.flow_cache = GetParam()}; }
    [[nodiscard]] static std::vector<TestService> services(unsigned count) {
        std::vector<TestService> out;
        for (unsigned i = 0; i < count; ++i) {
            out.push_back({.name = "s" + std::to_string(4 + i)});
        }
        return out;
    }
    /// One rule a slot, from 4 on, for every vNIC or `applied_to`.
    [[nodiscard]] static json chain_of(const std::vector<TestService>& services,
                                       const json& applied_to = {"any"}) {
        json rules = json::array();
        for (std::size_t i = 0; i < services.size(); ++i) {
            rules.push_back(service_rule(
                services[i],
                {{"name", "r" + std::to_string(i)}, {"slot", 4 + i}, {"applied_to", applied_to}}));
        }
        return rules;
    }
    /// Lets a frame pass all services; returns the legs by which it left, in order.
    static std::vector<std::string> way_of(Pipeline& p, const std::vector<TestService>& services,
                                           const std::string& from, const Bytes& frame) {
        std::vector<std::string> way;
        p.send(from, frame).step();
        for (bool moves = true; moves;) {
            moves = false;
            for (const TestService& service : services) {
                for (const bool is_openers : {true, false}) {
                    const std::string leg = service.towards(is_openers);
                    for (const Bytes& each : at_leg(p, leg)) {
                        way.push_back(leg);
                        EXPECT_EQ(untagged(each), frame);
                        p.send(service.back(is_openers), each).step();
                        moves = true;
                    }
                }
            }
        }
        return way;
    }
};
INSTANTIATE_TEST_SUITE_P(, RedirectChain, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "Cached" : "Walked"; });

TEST_P(RedirectChain, SlotsInOrderFromTheVmAndBackwardsToIt) {
    for (const unsigned count : {3U, 9U}) {
        const auto all = services(count);
        Pipeline p(with_chain(two_vms(), all, chain_of(all, {"vm1"})), options());
        std::vector<std::string> out, in;
        for (const TestService& each : all) { out.push_back(each.in()); }
        for (auto each = all.rbegin(); each != all.rend(); ++each) { in.push_back(each->out()); }
        TcpTalk talk(v4(kVm1, kVm2));
        EXPECT_EQ(way_of(p, all, "vm1", talk.syn()), out);
        EXPECT_EQ(way_of(p, all, "vm2", talk.syn_ack()), in);
        EXPECT_EQ(way_of(p, all, "vm1", talk.ack(kClient)), out);
        EXPECT_EQ(way_of(p, all, "vm1", talk.data(kClient)), out);
        EXPECT_EQ(way_of(p, all, "vm2", talk.data(kServer)), in);
        EXPECT_EQ(p.sent("vm2").size(), 3U);
        EXPECT_EQ(p.sent("vm1").size(), 2U);
        // What the other VM opens meets the last slot first; it leaves by each service's `in`.
        const Bytes question = udp(v4(kVm2, kVm1), 1000, 53);
        const Bytes answer = udp(v4(kVm1, kVm2), 53, 1000);
        std::vector<std::string> to_vm, answers;
        for (auto each = all.rbegin(); each != all.rend(); ++each) { to_vm.push_back(each->in()); }
        for (const TestService& each : all) { answers.push_back(each.out()); }
        EXPECT_EQ(way_of(p, all, "vm2", question), to_vm);
        EXPECT_EQ(way_of(p, all, "vm1", answer), answers);
        EXPECT_EQ(p.sent("vm1"), Frames{question});
        EXPECT_EQ(p.sent("vm2"), Frames{answer});
        EXPECT_EQ(p.drops(), 0U);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST_P(RedirectChain, TwoVmsOfOneHostAreInspectedOnce) {
    const auto all = services(2);
    Pipeline p(with_chain(two_vms(), all, chain_of(all)), options());
    const Bytes question = udp(v4(kVm1, kVm2), 1000, 53);
    EXPECT_EQ(way_of(p, all, "vm1", question), (std::vector<std::string>{"s4-in", "s5-in"}));
    EXPECT_EQ(p.sent("vm2"), Frames{question});
}

TEST_P(RedirectChain, EachVmHasItsOwnRules) {
    const auto all = services(2);
    const json rules = {
        service_rule(all[0], {{"name", "a"}, {"slot", 7}, {"applied_to", {"vm1"}}}),
        service_rule(all[1], {{"name", "b"}, {"slot", 5}, {"applied_to", {"vm2"}}})};
    Pipeline p(with_chain(two_vms(), all, rules), options());
    EXPECT_EQ(way_of(p, all, "vm1", udp(v4(kVm1, kVm2), 1000, 53)),
              (std::vector<std::string>{"s4-in", "s5-in"}));
    EXPECT_EQ(way_of(p, all, "vm2", udp(v4(kVm2, kVm1), 53, 1000)),
              (std::vector<std::string>{"s5-out", "s4-out"}));
    EXPECT_EQ(way_of(p, all, "vm2", udp(v4(kVm2, kVm1), 2000, 53)),
              (std::vector<std::string>{"s5-in", "s4-in"}));
}

TEST_P(RedirectChain, WhatTheFirewallDropsCostsNoService) {
    const auto all = services(1);
    for (const char* who : {"vm1", "vm2"}) {
        json document = with_chain(two_vms(), all, chain_of(all));
        document["dfw"] = json_of(R"({"sections": [{"name": "s", "rules": [
            {"name": "no", "action": "drop", "services": ["udp/53"]}]}]})");
        document["dfw"]["sections"][0]["rules"][0]["applied_to"] = {who};
        Pipeline p(document, options());
        EXPECT_EQ(way_of(p, all, "vm1", udp(v4(kVm1, kVm2), 1000, 53)).size(), 0U);
        EXPECT_EQ(p.drops(DropReason::kDfwDeny), 1U);
        EXPECT_EQ(p.connections().size(), 0U);
        EXPECT_EQ(way_of(p, all, "vm1", udp(v4(kVm1, kVm2), 1000, 54)).size(), 1U);
    }
}

TEST_P(RedirectChain, AnAclByTcpFlagsDropsBeforeAnyService) {
    const auto all = services(1);
    json document = with_chain(two_vms(), all, chain_of(all));
    document["acls"] = json_of(R"([{"name": "a", "applied_to": ["vm2"], "rules": [
        {"name": "push", "action": "deny", "direction": "in", "services": ["tcp"], "tcp_flags": "psh"}]}])");
    Pipeline p(document, options());
    TcpTalk talk(v4(kVm1, kVm2));
    EXPECT_EQ(way_of(p, all, "vm1", talk.syn()).size(), 1U);
    EXPECT_EQ(way_of(p, all, "vm2", talk.syn_ack()).size(), 1U);
    EXPECT_EQ(way_of(p, all, "vm1", talk.ack(kClient)).size(), 1U);
    EXPECT_EQ(way_of(p, all, "vm1", talk.data(kClient)).size(), 0U);
    EXPECT_EQ(p.drops(DropReason::kAclDeny), 1U);
    EXPECT_EQ(p.slot("vm2", 0, Direction::kToVm), (SlotFigures{3, 1}));
    EXPECT_EQ(p.sent("vm2").size(), 2U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectChain, SlotsAndRulesCountEachPacketOnce) {
    const auto all = services(2);
    Pipeline p(with_chain(two_vms(), all, chain_of(all, {"vm1"})), options());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step();  // As far as the first service.
    EXPECT_EQ(p.slot("vm1", 2, Direction::kFromVm).packets, 1U);
    EXPECT_EQ(p.slot("vm1", 4, Direction::kFromVm).packets, 1U);
    EXPECT_EQ(p.slot("vm1", 5, Direction::kFromVm).packets, 0U);
    EXPECT_EQ(p.slot("vm2", 2, Direction::kToVm).packets, 0U);
    pass_once(p, all[0]);
    p.step();
    EXPECT_EQ(p.slot("vm1", 4, Direction::kFromVm).packets, 1U);
    EXPECT_EQ(p.slot("vm1", 5, Direction::kFromVm).packets, 1U);
    EXPECT_EQ(p.slot("vm2", 2, Direction::kToVm).packets, 0U);
    run(p, all);
    p.send("vm2", talk.syn_ack());
    run(p, all);
    p.send("vm1", talk.ack(kClient)).send("vm1", talk.data(kClient));
    run(p, all);
    for (const std::size_t slot :
         {std::size_t{1}, std::size_t{2}, std::size_t{4}, std::size_t{5}}) {
        EXPECT_EQ(p.slot("vm1", slot, Direction::kFromVm).packets, 3U) << slot;
        EXPECT_EQ(p.slot("vm1", slot, Direction::kToVm).packets, 1U) << slot;
    }
    EXPECT_EQ(p.slot("vm2", 2, Direction::kToVm).packets, 3U);
    EXPECT_EQ(p.slot("vm2", 2, Direction::kFromVm).packets, 1U);
    EXPECT_EQ(p.rule("service c", "r0").hits, 1U);
    EXPECT_EQ(p.rule("service c", "r0").packets, 4U);
    EXPECT_EQ(p.rule("service c", "r1").packets, 4U);
    EXPECT_EQ(p.rule("default", "default").hits, 1U);
    EXPECT_EQ(p.rule("default", "default").packets, 4U);
    EXPECT_EQ(p.connections().at(0).packets, 4U);
    const auto& counters = p.dataplane().worker(0).context().service_counters;
    const datapath::ServiceCounters& first = counters[instance_index(p, "s4")];
    EXPECT_EQ(first.connections.get(), 1U);
    EXPECT_EQ(first.sent_packets.get(), 4U);
    EXPECT_EQ(first.returned_packets.get(), 4U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectChain, AnotherInstanceTakesOverFromOneThatFails) {
    const auto all = services(2);
    json rule = service_rule(all[0]);
    rule["instances"].push_back(all[1].instance());
    rule["on_failure"] = "closed";
    Pipeline p(with_chain(two_vms(), all, rule), options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    const auto first = way_of(p, all, "vm1", frame);
    ASSERT_EQ(first.size(), 1U);
    const std::string failed = first[0].substr(0, 2);
    const std::string other = failed == "s4" ? "s5" : "s4";
    EXPECT_EQ(way_of(p, all, "vm1", frame), first);
    set_works(p, failed, false);
    EXPECT_EQ(way_of(p, all, "vm1", frame), std::vector<std::string>{other + "-in"});
    EXPECT_EQ(way_of(p, all, "vm2", udp(v4(kVm2, kVm1), 53, 1000)),
              std::vector<std::string>{other + "-out"});
    set_works(p, failed, true);  // It stays where it is.
    EXPECT_EQ(way_of(p, all, "vm1", frame), std::vector<std::string>{other + "-in"});
    EXPECT_EQ(p.sent("vm2").size(), 4U);
    EXPECT_EQ(p.drops(), 0U);
}

TEST_P(RedirectChain, OpenGoesOnWithoutItForGoodClosedWaits) {
    for (const bool is_closed : {false, true}) {
        const auto all = services(1);
        const json rule = service_rule(all[0], {{"on_failure", is_closed ? "closed" : "open"}});
        Pipeline p(with_chain(two_vms(), all, rule), options());
        const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
        EXPECT_EQ(way_of(p, all, "vm1", frame).size(), 1U);
        set_works(p, "s4", false);
        EXPECT_EQ(way_of(p, all, "vm1", frame).size(), 0U);
        EXPECT_EQ(way_of(p, all, "vm1", frame).size(), 0U);
        EXPECT_EQ(p.sent("vm2").size(), is_closed ? 1U : 3U);
        EXPECT_EQ(p.drops(DropReason::kServiceDown), is_closed ? 2U : 0U);
        EXPECT_EQ(p.slot("vm1", 4, Direction::kFromVm).drops, is_closed ? 2U : 0U);
        set_works(p, "s4", true);
        EXPECT_EQ(way_of(p, all, "vm1", frame).size(), is_closed ? 1U : 0U);
        EXPECT_EQ(p.sent("vm2").size(), 1U);
        EXPECT_EQ(p.slot("vm1", 2, Direction::kFromVm).packets, 4U);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST_P(RedirectChain, ChangesDropNothing) {
    const auto all = services(2);
    const json before = with_chain(two_vms(), all, service_rule(all[0]));
    Pipeline p(before, options());
    TcpTalk talk(v4(kVm1, kVm2));
    way_of(p, all, "vm1", talk.syn());
    way_of(p, all, "vm2", talk.syn_ack());
    way_of(p, all, "vm1", talk.ack(kClient));
    const auto expect_by = [&](const std::string& in, const std::string& out) {
        EXPECT_EQ(way_of(p, all, "vm1", talk.data(kClient)), std::vector<std::string>{in});
        EXPECT_EQ(way_of(p, all, "vm2", talk.data(kServer)), std::vector<std::string>{out});
    };
    p.apply(with_chain(two_vms(), all, service_rule(all[0], {{"on_failure", "closed"}})));
    expect_by("s4-in", "s4-out");
    // The instance moves to other legs.
    json moved = service_rule(all[0]);
    moved["instances"][0]["in"] = "s5-in";
    moved["instances"][0]["out"] = "s5-out";
    p.apply(with_chain(two_vms(), all, moved));
    expect_by("s5-in", "s5-out");
    // The rule bypasses from now on: what is inspected stays so.
    json bypass = {{"name", "b"}, {"action", "bypass"}};
    p.apply(with_chain(two_vms(), all, json::array({bypass, service_rule(all[0])})));
    expect_by("s4-in", "s4-out");
    EXPECT_EQ(way_of(p, all, "vm1", udp(v4(kVm1, kVm2), 1, 2)).size(), 0U);
    // No rule names it any more.
    p.apply(two_vms());
    EXPECT_EQ(way_of(p, {}, "vm1", talk.data(kClient)).size(), 0U);
    EXPECT_EQ(p.sent("vm2").size(), 7U);
    EXPECT_EQ(p.drops(), 0U);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RedirectChain, AFlushedConnectionIsDecidedAnew) {
    const auto all = services(1);
    json document = with_chain(two_vms(), all, service_rule(all[0]));
    Pipeline p(document, options());
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 53);
    EXPECT_EQ(way_of(p, all, "vm1", frame).size(), 1U);
    document["service_chains"][0]["rules"][0]["services"] = {"tcp"};
    p.apply(document);
    EXPECT_EQ(way_of(p, all, "vm1", frame).size(), 1U);
    p.flush_connections();
    EXPECT_EQ(way_of(p, all, "vm1", frame).size(), 0U);
    EXPECT_EQ(p.sent("vm2").size(), 3U);
}

}  // namespace
}  // namespace sluice::test
