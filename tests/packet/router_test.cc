// SPDX-License-Identifier: Apache-2.0
// The distributed router between networks of one host: what arrives, with which MACs and TTL, and
// what senders are told of what does not.
#include <rte_mbuf.h>

#include "tests/packet/router_rig.h"
#include "tests/packet/switch_frames.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;
using enum TcpTalk::Side;

class Routed : public testing::TestWithParam<std::tuple<bool, bool>> {
protected:
    [[nodiscard]] static bool is_v6() { return std::get<0>(GetParam()); }
    [[nodiscard]] static PipelineOptions options() {
        return {.flow_cache = std::get<1>(GetParam())};
    }
    [[nodiscard]] static std::unique_ptr<Pipeline> pipeline(
        const nlohmann::json& document = two_networks()) {
        return std::make_unique<Pipeline>(document, options());
    }
    [[nodiscard]] static Path there() { return to_router(kVm1, kVm4, is_v6()); }
    [[nodiscard]] static Path arriving() { return from_router(kVm1, kVm4, is_v6()); }
    [[nodiscard]] static Path back() { return to_router(kVm4, kVm1, is_v6()); }
    [[nodiscard]] static Path coming_back() { return from_router(kVm4, kVm1, is_v6()); }
    /// From vm1's gateway to vm1.
    [[nodiscard]] static Path telling() {
        return is_v6() ? v6(kRedGateway, kVm1) : v4(kRedGateway, kVm1);
    }
    [[nodiscard]] static IpAddr elsewhere() {
        return is_v6() ? ip("2001:db8:ffff::1") : ip("192.0.2.1");
    }
    [[nodiscard]] static nlohmann::json with_route(const std::string& rest,
                                                   nlohmann::json document = two_networks()) {
        const std::string prefix = is_v6() ? "2001:db8:ffff::/48" : "192.0.2.0/24";
        document["routers"][0]["routes"] =
            json_of(R"([{"prefix": ")" + prefix + R"(", )" + rest + "}]");
        return document;
    }
    static std::string text(const Vnic& vnic) {
        return is_v6() ? (vnic.ip6 == kVm2.ip6 ? "2001:db8::2" : "2001:db8:1::4")
                       : (vnic.ip4 == kVm2.ip4 ? "10.0.0.2" : "10.0.1.4");
    }
};
INSTANTIATE_TEST_SUITE_P(, Routed, testing::Combine(testing::Bool(), testing::Bool()),
                         [](const auto& mode) {
                             return std::string(std::get<0>(mode.param) ? "V6" : "V4") +
                                    (std::get<1>(mode.param) ? "Cached" : "Walked");
                         });

Bytes with_macs(Bytes frame, const MacAddr& from, const MacAddr& to) {
    std::copy(to.bytes.begin(), to.bytes.end(), frame.begin());
    std::copy(from.bytes.begin(), from.bytes.end(), frame.begin() + 6);
    return frame;
}

TEST_P(Routed, ArrivesFromTheRouterOneHopOn) {
    const auto p = pipeline();
    const Bytes frame = udp(there(), 1000, 53);
    for (int i = 0; i < 3; ++i) {
        p->send("vm1", frame).step();
        EXPECT_EQ(p->sent("vm4"), Frames{routed(frame, arriving())});
    }
    EXPECT_EQ(p->sent("vm2"), Frames{});
    EXPECT_EQ(p->connections().size(), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, PairsOfMacsBeginAnewWhenAllAreTaken) {
    const auto p = pipeline();
    auto& rewrites = p->dataplane().worker(0).context().rewrites;
    const Bytes known = udp(there(), 1000, 53), fresh = udp(back(), 53, 1000);
    p->send("vm1", known).step();
    for (std::uint32_t n = 0; !rewrites.is_closed(); ++n) {
        static_cast<void>(rewrites.acquire({kVm1.mac, kVm4.mac, n}));
    }
    p->send("vm4", fresh).step();  // The row that it wants is no longer to be had.
    EXPECT_EQ(p->sent("vm1"), Frames{});
    EXPECT_EQ(p->drops(DropReason::kNeighbourQueueFull), 1u);
    p->advance(kMillisecond).step();
    EXPECT_EQ(rewrites.size(), 0u);
    static_cast<void>(p->sent("vm4"));
    p->send("vm1", known).send("vm4", fresh).step();
    EXPECT_EQ(p->sent("vm4"), Frames{routed(known, arriving())});
    EXPECT_EQ(p->sent("vm1"), Frames{routed(fresh, coming_back())});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, ATcpConversationIsOneConnection) {
    nlohmann::json document = two_networks();
    document["dfw"] = json_of(R"({"default": "drop", "sections": [{"name": "s", "rules": [
        {"name": "web", "action": "allow", "services": ["tcp/80"], "destination": ["vm4"]}]}]})");
    const auto p = pipeline(document);
    TcpTalk talk(there());
    const auto round = [&](TcpTalk::Side from, Bytes frame) {
        const bool is_client = from == kClient;
        if (!is_client) { frame = with_macs(frame, kVm4.mac, kVmac); }
        p->send(is_client ? "vm1" : "vm4", frame).step();
        EXPECT_EQ(p->sent(is_client ? "vm4" : "vm1"),
                  Frames{routed(frame, is_client ? arriving() : coming_back())});
    };
    round(kClient, talk.syn());
    round(kServer, talk.syn_ack());
    round(kClient, talk.ack(kClient));
    round(kClient, talk.data(kClient));
    round(kServer, talk.data(kServer));
    ASSERT_EQ(p->connections().size(), 1u);
    EXPECT_EQ(p->rule("s", "web").hits, 1u);
    p->send("vm4", tcp(back(), 80, 40001, {.flags = kTcpSyn})).step();
    EXPECT_EQ(p->drops("vm4", DropReason::kDfwDeny), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, TheLastHopBeforeZeroIsAnsweredByTheGateway) {
    const auto p = pipeline();
    Bytes frame = udp(there(), 1000, 33434);
    frame = packet(there(), 17, Bytes(frame.begin() + (is_v6() ? 54 : 34), frame.end()), 1);
    for (int i = 0; i < 2; ++i) {
        p->send("vm1", frame).step();
        EXPECT_EQ(p->sent("vm1"), Frames{switch_error(telling(), is_v6() ? 3 : 11, 0, frame)});
    }
    EXPECT_EQ(p->sent("vm4"), Frames{});
    EXPECT_EQ(p->drops("vm1", DropReason::kTtlExpired), 2u);
    EXPECT_EQ(p->books().created, 2u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, NoRouteIsToldAndABlackholeIsNot) {
    auto p = pipeline();
    Path path = there();
    path.destination = elsewhere();
    const Bytes frame = udp(path, 1000, 53);
    for (int i = 0; i < 2; ++i) {
        p->send("vm1", frame).step();
        EXPECT_EQ(p->sent("vm1"), Frames{switch_error(telling(), is_v6() ? 1 : 3, 0, frame)});
    }
    EXPECT_EQ(p->drops("vm1", DropReason::kNoRoute), 2u);
    EXPECT_TRUE(p->packets_conserved());
    p->apply(with_route(R"("blackhole": true)"));
    p->send("vm1", frame).step();
    EXPECT_EQ(p->sent("vm1"), Frames{});
    EXPECT_EQ(p->drops("vm1", DropReason::kRouteBlackhole), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, ErrorsAreRateLimited) {
    const auto p = pipeline();
    Path path = there();
    path.destination = elsewhere();
    const Bytes frame = udp(path, 1000, 53);
    std::size_t told = 0;
    for (int i = 0; i < 30; ++i) {
        for (int k = 0; k < 32; ++k) { p->send("vm1", frame); }
        told += p->step().sent("vm1").size();
    }
    EXPECT_EQ(told, kIcmpErrorPerPortPps);
    EXPECT_EQ(p->drops("vm1", DropReason::kNoRoute), 960u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, AStaticRouteGoesByItsNextHopInTheSameDomainToo) {
    const auto p = pipeline(with_route(R"("next_hops": [")" + text(kVm2) + R"("])"));
    Path path = there();
    path.destination = elsewhere();
    const Bytes frame = udp(path, 1000, 53);
    p->send("vm1", frame).send("vm1", frame).step();
    Path out = path;
    out.source_mac = kVmac;
    out.destination_mac = kVm2.mac;
    EXPECT_EQ(p->sent("vm2"), (Frames{routed(frame, out), routed(frame, out)}));
    EXPECT_EQ(p->sent("vm1"), Frames{});  // No redirect.
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, EqualRoutesShareFlowsAndKeepThem) {
    nlohmann::json document =
        with_route(R"("next_hops": [")" + text(kVm2) + R"(", ")" + text(kVm4) + R"("])");
    const auto p = pipeline(document);
    Path path = there();
    path.destination = elsewhere();
    std::map<int, bool> by_vm2;
    for (int port = 1; port <= 64; ++port) {
        p->send("vm1", udp(path, static_cast<std::uint16_t>(port), 53)).step();
        const bool is_vm2 = !p->sent("vm2").empty();
        EXPECT_NE(is_vm2, !p->sent("vm4").empty());
        by_vm2[port] = is_vm2;
    }
    const auto count =
        std::count_if(by_vm2.begin(), by_vm2.end(), [](auto& x) { return x.second; });
    EXPECT_GT(count, 16);
    EXPECT_LT(count, 48);
    p->apply(document);
    for (int port = 1; port <= 64; ++port) {
        p->send("vm1", udp(path, static_cast<std::uint16_t>(port), 53)).step();
        EXPECT_EQ(!p->sent("vm2").empty(), by_vm2[port]) << port;
    }
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, AChangedRouteMovesALivingConnection) {
    const auto p = pipeline(with_route(R"("next_hops": [")" + text(kVm4) + R"("])"));
    Path path = there();
    path.destination = elsewhere();
    const Bytes frame = udp(path, 1000, 53);
    p->send("vm1", frame).step();
    EXPECT_EQ(p->sent("vm4").size(), 1u);
    p->apply(with_route(R"("next_hops": [")" + text(kVm2) + R"("])"));
    p->send("vm1", frame).step();
    EXPECT_EQ(p->sent("vm4").size(), 0u);
    EXPECT_EQ(p->sent("vm2").size(), 1u);
    EXPECT_EQ(p->connections().size(), 1u);
    p->apply(with_route(R"("blackhole": true)"));
    p->send("vm1", frame).step();
    EXPECT_EQ(p->drops("vm1", DropReason::kRouteBlackhole), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, TheFirewallSeesItBeforeOutAndAfterIn) {
    nlohmann::json document = two_networks();
    document["acls"] = json_of(R"([
        {"name": "out", "applied_to": ["vm1"], "rules": [{"name": "1", "action": "deny",
         "direction": "out", "destination_mac": "02:00:5e:53:4c:01", "services": ["udp/1"]}]},
        {"name": "in", "applied_to": ["vm4"], "rules": [{"name": "1", "action": "deny",
         "direction": "in", "source_mac": "02:00:5e:53:4c:01", "services": ["udp/2"]}]}])");
    const auto p = pipeline(document);
    for (int i = 0; i < 2; ++i) {
        p->send("vm1", udp(there(), 9, 1)).send("vm1", udp(there(), 9, 2)).step();
    }
    EXPECT_EQ(p->slot("vm1", 0, Direction::kFromVm).drops, 2u);
    EXPECT_EQ(p->slot("vm4", 0, Direction::kToVm).drops, 2u);
    EXPECT_EQ(p->sent("vm4"), Frames{});
    p->send("vm1", udp(there(), 9, 3)).step();
    EXPECT_EQ(p->sent("vm4").size(), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, FragmentsGoAsTheyAre) {
    const auto p = pipeline();
    const Frames pieces = fragments(udp(there(), 1000, 53, 1200), 400, 9);
    Frames expected;
    for (const Bytes& piece : pieces) {
        p->send("vm1", piece);
        expected.push_back(routed(piece, arriving()));
    }
    p->step();
    EXPECT_EQ(p->sent("vm4"), expected);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, AnErrorAboutARoutedPacketFindsItsSender) {
    nlohmann::json document = two_networks();
    document["dfw"] = json_of(R"({"default": "drop", "sections": [{"name": "s", "rules": [
        {"name": "r", "action": "allow", "source": ["vm1"]}]}]})");
    const auto p = pipeline(document);
    const Bytes frame = udp(there(), 1000, 33434);
    p->send("vm1", frame).step();
    ASSERT_EQ(p->sent("vm4").size(), 1u);
    const Bytes seen = routed(frame, arriving());
    const Bytes unreachable = icmp_error(back(), is_v6() ? 1 : 3, is_v6() ? 4 : 3, seen);
    p->send("vm4", unreachable).step();
    EXPECT_EQ(p->sent("vm1"), Frames{routed(unreachable, coming_back())});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, WhatIsTooLongForTheOtherNetworkIsToldItsSize) {
    nlohmann::json document = two_networks();
    document["switches"].push_back({{"name", "dvs1"}, {"mtu", 1400}});
    document["port_groups"][1]["switch"] = "dvs1";
    const auto p = pipeline(document);
    const Bytes fits = udp(there(), 1000, 53, is_v6() ? 1352 : 1372);
    const Bytes longer = udp(there(), 1000, 53, is_v6() ? 1353 : 1373);
    p->send("vm1", fits).step();
    EXPECT_EQ(p->sent("vm4"), Frames{routed(fits, arriving())});
    for (int i = 0; i < 2; ++i) {
        p->send("vm1", longer).step();
        const Frames told = p->sent("vm1");
        ASSERT_EQ(told.size(), 1u);
        EXPECT_TRUE(has_right_checksum(told[0]));
        const std::size_t icmp = is_v6() ? 54 : 34;
        EXPECT_EQ(told[0][icmp], is_v6() ? 2 : 3);
        EXPECT_EQ(told[0][icmp + 1], is_v6() ? 0 : 4);
        EXPECT_EQ(told[0][icmp + 6] * 256 + told[0][icmp + 7], 1400);
    }
    EXPECT_EQ(p->drops("vm1", DropReason::kTooBig), 2u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, LargeSegmentsAndUnfinishedChecksumsPass) {
    const auto p = pipeline();
    p->port("vm4").tso4 = p->port("vm4").tso6 = p->port("vm4").partial_checksum = true;
    TcpTalk talk(there());
    p->send("vm1", talk.syn()).step();
    p->send("vm4", with_macs(talk.syn_ack(), kVm4.mac, kVmac)).step();
    static_cast<void>(p->sent("vm4"));
    const Bytes large = with_partial_checksum(talk.data(kClient, 9000));
    const std::uint64_t flags = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
    for (int i = 0; i < 2; ++i) {
        p->send("vm1", QueuedFrame{large, {}, {flags, 1400}}).step();
        const auto sent = p->port("vm4").take_sent();
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent[0].bytes, routed(large, arriving()));
        EXPECT_EQ(sent[0].offload.segment_size, 1400);
    }
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, TaggedVnicsAreRoutedToo) {
    nlohmann::json document = two_networks();
    document["port_groups"].push_back(json_of(
        R"({"name": "trunk", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["10-20"]}})"));
    document["ports"][1]["port_group"] = "trunk";  // vm2, by its own tag in red.
    const auto p = pipeline(document);
    const Path out = to_router(kVm2, kVm4, is_v6());
    const Bytes frame = udp(out, 1000, 53);
    for (int i = 0; i < 2; ++i) {
        p->send("vm2", tagged(frame, 10)).step();
        EXPECT_EQ(p->sent("vm4"), Frames{routed(frame, from_router(kVm2, kVm4, is_v6()))});
    }
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, WhatIsNoPacketOrForManyEndsAtTheRouter) {
    const auto p = pipeline();
    p->send("vm1", ethernet(kVm1.mac, kVmac, 0x88b5, Bytes(50, 1))).step();
    Path group = there();
    group.destination = is_v6() ? ip("ff05::1") : ip("239.1.1.1");
    p->send("vm1", udp(group, 1000, 53)).step();
    std::uint64_t expected = 2;
    if (!is_v6()) {
        Path broadcast = there();
        broadcast.destination = ip("10.0.1.255");
        p->send("vm1", udp(broadcast, 1000, 53)).step();
        ++expected;
    }
    Path local = there();
    local.source = is_v6() ? ip("fe80::1") : ip("169.254.1.1");
    p->send("vm1", udp(local, 1000, 53)).step();
    EXPECT_EQ(p->drops("vm1", DropReason::kNotForRouter), expected + 1);
    EXPECT_EQ(p->sent("vm4"), Frames{});
    EXPECT_EQ(p->sent("vm1"), Frames{});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Routed, WhatIsSentToAMacIsNotRouted) {
    const auto p = pipeline();
    Path direct = is_v6() ? v6(kVm1, kVm4) : v4(kVm1, kVm4);
    p->send("vm1", udp(direct, 1000, 53)).step();
    EXPECT_EQ(p->sent("vm4"), Frames{});
    EXPECT_EQ(p->drops("vm1", DropReason::kUnknownUnicast), 1u);
}

}  // namespace
}  // namespace sluice::test
