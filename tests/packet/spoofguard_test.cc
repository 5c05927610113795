// SPDX-License-Identifier: Apache-2.0
// Slot 1 in the pipeline: who a vNIC may claim to be, in Ethernet, IP, ARP and ND, and what it may
// not say at all.
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

nlohmann::json guarded() {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["spoofguard"] = "manual";
    return document;
}

/// One frame from vm1: true if vm2 got it, unchanged.
bool passes(const Bytes& frame, const nlohmann::json& document = guarded()) {
    Pipeline p(document);
    p.send("vm1", frame).step();
    EXPECT_TRUE(p.packets_conserved());
    return p.sent("vm2") == Frames{frame};
}

/// The reason for which one frame from vm1 was dropped.
DropReason reason_of(const Bytes& frame, const nlohmann::json& document = guarded()) {
    Pipeline p(document);
    p.send("vm1", frame).step();
    EXPECT_TRUE(p.packets_conserved());
    EXPECT_EQ(p.sent("vm2"), Frames{});
    for (std::size_t reason = 1; reason < kDropReasonCount; ++reason) {
        if (p.drops("vm1", static_cast<DropReason>(reason)) > 0) {
            return static_cast<DropReason>(reason);
        }
    }
    return DropReason::kNone;
}

Path from(const MacAddr& source_mac, const IpAddr& source) {
    Path path = source.is_v6() ? v6(kVm1, kVm2) : v4(kVm1, kVm2);
    path.source_mac = source_mac;
    path.source = source;
    return path;
}

Bytes arp_from_vm1(const MacAddr& sender_mac, const IpAddr& sender_ip, const IpAddr& target_ip,
                   const MacAddr& to = kBroadcast) {
    return arp(kVm1.mac, to,
               {static_cast<std::uint16_t>(to == kBroadcast ? 1 : 2),
                sender_mac,
                sender_ip,
                {},
                target_ip});
}

TEST(SpoofGuard, PassesTheVnicsOwnAddresses) {
    EXPECT_TRUE(passes(udp(v4(kVm1, kVm2), 1, 2)));
    EXPECT_TRUE(passes(udp(v6(kVm1, kVm2), 1, 2)));
}

TEST(SpoofGuard, DropsAForeignSource) {
    EXPECT_EQ(reason_of(udp(from(kVm1.mac, kVm3.ip4), 1, 2)), DropReason::kSpoofedIp);
    EXPECT_EQ(reason_of(udp(from(kVm1.mac, kVm3.ip6), 1, 2)), DropReason::kSpoofedIp);
    EXPECT_EQ(reason_of(udp(from(kVm3.mac, kVm1.ip4), 1, 2)), DropReason::kSpoofedMac);
}

TEST(SpoofGuard, ImpliesNoLinkLocalAddress) {
    EXPECT_EQ(reason_of(udp(from(kVm1.mac, ip("fe80::ff:fe00:1")), 1, 2)), DropReason::kSpoofedIp);
}

TEST(SpoofGuard, WithoutIpsPassesTheEui64LinkLocalOnly) {
    nlohmann::json document = guarded();
    document["ports"][0].erase("ips");
    EXPECT_TRUE(passes(udp(from(kVm1.mac, ip("fe80::ff:fe00:1")), 1, 2), document));
    EXPECT_EQ(reason_of(udp(v4(kVm1, kVm2), 1, 2), document), DropReason::kSpoofedIp);
}

TEST(SpoofGuard, JudgesTheClaimsInsideArp) {
    EXPECT_TRUE(passes(arp_from_vm1(kVm1.mac, kVm1.ip4, kVm2.ip4)));
    EXPECT_TRUE(passes(arp_from_vm1(kVm1.mac, kVm1.ip4, kVm2.ip4, kVm2.mac)));
    EXPECT_EQ(reason_of(arp_from_vm1(kVm1.mac, kVm3.ip4, kVm2.ip4)), DropReason::kSpoofedArp);
    EXPECT_EQ(reason_of(arp_from_vm1(kVm3.mac, kVm1.ip4, kVm2.ip4)), DropReason::kSpoofedArp);
    EXPECT_EQ(reason_of(arp_from_vm1(kVm1.mac, kVm3.ip4, kVm2.ip4, kVm2.mac)),
              DropReason::kSpoofedArp);
}

TEST(SpoofGuard, PassesAnArpProbeForTheVnicsOwnAddressOnly) {
    EXPECT_TRUE(passes(arp_from_vm1(kVm1.mac, ip("0.0.0.0"), kVm1.ip4)));
    EXPECT_EQ(reason_of(arp_from_vm1(kVm1.mac, ip("0.0.0.0"), kVm3.ip4)), DropReason::kSpoofedArp);
}

TEST(SpoofGuard, JudgesTheClaimsInsideNeighbourDiscovery) {
    EXPECT_TRUE(passes(neighbour(v6(kVm1, kVm2), 135, kVm2.ip6)));
    EXPECT_TRUE(passes(neighbour(v6(kVm1, kVm2), 136, kVm1.ip6)));
    EXPECT_EQ(reason_of(neighbour(v6(kVm1, kVm2), 136, kVm3.ip6)), DropReason::kSpoofedNd);
    EXPECT_EQ(reason_of(neighbour(from(kVm1.mac, kVm3.ip6), 135, kVm2.ip6)),
              DropReason::kSpoofedNd);
}

TEST(SpoofGuard, PassesIpAndArpOnly) {
    EXPECT_EQ(reason_of(ethernet(kVm1.mac, kVm2.mac, 0x88b5, Bytes(46, 1))),
              DropReason::kGuardNonIp);
}

TEST(SpoofGuard, StopsRunningTrafficWhenItIsTurnedOn) {
    nlohmann::json document = two_vms();
    Pipeline p(document);
    const Bytes forged = udp(from(kVm1.mac, kVm3.ip4), 1, 2);
    p.send("vm1", forged).send("vm1", forged).step();
    p.apply(guarded());
    p.send("vm1", forged).step();
    EXPECT_EQ(p.sent("vm2").size(), 2u);
    EXPECT_EQ(p.drops("vm1", DropReason::kSpoofedIp), 1u);
}

TEST(SwitchSecurity, DropsAForeignSourceMacUnlessForgedTransmitsAreAllowed) {
    const Bytes forged = udp(from(kVm3.mac, kVm1.ip4), 1, 2);
    nlohmann::json document = two_vms();
    EXPECT_EQ(reason_of(forged, document), DropReason::kSpoofedMac);
    document["port_groups"][0]["security"] = {{"forged_transmits", true}};
    EXPECT_TRUE(passes(forged, document));
}

TEST(SwitchSecurity, GuardsAgainstBridgesServersAndRouters) {
    nlohmann::json document = two_vms();
    EXPECT_EQ(reason_of(ethernet(kVm1.mac, mac("01:80:c2:00:00:00"), 38, Bytes(46, 0)), document),
              DropReason::kGuardBpdu);
    document["port_groups"][0]["guards"] = {{"non_ip", true}};
    EXPECT_EQ(reason_of(ethernet(kVm1.mac, kVm2.mac, 0x88b5, Bytes(46, 1)), document),
              DropReason::kGuardNonIp);
}

TEST(SwitchSecurity, LimitsArpByRate) {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["limits"] = {{"arp_pps", 10}};
    Pipeline p(document);
    const Bytes request = arp_from_vm1(kVm1.mac, kVm1.ip4, kVm2.ip4);
    for (int i = 0; i < 25; ++i) { p.send("vm1", request); }
    p.step();
    EXPECT_EQ(p.sent("vm2").size(), 10u);
    EXPECT_EQ(p.drops("vm1", DropReason::kRateArp), 15u);
    p.advance(kSecond).send("vm1", request).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(SwitchSecurity, LimitsBroadcastByRate) {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["limits"] = {{"broadcast_pps", 5}};
    Pipeline p(document);
    for (int i = 0; i < 8; ++i) {
        p.send("vm1", ethernet(kVm1.mac, kBroadcast, 0x88b5, Bytes(46, 1))).step();
    }
    EXPECT_EQ(p.sent("vm2").size(), 5u);
    EXPECT_EQ(p.drops("vm1", DropReason::kRateBroadcast), 3u);
    EXPECT_EQ(p.slot("vm1", kSlotSwsec, Direction::kFromVm), (SlotFigures{8, 3}));
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
