// SPDX-License-Identifier: Apache-2.0
// Groups that follow learned addresses: a rule that names a group, a port group or a port matches
// what its members are bound to, from the next packet on and no longer than they are. Slots 0 and
// 2, both directions, with cached programs and without.
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

const IpAddr kLearned4 = ip("10.0.0.11"), kOther4 = ip("10.0.0.12"), kLearned6 = ip("2001:db8::11");

/// vm1 has no address of the document; it is tagged app=web.
nlohmann::json untold() {
    nlohmann::json document = three_vms();
    document["port_groups"][0]["bindings"] = json_of(R"({"arp": 2, "nd": 3})");
    document["port_groups"][0]["limits"] = json_of(R"({"arp_pps": 0, "nd_pps": 0})");
    document["ports"][0].erase("ips");
    document["ports"][0]["tags"] = {{"app", "web"}};
    document["groups"] = json_of(R"([{"name": "web", "tags": {"app": "web"}}])");
    return document;
}

/// Default drop; one rule that allows.
nlohmann::json firewall(const char* rule, bool stateful = true) {
    nlohmann::json document = untold();
    document["dfw"] = {
        {"default", "drop"},
        {"sections", {{{"name", "s"}, {"stateful", stateful}, {"rules", {json_of(rule)}}}}}};
    return document;
}

Bytes claim(const Vnic& who, const IpAddr& address) {
    return arp(who.mac, kBroadcast, {1, who.mac, address, {}, ip("10.0.0.99")});
}

Path path_of(const IpAddr& source, const IpAddr& destination) {
    return {kVm1.mac, kVm2.mac, source, destination};
}

class FollowingGroups : public testing::TestWithParam<bool> {
protected:
    void bind(const char* port, const Vnic& who, const IpAddr& address) {
        p.send(port, claim(who, address)).step();
        for (const char* name : {"vm1", "vm2", "vm3"}) { p.port(name).clear_sent(); }
    }
    bool passes(const char* from, const char* to, const Bytes& frame) {
        p.send(from, frame).step();
        return p.sent(to) == Frames{frame};
    }
    bool out(const IpAddr& source = kLearned4, std::uint16_t port = 1) {
        return passes("vm1", "vm2", udp(path_of(source, kVm2.ip4), port, 2));
    }
    bool in(const IpAddr& destination = kLearned4, std::uint16_t port = 1) {
        return passes("vm2", "vm1", udp(path_of(destination, kVm2.ip4).back(), port, 2));
    }
    void flush(const char* port) {
        datapath::FlushLearned command(LearnedFilter::of_port(p.index_of(port)));
        p.run(0, command);
    }
    void TearDown() override { EXPECT_TRUE(p.packets_conserved()); }

    Pipeline p{untold(), {.flow_cache = GetParam()}};
};

TEST_P(FollowingGroups, ASourceIsMatchedByTheNextPacketAndNoLongerAfterAFlush) {
    p.apply(firewall(R"({"name": "r", "action": "allow", "source": ["web"]})"));
    EXPECT_FALSE(out());
    bind("vm1", kVm1, kLearned4);
    EXPECT_TRUE(out());
    EXPECT_TRUE(out());
    EXPECT_EQ(p.rule("s", "r").hits, 1u);
    flush("vm1");
    EXPECT_FALSE(out()) << "the connection ends with the rule that let it open";
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST_P(FollowingGroups, ADestinationIsMatchedByTheNextPacketAndNoLongerAfterAFlush) {
    p.apply(firewall(R"({"name": "r", "action": "allow", "destination": ["web"]})"));
    EXPECT_FALSE(in());
    bind("vm1", kVm1, kLearned4);
    EXPECT_TRUE(in());
    flush("vm1");
    EXPECT_FALSE(in());
}

TEST_P(FollowingGroups, ARepliesRuleEndsWithTheBinding) {
    p.apply(firewall(R"({"name": "r", "action": "allow", "destination": ["web"]})"));
    bind("vm1", kVm1, kLearned4);
    EXPECT_TRUE(in());
    EXPECT_TRUE(passes("vm1", "vm2", udp(path_of(kLearned4, kVm2.ip4), 2, 1)));
    flush("vm1");
    EXPECT_FALSE(passes("vm1", "vm2", udp(path_of(kLearned4, kVm2.ip4), 2, 1)));
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST_P(FollowingGroups, PortsAndPortGroupsFollowToo) {
    for (const char* name : {"vm1", "lan"}) {
        const std::string rule = R"({"name": "r", "action": "allow", "source": [")";
        p.apply(firewall((rule + name + "\"]}").c_str()));
        EXPECT_FALSE(out()) << name;
        bind("vm1", kVm1, kLearned4);
        EXPECT_TRUE(out()) << name;
        flush("vm1");
    }
}

TEST_P(FollowingGroups, MembersElsewhereAreMatchedAsTheGroupsOwn) {
    nlohmann::json document =
        firewall(R"({"name": "r", "action": "allow", "source": ["web"], "applied_to": ["vm2"]})");
    document["dfw"]["exclude"] = {"vm1"};
    p.apply(document);
    EXPECT_FALSE(out(kOther4));
    document["groups"][0]["addresses"] = {"10.0.0.12", "2001:db8::10/124"};
    p.apply(document);
    EXPECT_TRUE(out(kOther4));
    EXPECT_TRUE(passes("vm1", "vm2", udp(path_of(kLearned6, kVm2.ip6), 1, 2)));
    EXPECT_FALSE(out(kLearned4));
    document["groups"][0]["addresses"] = nlohmann::json::array();
    p.apply(document);
    EXPECT_FALSE(out(kOther4));
}

TEST_P(FollowingGroups, MembersElsewhereAreNoPortsHere) {
    nlohmann::json document =
        firewall(R"({"name": "r", "action": "allow", "applied_to": ["web"]})");
    document["ports"][0].erase("tags");
    document["groups"][0]["addresses"] = {"10.0.0.0/24"};
    p.apply(document);
    EXPECT_FALSE(out(kOther4));
}

TEST_P(FollowingGroups, ANegatedGroupMatchesEverybodyElse) {
    p.apply(
        firewall(R"({"name": "r", "action": "allow", "source": ["web"], "negate_source": true})"));
    EXPECT_TRUE(out());
    bind("vm1", kVm1, kLearned4);
    EXPECT_FALSE(out());
    flush("vm1");
    EXPECT_TRUE(out());
}

TEST_P(FollowingGroups, Ipv6FollowsNeighbourDiscovery) {
    p.apply(firewall(R"({"name": "r", "action": "allow", "source": ["web"]})"));
    const Bytes frame = udp(path_of(kLearned6, kVm2.ip6), 1, 2);
    EXPECT_FALSE(passes("vm1", "vm2", frame));
    p.send("vm1", detection(kVm1.mac, kLearned6)).step();
    p.port("vm2").clear_sent();
    p.port("vm3").clear_sent();
    EXPECT_TRUE(passes("vm1", "vm2", frame));
}

TEST_P(FollowingGroups, AclsFollowInBothDirections) {
    nlohmann::json document = untold();
    document["acls"] = json_of(R"([{"name": "a", "applied_to": ["vm2"], "rules": [
        {"name": "in", "action": "deny", "direction": "in", "source": ["web"]},
        {"name": "out", "action": "deny", "direction": "out", "destination": ["web"]}]}])");
    p.apply(document);
    EXPECT_TRUE(out());
    EXPECT_TRUE(in());
    bind("vm1", kVm1, kLearned4);
    EXPECT_FALSE(out());
    EXPECT_FALSE(in());
    EXPECT_EQ(p.drops(DropReason::kAclDeny), 2u);
    flush("vm1");
    EXPECT_TRUE(out());
    EXPECT_TRUE(in());
}

TEST_P(FollowingGroups, ClaimsThatDoNotCountAreNotFollowed) {
    p.apply(firewall(R"({"name": "r", "action": "allow", "source": ["web"]})"));
    bind("vm1", kVm1, kVm3.ip4);
    EXPECT_FALSE(out(kVm3.ip4)) << "the document gives it to vm3";
    bind("vm3", kVm3, kLearned4);
    p.advance(kSecond);
    bind("vm1", kVm1, kLearned4);
    EXPECT_FALSE(out()) << "vm3 had it first";
    flush("vm3");
    EXPECT_TRUE(out()) << "vm3 has given it up";
}

TEST_P(FollowingGroups, AnAddressThatAThirdPortHoldsIsFollowed) {
    p.apply(firewall(R"({"name": "r", "action": "allow", "destination": ["web"]})"));
    const Bytes routed = udp({kVm3.mac, kVm2.mac, kVm3.ip4, kLearned4}, 1, 2);
    EXPECT_FALSE(passes("vm3", "vm2", routed));
    bind("vm1", kVm1, kLearned4);
    EXPECT_TRUE(passes("vm3", "vm2", routed));
    EXPECT_TRUE(passes("vm3", "vm2", routed));
    flush("vm1");
    EXPECT_FALSE(passes("vm3", "vm2", routed));
}

TEST_P(FollowingGroups, MembershipAndBindingChangeIndependently) {
    const nlohmann::json member =
        firewall(R"({"name": "r", "action": "allow", "source": ["web"]})");
    nlohmann::json stranger = member;
    stranger["ports"][0]["tags"] = {{"app", "db"}};
    p.apply(stranger);
    bind("vm1", kVm1, kLearned4);
    EXPECT_FALSE(out());
    p.apply(member);
    EXPECT_TRUE(out()) << "no address of the document came or went";
    p.apply(stranger);
    EXPECT_FALSE(out());
    nlohmann::json unnamed = stranger;
    unnamed["dfw"]["sections"][0]["rules"][0]["source"] = {"10.0.0.77"};
    p.apply(unnamed);
    EXPECT_FALSE(out());
    p.apply(member);
    EXPECT_TRUE(out());
    p.apply(unnamed);
    EXPECT_FALSE(out());
}

TEST_P(FollowingGroups, AnExpiredBindingIsNotFollowed) {
    nlohmann::json document = firewall(R"({"name": "r", "action": "allow", "source": ["web"]})");
    document["port_groups"][0]["bindings"]["age_s"] = 60;
    p.apply(document);
    bind("vm1", kVm1, kLearned4);
    EXPECT_TRUE(out());
    p.advance(62 * kSecond);
    EXPECT_FALSE(out());
}

TEST_P(FollowingGroups, CopiesOfABroadcastAreJudgedByTheirSource) {
    p.apply(firewall(R"({"name": "r", "action": "allow", "source": ["web"]})", false));
    Path path = path_of(kLearned4, ip("10.0.0.255"));
    path.destination_mac = kBroadcast;
    const Bytes frame = udp(path, 1, 2);
    EXPECT_FALSE(passes("vm1", "vm2", frame));
    bind("vm1", kVm1, kLearned4);
    EXPECT_TRUE(passes("vm1", "vm2", frame));
    EXPECT_EQ(p.sent("vm3"), Frames{frame});
    flush("vm1");
    EXPECT_FALSE(passes("vm1", "vm2", frame));
}

INSTANTIATE_TEST_SUITE_P(Modes, FollowingGroups, testing::Bool(), [](const auto& mode) {
    return mode.param ? std::string("cached") : std::string("walked");
});

}  // namespace
}  // namespace sluice::test
