// SPDX-License-Identifier: Apache-2.0
// MAC learning, unknown unicast, MACs that change: what is learned, from whom, for how long, and
// that programs made before notice.
#include "sluice/net/address_text.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

// Nested guests: behind vm1, or wherever they speak.
const Vnic kNested{mac("02:00:00:00:0a:01"), ip("10.0.0.101"), ip("2001:db8::a1")};
const Vnic kOther{mac("02:00:00:00:0a:02"), ip("10.0.0.102"), ip("2001:db8::a2")};

/// vm1, vm2 and vm3 in "lan", of which MACs are learned, with these settings laid over.
nlohmann::json learning(const std::string& settings = "{}") {
    nlohmann::json document = three_vms();
    document["port_groups"][0]["mac_learning"] = {{"enabled", true}};
    document["port_groups"][0]["mac_learning"].update(json_of(settings));
    return document;
}

/// vm3 in a group of the same domain with other settings.
nlohmann::json with_vm3(nlohmann::json document, const std::string& settings) {
    document["port_groups"].push_back({{"name", "apart"}, {"switch", "dvs0"}});
    document["port_groups"].back().update(json_of(settings));
    document["ports"][2]["port_group"] = "apart";
    return document;
}

Bytes hello(const Vnic& from) {
    return arp(from.mac, kBroadcast, {1, from.mac, from.ip4, {}, from.ip4});
}

std::vector<std::pair<std::string, PortIndex>> learned(Pipeline& p) {
    std::vector<std::pair<std::string, PortIndex>> rows;
    const LearnedTable& table = p.dataplane().learned();
    table.for_each(0, table.used_count(), p.now_ns(), [&](const LearnedRow& row) {
        if (row.key.kind != LearnedKind::kMac) { return; }
        rows.emplace_back(to_string(row.key.mac_address()), row.value.port);
    });
    return rows;
}

/// In both modes: the facts of this file hold with and without the flow cache.
class Learning : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] PipelineOptions options() const {
        PipelineOptions options;
        options.flow_cache = GetParam();
        return options;
    }
};
INSTANTIATE_TEST_SUITE_P(, Learning, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(Learning, IsOffUnlessAskedFor) {
    Pipeline p(three_vms(), options());
    p.send("vm1", udp(v4(kNested, kVm2), 1, 2)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kSpoofedMac), 1u);
    EXPECT_TRUE(learned(p).empty());
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, FramesToALearnedMacReachItsPort) {
    Pipeline p(learning(), options());
    const Bytes question = udp(v4(kNested, kVm2), 1, 2);
    const Bytes answer = udp(v4(kVm2, kNested), 2, 1);
    p.send("vm2", answer).step();
    EXPECT_EQ(p.drops("vm2", DropReason::kUnknownUnicast), 1u) << "not known yet";
    p.send("vm1", question).step();
    p.send("vm2", answer).send("vm2", answer).step();
    EXPECT_EQ(p.sent("vm2"), Frames{question});
    EXPECT_EQ(p.sent("vm1"), (Frames{answer, answer})) << "the program that dropped noticed";
    EXPECT_EQ(learned(p).size(), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, HappensFromInspectedFramesToo) {
    Pipeline p(learning(), options());
    p.send("vm1", hello(kNested)).step();
    p.port("vm1").clear_sent();
    const Bytes frame = udp(v4(kVm2, kNested), 2, 1);
    p.send("vm2", frame).step();
    EXPECT_EQ(p.sent("vm1"), Frames{frame});
    const Bytes question = arp(kVm3.mac, kNested.mac, {1, kVm3.mac, kVm3.ip4, {}, kNested.ip4});
    p.send("vm3", question).step();
    EXPECT_EQ(p.sent("vm1"), Frames{question}) << "inspected unicast finds it as well";
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, IsVisibleToTheNextPacketOfTheBurst) {
    Pipeline p(learning(), options());
    Path to_itself = v4(kOther, kNested);
    p.send("vm1", udp(v4(kNested, kVm2), 1, 2)).send("vm1", udp(to_itself, 1, 2)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kSamePort), 1u);
    EXPECT_EQ(p.drops(), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, AMoveTakesEffectInCachedProgramsOfBothPorts) {
    Pipeline p(learning(), options());
    const Bytes to_nested = udp(v4(kVm3, kNested), 1, 2);
    const Bytes from_nested = udp(v4(kNested, kVm3), 2, 1);
    p.send("vm1", from_nested).step().send("vm3", to_nested).step();
    EXPECT_EQ(p.sent("vm1"), Frames{to_nested});
    p.send("vm2", from_nested).step().send("vm3", to_nested).step();
    EXPECT_EQ(p.sent("vm2"), Frames{to_nested}) << "newest wins";
    EXPECT_EQ(p.sent("vm1"), Frames{});
    p.send("vm1", from_nested).step().send("vm3", to_nested).step();
    EXPECT_EQ(p.sent("vm1"), Frames{to_nested}) << "the cached program of vm1 learned it again";
    EXPECT_EQ(learned(p).size(), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, StopsAtTheLimitAndGoesOnBelowIt) {
    Pipeline p(learning(R"({"limit": 1})"), options());
    p.send("vm1", udp(v4(kNested, kVm2), 1, 2)).step();
    const Bytes refused = udp(v4(kOther, kVm2), 1, 2);
    p.send("vm1", refused).send("vm1", refused).send("vm1", hello(kOther)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kMacLimit), 3u);
    EXPECT_EQ(p.slot("vm1", kSlotSwsec, Direction::kFromVm).drops, 3u);
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    p.send("vm1", udp(v4(kVm1, kVm2), 1, 2)).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u) << "the vNIC's own MAC needs no room";
    LearnedFilter macs;
    macs.kind = LearnedKind::kMac;
    datapath::FlushLearned flush(macs);
    p.run(0, flush);
    EXPECT_EQ(flush.removed, 1u);
    p.send("vm1", refused).step();
    EXPECT_EQ(p.sent("vm2"), Frames{refused});
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, OnePortCannotFillTheTable) {
    PipelineOptions small = options();
    small.learned_capacity = 64;
    Pipeline p(learning(R"({"limit": 0})"), small);
    for (std::uint8_t i = 0; i < 100; ++i) {
        Vnic guest = kNested;
        guest.mac.bytes[5] = i;
        p.send("vm1", udp(v4(guest, kVm2), 1, 2));
    }
    p.step();
    EXPECT_EQ(p.dataplane().learned().size(), 32u);
    EXPECT_EQ(p.drops("vm1", DropReason::kMacLimit), 68u);
    p.send("vm3", hello(Vnic{mac("02:00:00:00:0b:01"), kOther.ip4, kOther.ip6})).step();
    EXPECT_EQ(p.drops("vm3", DropReason::kMacLimit), 0u);
    EXPECT_EQ(p.dataplane().learned().count(p.index_of("vm3"), LearnedKind::kMac), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, AgesWhatIsSilent) {
    Pipeline p(learning(R"({"age_s": 20})"), options());
    const Bytes answer = udp(v4(kVm2, kNested), 2, 1);
    p.send("vm1", hello(kNested)).step();
    p.advance(19 * kSecond).send("vm2", answer).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    p.advance(2 * kSecond).send("vm2", answer).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.drops("vm2", DropReason::kUnknownUnicast), 1u) << "the cached program noticed";
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, KeepsWhatALiveFlowUses) {
    Pipeline p(learning(R"({"age_s": 20})"), options());
    const Bytes question = udp(v4(kNested, kVm2), 1, 2);
    for (int second = 0; second < 60; ++second) {
        p.advance(kSecond).send("vm1", question).step();
        for (int i = 0; i < 5; ++i) { p.advance(kMillisecond).step(); }  // Time for the sweep.
    }
    p.send("vm2", udp(v4(kVm2, kNested), 2, 1)).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    EXPECT_EQ(p.sent("vm2").size(), 60u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, NeverTakesAMacThatIsAPortsOwn) {
    Pipeline p(learning(), options());
    Path path = v4(kVm2, kVm3);
    p.send("vm1", udp(path, 1, 2)).step();
    EXPECT_TRUE(learned(p).empty());
    const Bytes frame = udp(v4(kVm3, kVm2), 3, 4);
    p.send("vm3", frame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{frame});
    EXPECT_EQ(p.sent("vm1"), Frames{});
}

TEST_P(Learning, NeverTakesWhatSlotOneDropped) {
    nlohmann::json document = learning();
    document["port_groups"][0]["guards"] = {{"dhcp_client", true}};
    document["port_groups"][0]["spoofguard"] = "manual";
    Pipeline p(document, options());
    p.send("vm1", udp(v4(kNested, kVm2), 1, 2)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kSpoofedMac), 1u) << "SpoofGuard is stronger";
    EXPECT_TRUE(learned(p).empty());
}

TEST_P(Learning, IsForgottenWithTheSetting) {
    Pipeline p(learning(), options());
    const Bytes frame = udp(v4(kVm2, kNested), 2, 1);
    p.send("vm1", hello(kNested)).step().send("vm2", frame).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    p.apply(three_vms());
    p.send("vm2", frame).step();
    EXPECT_EQ(p.drops("vm2", DropReason::kUnknownUnicast), 1u);
    p.apply(learning());
    p.send("vm1", hello(kNested)).step().send("vm2", frame).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, IsADomainsOwn) {
    nlohmann::json document = learning();
    document["ports"][2]["overrides"] = json_of(R"({"vlan": {"mode": "access", "id": 10}})");
    Pipeline p(document, options());
    p.send("vm1", hello(kNested)).step();
    p.send("vm3", udp(v4(kVm3, kNested), 1, 2)).step();
    EXPECT_EQ(p.drops("vm3", DropReason::kUnknownUnicast), 1u);
    p.send("vm3", hello(kNested)).step();
    EXPECT_EQ(learned(p).size(), 2u) << "one MAC, two VLANs, two places";
}

TEST_P(Learning, TheFirewallJudgesAtTheLearnedPort) {
    nlohmann::json document = learning();
    document["dfw"] = json_of(R"({"sections": [{"name": "s", "rules": [
        {"name": "no-dns", "action": "drop", "direction": "in", "services": ["udp/53"], "applied_to": ["vm1"]}]}]})");
    Pipeline p(document, options());
    p.send("vm1", hello(kNested)).step();
    p.send("vm2", udp(v4(kVm2, kNested), 9, 53)).send("vm2", udp(v4(kVm2, kNested), 9, 54)).step();
    EXPECT_EQ(p.drops("vm2", DropReason::kDfwDeny), 1u);
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    EXPECT_EQ(p.connections().size(), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, TwoWorkersLearnOneTable) {
    PipelineOptions two = options();
    two.worker_count = 2;
    Pipeline p(learning(), two);
    p.send("vm1", hello(kNested)).step();
    p.port("vm2").clear_sent();
    const Bytes frame = udp(v4(kVm2, kNested), 2, 1);
    p.send("vm2", frame).step();
    EXPECT_EQ(p.sent("vm1"), Frames{frame});
    p.send("vm2", hello(kNested)).step().send("vm3", udp(v4(kVm3, kNested), 3, 4)).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, UnknownUnicastIsFloodedToThoseThatAsk) {
    nlohmann::json document = with_vm3(learning(R"({"unknown_unicast_flood": true})"),
                                       R"({"mac_learning": {"enabled": true}})");
    Pipeline p(document, options());
    const Bytes frame = udp(v4(kVm1, kOther), 1, 2);
    p.send("vm1", frame).send("vm1", frame).step();
    EXPECT_EQ(p.sent("vm2"), (Frames{frame, frame}));
    EXPECT_EQ(p.sent("vm3"), Frames{}) << "learns, but did not ask";
    const Bytes question = arp(kVm1.mac, kOther.mac, {1, kVm1.mac, kVm1.ip4, {}, kOther.ip4});
    p.send("vm1", question).step();
    EXPECT_EQ(p.sent("vm2"), Frames{question});
    p.send("vm2", hello(kOther)).step();
    p.port("vm1").clear_sent();
    p.port("vm3").clear_sent();
    p.send("vm1", frame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{frame});
    EXPECT_EQ(p.books().created, 5u) << "known by now: no more copies";
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, FloodNeedsLearning) {
    nlohmann::json document = three_vms();
    document["port_groups"][0]["mac_learning"] = {{"unknown_unicast_flood", true}};
    Pipeline p(document, options());
    p.send("vm1", udp(v4(kVm1, kOther), 1, 2)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kUnknownUnicast), 1u);
}

TEST_P(Learning, APromiscuousPortSeesKnownAndUnknown) {
    nlohmann::json document = with_vm3(learning(), R"({"security": {"promiscuous": true}})");
    Pipeline p(document, options());
    p.send("vm2", hello(kOther)).step();
    p.port("vm3").clear_sent();
    const Bytes known = udp(v4(kVm1, kOther), 1, 2);
    const Bytes unknown = udp(v4(kVm1, kNested), 1, 2);
    p.send("vm1", known).send("vm1", unknown).step();
    EXPECT_EQ(p.sent("vm3"), (Frames{known, unknown}));
    EXPECT_EQ(p.sent("vm2"), Frames{known});
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, AVnicThatMayChangeItsMacIsFoundByTheNewest) {
    nlohmann::json document = three_vms();
    document["ports"][0]["overrides"] = json_of(R"({"security": {"mac_changes": true}})");
    Pipeline p(document, options());
    const Bytes to_first = udp(v4(kVm2, kNested), 1, 2);
    const Bytes to_second = udp(v4(kVm2, kOther), 1, 2);
    p.send("vm1", hello(kNested)).step();
    p.send("vm2", to_first).step();
    EXPECT_EQ(p.sent("vm1"), Frames{to_first});
    p.send("vm1", udp(v4(kOther, kVm3), 1, 2)).step();
    p.send("vm2", to_first).send("vm2", to_second).step();
    EXPECT_EQ(p.sent("vm1"), Frames{to_second}) << "one at a time";
    EXPECT_EQ(p.drops("vm2", DropReason::kUnknownUnicast), 1u);
    p.send("vm2", udp(v4(kVm2, kVm1), 1, 2)).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u) << "its configured MAC stays its own";
    EXPECT_EQ(learned(p).size(), 1u);
    p.send("vm2", udp(v4(kNested, kVm3), 1, 2)).step();
    EXPECT_EQ(p.drops("vm2", DropReason::kSpoofedMac), 1u) << "vm1's override is vm1's";
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, ForgedTransmitsPassAndTeachNothing) {
    nlohmann::json document = three_vms();
    document["port_groups"][0]["security"] = {{"forged_transmits", true}};
    document["ports"][2]["overrides"] = json_of(R"({"security": {"forged_transmits": false}})");
    Pipeline p(document, options());
    const Bytes forged = udp(v4(kNested, kVm2), 1, 2);
    p.send("vm1", forged).send("vm3", forged).step();
    EXPECT_EQ(p.sent("vm2"), Frames{forged});
    EXPECT_EQ(p.drops("vm3", DropReason::kSpoofedMac), 1u) << "the override";
    EXPECT_TRUE(learned(p).empty());
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, MovesWithItsPortsVlan) {
    nlohmann::json document = learning();
    Pipeline p(document, options());
    const Bytes frame = udp(v4(kVm2, kNested), 2, 1);
    p.send("vm1", hello(kNested)).step().send("vm2", frame).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    document["ports"][0]["overrides"] = json_of(R"({"vlan": {"mode": "access", "id": 10}})");
    p.apply(document);
    p.send("vm2", frame).step();
    EXPECT_EQ(p.drops("vm2", DropReason::kUnknownUnicast), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(Learning, ADisabledPortHasNoMacsBehindIt) {
    nlohmann::json document = learning();
    Pipeline p(document, options());
    const Bytes frame = udp(v4(kVm2, kNested), 2, 1);
    p.send("vm1", hello(kNested)).step().send("vm2", frame).step();
    document["ports"][0]["enabled"] = false;
    p.apply(document);
    p.send("vm2", frame).step();
    EXPECT_EQ(p.sent("vm1").size(), 1u);
    EXPECT_EQ(p.drops("vm2", DropReason::kPortDisabled), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
