// SPDX-License-Identifier: Apache-2.0
// What the switch does with a frame: domains, VLANs, replication, and each way of going nowhere.
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

/// Port groups on dvs0: "plain" (no VLAN), "a10" and "b20" (access), "trunk" (1-15), and "far" on
/// dvs1; vm1 and vm2 where asked.
nlohmann::json with_groups(const std::string& group1, const std::string& group2) {
    nlohmann::json document = json_of(R"({
        "switches": [{"name": "dvs0"}, {"name": "dvs1"}],
        "port_groups": [{"name": "plain", "switch": "dvs0"},
                        {"name": "a10", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
                        {"name": "b20", "switch": "dvs0", "vlan": {"mode": "access", "id": 20}},
                        {"name": "trunk", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["1-15"]}},
                        {"name": "far", "switch": "dvs1"}]})");
    document["ports"] = {port_of("vm1", group1, kVm1), port_of("vm2", group2, kVm2)};
    return document;
}

const Bytes kFrame = udp(v4(kVm1, kVm2), 1000, 2000);

TEST(Switching, CarriesAFrameUnchangedToTheOwnerOfItsMac) {
    Pipeline p(three_vms());
    p.send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{kFrame});
    EXPECT_EQ(p.sent("vm3"), Frames{});
    EXPECT_EQ(p.drops(), 0u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Switching, CarriesAFrameOfManySegments) {
    Pipeline p(two_vms());
    const Bytes large = udp(v4(kVm1, kVm2), 1000, 2000, 1400);
    p.send("vm1", large, {128, 1, 300, 77}).step();
    p.send("vm1", large, {200}).step();  // Cached now.
    EXPECT_EQ(p.sent("vm2"), (Frames{large, large}));
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Switching, KeepsTheOrderOfABurstOfManyFlows) {
    Pipeline p(two_vms());
    Frames frames;
    for (std::uint16_t i = 0; i < 100; ++i) {
        frames.push_back(
            udp(v4(kVm1, kVm2), static_cast<std::uint16_t>(1000 + i % 7), 2000, 20U + i));
    }
    for (const Bytes& frame : frames) { p.send("vm1", frame); }
    p.step();
    EXPECT_EQ(p.sent("vm2"), frames);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Switching, DropsATaggedFrameOnAPortWithoutVlans) {
    Pipeline p(with_groups("plain", "plain"));
    p.send("vm1", tagged(kFrame, 10)).send("vm1", tagged(kFrame, 0)).step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kVlanNotAllowed), 2u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Switching, DropsATaggedFrameOnAnAccessPort) {
    Pipeline p(with_groups("a10", "a10"));
    p.send("vm1", tagged(kFrame, 10)).send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{kFrame});
    EXPECT_EQ(p.drops(DropReason::kVlanNotAllowed), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Switching, TagsFromAccessToTrunk) {
    Pipeline p(with_groups("a10", "trunk"));
    p.send("vm1", kFrame).send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2"), (Frames{tagged(kFrame, 10), tagged(kFrame, 10)}));
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Switching, TakesTheTagOffFromTrunkToAccess) {
    Pipeline p(with_groups("trunk", "a10"));
    p.send("vm1", tagged(kFrame, 10)).send("vm1", tagged(kFrame, 11)).step();
    EXPECT_EQ(p.sent("vm2"), Frames{kFrame});
    EXPECT_EQ(p.drops(DropReason::kUnknownUnicast), 1u) << "VLAN 11 has no other member";
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Switching, LeavesTheTagFromTrunkToTrunkAndAllowsItsRangesOnly) {
    Pipeline p(with_groups("trunk", "trunk"));
    p.send("vm1", tagged(kFrame, 15)).send("vm1", tagged(kFrame, 16)).send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{tagged(kFrame, 15)});
    EXPECT_EQ(p.drops(DropReason::kVlanNotAllowed), 2u) << "VLAN 16 and untagged";
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Switching, KeepsVlansApart) {
    Pipeline p(with_groups("a10", "b20"));
    p.send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kUnknownUnicast), 1u);
}

TEST(Switching, KeepsSwitchesApart) {
    Pipeline p(with_groups("plain", "far"));
    const Bytes broadcast = arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kVm2.ip4});
    p.send("vm1", kFrame).send("vm1", broadcast).step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops(DropReason::kUnknownUnicast), 1u);
    EXPECT_EQ(p.drops(DropReason::kNoDestination), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Switching, AnOverrideReplacesTheVlanOfThePortGroup) {
    nlohmann::json document = with_groups("a10", "a10");
    Pipeline p(document);
    p.send("vm1", kFrame).step();
    document["ports"][1]["overrides"] = json_of(R"({"vlan": {"mode": "access", "id": 20}})");
    p.apply(document);
    p.send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{kFrame}) << "the first one only";
    EXPECT_EQ(p.drops(DropReason::kUnknownUnicast), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Replication, SendsABroadcastToEveryMemberButTheSender) {
    Pipeline p(three_vms());
    Path path = v4(kVm1, kVm2);
    path.destination_mac = kBroadcast;
    path.destination = ip("10.0.0.255");
    const Bytes frame = udp(path, 138, 138);
    p.send("vm1", frame).send("vm1", frame).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.sent("vm2"), (Frames{frame, frame}));
    EXPECT_EQ(p.sent("vm3"), (Frames{frame, frame}));
    EXPECT_EQ(p.books().created, 4u);
    EXPECT_EQ(p.books().consumed, 2u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Replication, TagsEachCopyAsItsPortWants) {
    nlohmann::json document = with_groups("a10", "trunk");
    document["ports"].push_back(port_of("vm3", "a10", kVm3));
    Pipeline p(document);
    const Bytes frame = ethernet(kVm1.mac, mac("01:00:5e:00:00:fb"), 0x88b5, Bytes(50, 9));
    p.send("vm1", frame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{tagged(frame, 10)});
    EXPECT_EQ(p.sent("vm3"), Frames{frame});
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Replication, DropsABroadcastThatNobodyElseWants) {
    Pipeline p(with_groups("a10", "b20"));
    const Bytes frame = arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kVm2.ip4});
    p.send("vm1", frame).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kNoDestination), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Replication, NeverForwardsLinkLocalGroups) {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["guards"] = {{"bpdu", false}};
    Pipeline p(document);
    p.send("vm1", ethernet(kVm1.mac, mac("01:80:c2:00:00:0e"), 0x88cc, Bytes(60, 0))).step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kReservedMac), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(UnknownUnicast, IsDropped) {
    Pipeline p(two_vms());
    p.send("vm1", udp(v4(kVm1, kVm3), 1, 2)).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kUnknownUnicast), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(UnknownUnicast, ReachesAPromiscuousPort) {
    nlohmann::json document = two_vms();
    document["ports"][1]["overrides"] = json_of(R"({"security": {"promiscuous": true}})");
    Pipeline p(document);
    const Bytes frame = udp(v4(kVm1, kVm3), 1, 2);
    p.send("vm1", frame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{frame});
    EXPECT_TRUE(p.packets_conserved());
}

TEST(UnknownUnicast, FromThePromiscuousPortItselfIsDropped) {
    nlohmann::json document = two_vms();
    document["ports"][1]["overrides"] = json_of(R"({"security": {"promiscuous": true}})");
    Pipeline p(document);
    p.send("vm2", udp(v4(kVm2, kVm3), 1, 2)).step();
    EXPECT_EQ(p.drops("vm2", DropReason::kUnknownUnicast), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Promiscuous, ReceivesACopyOfEveryUnicastOfItsDomain) {
    nlohmann::json document = three_vms();
    document["ports"][2]["overrides"] = json_of(R"({"security": {"promiscuous": true}})");
    Pipeline p(document);
    const Bytes answer = udp(v4(kVm2, kVm1), 2000, 1000);
    p.send("vm1", kFrame).send("vm1", kFrame).step();
    p.send("vm2", answer).step();
    EXPECT_EQ(p.sent("vm2"), (Frames{kFrame, kFrame}));
    EXPECT_EQ(p.sent("vm1"), Frames{answer});
    EXPECT_EQ(p.sent("vm3"), (Frames{kFrame, kFrame, answer}));
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Promiscuous, IsNotSentWhatWasMeantForItTwice) {
    nlohmann::json document = two_vms();
    document["ports"][1]["overrides"] = json_of(R"({"security": {"promiscuous": true}})");
    Pipeline p(document);
    p.send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{kFrame});
    EXPECT_EQ(p.books().created, 0u);
}

TEST(Destination, ItsOwnPortIsDropped) {
    Pipeline p(two_vms());
    Path path = v4(kVm1, kVm2);
    path.destination_mac = kVm1.mac;
    p.send("vm1", udp(path, 1, 2)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kSamePort), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Destination, ADisabledPortNeitherSendsNorReceives) {
    nlohmann::json document = three_vms();
    document["ports"][1]["enabled"] = false;
    Pipeline p(document);
    const Bytes broadcast = arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kVm3.ip4});
    p.send("vm1", kFrame).send("vm1", broadcast).send("vm2", udp(v4(kVm2, kVm1), 1, 2)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.sent("vm3"), Frames{broadcast});
    EXPECT_EQ(p.drops("vm1", DropReason::kPortDisabled), 1u);
    EXPECT_EQ(p.drops("vm2", DropReason::kPortDisabled), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Destination, ADisabledPortReceivesAgainOnceEnabled) {
    nlohmann::json document = two_vms();
    document["ports"][1]["enabled"] = false;
    Pipeline p(document);
    p.send("vm1", kFrame).step();
    document["ports"][1]["enabled"] = true;
    p.apply(document);
    p.send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{kFrame});
}

TEST(Destination, APortWithoutAPeerIsChargedToTheSender) {
    Pipeline p(two_vms());
    p.port("vm2").up = false;
    p.send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.drops("vm1", DropReason::kPortDown), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Destination, AGuestWithoutBuffersLosesWhatIsTooMuch) {
    Pipeline p(two_vms());
    p.port("vm2").room = 5;
    for (int i = 0; i < 8; ++i) { p.send("vm1", kFrame); }
    p.step();
    EXPECT_EQ(p.sent("vm2").size(), 5u);
    EXPECT_EQ(p.drops("vm1", DropReason::kTxQueueFull), 3u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Destination, APortThatIsGoneReceivesNothing) {
    nlohmann::json document = three_vms();
    Pipeline p(document);
    p.send("vm1", kFrame).step();
    document["ports"].erase(1);
    p.apply(document);
    p.send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_EQ(p.drops("vm1", DropReason::kUnknownUnicast), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(FrameSize, IsBoundedByTheMtuOfTheSwitch) {
    Pipeline p(two_vms());
    const Bytes largest = udp(v4(kVm1, kVm2), 1, 2, 1500 - 28);
    const Bytes larger = udp(v4(kVm1, kVm2), 1, 2, 1500 - 27);
    p.send("vm1", largest).send("vm1", larger).step();
    EXPECT_EQ(p.sent("vm2"), Frames{largest});
    EXPECT_EQ(p.drops("vm1", DropReason::kOversizeFrame), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(FrameSize, LeavesRoomForATag) {
    Pipeline p(with_groups("trunk", "trunk"));
    const Bytes largest = tagged(udp(v4(kVm1, kVm2), 1, 2, 1500 - 28), 5);
    p.send("vm1", largest).step();
    EXPECT_EQ(p.sent("vm2"), Frames{largest});
}

TEST(FrameSize, TruncatedFramesAndBrokenDescriptorsAreNamed) {
    Pipeline p(two_vms());
    p.send("vm1", Bytes(13, 0)).send("vm1", Bytes{});
    p.port("vm1").queue_broken(3);
    p.step();
    EXPECT_EQ(p.drops("vm1", DropReason::kTruncatedFrame), 2u);
    EXPECT_EQ(p.drops("vm1", DropReason::kBadDescriptor), 3u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Apply, WhatDidNotChangeKeepsItsFlows) {
    nlohmann::json document = three_vms();
    Pipeline p(document);
    p.send("vm1", kFrame).step();
    document["ports"][2]["enabled"] = false;  // vm3's affair.
    document["address_sets"] = json_of(R"([{"name": "unused", "members": ["192.0.2.1"]}])");
    p.apply(document);
    p.send("vm1", kFrame).step();
    EXPECT_EQ(p.sent("vm2").size(), 2u);
    EXPECT_EQ(p.connections().size(), 1u);
}

}  // namespace
}  // namespace sluice::test
