// SPDX-License-Identifier: Apache-2.0
// Facts about the model's value types: what overrides do, what a derived MAC looks like, what
// ranges contain.
#include <gtest/gtest.h>

#include "sluice/model/document.h"
#include "sluice/net/address_text.h"

namespace sluice::model {
namespace {

TEST(EffectiveVlan, IsTheGroupsUnlessThePortHasItsOwn) {
    PortGroup group;
    group.vlan = Vlan{VlanMode::kAccess, 10, {}};
    Port port;
    EXPECT_EQ(effective_vlan(port, group).id, 10);
    port.overrides.vlan = Vlan{VlanMode::kAccess, 20, {}};
    EXPECT_EQ(effective_vlan(port, group).id, 20);
}

TEST(EffectiveVlan, OverrideReplacesTheWholeSetting) {
    PortGroup group;
    group.vlan = Vlan{VlanMode::kTrunk, 0, {{1, 100}}};
    Port port;
    port.overrides.vlan = Vlan{};
    EXPECT_EQ(effective_vlan(port, group), Vlan{});
}

TEST(EffectiveSecurity, OverridesFieldByField) {
    PortGroup group;
    group.security.forged_transmits = true;
    Port port;
    port.overrides.security.promiscuous = true;
    EXPECT_EQ(effective_security(port, group), (Security{true, false, true}));
    port.overrides.security.forged_transmits = false;
    EXPECT_EQ(effective_security(port, group), (Security{true, false, false}));
}

TEST(DefaultMac, IsLocalUnicastAndStable) {
    const MacAddr mac = default_mac("vm1");
    EXPECT_EQ(mac, default_mac("vm1"));
    EXPECT_NE(mac, default_mac("vm2"));
    EXPECT_FALSE(mac.is_group());
    EXPECT_EQ(mac.bytes[0], 0x02);
    // Part of the contract: a guest must find the same MAC after an upgrade.
    EXPECT_EQ(to_string(mac), "02:4e:19:5f:f6:68");
}

TEST(Vlan, TrunksOnlyItsRangesAndOnlyInTrunkMode) {
    Vlan vlan{VlanMode::kTrunk, 0, {{10, 20}, {30, 30}}};
    EXPECT_TRUE(vlan.trunks(10));
    EXPECT_TRUE(vlan.trunks(20));
    EXPECT_FALSE(vlan.trunks(21));
    EXPECT_TRUE(vlan.trunks(30));
    vlan.mode = VlanMode::kNone;
    EXPECT_FALSE(vlan.trunks(10));
}

TEST(MacMatch, ComparesUnderTheMask) {
    const MacMatch match{*parse_mac("02:00:00:00:00:00"), *parse_mac("ff:00:00:00:00:00")};
    EXPECT_TRUE(match.matches(*parse_mac("02:11:22:33:44:55")));
    EXPECT_FALSE(match.matches(*parse_mac("04:11:22:33:44:55")));
}

TEST(Document, ComparesByValue) {
    Document a;
    Document b;
    EXPECT_EQ(a, b);
    b.dfw.sections.push_back(Section{});
    EXPECT_FALSE(a == b);
}

}  // namespace
}  // namespace sluice::model
