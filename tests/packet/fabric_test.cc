// SPDX-License-Identifier: Apache-2.0
// Uplinks and kernel ports as the document gives them: the uplink is a trunk of every VLAN that
// ports of its switch are in; a kernel port is a port like a vNIC. (What switching does at an
// uplink is in uplink_test.cc.)
#include "tests/packet/pipeline.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

const Vnic kFar{mac("02:00:00:00:0f:01"), ip("10.0.0.200"), ip("2001:db8::f1")};

/// Switch dvs0 with uplink "up", vm1 in VLAN 10, vm2 in VLAN 20, vm3 untagged; dvs1 with vm4.
nlohmann::json fabric() {
    nlohmann::json document = json_of(R"({
        "uplinks": [{"name": "up", "device": "net_null0"}, {"name": "idle", "device": "net_null1"}],
        "switches": [{"name": "dvs0", "uplinks": ["up"]}, {"name": "dvs1"}],
        "port_groups": [{"name": "v10", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
                        {"name": "v20", "switch": "dvs0", "vlan": {"mode": "access", "id": 20}},
                        {"name": "plain", "switch": "dvs0"},
                        {"name": "far", "switch": "dvs1"}]})");
    document["ports"] = {port_of("vm1", "v10", kVm1), port_of("vm2", "v20", kVm2),
                         port_of("vm3", "plain", kVm3)};
    return document;
}

class Fabric : public testing::TestWithParam<bool> {
protected:
    [[nodiscard]] std::unique_ptr<Pipeline> pipeline(const nlohmann::json& document) const {
        PipelineOptions options;
        options.flow_cache = GetParam();
        return std::make_unique<Pipeline>(document, options);
    }
};
INSTANTIATE_TEST_SUITE_P(, Fabric, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(Fabric, TagsFramesToTheUplinkAndUntagsThoseFromIt) {
    const auto p = pipeline(fabric());
    const Bytes out1 = udp(v4(kVm1, kFar), 1, 2);
    const Bytes out2 = udp(v4(kVm2, kFar), 1, 2);
    const Bytes out3 = udp(v4(kVm3, kFar), 1, 2);
    p->send("vm1", out1).send("vm2", out2).send("vm3", out3).step();
    EXPECT_EQ(p->sent("up"), (Frames{tagged(out1, 10), tagged(out2, 20), out3}));
    const Bytes in1 = udp(v4(kFar, kVm1), 2, 1);
    const Bytes in3 = udp(v4(kFar, kVm3), 2, 1);
    p->send("up", tagged(in1, 10)).send("up", in3).step();
    EXPECT_EQ(p->sent("vm1"), Frames{in1});
    EXPECT_EQ(p->sent("vm3"), Frames{in3});
    EXPECT_EQ(p->sent("vm2"), Frames{});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Fabric, AnotherVlanReachesNobody) {
    const auto p = pipeline(fabric());
    const Bytes in = udp(v4(kFar, kVm1), 2, 1);
    p->send("up", tagged(in, 20)).send("up", tagged(in, 30)).send("up", in).step();
    EXPECT_EQ(p->sent("vm1"), Frames{});
    EXPECT_EQ(p->drops("up", DropReason::kUnknownUnicast), 2u);  // VLAN 20, and untagged.
    EXPECT_EQ(p->drops("up", DropReason::kVlanNotAllowed), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Fabric, ConnectionsThroughTheUplinkAreTracked) {
    nlohmann::json document = fabric();
    document["dfw"] = json_of(R"({"default": "drop", "sections": [{"name": "s", "rules": [
        {"name": "out", "direction": "out", "services": ["udp/2"]}]}]})");
    const auto p = pipeline(document);
    p->send("up", tagged(udp(v4(kFar, kVm1), 2, 1), 10)).step();  // Nobody asked.
    EXPECT_EQ(p->drops("up", DropReason::kDfwDeny), 1u);
    p->send("vm1", udp(v4(kVm1, kFar), 1, 2)).step();
    EXPECT_EQ(p->sent("up").size(), 1u);
    ASSERT_EQ(p->connections().size(), 1u);
    EXPECT_EQ(p->connections()[0].responder_port, p->index_of("up"));
    p->send("up", tagged(udp(v4(kFar, kVm1), 2, 1), 10)).step();
    EXPECT_EQ(p->sent("vm1").size(), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Fabric, ProgramsNoticeThatTheUplinkCameOrWent) {
    nlohmann::json without = fabric();
    without["switches"][0].erase("uplinks");
    const auto p = pipeline(without);
    const Bytes out = udp(v4(kVm1, kFar), 1, 2);
    p->send("vm1", out).step();
    EXPECT_EQ(p->drops(DropReason::kUnknownUnicast), 1u);
    p->apply(fabric());
    p->send("vm1", out).step();
    EXPECT_EQ(p->sent("up"), Frames{tagged(out, 10)});
    p->apply(without);
    p->send("vm1", out).step();
    EXPECT_EQ(p->sent("up"), Frames{});
    EXPECT_EQ(p->drops(DropReason::kUnknownUnicast), 2u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Fabric, ANewPortsVlanIsOnTheUplinkAtOnce) {
    nlohmann::json document = fabric();
    document["ports"].erase(1);
    const auto p = pipeline(document);
    const Bytes in = udp(v4(kFar, kVm2), 2, 1);
    p->send("up", tagged(in, 20)).step();
    EXPECT_EQ(p->drops("up", DropReason::kVlanNotAllowed), 1u);
    p->apply(fabric());
    p->send("up", tagged(in, 20)).step();
    EXPECT_EQ(p->sent("vm2"), Frames{in});
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Fabric, AnUplinkWithoutCarrierDropsWhatGoesThere) {
    const auto p = pipeline(fabric());
    p->port("up").up = false;
    p->send("vm1", udp(v4(kVm1, kFar), 1, 2)).step();
    EXPECT_EQ(p->drops("vm1", DropReason::kPortDown), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

TEST_P(Fabric, AddressesOfAKernelPortCountInRules) {
    nlohmann::json document = two_vms();
    document["ports"][1] = json_of(R"({"name": "vmk0", "port_group": "lan", "kind": "kernel",
        "mac": "02:00:00:00:00:02", "addresses": ["10.0.0.2/24"], "tags": {"role": "store"}})");
    document["groups"] = json_of(R"([{"name": "stores", "tags": {"role": "store"}}])");
    document["dfw"] = json_of(R"({"default": "drop", "sections": [{"name": "s", "rules": [
        {"name": "in", "destination": ["stores"], "services": ["udp/2000"]}]}]})");
    const auto p = pipeline(document);
    const Bytes frame = udp(v4(kVm1, kVm2), 1000, 2000);
    p->send("vm1", frame).send("vm1", udp(v4(kVm1, kVm2), 1000, 2001)).step();
    EXPECT_EQ(p->sent("vmk0"), Frames{frame});
    EXPECT_EQ(p->drops("vm1", DropReason::kDfwDeny), 1u);
    EXPECT_TRUE(p->packets_conserved());
}

}  // namespace
}  // namespace sluice::test
