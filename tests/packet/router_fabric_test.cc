// SPDX-License-Identifier: Apache-2.0
// The distributed router towards the fabric: this host's own MAC there, never the shared one; who
// is beyond is asked, answered and routed for.
#include "tests/packet/router_rig.h"
#include "tests/packet/switch_frames.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

// A machine beyond the uplink, in blue.
const Vnic kFar = kStranger;

Bytes padded(Bytes frame) {
    frame.resize(std::max<std::size_t>(frame.size(), 60));
    return frame;
}

class RoutedFabric : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] static nlohmann::json document() {
        nlohmann::json document = two_networks();
        document["host"] = {{"name", "host-a"}};
        document["uplinks"] = json_of(R"([{"name": "up", "device": "net_null0"}])");
        document["switches"][0]["uplinks"] = {"up"};
        return document;
    }
    void SetUp() override {
        p = std::make_unique<Pipeline>(document(), PipelineOptions{.flow_cache = GetParam()});
        pmac = pmac_of(*p);
    }
    /// The machine is known.
    void introduce() {
        p->send("vm1", udp(to_router(kVm1, kFar, false), 1, 2)).step();
        p->send("up", tagged(arp(kFar.mac, pmac, {2, kFar.mac, kFar.ip4, pmac, ip("0.0.0.0")}), 20))
            .step();
        static_cast<void>(p->sent("up"));
        static_cast<void>(p->sent("vm4"));
    }
    std::unique_ptr<Pipeline> p;
    MacAddr pmac;
};
INSTANTIATE_TEST_SUITE_P(, RoutedFabric, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(RoutedFabric, LeavesFromTheHostsOwnMacWithTheTagOfItsNetwork) {
    introduce();
    const Bytes frame = udp(to_router(kVm1, kFar, false), 1000, 53);
    const Path leaving{pmac, kFar.mac, kVm1.ip4, kFar.ip4};
    for (int i = 0; i < 2; ++i) {
        p->send("vm1", frame).step();
        EXPECT_EQ(p->sent("up"), Frames{tagged(routed(frame, leaving), 20)});
    }
    const Path back{kFar.mac, pmac, kFar.ip4, kVm1.ip4};
    const Bytes answer = udp(back, 53, 1000);
    for (int i = 0; i < 2; ++i) {
        p->send("up", tagged(answer, 20)).step();
        EXPECT_EQ(p->sent("vm1"), Frames{routed(answer, {kVmac, kVm1.mac, kFar.ip4, kVm1.ip4})});
    }
    EXPECT_EQ(p->connections().size(), 2u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(RoutedFabric, AsksTheFabricFromItsOwnMacAsNobody) {
    p->send("vm1", udp(to_router(kVm1, kFar, false), 1, 2)).step();
    const Bytes question = padded(arp(pmac, kBroadcast, {1, pmac, ip("0.0.0.0"), {}, kFar.ip4}));
    EXPECT_EQ(p->sent("up"), Frames{tagged(question, 20)});
    EXPECT_EQ(p->sent("vm4"), Frames{question});
    EXPECT_EQ(p->books().held, 1u);
}

TEST_P(RoutedFabric, IsAskedByTheFabricAndAnswersWithItsOwnMac) {
    const Bytes question = arp(kFar.mac, kBroadcast, {1, kFar.mac, kFar.ip4, {}, kBlueGateway.ip4});
    p->send("up", tagged(question, 20)).step();
    const Bytes answer = arp(pmac, kFar.mac, {2, pmac, kBlueGateway.ip4, kFar.mac, kFar.ip4});
    EXPECT_EQ(p->sent("up"), Frames{padded(tagged(answer, 20))});
    EXPECT_EQ(p->sent("vm4"), Frames{});
    const Path to_gateway{kFar.mac, pmac, kFar.ip4, kBlueGateway.ip4};
    p->send("up", tagged(ping(to_gateway), 20)).step();
    EXPECT_EQ(p->sent("up"), Frames{tagged(pong(to_gateway.back()), 20)});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(RoutedFabric, TellsTheFabricWhatItCantRoute) {
    const Path nowhere{kFar.mac, pmac, kFar.ip4, ip("192.0.2.1")};
    const Bytes frame = udp(nowhere, 1000, 53);
    p->send("up", tagged(frame, 20)).step();
    const Path telling{pmac, kFar.mac, kBlueGateway.ip4, kFar.ip4};
    EXPECT_EQ(p->sent("up"), Frames{tagged(switch_error(telling, 3, 0, frame), 20)});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(RoutedFabric, NeverSendsBackToTheFabric) {
    introduce();
    Vnic other = kFar;
    other.mac = mac("02:00:00:00:0f:02");
    other.ip4 = ip("10.0.1.98");
    p->send("up", tagged(udp({other.mac, pmac, other.ip4, kFar.ip4}, 1, 2), 20)).step();
    EXPECT_EQ(p->drops("up", DropReason::kUnknownUnicast), 1u);
    EXPECT_EQ(p->sent("up"), Frames{});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(RoutedFabric, ItsOwnMacsComeBackFromNowhere) {
    for (const MacAddr& own : {pmac, kVmac}) {
        p->send("up", tagged(udp({own, kVm4.mac, kFar.ip4, kVm4.ip4}, 1, 2), 20)).step();
    }
    EXPECT_EQ(p->drops("up", DropReason::kReflected), 2u);
    EXPECT_EQ(p->sent("vm4"), Frames{});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(RoutedFabric, ANewMacOfANeighbourIsFollowed) {
    introduce();
    const Bytes frame = udp(to_router(kVm1, kFar, false), 1000, 53);
    p->send("vm1", frame).step();
    ASSERT_EQ(p->sent("up").size(), 1u);
    p->advance(2 * kSecond).step();
    const MacAddr now = mac("02:00:00:00:0f:77");
    p->advance(40 * kSecond).step();
    p->send("up", tagged(arp(now, kBroadcast, {1, now, kFar.ip4, {}, kFar.ip4}), 20)).step();
    const Frames asked = p->sent("up");  // It is doubted, and asked for again.
    ASSERT_EQ(asked.size(), 1u);
    p->send("up", tagged(arp(now, pmac, {2, now, kFar.ip4, pmac, ip("0.0.0.0")}), 20)).step();
    p->send("vm1", frame).step();
    const Path leaving{pmac, now, kVm1.ip4, kFar.ip4};
    EXPECT_EQ(p->sent("up"), Frames{tagged(routed(frame, leaving), 20)});
    EXPECT_TRUE(p->packets_conserved());
}

}  // namespace
}  // namespace sluice::test
