// SPDX-License-Identifier: Apache-2.0
// Trace: the real decisions, dry. It says what then happens, and leaves nothing behind.
#include "datapath/trace.h"

#include <algorithm>
#include <random>

#include "datapath/parse.h"
#include "tests/packet/pipeline.h"
#include "tests/packet/random_traffic.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using datapath::Trace;
using datapath::TraceStep;
using datapath::TraceWhat;
using enum TcpTalk::Side;

Trace traced(Pipeline& p, const std::string& port, const Bytes& frame) {
    const PortIndex index = p.index_of(port);
    datapath::TraceCommand command(index, frame);
    p.run(p.dataplane().snapshot().port(index)->worker, command);
    return command.trace;
}

std::size_t count_of(const Trace& trace, TraceWhat what) {
    return static_cast<std::size_t>(
        std::count_if(trace.steps.begin(), trace.steps.begin() + trace.count,
                      [what](const TraceStep& step) { return step.what == what; }));
}

nlohmann::json firewalled() {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"sections": [{"name": "app", "rules": [
        {"name": "web", "services": ["tcp/80"], "direction": "in", "applied_to": ["vm2"], "log": true},
        {"name": "out", "direction": "out", "log": true},
        {"name": "rest", "action": "drop", "log": true}]}]})");
    return document;
}

TEST(Trace, NamesTheSlotsAndRulesOnTheWay) {
    nlohmann::json document = firewalled();
    document["acls"] = json_of(R"([{"name": "a", "applied_to": ["vm1"], "rules": [
        {"name": "n", "action": "count", "set_dscp": 8}]}])");
    Pipeline p(document);
    const Trace trace = traced(p, "vm1", TcpTalk(v4(kVm1, kVm2)).syn());
    EXPECT_EQ(trace.reason, DropReason::kNone);
    EXPECT_EQ(trace.reached, 1u);
    std::vector<TraceWhat> whats;
    for (std::size_t i = 0; i < trace.count; ++i) { whats.push_back(trace.steps[i].what); }
    using enum TraceWhat;
    EXPECT_EQ(whats, (std::vector{kDomain, kRule, kSlot, kSlot, kSlot, kFound, kSlot, kSlot, kOpen,
                                  kSetDscp, kOutput}));
    EXPECT_EQ(trace.steps[4].slot, kSlotDfw);
    EXPECT_TRUE(trace.steps[4].is_stateful);
    EXPECT_NE(trace.steps[4].rule, trace.steps[6].rule) << "each vNIC has its own";
    EXPECT_EQ(trace.steps[5].port, p.index_of("vm2"));
}

TEST(Trace, LeavesNothingBehind) {
    Pipeline p(firewalled());
    TcpTalk talk(v4(kVm1, kVm2));
    for (const Bytes& frame : {talk.syn(), udp(v4(kVm2, kVm1), 53, 1000), ping(v6(kVm1, kVm2))}) {
        static_cast<void>(traced(p, "vm1", frame));
        static_cast<void>(traced(p, "vm2", frame));
    }
    EXPECT_EQ(p.connections().size(), 0u);
    EXPECT_EQ(p.flow_count(), 0u);
    EXPECT_EQ(p.drops(), 0u);
    EXPECT_EQ(p.books().received + p.books().created, 0u);
    EXPECT_EQ(p.rule("app", "out"), (RuleFigures{0, 0, 0}));
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{0, 0}));
    datapath::FirewallEvent event;
    EXPECT_FALSE(p.dataplane().worker(0).context().firewall_events.pop(event));
}

TEST(Trace, KnowsTheConnectionThatAPacketBelongsTo) {
    Pipeline p(firewalled());
    TcpTalk talk(v4(kVm1, kVm2));
    const Trace stray = traced(p, "vm2", TcpTalk(v4(kVm1, kVm2)).syn_ack());
    EXPECT_EQ(stray.reason, DropReason::kDfwDeny) << "vm1 lets nobody begin";
    EXPECT_EQ(stray.reached, 0u);
    p.send("vm1", talk.syn()).step();
    const Trace answer = traced(p, "vm2", talk.syn_ack());
    EXPECT_EQ(answer.reason, DropReason::kNone);
    EXPECT_EQ(count_of(answer, TraceWhat::kConnection), 1u);
    EXPECT_FALSE(answer.by_opener);
    EXPECT_EQ(answer.connection.state, ConnectionState::kTcpSynSent);
    EXPECT_EQ(p.connections().at(0).state, ConnectionState::kTcpSynSent);
}

TEST(Trace, EndsNoConnectionThatARuleNoLongerAllows) {
    Pipeline p(firewalled());
    TcpTalk talk(v4(kVm1, kVm2));
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    nlohmann::json document = firewalled();
    document["dfw"]["sections"][0]["rules"].erase(0);
    p.apply(document);
    const Trace trace = traced(p, "vm1", talk.data(kClient));
    EXPECT_EQ(trace.reason, DropReason::kDfwDeny);
    EXPECT_EQ(count_of(trace, TraceWhat::kAgain), 1u);
    EXPECT_EQ(p.connections().size(), 1u);
}

TEST(Trace, FollowsEachCopy) {
    nlohmann::json document = three_vms();
    document["acls"] = json_of(
        R"([{"name": "a", "applied_to": ["vm3"], "rules": [{"name": "n", "action": "deny"}]}])");
    Pipeline p(document);
    Path path = v4(kVm1, kVm2);
    path.destination_mac = kBroadcast;
    path.destination = ip("255.255.255.255");
    const Trace trace = traced(p, "vm1", udp(path, 1000, 2000));
    EXPECT_EQ(count_of(trace, TraceWhat::kFlood), 1u);
    EXPECT_EQ(trace.reached, 1u) << "vm3 denies its copy";
}

TEST(Trace, RefusesWhatIsInspected) {
    Pipeline p(two_vms());
    const Trace trace =
        traced(p, "vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kVm2.ip4}));
    EXPECT_TRUE(trace.is_inspected);
    EXPECT_EQ(trace.count, 0u);
}

std::string dropped_for(const Pipeline& p) {
    std::string text;
    for (std::size_t i = 1; i < kDropReasonCount; ++i) {
        const auto reason = static_cast<DropReason>(i);
        if (p.drops(reason) == 0) { continue; }
        text += std::string(to_string(reason)) + " " + std::to_string(p.drops(reason)) + ", ";
    }
    return text;
}

/// Frames that a trace has all to say about: whole ones that no connection's state decides on, that
/// teach nothing before their destination is looked for, and that no router answers or holds.
bool is_told(const Trace& trace, const QueuedFrame& frame) {
    return !trace.is_inspected && count_of(trace, TraceWhat::kConnection) == 0 &&
           count_of(trace, TraceWhat::kLearn) == 0 && count_of(trace, TraceWhat::kRouter) == 0 &&
           count_of(trace, TraceWhat::kWait) == 0 && frame.bytes.size() < 900 &&
           frame.offload.ol_flags == 0;
}

TEST(Trace, SaysWhatThenHappens) {
    const std::uint64_t seed = std::random_device{}();
    RandomPolicy policy(seed);
    RandomTraffic traffic(seed + 1);
    Pipeline p(policy.document());
    std::size_t told = 0;
    for (unsigned i = 0; i < 20'000; ++i) {
        if (i % 50 == 0) {
            policy.change();
            p.apply(policy.document());
        }
        const Sending sending = traffic.next();
        if (!policy.has_port(sending.port)) { continue; }
        ParsedFrame parsed;
        const auto size = static_cast<std::uint16_t>(sending.frame.bytes.size());
        datapath::parse_frame(sending.frame.bytes.data(), size, size, PortIndex{0}, parsed);
        const std::string port = port_name(sending.port);
        const Trace trace = traced(p, port, sending.frame.bytes);
        const std::uint64_t drops = p.drops();
        const std::uint64_t same = p.drops(trace.reason);
        const std::uint64_t checksum = p.drops(DropReason::kBadL4Checksum);
        p.send(port, sending.frame).step();
        std::size_t sent = 0;
        for (std::size_t each = 0; each < kUniverseSize; ++each) {
            if (policy.has_port(each)) { sent += p.sent(port_name(each)).size(); }
        }
        const bool is_whole = !parsed.fragment && p.drops(DropReason::kBadL4Checksum) == checksum &&
                              !parsed.key.destination_mac.is_group();
        if (!is_told(trace, sending.frame) || !is_whole) { continue; }
        ++told;
        if (trace.reached == 0 && trace.reason != DropReason::kNone) {
            ASSERT_EQ(p.drops(trace.reason), same + 1)
                << "seed " << seed << ", frame " << i << ": traced " << to_string(trace.reason);
        } else if (trace.reached > 0) {
            ASSERT_GE(sent + (p.drops() - drops), trace.reached)
                << "seed " << seed << ", frame " << i;
            ASSERT_GT(sent, 0u) << "seed " << seed << ", frame " << i << ": " << dropped_for(p);
        }
    }
    EXPECT_GT(told, 1000u);
}

}  // namespace
}  // namespace sluice::test
