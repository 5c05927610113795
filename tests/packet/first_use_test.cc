// SPDX-License-Identifier: Apache-2.0
// SpoofGuard `auto`: the addresses that a vNIC first claims, within its limits, are its own, and no
// others. Snooping on every other vNIC too. Each fact with cached programs and without.
#include <algorithm>

#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

const IpAddr kA4 = ip("10.0.0.11"), kB4 = ip("10.0.0.12");
const IpAddr kA6 = ip("2001:db8::11"), kB6 = ip("2001:db8::12"), kC6 = ip("2001:db8::13"),
             kLocal6 = ip("fe80::ff:fe00:1");
const IpAddr kNobody = ip("0.0.0.0");

nlohmann::json with_group(const char* spoofguard, const char* bindings = R"({"arp": 1, "nd": 3})") {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["spoofguard"] = spoofguard;
    document["port_groups"][0]["bindings"] = json_of(bindings);
    document["port_groups"][0]["limits"] = json_of(R"({"arp_pps": 0, "nd_pps": 0})");
    document["ports"][0].erase("ips");
    return document;
}

Bytes claim(const IpAddr& sender, std::uint16_t operation = 1, const IpAddr& target = kVm2.ip4) {
    return arp(kVm1.mac, operation == 1 ? kBroadcast : kVm2.mac,
               {operation, kVm1.mac, sender, {}, target});
}

Bytes datagram(const IpAddr& source, std::uint16_t port = 1) {
    Path path = source.is_v6() ? v6(kVm1, kVm2) : v4(kVm1, kVm2);
    path.source = source;
    return udp(path, port, 2);
}

Bytes solicit(const IpAddr& source, const IpAddr& target = kVm2.ip6) {
    return neighbour({kVm1.mac, kVm2.mac, source, kVm2.ip6}, 135, target);
}

Bytes advertise(const IpAddr& source, const IpAddr& target) {
    return neighbour({kVm1.mac, kVm2.mac, source, kVm2.ip6}, 136, target);
}

class FirstUse : public testing::TestWithParam<bool> {
protected:
    bool passes(const Bytes& frame) {
        p.send("vm1", frame).step();
        return p.sent("vm2") == Frames{frame};
    }
    /// Dropped for this reason, and for no other.
    bool is_refused(const Bytes& frame, DropReason reason) {
        const std::uint64_t all = p.drops();
        const std::uint64_t before = p.drops("vm1", reason);
        p.send("vm1", frame).step();
        return p.sent("vm2").empty() && p.drops() == all + 1 &&
               p.drops("vm1", reason) == before + 1;
    }
    std::vector<LearnedRow> rows() {
        std::vector<LearnedRow> out;
        const LearnedTable& table = p.dataplane().learned();
        table.for_each(0, table.used_count(), p.now_ns(), [&](const LearnedRow& row) {
            if (row.key.kind == LearnedKind::kBinding) { out.push_back(row); }
        });
        return out;
    }
    bool is_bound(const IpAddr& address) {
        const auto all = rows();
        return std::any_of(all.begin(), all.end(), [&](const LearnedRow& row) {
            return row.key.ip_address() == address && row.key.port == p.index_of("vm1");
        });
    }
    std::uint64_t flush() {
        datapath::FlushLearned command(
            LearnedFilter::of_port(p.index_of("vm1"), LearnedKind::kBinding));
        p.run(0, command);
        return command.removed;
    }
    void TearDown() override { EXPECT_TRUE(p.packets_conserved()); }

    Pipeline p{with_group("auto"), {.flow_cache = GetParam()}};
};

TEST_P(FirstUse, AnIpBeforeItsClaimIsSpoofed) {
    EXPECT_TRUE(is_refused(datagram(kA4), DropReason::kSpoofedIp));
    EXPECT_TRUE(is_refused(datagram(kA6), DropReason::kSpoofedIp));
    EXPECT_TRUE(is_refused(datagram(kLocal6), DropReason::kSpoofedIp))
        << "no link-local address is implied";
}

TEST_P(FirstUse, TheFirstIpv4AddressIsTrustedAndTheSecondNot) {
    EXPECT_TRUE(passes(claim(kA4)));
    EXPECT_TRUE(is_bound(kA4));
    EXPECT_TRUE(passes(datagram(kA4)));
    EXPECT_TRUE(passes(datagram(kA4)));
    EXPECT_TRUE(is_refused(claim(kB4), DropReason::kSpoofedArp));
    EXPECT_TRUE(is_refused(datagram(kB4), DropReason::kSpoofedIp));
    EXPECT_TRUE(passes(claim(kA4, 2))) << "its own reply";
    EXPECT_TRUE(passes(claim(kA4, 1, kA4))) << "its own announcement";
    ASSERT_EQ(rows().size(), 1u);
    EXPECT_EQ(rows()[0].value.source, LearnedSource::kArp);
    EXPECT_EQ(rows()[0].value.mac, kVm1.mac);
}

TEST_P(FirstUse, WhatWasRefusedPassesAfterTheClaim) {
    EXPECT_TRUE(is_refused(datagram(kA4), DropReason::kSpoofedIp));
    EXPECT_TRUE(is_refused(datagram(kA4), DropReason::kSpoofedIp));
    EXPECT_TRUE(passes(claim(kA4)));
    EXPECT_TRUE(passes(datagram(kA4)));
}

TEST_P(FirstUse, AClaimCountsForTheNextFrameOfItsBurst) {
    p.send("vm1", claim(kA4)).send("vm1", datagram(kA4)).send("vm1", solicit(kA6));
    p.send("vm1", datagram(kA6)).step();
    EXPECT_EQ(p.sent("vm2"), (Frames{claim(kA4), datagram(kA4), solicit(kA6), datagram(kA6)}));
}

TEST_P(FirstUse, AReplyAndAnAnnouncementClaimToo) {
    EXPECT_TRUE(passes(claim(kA4, 2)));
    EXPECT_TRUE(is_bound(kA4));
    EXPECT_EQ(flush(), 1u);
    EXPECT_TRUE(passes(claim(kB4, 1, kB4)));
    EXPECT_TRUE(is_bound(kB4));
}

TEST_P(FirstUse, AnArpProbeAsksWithoutClaiming) {
    EXPECT_TRUE(passes(claim(kNobody, 1, kA4)));
    EXPECT_FALSE(is_bound(kA4));
    EXPECT_TRUE(is_refused(datagram(kA4), DropReason::kSpoofedIp));
    EXPECT_TRUE(passes(claim(kA4)));
    EXPECT_TRUE(passes(claim(kNobody, 1, kA4)));
    EXPECT_TRUE(is_refused(claim(kNobody, 1, kB4), DropReason::kSpoofedArp)) << "there is no room";
}

TEST_P(FirstUse, ThreeIpv6AddressesAreTrustedTheLinkLocalAmongThem) {
    EXPECT_TRUE(passes(solicit(kLocal6)));
    EXPECT_TRUE(passes(solicit(kA6)));
    EXPECT_TRUE(passes(advertise(kB6, kB6)));
    EXPECT_TRUE(is_refused(solicit(kC6), DropReason::kSpoofedNd));
    EXPECT_TRUE(is_refused(datagram(kC6), DropReason::kSpoofedIp));
    for (const IpAddr& address : {kLocal6, kA6, kB6}) { EXPECT_TRUE(passes(datagram(address))); }
    EXPECT_TRUE(passes(claim(kA4))) << "IPv4 has a limit of its own";
}

TEST_P(FirstUse, DuplicateAddressDetectionClaims) {
    p.send("vm1", detection(kVm1.mac, kA6)).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_TRUE(is_bound(kA6));
    EXPECT_TRUE(passes(datagram(kA6)));
}

TEST_P(FirstUse, AnAdvertisementClaimsItsSourceAndItsTargetOrNothing) {
    EXPECT_TRUE(passes(solicit(kLocal6)));
    EXPECT_TRUE(passes(solicit(kC6)));
    EXPECT_TRUE(is_refused(advertise(kA6, kB6), DropReason::kSpoofedNd)) << "room for one";
    EXPECT_EQ(rows().size(), 2u);
    EXPECT_TRUE(passes(advertise(kLocal6, kA6)));
    EXPECT_TRUE(is_bound(kA6));
}

TEST_P(FirstUse, NeverTrustsAnotherMac) {
    EXPECT_TRUE(is_refused(arp(kVm1.mac, kBroadcast, {1, kVm3.mac, kA4, {}, kVm2.ip4}),
                           DropReason::kSpoofedArp));
    EXPECT_TRUE(is_refused(arp(kVm3.mac, kBroadcast, {1, kVm3.mac, kA4, {}, kVm2.ip4}),
                           DropReason::kSpoofedMac));
    EXPECT_EQ(rows().size(), 0u);
}

TEST_P(FirstUse, TheDocumentsAddressesAreTrustedWithoutAClaimAndDoNotCount) {
    nlohmann::json document = with_group("auto");
    document["ports"][0]["ips"] = {"10.0.0.1"};
    p.apply(document);
    EXPECT_TRUE(passes(datagram(kVm1.ip4)));
    EXPECT_TRUE(passes(claim(kVm1.ip4)));
    EXPECT_EQ(rows().size(), 0u);
    EXPECT_TRUE(passes(claim(kA4)));
    EXPECT_TRUE(passes(datagram(kA4)));
    EXPECT_TRUE(is_refused(claim(kB4), DropReason::kSpoofedArp));
}

TEST_P(FirstUse, AFlushAsksForANewClaim) {
    EXPECT_TRUE(passes(claim(kA4)));
    EXPECT_TRUE(passes(datagram(kA4)));
    EXPECT_EQ(flush(), 1u);
    EXPECT_TRUE(is_refused(datagram(kA4), DropReason::kSpoofedIp));
    EXPECT_TRUE(passes(claim(kB4))) << "first use is free again";
    EXPECT_TRUE(is_refused(datagram(kA4), DropReason::kSpoofedIp));
    EXPECT_TRUE(passes(datagram(kB4)));
}

TEST_P(FirstUse, AnIdleAddressIsForgottenAndABusyOneIsNot) {
    p.apply(with_group("auto", R"({"arp": 1, "nd": 3, "age_s": 60})"));
    EXPECT_TRUE(passes(claim(kA4)));
    EXPECT_TRUE(passes(solicit(kA6)));
    for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(passes(datagram(kA4))) << i;
        for (int k = 0; k < 2000; ++k) { p.advance(5 * kMillisecond).poll(0); }
    }
    EXPECT_TRUE(is_bound(kA4));
    EXPECT_FALSE(is_bound(kA6));
    EXPECT_TRUE(is_refused(datagram(kA6), DropReason::kSpoofedIp));
    p.advance(62 * kSecond).poll(0);
    EXPECT_TRUE(is_refused(datagram(kA4), DropReason::kSpoofedIp));
    EXPECT_TRUE(passes(claim(kB4))) << "there is room again";
}

TEST_P(FirstUse, ACachedFlowEndsWhenItsAddressExpires) {
    p.apply(with_group("auto", R"({"arp": 1, "nd": 3, "age_s": 30})"));
    EXPECT_TRUE(passes(claim(kA4)));
    EXPECT_TRUE(passes(datagram(kA4)));
    p.advance(32 * kSecond);
    EXPECT_TRUE(is_refused(datagram(kA4), DropReason::kSpoofedIp));
}

TEST_P(FirstUse, ZeroIsNoLimit) {
    p.apply(with_group("auto", R"({"arp": 0, "nd": 0})"));
    for (std::uint8_t i = 1; i < 100; ++i) {
        IpAddr address = kA4;
        address.bytes[15] = static_cast<std::uint8_t>(i + 100);
        EXPECT_TRUE(passes(claim(address)));
        EXPECT_TRUE(passes(datagram(address)));
    }
}

TEST_P(FirstUse, LetsAHostBringAnAddressUp) {
    const auto all = [&](const std::vector<Bytes>& frames) {
        for (const Bytes& frame : frames) { p.send("vm1", frame); }
        p.step();
        return p.sent("vm2").size() == frames.size();
    };
    EXPECT_TRUE(all({detection(kVm1.mac, kLocal6), solicit(kLocal6), detection(kVm1.mac, kA6),
                     solicit(kA6), claim(kNobody, 1, kA4), claim(kA4, 1, kA4)}));
    EXPECT_TRUE(passes(datagram(kLocal6)) && passes(datagram(kA6)) && passes(datagram(kA4)));
}

TEST_P(FirstUse, SnoopsWithoutGuardingWhereSpoofGuardIsOff) {
    p.apply(with_group("off"));
    EXPECT_TRUE(passes(datagram(kB4)));
    EXPECT_EQ(rows().size(), 0u) << "traffic is no claim";
    EXPECT_TRUE(passes(claim(kA4)));
    EXPECT_TRUE(passes(claim(kB4)));
    EXPECT_TRUE(is_bound(kA4));
    EXPECT_FALSE(is_bound(kB4)) << "beyond the limit";
    p.apply(with_group("auto"));
    EXPECT_TRUE(passes(datagram(kA4)));
    EXPECT_TRUE(is_refused(datagram(kB4), DropReason::kSpoofedIp));
}

TEST_P(FirstUse, ManualTrustsNothingThatWasSnooped) {
    p.apply(with_group("off"));
    EXPECT_TRUE(passes(claim(kA4)));
    p.apply(with_group("manual"));
    EXPECT_TRUE(is_refused(datagram(kA4), DropReason::kSpoofedIp));
    EXPECT_TRUE(is_refused(claim(kA4), DropReason::kSpoofedArp));
}

TEST_P(FirstUse, WhatTheChainDropsTeachesNothing) {
    nlohmann::json document = with_group("auto");
    document["acls"] = json_of(
        R"([{"name": "a", "rules": [{"name": "r", "action": "deny", "ethertype": "0x0806"}]}])");
    p.apply(document);
    EXPECT_TRUE(is_refused(claim(kA4), DropReason::kAclDeny));
    document = with_group("auto");
    document["port_groups"][0]["limits"] = json_of(R"({"arp_pps": 1})");
    p.apply(document);
    EXPECT_TRUE(passes(claim(kNobody, 1, kA4)));
    EXPECT_TRUE(is_refused(claim(kA4), DropReason::kRateArp));
    EXPECT_EQ(rows().size(), 0u);
}

TEST_P(FirstUse, AddressesOfTwoVnicsAreApart) {
    EXPECT_TRUE(passes(claim(kA4)));
    Path path = v4(kVm2, kVm1);
    path.source = kA4;
    p.send("vm2", udp(path, 1, 2)).step();
    EXPECT_EQ(p.drops("vm2", DropReason::kSpoofedIp), 1u) << "vm2 has not claimed it";
}

INSTANTIATE_TEST_SUITE_P(Modes, FirstUse, testing::Bool(),
                         [](const auto& mode) { return mode.param ? "Cached" : "Walked"; });

}  // namespace
}  // namespace sluice::test
