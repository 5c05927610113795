// SPDX-License-Identifier: Apache-2.0
// Connections whose first packet went to a MAC that the switch does not know: the answer is a reply
// like any other, under a firewall that lets nothing in by itself.
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

const Vnic kNested{mac("02:00:00:00:0a:01"), ip("10.0.0.101"), ip("2001:db8::a1")};

/// Every vNIC may open connections to port 80; nothing else passes.
nlohmann::json only_web(nlohmann::json document) {
    document["dfw"] = json_of(R"({"default": "drop", "sections": [
        {"name": "app", "rules": [{"name": "web", "services": ["tcp/80"]}]}]})");
    return document;
}

/// vm1 in VLAN 101, vm2 in 102, vm3 the appliance on a trunk, which alone connects them.
nlohmann::json appliance() {
    nlohmann::json document = three_vms();
    document["ports"][0]["overrides"] = json_of(R"({"vlan": {"mode": "access", "id": 101}})");
    document["ports"][1]["overrides"] = json_of(R"({"vlan": {"mode": "access", "id": 102}})");
    document["ports"][2]["overrides"] = json_of(
        R"({"vlan": {"mode": "trunk", "ranges": ["101-102"]},
            "security": {"promiscuous": true, "forged_transmits": true}})");
    return document;
}

class UnknownUnicastConnection : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] PipelineOptions options() const {
        PipelineOptions options;
        options.flow_cache = GetParam();
        return options;
    }
};
INSTANTIATE_TEST_SUITE_P(, UnknownUnicastConnection, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

/// Sends from one VM, hands on what the appliance sees from its VLAN into the other's.
void relay(Pipeline& p, const std::string& from, const std::string& to, const Bytes& frame) {
    const std::uint16_t here = from == "vm1" ? 101 : 102, there = from == "vm1" ? 102 : 101;
    p.send(from, frame).step();
    EXPECT_EQ(p.sent("vm3"), Frames{tagged(frame, here)});
    EXPECT_EQ(p.sent(to), Frames{}) << "only the appliance connects them";
    p.send("vm3", tagged(frame, there)).step();
    EXPECT_EQ(p.sent(to), Frames{frame});
}

TEST_P(UnknownUnicastConnection, PassesThroughAnAppliance) {
    Pipeline p(only_web(appliance()), options());
    TcpTalk talk(v4(kVm1, kVm2));
    relay(p, "vm1", "vm2", talk.syn());
    relay(p, "vm2", "vm1", talk.syn_ack());
    for (int round = 0; round < 3; ++round) {
        relay(p, "vm1", "vm2", talk.data(TcpTalk::kClient));
        relay(p, "vm2", "vm1", talk.data(TcpTalk::kServer));
    }
    EXPECT_EQ(p.connections().size(), 2u) << "one in each VLAN";
    EXPECT_EQ(p.drops(), 0u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(UnknownUnicastConnection, OnlyItsRepliesPass) {
    Pipeline p(only_web(appliance()), options());
    TcpTalk talk(v4(kVm1, kVm2)), other(v4(kVm1, kVm2), 40001);
    relay(p, "vm1", "vm2", talk.syn());
    p.send("vm2", other.syn_ack()).step();
    EXPECT_EQ(p.sent("vm3"), Frames{});
    p.send("vm3", tagged(other.syn_ack(), 101)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.drops(DropReason::kDfwDeny), 2u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(UnknownUnicastConnection, EndsWithTheRuleThatAllowedIt) {
    Pipeline p(only_web(appliance()), options());
    TcpTalk talk(v4(kVm1, kVm2));
    relay(p, "vm1", "vm2", talk.syn());
    relay(p, "vm2", "vm1", talk.syn_ack());
    nlohmann::json closed = only_web(appliance());
    closed["dfw"]["sections"] = nlohmann::json::array();
    p.apply(closed);
    p.send("vm1", talk.data(TcpTalk::kClient)).step();
    p.send("vm3", tagged(talk.data(TcpTalk::kServer), 101)).step();
    EXPECT_EQ(p.sent("vm3"), Frames{});
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.drops(DropReason::kDfwDeny), 2u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(UnknownUnicastConnection, IsAnsweredByANestedGuest) {
    nlohmann::json document = only_web(three_vms());
    document["port_groups"][0]["mac_learning"] =
        json_of(R"({"enabled": true, "unknown_unicast_flood": true})");
    Pipeline p(document, options());
    TcpTalk talk(v4(kVm1, kNested));
    const Bytes syn = talk.syn(), answer = talk.syn_ack();
    p.send("vm1", syn).step();
    EXPECT_EQ(p.sent("vm2"), Frames{syn});
    EXPECT_EQ(p.sent("vm3"), Frames{syn});
    p.send("vm2", answer).step();
    EXPECT_EQ(p.sent("vm1"), Frames{answer});
    const Bytes more = talk.ack(TcpTalk::kClient);
    p.send("vm1", more).step();
    EXPECT_EQ(p.sent("vm2"), Frames{more}) << "known by now";
    EXPECT_EQ(p.sent("vm3"), Frames{});
    const Bytes data = talk.data(TcpTalk::kServer);
    p.send("vm2", data).step();
    EXPECT_EQ(p.sent("vm1"), Frames{data});
    EXPECT_EQ(p.drops(), 0u);
    EXPECT_TRUE(p.packets_conserved());
}

// The answer comes from a MAC that was not known. Who sends from a known one is somebody else.
TEST_P(UnknownUnicastConnection, IsNotAnsweredByTheOwnerOfAKnownMac) {
    nlohmann::json document = only_web(three_vms());
    document["ports"][2]["overrides"] = json_of(R"({"security": {"promiscuous": true}})");
    Pipeline p(document, options());
    TcpTalk talk(v4(kVm1, kNested));
    p.send("vm1", talk.syn()).step();
    EXPECT_EQ(p.sent("vm3").size(), 1u);
    Path forged = v4(kNested, kVm1);
    forged.source_mac = kVm2.mac;
    p.send("vm2",
           tcp(forged, 80, 40000, {.flags = kTcpSyn | kTcpAck, .sequence = 5, .ack = 1'000'001}))
        .step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.drops("vm2", DropReason::kDfwDeny), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

// Nor by a port that the frame did not reach, whose rules must not end what others answer either.
TEST_P(UnknownUnicastConnection, IsNotAnsweredFromWhereItDidNotGo) {
    nlohmann::json document = three_vms();
    document["port_groups"][0]["security"] = json_of(R"({"forged_transmits": true})");
    document["ports"][2]["overrides"] = json_of(R"({"security": {"promiscuous": true}})");
    document["dfw"] = json_of(R"({"default": "drop", "sections": [{"name": "app", "rules": [
        {"name": "web", "services": ["tcp/80"], "applied_to": ["vm1", "vm3"]}]}]})");
    Pipeline p(document, options());
    TcpTalk talk(v4(kVm1, kNested)), real(v4(kVm1, kNested));
    p.send("vm1", talk.syn()).step();
    p.send("vm2", talk.syn_ack()).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.drops("vm2", DropReason::kDfwDeny), 1u);
    EXPECT_EQ(p.connections().size(), 1u);
    EXPECT_EQ(real.syn().size(), p.sent("vm3").at(0).size());
    const Bytes answer = real.syn_ack();
    p.send("vm3", answer).step();
    EXPECT_EQ(p.sent("vm1"), Frames{answer});
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
