// SPDX-License-Identifier: Apache-2.0
// The chain as a whole: order of the slots, and the figures of `show chain` and `show rules`, which
// count what cached programs carried too.
#include "sluice/iochain/slots.h"
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;
constexpr SlotFigures kNothing{0, 0};

nlohmann::json with_acl(const char* rules) {
    nlohmann::json document = two_vms();
    document["acls"] = nlohmann::json::array(
        {{{"name", "acl1"}, {"applied_to", {"vm1"}}, {"rules", json_of(rules)}}});
    return document;
}

TEST(Slots, CountEachPacketOnceADirection) {
    nlohmann::json document = with_acl(R"([{"name": "all", "action": "permit"}])");
    Pipeline p(document);
    for (int i = 0; i < 5; ++i) { p.send("vm1", udp(v4(kVm1, kVm2), 1000, 2000)).step(); }
    for (int i = 0; i < 3; ++i) { p.send("vm2", udp(v4(kVm2, kVm1), 2000, 1000)).step(); }
    for (const std::size_t slot : {kSlotDvfilter, kSlotSwsec, kSlotDfw}) {
        EXPECT_EQ(p.slot("vm1", slot, Direction::kFromVm), (SlotFigures{5, 0})) << slot;
        EXPECT_EQ(p.slot("vm1", slot, Direction::kToVm), (SlotFigures{3, 0})) << slot;
    }
    for (const std::size_t slot : {kSlotSwsec, kSlotDfw}) {
        EXPECT_EQ(p.slot("vm2", slot, Direction::kFromVm), (SlotFigures{3, 0})) << slot;
        EXPECT_EQ(p.slot("vm2", slot, Direction::kToVm), (SlotFigures{5, 0})) << slot;
    }
    EXPECT_EQ(p.slot("vm2", kSlotDvfilter, Direction::kToVm), kNothing)
        << "an empty slot sees nothing";
}

TEST(Slots, CountAlikeWithoutTheFlowCache) {
    PipelineOptions options;
    options.flow_cache = false;
    Pipeline p(two_vms(), options);
    for (int i = 0; i < 5; ++i) { p.send("vm1", udp(v4(kVm1, kVm2), 1000, 2000)).step(); }
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{5, 0}));
    EXPECT_EQ(p.slot("vm2", kSlotDfw, Direction::kToVm), (SlotFigures{5, 0}));
    EXPECT_EQ(p.flow_count(), 0u);
}

TEST(Slots, BehindTheOneThatDropsSeeNothing) {
    Pipeline p(with_acl(R"([{"name": "none", "action": "deny", "direction": "out"}])"));
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 2000))
        .send("vm1", udp(v4(kVm1, kVm2), 1000, 2000))
        .step();
    EXPECT_EQ(p.slot("vm1", kSlotDvfilter, Direction::kFromVm), (SlotFigures{2, 2}));
    EXPECT_EQ(p.slot("vm1", kSlotSwsec, Direction::kFromVm), kNothing);
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), kNothing);
    EXPECT_EQ(p.slot("vm2", kSlotDfw, Direction::kToVm), kNothing);
    EXPECT_EQ(p.drops("vm1", DropReason::kAclDeny), 2u);
}

TEST(Slots, RunFromTwoToZeroTowardsTheVm) {
    nlohmann::json document = with_acl(R"([{"name": "none", "action": "deny"}])");
    document["acls"][0]["applied_to"] = {"vm2"};
    document["dfw"] = json_of(
        R"({"sections": [{"name": "s", "rules": [{"name": "no", "action": "drop", "applied_to": ["vm2"]}]}]})");
    Pipeline p(document);
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 2000)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kDfwDeny), 1u) << "the firewall comes before the ACL";
    EXPECT_EQ(p.slot("vm2", kSlotDfw, Direction::kToVm), (SlotFigures{1, 1}));
    EXPECT_EQ(p.slot("vm2", kSlotDvfilter, Direction::kToVm), kNothing);
}

TEST(Slots, CountWhatTheConnectionStepDrops) {
    Pipeline p(two_vms());
    p.send("vm1", tcp(v4(kVm1, kVm2), 1000, 80, {.flags = kTcpAck})).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kTcpNoConnection), 1u);
    EXPECT_EQ(p.slot("vm1", kSlotDfw, Direction::kFromVm), (SlotFigures{1, 1}));
}

TEST(Rules, CountConnectionsAsHitsAndEveryPacket) {
    nlohmann::json document = two_vms();
    document["dfw"] = json_of(R"({"default": "drop", "sections": [{"name": "s", "rules": [
        {"name": "dns", "action": "allow", "services": ["udp/53"]}]}]})");
    Pipeline p(document);
    const Bytes question = udp(v4(kVm1, kVm2), 1000, 53);
    const Bytes answer = udp(v4(kVm2, kVm1), 53, 1000, 100);
    p.send("vm1", question).step().send("vm2", answer).step().send("vm1", question).step();
    p.send("vm1", udp(v4(kVm1, kVm2), 1001, 53)).step();
    const std::uint64_t bytes = 3 * question.size() + answer.size();
    EXPECT_EQ(p.rule("s", "dns"), (RuleFigures{2, 4, bytes}));
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 54)).send("vm1", udp(v4(kVm1, kVm2), 1000, 54)).step();
    EXPECT_EQ(p.rule("default", "default").hits, 2u) << "a drop counts packets";
}

TEST(Rules, OfAStatelessSectionCountPackets) {
    nlohmann::json document = two_vms();
    document["dfw"] =
        json_of(R"({"default": "drop", "sections": [{"name": "s", "stateful": false, "rules": [
        {"name": "dns", "action": "allow", "services": ["udp/53"]}]}]})");
    Pipeline p(document);
    for (int i = 0; i < 3; ++i) { p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).step(); }
    EXPECT_EQ(p.rule("s", "dns").hits, 3u);
    EXPECT_EQ(p.rule("s", "dns").packets, 3u);
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST(Rules, KeepTheirFiguresWhileTheirNameLives) {
    nlohmann::json document = two_vms();
    document["dfw"] =
        json_of(R"({"sections": [{"name": "s", "rules": [{"name": "a", "action": "allow"}]}]})");
    Pipeline p(document);
    p.send("vm1", udp(v4(kVm1, kVm2), 1000, 53)).step();
    document["dfw"]["sections"][0]["rules"].push_back(
        json_of(R"({"name": "b", "action": "drop"})"));
    p.apply(document);
    EXPECT_EQ(p.rule("s", "a").packets, 1u);
}

TEST(PortFigures, CountBothWays) {
    Pipeline p(two_vms());
    const Bytes frame = udp(v4(kVm1, kVm2), 1, 2, 200);
    p.send("vm1", frame).send("vm1", frame).step();
    const PortCounters& from = p.dataplane().worker(0).context().ports[p.index_of("vm1").value];
    const PortCounters& to = p.dataplane().worker(0).context().ports[p.index_of("vm2").value];
    EXPECT_EQ(from.rx_packets.get(), 2u);
    EXPECT_EQ(from.rx_bytes.get(), 2 * frame.size());
    EXPECT_EQ(to.tx_packets.get(), 2u);
    EXPECT_EQ(to.tx_bytes.get(), 2 * frame.size());
}

}  // namespace
}  // namespace sluice::test
