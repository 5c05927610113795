// SPDX-License-Identifier: Apache-2.0
// Rules with `log`: which packets leave a record on its way to control, and that a full ring costs
// nobody a packet.
#include "tests/packet/pipeline.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using datapath::FirewallEvent;
using datapath::FirewallEventKind;
using enum TcpTalk::Side;

nlohmann::json with_rule(const std::string& rule, bool is_stateful = true) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"sections": [{"name": "s", "rules": [)" + rule + "]}]}");
    document["dfw"]["sections"][0]["stateful"] = is_stateful;
    return document;
}

std::vector<FirewallEvent> events(Pipeline& p) {
    std::vector<FirewallEvent> out;
    FirewallEvent event;
    while (p.dataplane().worker(0).context().firewall_events.pop(event)) { out.push_back(event); }
    return out;
}

TEST(FirewallLog, HasOneRecordAConnection) {
    Pipeline p(with_rule(R"({"name": "web", "services": ["tcp/80"], "log": true})"));
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    p.send("vm1", talk.data(kClient)).step().send("vm2", talk.data(kServer)).step();
    const auto got = events(p);
    ASSERT_EQ(got.size(), 1u) << "one rule on both vNICs speaks once";
    EXPECT_EQ(got[0].kind, FirewallEventKind::kOpen);
    EXPECT_EQ(got[0].port, p.index_of("vm1"));
    EXPECT_EQ(got[0].direction, Direction::kFromVm);
    EXPECT_EQ(got[0].protocol, 6);
    EXPECT_EQ(got[0].family, IpFamily::kV4);
    EXPECT_EQ(got[0].source_port, 40000);
    EXPECT_EQ(got[0].destination_port, 80);
    EXPECT_EQ(got[0].source_ip[15], 1);
    EXPECT_EQ(got[0].destination_ip[15], 2);
    EXPECT_EQ(got[0].time_ns, p.now_ns());
}

TEST(FirewallLog, IsOfTheVnicWhoseRuleItWas) {
    Pipeline p(with_rule(
        R"({"name": "in", "direction": "in", "applied_to": ["vm2"], "action": "drop", "log": true})"));
    p.send("vm1", udp(v6(kVm1, kVm2), 1000, 53)).step();
    const auto got = events(p);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].kind, FirewallEventKind::kDrop);
    EXPECT_EQ(got[0].port, p.index_of("vm2"));
    EXPECT_EQ(got[0].direction, Direction::kToVm);
    EXPECT_EQ(got[0].family, IpFamily::kV6);
}

TEST(FirewallLog, HasOneRecordARefusedFlow) {
    Pipeline p(with_rule(R"({"name": "no", "action": "reject", "log": true})"));
    for (int i = 0; i < 5; ++i) { p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).step(); }
    auto got = events(p);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].kind, FirewallEventKind::kReject);
    p.send("vm1", udp(v4(kVm1, kVm2), 1001, 53)).step();
    EXPECT_EQ(events(p).size(), 1u) << "another flow";
}

TEST(FirewallLog, NamesWhatAStatelessRuleLetsThrough) {
    Pipeline p(with_rule(R"({"name": "all", "log": true})", false));
    for (int i = 0; i < 5; ++i) { p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).step(); }
    const auto got = events(p);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].kind, FirewallEventKind::kPass);
}

TEST(FirewallLog, IsSilentWithoutTheWord) {
    Pipeline p(with_rule(R"({"name": "no", "action": "drop", "services": ["udp"]})"));
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).send("vm1", ping(v4(kVm1, kVm2))).step();
    EXPECT_EQ(events(p).size(), 0u);
    p.apply(with_rule(R"({"name": "no", "action": "drop", "services": ["udp"], "log": true})"));
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).step();
    EXPECT_EQ(events(p).size(), 1u) << "the word counts from the next packet on";
}

TEST(FirewallLog, AFullRingIsCountedAndCostsNoPacket) {
    Pipeline p(with_rule(R"({"name": "all", "log": true})", false), {.flow_cache = false});
    const unsigned sent = kFirewallEventsWaiting + 10;
    for (unsigned i = 0; i < sent; ++i) { p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)); }
    p.step();
    EXPECT_EQ(p.sent("vm2").size(), sent);
    EXPECT_EQ(p.dataplane().worker(0).context().firewall_events.lost(), 10u);
    EXPECT_EQ(events(p).size(), kFirewallEventsWaiting);
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).step();
    EXPECT_EQ(events(p).size(), 1u) << "there is room again";
}

}  // namespace
}  // namespace sluice::test
