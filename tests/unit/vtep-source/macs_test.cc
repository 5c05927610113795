// SPDX-License-Identifier: Apache-2.0
// Rows of Ucast_Macs_Remote as bindings: only differences are told, whatever order rows come in.
#include <gtest/gtest.h>

#include "controller-agent/vtep/remote_macs.h"
#include "tests/unit/vtep-source/replica.h"

namespace sluice::vtep::test {
namespace {

using fleet::BindingChange;
using fleet::FleetBinding;

constexpr const char* kRemote = "Ucast_Macs_Remote";
const std::string kMac = "02:00:00:00:00:09";

/// vm1 of host-a is bound to "web", VNI 5001; "far" is bound to nothing here.
class RemoteMacsTest : public testing::Test {
protected:
    RemoteMacsTest() {
        web = made.logical_switch("web", 5001);
        far = made.logical_switch("far", 5002);
        b = made.locator("172.16.0.2");
        c = made.locator("172.16.0.3");
        made.physical_switch("host-a", {made.port("vm1", {{0, web}})});
    }

    std::vector<BindingChange> look() {
        macs.rebuild(made.tables, networks_of(made.tables, own));
        return macs.take_changes();
    }
    std::vector<BindingChange> look(const ovsdb::Uuid& changed) {
        macs.change(made.tables, networks_of(made.tables, own), {changed});
        return macs.take_changes();
    }
    static FleetBinding at(const std::string& vtep, const std::vector<std::string>& ips = {}) {
        FleetBinding out{"vtep/vni5001", mac(kMac), {}, ip(vtep)};
        for (const std::string& each : ips) { out.ips.push_back(ip(each)); }
        return out;
    }

    Replica made;
    OwnHost own = host_a();
    RemoteMacs macs{own};
    ovsdb::Uuid web, far, b, c;
};

TEST_F(RemoteMacsTest, ARowIsABindingAndTellsNothingTwice) {
    const auto row = made.ucast(kRemote, kMac, web, b, "10.0.0.9");
    made.ucast(kRemote, "02:00:00:00:00:0a", far, b);
    const auto changes = look();
    ASSERT_EQ(changes.size(), 1u) << "the other network has no port here";
    EXPECT_EQ(changes[0].binding, at("172.16.0.2", {"10.0.0.9"}));
    EXPECT_FALSE(changes[0].is_gone);
    EXPECT_TRUE(look().empty());
    EXPECT_TRUE(look(row).empty());
    EXPECT_EQ(macs.told(), std::vector{at("172.16.0.2", {"10.0.0.9"})});
}

TEST_F(RemoteMacsTest, AMoveIsOneChangeAndItsVtepsStayUntilItIsTold) {
    const auto row = made.ucast(kRemote, kMac, web, b);
    look();
    made.set(kRemote, row, {{"locator", refs({c})}});
    macs.change(made.tables, networks_of(made.tables, own), {row});
    EXPECT_EQ(macs.vteps(), (std::set{ip("172.16.0.2"), ip("172.16.0.3")}));
    const auto changes = macs.take_changes();
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].binding, at("172.16.0.3"));
    EXPECT_EQ(macs.vteps(), std::set{ip("172.16.0.3")});
}

TEST_F(RemoteMacsTest, AMoveByTwoRowsIsOneChange) {
    const auto old = made.ucast(kRemote, kMac, web, b);
    look();
    made.erase(kRemote, old);
    const auto now = made.ucast(kRemote, kMac, web, c);
    macs.change(made.tables, networks_of(made.tables, own), {old, now});
    const auto changes = macs.take_changes();
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].binding, at("172.16.0.3"));
}

TEST_F(RemoteMacsTest, SeveralRowsOfAMacAreItsAddresses) {
    made.ucast(kRemote, kMac, web, b, "10.0.0.9");
    const auto second = made.ucast(kRemote, kMac, web, b, "10.0.0.8");
    auto changes = look();
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].binding, at("172.16.0.2", {"10.0.0.8", "10.0.0.9"}));
    made.erase(kRemote, second);
    changes = look(second);
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].binding, at("172.16.0.2", {"10.0.0.9"}));
}

TEST_F(RemoteMacsTest, OfTwoLocatorsTheFirstRowCounts) {
    made.ucast(kRemote, kMac, web, c, "10.0.0.9");
    made.ucast(kRemote, kMac, web, b, "10.0.0.8");
    const auto changes = look();
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].binding, at("172.16.0.3", {"10.0.0.9"}));
    ASSERT_EQ(macs.problems().size(), 1u);
    EXPECT_EQ(macs.problems()[0].reason,
              "is behind several locators in vtep/vni5001, 172.16.0.3 counts");
}

TEST_F(RemoteMacsTest, WhatIsGoneIsTold) {
    const auto row = made.ucast(kRemote, kMac, web, b);
    look();
    made.erase(kRemote, row);
    const auto changes = look(row);
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_TRUE(changes[0].is_gone);
    EXPECT_EQ(changes[0].binding.mac, mac(kMac));
    EXPECT_TRUE(macs.vteps().empty());
    EXPECT_TRUE(macs.told().empty());
}

TEST_F(RemoteMacsTest, WhatWasRememberedChangesByDifference) {
    macs.remember(
        {at("172.16.0.2"), {"vtep/vni5001", mac("02:00:00:00:00:0b"), {}, ip("172.16.0.7")}});
    EXPECT_EQ(macs.vteps(), (std::set{ip("172.16.0.2"), ip("172.16.0.7")}));
    made.ucast(kRemote, kMac, web, b);
    const auto changes = look();
    ASSERT_EQ(changes.size(), 1u) << "the one that is as it was is not told again";
    EXPECT_TRUE(changes[0].is_gone);
    EXPECT_EQ(changes[0].binding.mac, mac("02:00:00:00:00:0b"));
}

TEST_F(RemoteMacsTest, NonsenseIsTold) {
    made.ucast(kRemote, "01:00:5e:00:00:01", web, b);
    made.ucast(kRemote, "mac", web, b);
    made.ucast(kRemote, kMac, web, made.locator("10.9.9.9"));
    made.ucast(kRemote, "02:00:00:00:00:0a", web, made.locator("172.16.0.x"));
    made.ucast(kRemote, "02:00:00:00:00:0c", web, ovsdb::Uuid{});
    made.ucast(kRemote, "02:00:00:00:00:0d", web, made.locator("172.16.0.1"));
    made.add(kRemote, {});
    EXPECT_TRUE(look().empty());
    std::vector<std::string> reasons;
    for (const Problem& each : macs.problems()) {
        reasons.push_back(each.object + " " + each.reason);
    }
    EXPECT_EQ(reasons,
              (std::vector<std::string>{
                  "ucast_mac 01:00:5e:00:00:01 is not a unicast MAC address",
                  "ucast_mac mac is not a unicast MAC address",
                  "ucast_mac 02:00:00:00:00:09 is behind 10.9.9.9, which is in no subnet of a VTEP "
                  "of the host, and none has a gateway",
                  "ucast_mac 02:00:00:00:00:0a has a locator without an address, or with a "
                  "tunnel_key",
                  "ucast_mac 02:00:00:00:00:0c has a locator without an address, or with a "
                  "tunnel_key"}))
        << "our own VTEP is none: a controller tells our MACs back to us";
}

TEST_F(RemoteMacsTest, AnAddressOfNonsenseLeavesTheMac) {
    made.ucast(kRemote, kMac, web, b, "10.0.0");
    const auto changes = look();
    ASSERT_EQ(changes.size(), 1u);
    EXPECT_EQ(changes[0].binding, at("172.16.0.2"));
    ASSERT_EQ(macs.problems().size(), 1u);
    EXPECT_EQ(macs.problems()[0].reason, "has ipaddr 10.0.0, which is no unicast address");
}

}  // namespace
}  // namespace sluice::vtep::test
