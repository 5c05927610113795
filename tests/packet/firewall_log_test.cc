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

constexpr const char* kWeb = R"({"name": "web", "services": ["tcp/80"], "log": true})";

/// The only event that is an end, of all that are there.
FirewallEvent the_end(Pipeline& p) {
    FirewallEvent end;
    unsigned count = 0;
    for (const FirewallEvent& event : events(p)) {
        if (event.kind != FirewallEventKind::kEnd) { continue; }
        end = event;
        ++count;
    }
    EXPECT_EQ(count, 1u);
    return end;
}

/// SYN, SYN-ACK, ACK and one segment of data each way: five packets of `bytes`.
std::size_t talk_a_little(Pipeline& p, TcpTalk& talk) {
    std::size_t bytes = 0;
    const auto send = [&](const char* port, const Bytes& frame) {
        bytes += frame.size();
        p.send(port, frame).step();
    };
    send("vm1", talk.syn());
    send("vm2", talk.syn_ack());
    send("vm1", talk.ack(kClient));
    send("vm1", talk.data(kClient));
    send("vm2", talk.data(kServer));
    EXPECT_EQ(p.drops(), 0u);
    return bytes;
}

TEST(FirewallLog, HasOneRecordOfAConnectionsEndWithAllItCarried) {
    for (const bool flow_cache : {true, false}) {
        Pipeline p(with_rule(kWeb), {.flow_cache = flow_cache});
        TcpTalk talk(v4(kVm1, kVm2));
        std::size_t bytes = talk_a_little(p, talk);
        p.advance(3 * kSecond);
        const Bytes fin = talk.fin(kClient), fin_back = talk.fin(kServer), last = talk.ack(kClient);
        bytes += fin.size() + fin_back.size() + last.size();
        p.send("vm1", fin).step().send("vm2", fin_back).step().send("vm1", last).step();
        const FirewallEvent end = the_end(p);
        EXPECT_EQ(end.why, ConnectionEnd::kClosed);
        EXPECT_EQ(end.packets, 8u);
        EXPECT_EQ(end.bytes, bytes);
        EXPECT_EQ(end.time_ns - end.opened_ns, 3 * kSecond);
        EXPECT_EQ(end.source_vnic, p.index_of("vm1"));
        EXPECT_EQ(end.destination_vnic, p.index_of("vm2"));
        EXPECT_EQ(end.source_port, 40000);
        EXPECT_EQ(end.destination_port, 80);
        EXPECT_EQ(p.rule("s", "web").packets, 8u);
        p.advance(500 * kSecond);
        p.dataplane().connections().sweep(0, 1000, p.now_ns());
        EXPECT_EQ(events(p).size(), 0u) << "it ends once";
    }
}

TEST(FirewallLog, SaysWhyAConnectionEnded) {
    const auto end_after = [](auto&& act) {
        Pipeline p(with_rule(kWeb));
        TcpTalk talk(v4(kVm1, kVm2));
        talk_a_little(p, talk);
        act(p, talk);
        const FirewallEvent end = the_end(p);
        EXPECT_GE(end.packets, 5u);
        return end.why;
    };
    EXPECT_EQ(
        end_after([](Pipeline& p, TcpTalk& talk) { p.send("vm2", talk.reset(kServer)).step(); }),
        ConnectionEnd::kReset);
    EXPECT_EQ(end_after([](Pipeline& p, TcpTalk&) {
                  p.advance(90'000 * kSecond);
                  p.dataplane().connections().sweep(0, 1000, p.now_ns());
              }),
              ConnectionEnd::kTimeout);
    EXPECT_EQ(end_after([](Pipeline& p, TcpTalk&) { p.flush_connections(); }),
              ConnectionEnd::kFlushed);
    EXPECT_EQ(end_after([](Pipeline& p, TcpTalk& talk) {
                  p.apply(with_rule(
                      R"({"name": "web", "services": ["tcp/80"], "action": "drop", "log": true})"));
                  p.send("vm1", talk.data(kClient)).step();
              }),
              ConnectionEnd::kPolicy);
}

TEST(FirewallLog, TheEndOfWhatNoRuleLogsIsSilent) {
    Pipeline p(with_rule(R"({"name": "web", "services": ["tcp/80"]})"));
    TcpTalk talk(v4(kVm1, kVm2));
    talk_a_little(p, talk);
    p.flush_connections();
    EXPECT_EQ(events(p).size(), 0u);
}

TEST(FirewallLog, CountsDatagramsOfBothWays) {
    Pipeline p(with_rule(R"({"name": "all", "log": true})"));
    const Bytes out = udp(v4(kVm1, kVm2), 1000, 53), back = udp(v4(kVm2, kVm1), 53, 1000);
    for (int i = 0; i < 4; ++i) { p.send("vm1", out).step().send("vm2", back).step(); }
    p.advance(1000 * kSecond);
    p.dataplane().connections().sweep(0, 1000, p.now_ns());
    const FirewallEvent end = the_end(p);
    EXPECT_EQ(end.packets, 8u);
    EXPECT_EQ(end.bytes, 4 * (out.size() + back.size()));
    EXPECT_EQ(end.why, ConnectionEnd::kTimeout);
}

TEST(FirewallLog, KnowsWhereARefusedPacketWouldHaveGone) {
    Pipeline p(with_rule(R"({"name": "no", "action": "drop", "log": true})"));
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).step();
    const auto got = events(p);
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].source_vnic, p.index_of("vm1"));
    EXPECT_EQ(got[0].destination_vnic, p.index_of("vm2"));
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
