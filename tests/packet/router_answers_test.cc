// SPDX-License-Identifier: Apache-2.0
// The distributed router for itself: ping, ARP and neighbour discovery; and how it finds out who
// has an address.
#include "tests/packet/router_rig.h"
#include "tests/packet/switch_frames.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

Bytes padded(Bytes frame) {
    frame.resize(std::max<std::size_t>(frame.size(), 60));
    return frame;
}

class Gateway : public testing::TestWithParam<std::tuple<bool, bool>> {
protected:
    [[nodiscard]] static bool is_v6() { return std::get<0>(GetParam()); }
    [[nodiscard]] static std::unique_ptr<Pipeline> pipeline(
        const nlohmann::json& document = two_networks()) {
        return std::make_unique<Pipeline>(document,
                                          PipelineOptions{.flow_cache = std::get<1>(GetParam())});
    }
    /// Who vm4 is must be asked: the document does not say.
    [[nodiscard]] static nlohmann::json without_addresses() {
        nlohmann::json document = two_networks();
        document["ports"][2].erase("ips");
        return document;
    }
    [[nodiscard]] static Path path(const Vnic& from, const Vnic& to) {
        return is_v6() ? v6(from, to) : v4(from, to);
    }
    [[nodiscard]] static IpAddr own(const Vnic& vnic) { return is_v6() ? vnic.ip6 : vnic.ip4; }

    [[nodiscard]] static IpAddr link_local(const MacAddr& m) {
        IpAddr out = ip("fe80::");
        const std::uint8_t tail[] = {static_cast<std::uint8_t>(m.bytes[0] ^ 2U),
                                     m.bytes[1],
                                     m.bytes[2],
                                     0xff,
                                     0xfe,
                                     m.bytes[3],
                                     m.bytes[4],
                                     m.bytes[5]};
        std::copy(std::begin(tail), std::end(tail), out.bytes.begin() + 8);
        return out;
    }
    /// What the router asks for vm4's address, from `pmac`.
    [[nodiscard]] static Bytes question(const MacAddr& pmac) {
        if (!is_v6()) {
            return padded(arp(pmac, kBroadcast, {1, pmac, ip("0.0.0.0"), {}, kVm4.ip4}));
        }
        const Path asked{pmac, mac("33:33:ff:00:00:04"), link_local(pmac), ip("ff02::1:ff00:4")};
        return neighbour(asked, 135, kVm4.ip6);
    }
    /// What `who` says to that.
    [[nodiscard]] static Bytes reply(const Vnic& who, const MacAddr& pmac) {
        if (!is_v6()) { return arp(who.mac, pmac, {2, who.mac, who.ip4, pmac, ip("0.0.0.0")}); }
        return neighbour({who.mac, pmac, who.ip6, link_local(pmac)}, 136, who.ip6);
    }
    /// vm1 asks for an address.
    [[nodiscard]] static Bytes asks(const Vnic& who, const IpAddr& target) {
        if (!is_v6()) { return arp(who.mac, kBroadcast, {1, who.mac, who.ip4, {}, target}); }
        Bytes frame = detection(who.mac, target);
        Path asked{who.mac, {}, who.ip6, ip("ff02::1:ff00:0")};
        std::copy_n(frame.begin(), 6, asked.destination_mac.bytes.begin());
        std::copy_n(target.bytes.end() - 3, 3, asked.destination.bytes.end() - 3);
        return neighbour(asked, 135, target);
    }
};
INSTANTIATE_TEST_SUITE_P(, Gateway, testing::Combine(testing::Bool(), testing::Bool()),
                         [](const auto& mode) {
                             return std::string(std::get<0>(mode.param) ? "V6" : "V4") +
                                    (std::get<1>(mode.param) ? "Cached" : "Walked");
                         });

TEST_P(Gateway, AnswersPingsToAnyOfItsAddresses) {
    const auto p = pipeline();
    for (const Vnic& gateway : {kRedGateway, kBlueGateway}) {
        for (int i = 0; i < 2; ++i) {
            const Bytes request = ping(path(kVm1, gateway));
            p->send("vm1", request).step();
            EXPECT_EQ(p->sent("vm1"), Frames{pong(path(gateway, kVm1))});
        }
    }
    EXPECT_EQ(p->books().created, 0u);  // The request became the answer.
    EXPECT_EQ(p->sent("vm4"), Frames{});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, AnswersPingsAcrossSegmentsWithOptionsOfItsTag) {
    nlohmann::json document = two_networks();
    document["port_groups"].push_back(json_of(
        R"({"name": "trunk", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["10-20"]}})"));
    document["ports"][1]["port_group"] = "trunk";
    const auto p = pipeline(document);
    const Bytes request = icmp(path(kVm2, kRedGateway), is_v6() ? 128 : 8, 7, 300);
    p->send("vm2", tagged(request, 10), {100, 33}).step();
    EXPECT_EQ(p->sent("vm2"),
              Frames{tagged(icmp(path(kRedGateway, kVm2), is_v6() ? 129 : 0, 7, 300), 10)});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, PingsAreRateLimited) {
    const auto p = pipeline();
    std::size_t answered = 0;
    for (int i = 0; i < 40; ++i) {
        for (int k = 0; k < 32; ++k) { p->send("vm1", ping(path(kVm1, kRedGateway))); }
        answered += p->step().sent("vm1").size();
    }
    EXPECT_EQ(answered, kRouterAnswerPerPortPps);
    EXPECT_EQ(p->drops("vm1", DropReason::kNotForRouter), 1280 - kRouterAnswerPerPortPps);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, HasNoPortOpen) {
    const auto p = pipeline();
    const Bytes frame = udp(path(kVm1, kRedGateway), 1000, 53);
    p->send("vm1", frame).step();
    EXPECT_EQ(p->sent("vm1"), Frames{switch_error(path(kRedGateway, kVm1), is_v6() ? 1 : 3,
                                                  is_v6() ? 4 : 3, frame)});
    p->send("vm1", tcp(path(kVm1, kRedGateway), 1000, 22, {.flags = kTcpSyn})).step();
    EXPECT_EQ(p->sent("vm1"), Frames{});
    EXPECT_EQ(p->drops("vm1", DropReason::kNotForRouter), 2u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, TellsWhoAsksItsMacAndNobodyElse) {
    const auto p = pipeline();
    p->send("vm1", asks(kVm1, own(kRedGateway))).step();
    const Frames got = p->sent("vm1");
    ASSERT_EQ(got.size(), 1u);
    if (is_v6()) {
        Bytes expected = neighbour(v6(kRedGateway, kVm1), 136, kRedGateway.ip6);
        EXPECT_EQ(got[0].size(), expected.size());
        EXPECT_TRUE(has_right_checksum(got[0]));
        EXPECT_EQ(got[0][58], 0xe0);  // It is a router.
        EXPECT_TRUE(std::equal(got[0].begin() + 62, got[0].end(), expected.begin() + 62));
        EXPECT_TRUE(std::equal(got[0].begin(), got[0].begin() + 54, expected.begin()));
    } else {
        EXPECT_EQ(got[0],
                  padded(arp(kVmac, kVm1.mac, {2, kVmac, kRedGateway.ip4, kVm1.mac, kVm1.ip4})));
    }
    EXPECT_EQ(p->sent("vm2"), Frames{});
    EXPECT_EQ(p->books().consumed, 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, IsTheGatewayOfItsOwnNetworkOnly) {
    const auto p = pipeline();
    p->send("vm1", asks(kVm1, own(kBlueGateway))).step();
    EXPECT_EQ(p->sent("vm1"), Frames{});
    EXPECT_EQ(p->sent("vm2").size(), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, IsNobodyElse) {
    const auto p = pipeline();
    const Vnic liar{kVm1.mac, kRedGateway.ip4, kRedGateway.ip6};
    p->send("vm1", asks(liar, own(kVm2))).step();
    if (is_v6()) {
        p->send("vm1", neighbour({kVm1.mac, kVm2.mac, kVm1.ip6, kVm2.ip6}, 136, kRedGateway.ip6))
            .step();
    } else {
        p->send("vm1", arp(kVm1.mac, kVm2.mac, {2, kVm1.mac, kRedGateway.ip4, kVm2.mac, kVm2.ip4}))
            .step();
    }
    EXPECT_EQ(p->drops("vm1", is_v6() ? DropReason::kSpoofedNd : DropReason::kSpoofedArp), 2u);
    EXPECT_EQ(p->sent("vm2"), Frames{});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, AsksForWhomItDoesNotKnowAndHoldsThePacket) {
    const auto p = pipeline(without_addresses());
    const MacAddr pmac = pmac_of(*p);
    const Bytes frame = udp(to_router(kVm1, kVm4, is_v6()), 1000, 53);
    p->send("vm1", frame).step();
    EXPECT_EQ(p->sent("vm4"), Frames{question(pmac)});
    EXPECT_EQ(p->sent("vm2"), Frames{});  // It is not there.
    EXPECT_EQ(p->books().held, 1u);
    EXPECT_EQ(p->connections().size(), 0u);
    const Bytes second = udp(to_router(kVm1, kVm4, is_v6()), 1001, 53);
    p->send("vm1", second).step();
    EXPECT_EQ(p->sent("vm4"), Frames{});  // Once.
    p->send("vm4", reply(kVm4, pmac)).step();
    const Path arriving = from_router(kVm1, kVm4, is_v6());
    EXPECT_EQ(p->sent("vm4"), (Frames{routed(frame, arriving), routed(second, arriving)}));
    EXPECT_EQ(p->connections().size(), 2u);
    EXPECT_TRUE(p->packets_conserved());
    p->send("vm1", frame).step();
    EXPECT_EQ(p->sent("vm4"), Frames{routed(frame, arriving)});
    EXPECT_EQ(p->slot("vm1", 2, Direction::kFromVm).packets, 3u);  // Not when they began to wait.
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, TellsTheSenderWhenNobodyAnswers) {
    const auto p = pipeline(without_addresses());
    const Bytes frame = udp(to_router(kVm1, kVm4, is_v6()), 1000, 53);
    p->send("vm1", frame).step();
    for (std::uint32_t i = 1; i < kNeighbourProbeCount; ++i) {
        EXPECT_EQ(p->sent("vm4").size(), 1u);
        p->advance(kNeighbourProbeMs * kMillisecond).step();
    }
    EXPECT_EQ(p->sent("vm4").size(), 1u);
    EXPECT_EQ(p->sent("vm1"), Frames{});
    p->advance(kNeighbourProbeMs * kMillisecond).step();
    EXPECT_EQ(p->sent("vm1"), Frames{switch_error(path(kRedGateway, kVm1), is_v6() ? 1 : 3,
                                                  is_v6() ? 3 : 1, frame)});
    EXPECT_EQ(p->drops("vm1", DropReason::kNeighbourUnreachable), 1u);
    p->send("vm1", frame).step();  // Remembered.
    EXPECT_EQ(p->sent("vm4"), Frames{});
    EXPECT_EQ(p->drops("vm1", DropReason::kNeighbourUnreachable), 2u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, BelievesNobodyItDidNotAsk) {
    const auto p = pipeline(without_addresses());
    const MacAddr pmac = pmac_of(*p);
    p->send("vm4", reply(kVm4, pmac)).step();
    EXPECT_EQ(p->books().consumed, 1u);
    Vnic foreign = kVm4;  // An address of another network.
    foreign.ip4 = kVm1.ip4;
    foreign.ip6 = kVm1.ip6;
    p->send("vm4", reply(foreign, pmac)).step();
    p->dataplane().learned().for_each(0, 100, p->now_ns(), [](const LearnedRow& row) {
        EXPECT_NE(row.key.kind, LearnedKind::kNeighbour);
    });
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, FollowsWhatAVnicWasSeenToUse) {
    const auto p = pipeline(without_addresses());
    p->send("vm4", asks(kVm4, own(kBlueGateway))).step();  // That tells who it is.
    static_cast<void>(p->sent("vm4"));
    const Bytes frame = udp(to_router(kVm1, kVm4, is_v6()), 1000, 53);
    p->send("vm1", frame).step();
    EXPECT_EQ(p->sent("vm4"), Frames{routed(frame, from_router(kVm1, kVm4, is_v6()))});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Gateway, AFragmentAsksAndIsLost) {
    const auto p = pipeline(without_addresses());
    for (const Bytes& piece : fragments(udp(to_router(kVm1, kVm4, is_v6()), 1, 2, 1200), 800, 9)) {
        p->send("vm1", piece);
    }
    p->step();
    EXPECT_EQ(p->sent("vm4"), Frames{question(pmac_of(*p))});
    EXPECT_EQ(p->drops("vm1", DropReason::kNeighbourUnreachable), 2u);
    EXPECT_TRUE(p->packets_conserved());
}

}  // namespace
}  // namespace sluice::test
