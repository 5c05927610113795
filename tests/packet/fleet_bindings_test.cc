// SPDX-License-Identifier: Apache-2.0
// FleetBindings: what is wanted by name becomes rows by number, over snapshots, moves, duplicates
// and a million of them; and what a reflection is where a port's own guests move away.
#include "sluice/net/address_text.h"
#include "tests/packet/fleet_rig.h"
#include "tests/packet/tunnel_rig.h"

namespace sluice::test {
namespace {

const std::string kWeb = "dvs0/vni5001";

nlohmann::json document(const std::vector<std::string>& remotes, bool has_web = true) {
    nlohmann::json out = json_of(R"({
        "uplinks": [{"name": "up", "device": "net_null0"}],
        "vteps": [{"name": "tep0", "ip": "172.16.0.1/24", "mac": "02:00:00:00:99:01",
                   "uplink": "up", "mtu": 1600}],
        "port_groups": [{"name": "plain", "switch": "dvs0"},
                        {"name": "web", "switch": "dvs0", "vni": 5001,
                         "security": {"forged_transmits": true, "mac_changes": true},
                         "mac_learning": {"enabled": true}}]})");
    out["switches"] = {{{"name", "dvs0"}, {"uplinks", {"up"}}, {"remote_vteps", remotes}}};
    out["ports"] = {port_of("vm1", has_web ? "web" : "plain", kVm1),
                    port_of("vm2", has_web ? "web" : "plain", kVm2)};
    return out;
}

class FleetBindings : public testing::Test {
protected:
    void apply(const std::vector<std::string>& remotes, bool has_web = true) {
        p.apply(document(remotes, has_web));
        controller.on_snapshot();
    }
    [[nodiscard]] DomainId web() {
        for (const datapath::Domain& domain : p.dataplane().snapshot().domains) {
            if (domain.vni == 5001) { return domain.id; }
        }
        return {};
    }
    /// Address of the VTEP behind which the table has it; "": it has not.
    [[nodiscard]] std::string where(const MacAddr& mac) {
        const auto row = p.dataplane().fleet().find(LearnedKey::mac(id, mac), 0);
        return row ? to_string(p.dataplane().snapshot().remotes[row->remote].ip) : "";
    }
    [[nodiscard]] MacAddr who_has(const IpAddr& ip) {
        const auto row = p.dataplane().fleet().find(LearnedKey::neighbour(id, ip), 0);
        return row ? row->mac : MacAddr{};
    }
    [[nodiscard]] std::size_t rows() { return p.dataplane().fleet().size(); }

    Pipeline p{document({"172.16.0.2", "172.16.0.3"})};
    Controller controller{p};
    DomainId id = web();
    const Vnic far{mac("02:00:00:00:0f:01"), ip("10.0.0.200"), ip("2001:db8::f1")};
};

TEST_F(FleetBindings, AVtepThatIsNotThereYetIsWaitedFor) {
    controller.tell(kWeb, far, "172.16.0.9");
    EXPECT_EQ(rows(), 0u);
    apply({"172.16.0.2", "172.16.0.9"});
    EXPECT_EQ(where(far.mac), "172.16.0.9");
    EXPECT_EQ(who_has(far.ip6), far.mac);
    apply({"172.16.0.2"});
    EXPECT_EQ(rows(), 0u);
    apply({"172.16.0.2", "172.16.0.3", "172.16.0.9"});
    EXPECT_EQ(where(far.mac), "172.16.0.9") << "by another number";
    EXPECT_EQ(controller.bindings().size(), 1u);
}

TEST_F(FleetBindings, ASegmentThatIsNotThereIsWaitedFor) {
    controller.tell(kWeb, far, "172.16.0.2");
    EXPECT_EQ(rows(), 3u);
    apply({"172.16.0.2"}, false);
    EXPECT_EQ(rows(), 0u);
    controller.tell(kWeb, far, "172.16.0.2");
    EXPECT_EQ(rows(), 0u);
    apply({"172.16.0.2"});
    EXPECT_EQ(where(far.mac), "172.16.0.2");
    EXPECT_EQ(rows(), 3u);
}

TEST_F(FleetBindings, ThisHostsOwnVtepIsNobodys) {
    controller.tell(kWeb, far, "172.16.0.1");
    EXPECT_EQ(rows(), 0u);
    controller.tell(kWeb, far, "");
    EXPECT_EQ(rows(), 0u);
}

TEST_F(FleetBindings, TheNewestOfSeveralClaimsCountsAndTheOthersWait) {
    Vnic second = far, third = far;
    second.mac = mac("02:00:00:00:0f:02");
    third.mac = mac("02:00:00:00:0f:03");
    controller.tell(kWeb, far, "172.16.0.2");
    controller.tell(kWeb, second, "172.16.0.3");
    controller.tell(kWeb, third, "172.16.0.3");
    EXPECT_EQ(who_has(far.ip4), third.mac);
    controller.tell(kWeb, far, "172.16.0.3");
    EXPECT_EQ(who_has(far.ip4), third.mac) << "a move claims nothing anew";
    controller.take_back(kWeb, second);
    controller.take_back(kWeb, third);
    EXPECT_EQ(who_has(far.ip4), far.mac);
    controller.take_back(kWeb, far);
    EXPECT_EQ(rows(), 0u);
}

TEST_F(FleetBindings, AddressesComeAndGo) {
    controller.give({{{kWeb, far.mac, {far.ip4}, ip("172.16.0.2")}, false}});
    controller.give({{{kWeb, far.mac, {far.ip6}, ip("172.16.0.2")}, false}});
    EXPECT_EQ(who_has(far.ip4), MacAddr{});
    EXPECT_EQ(who_has(far.ip6), far.mac);
    EXPECT_EQ(rows(), 2u);
}

TEST_F(FleetBindings, WhatMakesNoSenseIsRefusedAlone) {
    controller.give({{{"dvs0", far.mac, {}, ip("172.16.0.2")}, false},
                     {{kWeb, kBroadcast, {}, ip("172.16.0.2")}, false},
                     {{kWeb, MacAddr{}, {}, ip("172.16.0.2")}, false},
                     {{kWeb, far.mac, {}, ip("172.16.0.2")}, false}});
    EXPECT_EQ(controller.bindings().refused(), 3u);
    EXPECT_EQ(controller.bindings().size(), 1u);
}

TEST_F(FleetBindings, ARepetitionTellsWorkersNothing) {
    controller.tell(kWeb, far, "172.16.0.2");
    const std::uint32_t before = p.dataplane().learned().epoch();
    controller.tell(kWeb, far, "172.16.0.2");
    apply({"172.16.0.2", "172.16.0.3"});
    EXPECT_EQ(p.dataplane().learned().epoch(), before);
}

std::vector<fleet::BindingChange> many(std::uint32_t count, const std::string& vtep) {
    std::vector<fleet::BindingChange> changes;
    for (std::uint32_t i = 0; i < count; ++i) {
        MacAddr mac{{0x06, 0, static_cast<std::uint8_t>(i >> 24U),
                     static_cast<std::uint8_t>(i >> 16U), static_cast<std::uint8_t>(i >> 8U),
                     static_cast<std::uint8_t>(i)}};
        changes.push_back({{kWeb, mac, {IpAddr::v4(0x0b000000U + i)}, ip(vtep)}, false});
    }
    return changes;
}

TEST_F(FleetBindings, ManyComeInSlicesInTheirOrder) {
    constexpr std::uint32_t kCount = 3 * kFleetBindingSlice + 10;
    std::vector<fleet::BindingChange> changes = many(kCount, "172.16.0.2");
    changes.push_back({{kWeb, changes[0].binding.mac, {}, {}}, true});
    const MacAddr last = changes[kCount - 1].binding.mac, gone = changes[0].binding.mac;
    controller.bindings().change(std::move(changes));
    EXPECT_EQ(rows(), 2 * kFleetBindingSlice) << "one slice at once";
    EXPECT_FALSE(controller.bindings().is_settled());
    ASSERT_TRUE(controller.run_one());
    EXPECT_EQ(rows(), 4 * kFleetBindingSlice);
    while (controller.run_one()) {}
    EXPECT_TRUE(controller.bindings().is_settled());
    EXPECT_EQ(where(last), "172.16.0.2");
    EXPECT_EQ(where(gone), "");
    EXPECT_EQ(rows(), 2 * (kCount - 1));
}

TEST_F(FleetBindings, ASnapshotAndNewsMeetInTheMiddle) {
    constexpr std::uint32_t kCount = 2 * kFleetBindingSlice;
    controller.give(many(kCount, "172.16.0.2"));
    p.apply(document({"172.16.0.3"}));
    controller.bindings().on_snapshot();
    EXPECT_FALSE(controller.bindings().is_settled());
    std::vector<fleet::BindingChange> moved = many(kCount, "172.16.0.3");
    const MacAddr first = moved.front().binding.mac;
    moved.erase(moved.begin() + 1, moved.end());
    controller.give(std::move(moved));
    EXPECT_EQ(rows(), 2u) << "the others' VTEP is gone";
    EXPECT_EQ(where(first), "172.16.0.3");
}

TEST_F(FleetBindings, AFullTableRefusesAndGoesOn) {
    PipelineOptions options;
    options.fleet_capacity = 64;
    Pipeline small(document({"172.16.0.2"}), options);
    Controller other(small);
    other.give(many(100, "172.16.0.2"));
    EXPECT_EQ(small.dataplane().fleet().size(), 64u);
    EXPECT_EQ(other.bindings().refused(), 2u * 100 - 64);
    for (const auto& change : many(100, "172.16.0.2")) {
        other.give({{{kWeb, change.binding.mac, {}, {}}, true}});
    }
    EXPECT_EQ(small.dataplane().fleet().size(), 0u);
}

TEST_F(FleetBindings, AGuestOfAPortThatMovedAwayIsNoReflection) {
    const Bytes from_guest = udp({far.mac, kVm2.mac, far.ip4, kVm2.ip4}, 1, 2);
    p.send("vm1", from_guest).step();
    ASSERT_EQ(p.sent("vm2").size(), 1u);
    Outer outer;
    outer.source_mac = mac("02:00:00:00:99:02");
    outer.destination_mac = mac("02:00:00:00:99:01");
    outer.source = ip("172.16.0.2");
    outer.destination = ip("172.16.0.1");
    p.send("up", wrapped(outer, from_guest)).step();
    EXPECT_TRUE(p.sent("vm2").empty());
    EXPECT_EQ(p.drops("tep0", DropReason::kTunnelSpoofedMac), 1u);
    controller.tell(kWeb, far, "172.16.0.2");
    p.send("up", wrapped(outer, from_guest)).step();
    EXPECT_EQ(p.sent("vm2").size(), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
