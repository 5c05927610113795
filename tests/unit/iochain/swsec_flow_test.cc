// SPDX-License-Identifier: Apache-2.0
// Slot 1 on flows: source MAC, SpoofGuard on addresses and ethertypes, guards, limits on group
// frames.
#include <gtest/gtest.h>

#include "tests/unit/iochain/swsec_fixture.h"

namespace sluice {
namespace {

using namespace test;

FlowKey layer2(unsigned ethertype, const MacAddr& destination = mac("02:00:00:00:00:fe")) {
    FlowKey key;
    key.source_mac = kOwnMac;
    key.destination_mac = destination;
    key.ethertype = Be16::from_host(static_cast<std::uint16_t>(ethertype));
    return key;
}
FlowKey from(const IpAddr& source) {
    return flow_key(source, source.is_v4() ? ip("198.51.100.20") : ip("2001:db8:b::20"), 17, 1, 2);
}

TEST(SwsecFlow, ForeignMacIsDroppedUnlessForgedTransmitsAreAllowed) {
    FlowKey key = from(kOwn4);
    key.source_mac = kOtherMac;
    SwsecInput input = trusted();
    EXPECT_EQ(SecuredVnic(input).decide_key(key), DropReason::kNone);
    input.forged_transmits = false;
    EXPECT_EQ(SecuredVnic(input).decide_key(key), DropReason::kSpoofedMac);
    input.forged_transmits = true;
    input.spoofguard = true;
    EXPECT_EQ(SecuredVnic(input).decide_key(key), DropReason::kSpoofedMac);
}

TEST(SwsecFlow, SpoofGuardPassesOwnAddressesOnly) {
    const SecuredVnic vnic(guarded());
    for (const IpAddr& own : {kOwn4, kOwn6, kLocal6}) {
        EXPECT_EQ(vnic.decide_key(from(own)), DropReason::kNone);
    }
    for (const IpAddr& foreign :
         {kForeign4, kForeign6, ip("fe80::1"), kAny4, kAny6, ip("::192.0.2.10")}) {
        EXPECT_EQ(vnic.decide_key(from(foreign)), DropReason::kSpoofedIp) << to_string(foreign);
    }
}

TEST(SwsecFlow, LinkLocalIsImpliedOnlyWithoutAddresses) {
    SwsecInput input = guarded();
    input.ips = {};
    EXPECT_EQ(SecuredVnic(input).decide_key(from(kLocal6)), DropReason::kNone);
    EXPECT_EQ(SecuredVnic(input).decide_key(from(ip("fe80::ff:fe00:a02"))), DropReason::kSpoofedIp);
    EXPECT_EQ(SecuredVnic(input).decide_key(from(kOwn4)), DropReason::kSpoofedIp);
    input.ips = {kOwn4};
    EXPECT_EQ(SecuredVnic(input).decide_key(from(kLocal6)), DropReason::kSpoofedIp);
}

TEST(SwsecFlow, SpoofGuardOffPassesAnyAddress) {
    SwsecInput input = guarded();
    input.spoofguard = false;
    EXPECT_EQ(SecuredVnic(input).decide_key(from(kForeign4)), DropReason::kNone);
    EXPECT_EQ(SecuredVnic(input).decide_key(layer2(0x88e5)), DropReason::kNone);
    input.guards.non_ip = true;
    EXPECT_EQ(SecuredVnic(input).decide_key(layer2(0x88e5)), DropReason::kGuardNonIp);
}

TEST(SwsecFlow, SpoofGuardPassesIpAndArpOnly) {
    const SecuredVnic vnic(guarded());
    for (const unsigned ethertype :
         {0x88e5U, 0x8847U, 0x894fU, 0x9000U, 0xffffU, 0x8035U, 0x8100U, 0x88a8U}) {
        EXPECT_EQ(vnic.decide_key(layer2(ethertype)), DropReason::kGuardNonIp)
            << std::hex << ethertype;
    }
}

TEST(SwsecFlow, BridgeFramesAreGuarded) {
    const FlowKey frames[] = {
        layer2(0x0026, mac("01:80:c2:00:00:00")), layer2(0x88cc, mac("01:80:c2:00:00:0e")),
        layer2(0x8808, mac("01:80:c2:00:00:01")), layer2(0x0100, kBroadcast), layer2(0x88cc)};
    SwsecInput input = trusted();
    for (const FlowKey& key : frames) {
        EXPECT_EQ(SecuredVnic(input).decide_key(key), DropReason::kNone);
    }
    input.guards.bpdu = true;
    for (const FlowKey& key : frames) {
        EXPECT_EQ(SecuredVnic(input).decide_key(key), DropReason::kGuardBpdu);
    }
    EXPECT_EQ(SecuredVnic(input).decide_key(layer2(0x88e5, mac("01:80:c2:00:00:10"))),
              DropReason::kNone);
    auto bpdu = parse_frame(ethernet(mac("01:80:c2:00:00:00"), kOwnMac, 0x0026, zeros(46)),
                            InspectKind::kLinkLocalGroup);
    EXPECT_EQ(SecuredVnic(input).inspect_frame(bpdu), DropReason::kGuardBpdu);
}

TEST(SwsecFlow, FragmentsOfGuardedMessagesAreSeenByTheirPorts) {
    const SecuredVnic vnic(guarded());
    EXPECT_EQ(vnic.decide_key(flow_key(kOwn4, kForeign4, 17, 67, 68)),
              DropReason::kGuardDhcpServer);
    EXPECT_EQ(vnic.decide_key(flow_key(kOwn6, kForeign6, 17, 547, 546)),
              DropReason::kGuardDhcpServer);
    EXPECT_EQ(vnic.decide_key(flow_key(kOwn6, kForeign6, 58, 134U << 8U, 0)), DropReason::kGuardRa);
    EXPECT_EQ(vnic.decide_key(flow_key(kOwn6, kForeign6, 17, 67, 68)), DropReason::kNone);
}

TEST(SwsecFlow, FramesToTheVmPass) {
    const SecuredVnic vnic(guarded());
    FlowKey key = from(kForeign4);
    key.source_mac = kOtherMac;
    EXPECT_EQ(vnic.decide_key(key, Direction::kToVm), DropReason::kNone);
    EXPECT_EQ(vnic.decide_key(layer2(0x88cc), Direction::kToVm), DropReason::kNone);
}

TEST(SwsecFlow, GroupFramesAreMetered) {
    SwsecInput input = trusted();
    input.limits.broadcast_pps = 2;
    input.limits.multicast_pps = 1;
    SecuredVnic vnic(input);
    const auto meter = [&](const char* destination, std::uint64_t now_ns) {
        const auto frame = parse_frame(
            ethernet(mac(destination), kOwnMac, 0x0800, ipv4(kOwn4, kForeign4, 17, udp(1, 2, {}))));
        return meter_group_frame(vnic.chain, frame.parsed, vnic.state, now_ns);
    };
    constexpr std::uint64_t kStart = 5'000'000'000;
    EXPECT_EQ(meter("ff:ff:ff:ff:ff:ff", kStart), DropReason::kNone);
    EXPECT_EQ(meter("ff:ff:ff:ff:ff:ff", kStart), DropReason::kNone);
    EXPECT_EQ(meter("ff:ff:ff:ff:ff:ff", kStart), DropReason::kRateBroadcast);
    EXPECT_EQ(meter("01:00:5e:00:00:01", kStart), DropReason::kNone);
    EXPECT_EQ(meter("01:00:5e:00:00:01", kStart), DropReason::kRateMulticast);
    EXPECT_EQ(meter("02:00:00:00:0b:01", kStart), DropReason::kNone);
    EXPECT_EQ(meter("ff:ff:ff:ff:ff:ff", kStart + 499'999'999), DropReason::kRateBroadcast);
    EXPECT_EQ(meter("ff:ff:ff:ff:ff:ff", kStart + 500'000'000), DropReason::kNone);
    EXPECT_EQ(meter("ff:ff:ff:ff:ff:ff", kStart + 500'000'000), DropReason::kRateBroadcast);
    EXPECT_EQ(meter_group_frame(ChainProgram{}, {}, vnic.state, kStart), DropReason::kNone);
}

TEST(SwsecFlow, FingerprintFollowsMeaning) {
    const auto print = [](auto&& change) {
        SwsecInput input = guarded();
        change(input);
        return compile_swsec(input)->fingerprint();
    };
    const auto base = print([](SwsecInput&) {});
    EXPECT_EQ(base, print([](SwsecInput& in) { std::swap(in.ips[0], in.ips[2]); }));
    const std::vector<void (*)(SwsecInput&)> changes = {
        [](SwsecInput& in) { in.mac = kOtherMac; },
        [](SwsecInput& in) { in.ips.pop_back(); },
        [](SwsecInput& in) { in.spoofguard = false; },
        [](SwsecInput& in) { in.forged_transmits = true; },
        [](SwsecInput& in) { in.guards.bpdu = false; },
        [](SwsecInput& in) { in.guards.dhcp_server = false; },
        [](SwsecInput& in) { in.guards.dhcp_client = true; },
        [](SwsecInput& in) { in.guards.ra = false; },
        [](SwsecInput& in) { in.guards.non_ip = true; },
        [](SwsecInput& in) { in.limits.arp_pps = 1; },
        [](SwsecInput& in) { in.limits.multicast_pps = 1; },
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        EXPECT_NE(base, print(changes[i])) << "change " << i;
    }
}

}  // namespace
}  // namespace sluice
