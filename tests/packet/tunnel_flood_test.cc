// SPDX-License-Identifier: Apache-2.0
// Floods through tunnels, counted on the cable: each replication mode, proxies of other subnets,
// what came by a tunnel and where it goes.
#include <algorithm>
#include <map>

#include "tests/packet/tunnel_rig.h"

namespace sluice::test {
namespace {

// Two in the own subnet, three in a second, one in a third.
const std::vector<std::string> kThreeSubnets = {"172.16.0.2", "172.16.0.3", "172.16.1.2",
                                                "172.16.1.3", "172.16.1.4", "172.16.2.2"};

Bytes question() { return arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kFar.ip4}); }

Bytes foreign_question() {
    return arp(kFar.mac, kBroadcast, {1, kFar.mac, kFar.ip4, {}, ip("10.0.0.77")});
}

/// Destination -> flags, of copies that all hold `inner`.
std::map<IpAddr, std::uint8_t> copies(TunnelRig& rig, const Bytes& inner) {
    std::map<IpAddr, std::uint8_t> out;
    for (const Unwrapped& one : rig.tunnelled()) {
        EXPECT_EQ(one.inner, inner);
        EXPECT_TRUE(out.emplace(one.outer.destination, one.outer.flags).second) << "twice";
    }
    return out;
}

class Flood : public testing::TestWithParam<bool> {
protected:
    static RigOptions with(model::Replication mode, std::vector<std::string> remotes) {
        RigOptions out;
        out.replication = mode;
        out.remotes = std::move(remotes);
        out.pipeline.flow_cache = GetParam();
        return out;
    }
};
INSTANTIATE_TEST_SUITE_P(, Flood, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(Flood, UnicastReachesItsSubnetAndAProxyOfEachOther) {
    TunnelRig r(with(model::Replication::kUnicast, kThreeSubnets));
    r.resolve_all();
    r.pipeline().send("vm1", question()).step();
    const auto sent = copies(r, question());
    ASSERT_EQ(sent.size(), 4u);
    EXPECT_EQ(sent.at(ip("172.16.0.2")), 0x08);
    EXPECT_EQ(sent.at(ip("172.16.0.3")), 0x08);
    EXPECT_EQ(sent.at(ip("172.16.2.2")), 0x08) << "alone there: nobody to copy it to";
    const auto proxies =
        std::count_if(sent.begin(), sent.end(), [](const auto& row) { return row.second == 0x48; });
    EXPECT_EQ(proxies, 1);
    EXPECT_EQ(r.pipeline().sent("vm2"), Frames{question()});
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST_P(Flood, AProxyIsOneThatWorks) {
    TunnelRig r(with(model::Replication::kUnicast, kThreeSubnets));
    r.resolve_all();
    for (const std::size_t up : {2U, 3U, 4U}) {
        for (const std::size_t remote : {2U, 3U, 4U}) { r.set_works(remote, remote == up); }
        r.pipeline().send("vm1", question()).step();
        const auto sent = copies(r, question());
        EXPECT_EQ(sent.size(), 4u);
        EXPECT_EQ(sent.count(r.remote_ip(up)), 1u);
    }
    for (const std::size_t remote : {2U, 3U, 4U}) { r.set_works(remote, false); }
    r.pipeline().send("vm1", question()).step();
    EXPECT_EQ(copies(r, question()).size(), 3u);
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST_P(Flood, HybridUsesTheGroupInItsSubnet) {
    TunnelRig r(with(model::Replication::kHybrid, kThreeSubnets));
    r.resolve_all();
    r.pipeline().send("vm1", question()).step();
    const Frames cable = r.cable();
    ASSERT_EQ(cable.size(), 3u);
    const Unwrapped group = unwrapped(cable[0]);
    EXPECT_EQ(group.outer.destination, ip("239.1.1.1"));
    EXPECT_EQ(group.outer.destination_mac, mac("01:00:5e:01:01:01"));
    EXPECT_EQ(group.inner, question());
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST_P(Flood, MulticastSendsOne) {
    TunnelRig r(with(model::Replication::kMulticast, kThreeSubnets));
    r.pipeline().send("vm1", question()).step();
    const auto sent = copies(r, question());
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent.begin()->first, ip("239.1.1.1"));
    RigOptions v6 = with(model::Replication::kMulticast, {"fd00::2"});
    v6.is_v6 = true;
    TunnelRig r6(v6);
    r6.pipeline().send("vm1", question()).step();
    const auto sent6 = r6.tunnelled();
    ASSERT_EQ(sent6.size(), 1u);
    EXPECT_EQ(sent6[0].outer.destination_mac, mac("33:33:00:01:00:02"));
    EXPECT_TRUE(r6.pipeline().packets_conserved());
}

TEST_P(Flood, HeadEndReachesItsListWhereverThatIs) {
    RigOptions options = with(model::Replication::kHeadEnd, kThreeSubnets);
    options.flood_remotes = {1, 4, 5};
    TunnelRig r(options);
    r.resolve_all();
    r.pipeline().send("vm1", question()).step();
    const auto sent = copies(r, question());
    ASSERT_EQ(sent.size(), 3u);
    for (const std::size_t remote : {0U, 3U, 4U}) {
        EXPECT_EQ(sent.at(r.remote_ip(remote)), 0x08) << "nobody is asked to be a proxy";
    }
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST_P(Flood, AServiceNodeIsOneThatWorks) {
    RigOptions options = with(model::Replication::kServiceNode, kThreeSubnets);
    options.flood_remotes = {1, 4};
    TunnelRig r(options);
    r.resolve_all();
    for (const std::size_t up : {0U, 3U}) {
        for (const std::size_t remote : {0U, 3U}) { r.set_works(remote, remote == up); }
        r.pipeline().send("vm1", question()).step();
        const auto sent = copies(r, question());
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent.at(r.remote_ip(up)), 0x08);
    }
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST_P(Flood, AnEmptyListFloodsNowhere) {
    for (const auto mode : {model::Replication::kHeadEnd, model::Replication::kServiceNode}) {
        TunnelRig r(with(mode, kThreeSubnets));
        r.pipeline().send("vm1", question()).step();
        EXPECT_TRUE(r.cable().empty());
        EXPECT_EQ(r.pipeline().sent("vm2"), Frames{question()});
        EXPECT_TRUE(r.pipeline().packets_conserved());
    }
}

TEST_P(Flood, WhatCameByATunnelGoesToNone) {
    for (const auto mode : {model::Replication::kUnicast, model::Replication::kHybrid}) {
        TunnelRig r(with(mode, kThreeSubnets));
        r.resolve_all();
        r.receive(foreign_question());
        EXPECT_EQ(r.pipeline().sent("vm1"), Frames{foreign_question()});
        EXPECT_EQ(r.pipeline().sent("vm2"), Frames{foreign_question()});
        EXPECT_EQ(r.cable(), Frames{});
        r.receive(udp(v4(kFar, Vnic{mac("02:00:00:00:0e:0e"), kVm1.ip4, {}}), 1, 2));
        EXPECT_EQ(r.cable(), Frames{}) << "unknown unicast neither";
        EXPECT_TRUE(r.pipeline().packets_conserved());
    }
}

TEST_P(Flood, AProxyCopiesToItsSubnet) {
    TunnelRig r(with(model::Replication::kUnicast, kThreeSubnets));
    r.resolve_all();
    Outer outer = r.from(3);
    outer.flags = 0x48;
    r.receive_raw(wrapped(outer, foreign_question()));
    const std::map<IpAddr, std::uint8_t> expected = {{ip("172.16.0.2"), 0x08},
                                                     {ip("172.16.0.3"), 0x08}};
    EXPECT_EQ(copies(r, foreign_question()), expected);
    EXPECT_EQ(r.pipeline().sent("vm1"), Frames{foreign_question()});
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST_P(Flood, AProxyServesNobodyOfItsOwnSubnet) {
    TunnelRig r(with(model::Replication::kUnicast, kThreeSubnets));
    r.resolve_all();
    Outer outer = r.from(0);
    outer.flags = 0x48;
    r.receive_raw(wrapped(outer, foreign_question()));
    EXPECT_EQ(r.cable(), Frames{});
    EXPECT_EQ(r.pipeline().sent("vm1"), Frames{foreign_question()});
}

TEST_P(Flood, TheGroupIsTakenByThoseWhoAreInIt) {
    TunnelRig r(with(model::Replication::kHybrid, kThreeSubnets));
    Outer outer = r.from(0);
    outer.destination_mac = mac("01:00:5e:01:01:01");
    outer.destination = ip("239.1.1.1");
    r.receive_raw(wrapped(outer, foreign_question()));
    EXPECT_EQ(r.pipeline().sent("vm1"), Frames{foreign_question()});
    outer.destination_mac = mac("01:00:5e:01:01:02");
    outer.destination = ip("239.1.1.2");
    r.receive_raw(wrapped(outer, foreign_question()));
    EXPECT_EQ(r.pipeline().sent("vm1"), Frames{}) << "another group";
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST_P(Flood, UnknownUnicastIsFloodedAndKnownIsNot) {
    TunnelRig r(with(model::Replication::kUnicast, {"172.16.0.2", "172.16.0.3"}));
    r.resolve_all();
    const Bytes frame = udp(v4(kVm1, kFar), 1, 2);
    r.pipeline().send("vm1", frame).step();
    EXPECT_EQ(copies(r, frame).size(), 2u);
    r.receive(foreign_question(), 1);
    r.pipeline().send("vm1", frame).step();
    const auto sent = copies(r, frame);
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent.begin()->first, ip("172.16.0.3"));
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST_P(Flood, AloneThereIsNobodyToTell) {
    TunnelRig r(with(model::Replication::kUnicast, {}));
    r.pipeline().send("vm1", question()).step();
    EXPECT_EQ(r.pipeline().sent("vm2"), Frames{question()});
    r.pipeline().send("vm1", udp(v4(kVm1, kFar), 1, 2)).step();
    EXPECT_EQ(r.pipeline().drops("vm1", DropReason::kUnknownUnicast), 1u);
    EXPECT_EQ(r.cable(), Frames{});
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

}  // namespace
}  // namespace sluice::test
