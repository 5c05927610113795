// SPDX-License-Identifier: Apache-2.0
// Slot 0 in the pipeline: stateless rules, both directions, on what the key holds.
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

/// An ACL on vm1 alone.
nlohmann::json with_rules(std::string_view rules) {
    nlohmann::json document = two_vms();
    document["acls"] = nlohmann::json::array({{{"name", "acl1"},
                                               {"applied_to", nlohmann::json::array({"vm1"})},
                                               {"rules", json_of(rules)}}});
    return document;
}

const Bytes kOut = udp(v4(kVm1, kVm2), 1000, 53);
const Bytes kIn = udp(v4(kVm2, kVm1), 53, 1000);

/// What passed out of vm1 and into it, of one frame each.
std::pair<std::size_t, std::size_t> passed(const nlohmann::json& document, const Bytes& out = kOut,
                                           const Bytes& in = kIn) {
    Pipeline p(document);
    p.send("vm1", out).send("vm2", in).step();
    EXPECT_TRUE(p.packets_conserved());
    const std::pair<std::size_t, std::size_t> counts{p.sent("vm2").size(), p.sent("vm1").size()};
    EXPECT_EQ(p.drops(DropReason::kAclDeny), 2 - counts.first - counts.second);
    return counts;
}

using Counts = std::pair<std::size_t, std::size_t>;

TEST(Dvfilter, PermitsWithoutAMatch) {
    EXPECT_EQ(passed(with_rules(R"([{"name": "a", "action": "deny", "services": ["tcp"]}])")),
              (Counts{1, 1}));
}

TEST(Dvfilter, DeniesOneDirectionOrBoth) {
    EXPECT_EQ(passed(with_rules(R"([{"name": "a", "action": "deny", "direction": "out"}])")),
              (Counts{0, 1}));
    EXPECT_EQ(passed(with_rules(R"([{"name": "a", "action": "deny", "direction": "in"}])")),
              (Counts{1, 0}));
    EXPECT_EQ(passed(with_rules(R"([{"name": "a", "action": "deny"}])")), (Counts{0, 0}));
}

TEST(Dvfilter, TakesTheFirstMatch) {
    EXPECT_EQ(
        passed(with_rules(
            R"([{"name": "a", "action": "permit", "services": ["udp/53"]}, {"name": "b", "action": "deny"}])")),
        (Counts{1, 0}));
}

TEST(Dvfilter, KnowsNoConnections) {
    Pipeline p(with_rules(R"([{"name": "a", "action": "deny", "direction": "in"}])"));
    p.send("vm1", kOut).step().send("vm2", kIn).step();
    EXPECT_EQ(p.sent("vm1"), Frames{})
        << "the answer is denied although the question was permitted";
    EXPECT_EQ(p.drops("vm2", DropReason::kAclDeny), 1u) << "charged to where the frame entered";
    EXPECT_EQ(p.slot("vm1", kSlotDvfilter, Direction::kToVm), (SlotFigures{1, 1}));
}

TEST(Dvfilter, MatchesAddressesAndMacs) {
    EXPECT_EQ(passed(with_rules(R"([{"name": "a", "action": "deny", "source": ["10.0.0.1"]}])")),
              (Counts{0, 1}));
    EXPECT_EQ(
        passed(with_rules(R"([{"name": "a", "action": "deny", "destination": ["10.0.0.0/31"]}])")),
        (Counts{1, 0}));
    EXPECT_EQ(passed(with_rules(
                  R"([{"name": "a", "action": "deny", "source_mac": "02:00:00:00:00:02"}])")),
              (Counts{1, 0}));
    EXPECT_EQ(
        passed(with_rules(
            R"([{"name": "a", "action": "deny", "destination_mac": "02:00:00:00:00:00/ff:ff:ff:ff:ff:f0"}])")),
        (Counts{0, 0}));
}

TEST(Dvfilter, MatchesDscpThoughTheKeyUsuallyHasNone) {
    const nlohmann::json document = with_rules(R"([{"name": "a", "action": "deny", "dscp": 46}])");
    EXPECT_EQ(passed(document, with_dscp(kOut, 46), kIn), (Counts{0, 1}));
    EXPECT_EQ(passed(document, with_dscp(kOut, 45), with_dscp(kIn, 46)), (Counts{1, 0}));
}

TEST(Dvfilter, JudgesFramesThatAreInspected) {
    nlohmann::json document = with_rules(
        R"([{"name": "a", "action": "deny", "direction": "out", "ethertype": "0x0806"}])");
    Pipeline p(document);
    p.send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kVm2.ip4}))
        .send("vm1", kOut)
        .step();
    EXPECT_EQ(p.sent("vm2"), Frames{kOut});
    EXPECT_EQ(p.drops("vm1", DropReason::kAclDeny), 1u);
    EXPECT_EQ(p.slot("vm1", kSlotDvfilter, Direction::kFromVm), (SlotFigures{2, 1}));
}

TEST(Dvfilter, AppliesAtTheNextPacketOfARunningFlow) {
    Pipeline p(two_vms());
    p.send("vm1", kOut).step();
    p.apply(with_rules(R"([{"name": "a", "action": "deny"}])"));
    p.send("vm1", kOut).step();
    p.apply(two_vms());
    p.send("vm1", kOut).step();
    EXPECT_EQ(p.sent("vm2").size(), 2u);
    EXPECT_EQ(p.drops("vm1", DropReason::kAclDeny), 1u);
}

}  // namespace
}  // namespace sluice::test
