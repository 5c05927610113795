// SPDX-License-Identifier: Apache-2.0
// What the switch does at an uplink: frames of unknown MACs go there and never back, broadcasts
// reach it, nothing is learned from it, and what the fabric reflects ends here.
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

// A machine behind the uplink, and a nested guest.
const Vnic kFar{mac("02:00:00:00:0f:01"), ip("10.0.0.200"), ip("2001:db8::f1")};
const Vnic kNested{mac("02:00:00:00:0a:01"), ip("10.0.0.101"), ip("2001:db8::a1")};

/// vm1 and vm2 of `document` with its port vm3 as uplink of their domain.
class Uplink : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] std::unique_ptr<Pipeline> pipeline(const nlohmann::json& document) const {
        PipelineOptions options;
        options.flow_cache = GetParam();
        auto p = std::make_unique<Pipeline>(document, options);
        make_uplink(*p);
        return p;
    }

    static void make_uplink(Pipeline& p) {
        auto next = std::make_unique<datapath::Snapshot>(p.dataplane().snapshot());
        ++next->generation;
        const PortIndex index = p.index_of("vm3");
        datapath::PortConfig& port = *next->ports[index.value];
        port.is_uplink = true;
        port.policy_epoch = next->generation;
        port.chain = std::make_shared<const ChainProgram>();
        for (datapath::Domain& domain : next->domains) {
            std::erase(domain.members, index);
            auto rows = domain.macs.rows();
            std::erase_if(rows, [&](const auto& row) { return row.port == index; });
            domain.macs = datapath::MacTable(std::move(rows));
            domain.fabric = {index};
            domain.team = static_cast<std::uint16_t>(next->teams.size());
            next->teams.push_back({model::TeamingPolicy::kPortId, false, {index}, {}});
            domain.epoch = next->generation;
        }
        static_cast<void>(p.dataplane().publish(std::move(next)));
        p.step();
        p.dataplane().reclaim();
    }
};
INSTANTIATE_TEST_SUITE_P(, Uplink, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

nlohmann::json learning() {
    nlohmann::json document = three_vms();
    document["port_groups"][0]["mac_learning"] = {{"enabled", true},
                                                  {"unknown_unicast_flood", true}};
    document["port_groups"].push_back({{"name", "fabric"}, {"switch", "dvs0"}});
    document["ports"][2]["port_group"] = "fabric";
    return document;
}

TEST_P(Uplink, TakesWhatNobodyHereOwns) {
    const auto p = pipeline(three_vms());
    const Bytes frame = udp(v4(kVm1, kFar), 1, 2);
    p->send("vm1", frame).send("vm1", frame).step();
    EXPECT_EQ(p->sent("vm3"), (Frames{frame, frame}));
    EXPECT_EQ(p->sent("vm2"), Frames{});
    EXPECT_EQ(p->connections().size(), 1u);
    const Bytes answer = udp(v4(kFar, kVm1), 2, 1);
    p->send("vm3", answer).step();
    EXPECT_EQ(p->sent("vm1"), Frames{answer});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Uplink, AndTheFloodPortsTakeUnknownUnicastToo) {
    const auto p = pipeline(learning());
    const Bytes frame = udp(v4(kVm1, kFar), 1, 2);
    p->send("vm1", frame).send("vm1", frame).step();
    EXPECT_EQ(p->sent("vm3").size(), 2u);
    EXPECT_EQ(p->sent("vm2").size(), 2u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Uplink, NeverGetsItsOwnBack) {
    const auto p = pipeline(three_vms());
    Path path = v4(kFar, kNested);
    p->send("vm3", udp(path, 1, 2)).step();
    EXPECT_EQ(p->drops("vm3", DropReason::kUnknownUnicast), 1u);
    EXPECT_EQ(p->sent("vm3"), Frames{});
    const Bytes question = arp(kFar.mac, kBroadcast, {1, kFar.mac, kFar.ip4, {}, kVm1.ip4});
    p->send("vm3", question).step();
    EXPECT_EQ(p->sent("vm1"), Frames{question});
    EXPECT_EQ(p->sent("vm2"), Frames{question});
    EXPECT_EQ(p->sent("vm3"), Frames{});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Uplink, FloodsUnknownUnicastFromItToThoseThatAskOnly) {
    const auto p = pipeline(learning());
    const Bytes frame = udp(v4(kFar, kNested), 1, 2);
    p->send("vm3", frame).step();
    EXPECT_EQ(p->sent("vm1"), Frames{frame});
    EXPECT_EQ(p->sent("vm2"), Frames{frame});
    EXPECT_EQ(p->sent("vm3"), Frames{});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Uplink, ReceivesBroadcastsAndGroups) {
    const auto p = pipeline(three_vms());
    const Bytes question = arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kFar.ip4});
    Path group = v4(kVm1, kVm2);
    group.destination_mac = mac("01:00:5e:01:02:03");
    group.destination = ip("239.1.2.3");
    const Bytes stream = udp(group, 1, 2);
    p->send("vm1", question).send("vm1", stream).step();
    EXPECT_EQ(p->sent("vm3"), (Frames{question, stream}));
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Uplink, TeachesNothing) {
    const auto p = pipeline(learning());
    p->send("vm3", udp(v4(kFar, kVm1), 1, 2)).step();
    EXPECT_EQ(p->dataplane().learned().size(), 0u);
}

TEST_P(Uplink, DropsWhatTheFabricReflects) {
    const auto p = pipeline(learning());
    const Bytes own = arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kFar.ip4});
    Path path = v4(kVm1, kVm2);
    p->send("vm3", own).send("vm3", udp(path, 1, 2)).send("vm3", udp(path, 1, 2)).step();
    EXPECT_EQ(p->drops("vm3", DropReason::kReflected), 3u);
    EXPECT_EQ(p->sent("vm2"), Frames{});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Uplink, AMacIsReflectedAsLongAsItIsLearnedHere) {
    const auto p = pipeline(learning());
    const Bytes from_nested = udp(v4(kNested, kVm2), 1, 2);
    p->send("vm3", from_nested).step();
    EXPECT_EQ(p->sent("vm2"), Frames{from_nested}) << "it is out there";
    p->send("vm1", from_nested).step();
    EXPECT_EQ(p->sent("vm2"), Frames{from_nested}) << "it came here";
    p->send("vm3", from_nested).step();
    EXPECT_EQ(p->drops("vm3", DropReason::kReflected), 1u);
    p->advance(400 * kSecond).send("vm3", from_nested).step();
    EXPECT_EQ(p->sent("vm2"), Frames{from_nested}) << "and left again";
    EXPECT_TRUE(p->packets_conserved());
}

}  // namespace
}  // namespace sluice::test
