// SPDX-License-Identifier: Apache-2.0
// DHCP relay: the client's broadcast goes to the server as the router's packet and nowhere else,
// the answer finds the client, and the lease is learned.
#include "tests/packet/dhcp_frames.h"
#include "tests/packet/router_rig.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

class DhcpRelay : public testing::TestWithParam<bool> {
protected:
    /// vm1 asks in red, vm4 serves in blue.
    [[nodiscard]] static nlohmann::json document() {
        nlohmann::json document = two_networks();
        document["routers"][0]["interfaces"][0]["dhcp_relay"] = {"10.0.1.4"};
        document["port_groups"][1]["guards"] = {{"dhcp_server", false}};
        document["ports"][0].erase("ips");
        return document;
    }
    static Bytes with_relay(Bytes payload, std::uint8_t count) {
        payload[3] = count;
        std::copy_n(kRedGateway.ip4.bytes.begin() + 12, 4, payload.begin() + 24);
        return payload;
    }
    static Bytes payload_of(const Bytes& frame) { return {frame.begin() + 42, frame.end()}; }
    /// What vm4 gets of a request of vm1.
    static Bytes relayed(const Bytes& request) {
        const Path path{kVmac, kVm4.mac, kRedGateway.ip4, kVm4.ip4};
        return without_id(udp(path, 67, 67, with_relay(payload_of(request), 1)));
    }
    /// IPv4 identification and fragment field as the switch writes them, TTL as after one hop.
    static Bytes without_id(Bytes frame, std::uint8_t ttl = 63) {
        frame[18] = frame[19] = frame[24] = frame[25] = 0;
        frame[20] = 0x40;
        frame[22] = ttl;
        std::uint32_t sum = 0;
        for (std::size_t at = 14; at < 34; at += 2) { sum += frame[at] * 256U + frame[at + 1]; }
        while (sum >> 16U != 0) { sum = (sum & 0xffffU) + (sum >> 16U); }
        frame[24] = static_cast<std::uint8_t>(~sum >> 8U);
        frame[25] = static_cast<std::uint8_t>(~sum);
        return frame;
    }
    static Bytes answer_payload(std::uint8_t type, bool is_broadcast) {
        Dhcp4Fields fields{.operation = 2,
                           .client = kVm1.mac,
                           .your_ip = ip("10.0.0.77"),
                           .relay_ip = kRedGateway.ip4,
                           .options = type4(type) + lease4(600) + ip4(54, kVm4.ip4)};
        Bytes payload = dhcp4_payload(fields);
        if (is_broadcast) { payload[10] = 0x80; }
        return payload;
    }
    Pipeline p{document(), {.flow_cache = GetParam()}};
};
INSTANTIATE_TEST_SUITE_P(, DhcpRelay, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(DhcpRelay, ARequestGoesToTheServerAndNowhereElse) {
    const Bytes request = from_client4(kVm1.mac, type4(kDhcpDiscover));
    p.send("vm1", request).step();
    EXPECT_EQ(p.sent("vm4"), Frames{relayed(request)});
    EXPECT_EQ(p.sent("vm2"), Frames{});
    EXPECT_EQ(p.books().consumed, 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(DhcpRelay, TheAnswerFindsTheClientAndItsLeaseIsLearned) {
    p.send("vm1", from_client4(kVm1.mac, type4(kDhcpRequest))).step();
    static_cast<void>(p.sent("vm4"));
    for (const bool is_broadcast : {false, true}) {
        const Bytes payload = answer_payload(kDhcpAck, is_broadcast);
        p.send("vm4", udp({kVm4.mac, kVmac, kVm4.ip4, kRedGateway.ip4}, 67, 67, payload)).step();
        const Path path{kVmac, is_broadcast ? kBroadcast : kVm1.mac, kRedGateway.ip4,
                        is_broadcast ? ip("255.255.255.255") : ip("10.0.0.77")};
        EXPECT_EQ(p.sent("vm1"), Frames{without_id(udp(path, 67, 68, payload), 64)});
        EXPECT_EQ(p.sent("vm2").size(), is_broadcast ? 1u : 0u);
        EXPECT_TRUE(p.packets_conserved());
    }
    const DomainId red = p.dataplane().snapshot().domains[0].id;
    const auto lease = p.dataplane().learned().find(
        LearnedKey::binding(red, p.index_of("vm1"), ip("10.0.0.77")), p.now_ns());
    ASSERT_TRUE(lease.has_value());
    EXPECT_EQ(lease->source, LearnedSource::kDhcp);
    EXPECT_EQ(lease->mac, kVm1.mac);
}

TEST_P(DhcpRelay, AnUnknownServerIsAskedFor) {
    nlohmann::json unknown = document();
    unknown["ports"][2].erase("ips");
    p.apply(unknown);
    const Bytes request = from_client4(kVm1.mac, type4(kDhcpDiscover));
    p.send("vm1", request).step();
    EXPECT_EQ(p.sent("vm4").size(), 1u);  // The question.
    EXPECT_EQ(p.books().held, 1u);
    const MacAddr pmac = pmac_of(p);
    p.send("vm4", arp(kVm4.mac, pmac, {2, kVm4.mac, kVm4.ip4, pmac, ip("0.0.0.0")})).step();
    EXPECT_EQ(p.sent("vm4"), Frames{relayed(request)});
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(DhcpRelay, ARenewalIsRoutedLikeAnyPacket) {
    const Bytes renewal = udp(
        {kVm1.mac, kVmac, kVm1.ip4, kVm4.ip4}, 68, 67,
        dhcp4_payload({.client = kVm1.mac, .client_ip = kVm1.ip4, .options = type4(kDhcpRequest)}));
    p.send("vm1", renewal).step();
    EXPECT_EQ(p.sent("vm4"), Frames{routed(renewal, {kVmac, kVm4.mac, kVm1.ip4, kVm4.ip4})});
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(DhcpRelay, ARenewalToAnUnknownServerAsksForItAndPassesTheNextTime) {
    nlohmann::json unknown = document();
    unknown["ports"][2].erase("ips");
    p.apply(unknown);
    const Bytes renewal = udp(
        {kVm1.mac, kVmac, kVm1.ip4, kVm4.ip4}, 68, 67,
        dhcp4_payload({.client = kVm1.mac, .client_ip = kVm1.ip4, .options = type4(kDhcpRequest)}));
    p.send("vm1", renewal).step();
    EXPECT_EQ(p.drops("vm1", DropReason::kNeighbourUnreachable), 1u);
    EXPECT_EQ(p.sent("vm4").size(), 1u);  // The question.
    const MacAddr pmac = pmac_of(p);
    p.send("vm4", arp(kVm4.mac, pmac, {2, kVm4.mac, kVm4.ip4, pmac, ip("0.0.0.0")})).step();
    p.send("vm1", renewal).step();
    EXPECT_EQ(p.sent("vm4"), Frames{routed(renewal, {kVmac, kVm4.mac, kVm1.ip4, kVm4.ip4})});
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(DhcpRelay, WhatWasRelayedAlreadyOrTooOftenIsNot) {
    Bytes payload = payload_of(from_client4(kVm1.mac, type4(kDhcpDiscover)));
    payload[3] = 16;
    p.send("vm1",
           udp({kVm1.mac, kBroadcast, ip("0.0.0.0"), ip("255.255.255.255")}, 68, 67, payload))
        .step();
    EXPECT_EQ(p.sent("vm4"), Frames{});
    EXPECT_EQ(p.sent("vm2").size(), 1u);  // It is a broadcast of its network.
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(DhcpRelay, AnAnswerOfNobodysNetworkEnds) {
    Bytes payload = answer_payload(kDhcpAck, false);
    payload[27] = 99;  // giaddr
    p.send("vm4", udp({kVm4.mac, kVmac, kVm4.ip4, kRedGateway.ip4}, 67, 67, payload)).step();
    EXPECT_EQ(p.drops("vm4", DropReason::kNotForRouter), 1u);
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
