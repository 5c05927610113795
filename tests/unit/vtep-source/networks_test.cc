// SPDX-License-Identifier: Apache-2.0
// What a replica of hardware_vtep means for a host: which ports it binds to what, which document
// follows, and what can't be made as it was asked for.
#include "controller-agent/vtep/networks.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "controller-agent/document_json.h"
#include "tests/unit/vtep-source/replica.h"

namespace sluice::vtep::test {
namespace {

using nlohmann::json;

/// One port bound to one logical switch, whatever the test says of it.
class VtepNetworks : public testing::Test {
protected:
    Networks read() { return networks_of(replica, own); }
    void bind(const std::map<std::int64_t, ovsdb::Uuid>& bindings) {
        port = made.port("vm1", bindings);
        made.physical_switch("host-a", {port, made.port("vm2", {})});
        replica = made.tables;
    }
    /// The one problem of an object that is not the file's.
    std::string reason(const Networks& networks, const std::string& object) {
        for (const Problem& problem : networks.problems) {
            if (problem.object == object) { return problem.reason; }
        }
        return "none";
    }

    Replica made;
    ovsdb::Tables replica;
    OwnHost own = host_a();
    ovsdb::Uuid port;
};

TEST_F(VtepNetworks, OnlyPortsWithoutAGroupOfTheirOwnAreOffered) {
    EXPECT_EQ(own.ports, (std::vector<std::string>{"vm1", "vm2"}));
    ASSERT_EQ(own.problems.size(), 1u);
    EXPECT_EQ(own.problems[0].object, "port fixed");
    EXPECT_EQ(own.locator(), ip("172.16.0.1"));
    EXPECT_EQ(own.uplinks, std::vector<std::string>{"up0"});
}

TEST_F(VtepNetworks, AnEmptyDatabasePlacesNothing) {
    const Networks networks = read();
    EXPECT_FALSE(networks.knows_host);
    EXPECT_TRUE(networks.by_id.empty());
    const json document = document_of(networks, own, {});
    EXPECT_EQ(document["ports"], json::array());
    EXPECT_EQ(document["switches"][0]["uplinks"], json({"up0"}));
    EXPECT_EQ(document["switches"][0]["mtu"], 1500);
}

TEST_F(VtepNetworks, AnUntaggedBindingPlacesThePort) {
    const auto ls = made.logical_switch("web", 5001, "source_node");
    made.logical_switch("unused", 5002);
    made.mcast("Mcast_Macs_Remote", kUnknownDst, ls,
               {made.locator("172.16.0.2"), made.locator("172.16.0.1"), made.locator("10.9.9.9")});
    bind({{0, ls}});
    const Networks networks = read();
    EXPECT_TRUE(networks.knows_host);
    ASSERT_EQ(networks.by_id.size(), 1u) << "what no port here is bound to is left out";
    const Network& web = networks.by_id.at(ls);
    EXPECT_EQ(web, (Network{"web", 5001, "vtep/vni5001", true, {ip("172.16.0.2")}}));
    EXPECT_EQ(networks.placed, (std::map<std::string, ovsdb::Uuid>{{"vm1", ls}}));
    EXPECT_EQ(reason(networks, "locator 10.9.9.9"),
              "is in no subnet of a VTEP of the host, and none has a gateway");
    const json document = document_of(networks, own, {ip("172.16.0.3")});
    EXPECT_EQ(document["port_groups"], json::parse(R"([{"name": "web", "switch": "vtep",
      "vni": 5001, "replication": "head_end", "flood_vteps": ["172.16.0.2"]}])"));
    EXPECT_EQ(document["ports"], json::parse(R"([{"name": "vm1", "port_group": "web"}])"));
    EXPECT_EQ(document["switches"][0]["remote_vteps"], json({"172.16.0.3"}));
}

TEST_F(VtepNetworks, TheDocumentIsOneThatTheHostTakes) {
    const auto ls = made.logical_switch("web", 5001);
    made.mcast("Mcast_Macs_Remote", kUnknownDst, ls, {made.locator("172.16.0.2")});
    bind({{0, ls}});
    json document = document_of(read(), own, {ip("172.16.0.2"), ip("172.16.0.3")});
    document["uplinks"] = json::parse(R"([{"name": "up0", "device": "net_null0"}])");
    document["vteps"] = json::parse(R"([{"name": "tep0", "ip": "172.16.0.1/24"}])");
    const auto read_back = agent::read_document(document, {});
    ASSERT_TRUE(read_back.ok()) << read_back.error().message;
    EXPECT_EQ(read_back.value().port_groups[0].replication, model::Replication::kServiceNode)
        << "which is the schema's default";
}

TEST_F(VtepNetworks, ASmallUnderlayMakesASmallSwitch) {
    own.vteps[0].mtu = 1400;
    EXPECT_EQ(document_of(read(), own, {})["switches"][0]["mtu"], 1350);
}

TEST_F(VtepNetworks, ANameThatTheDocumentCantHaveBecomesItsVni) {
    for (const char* name : {"vm1", "any", "10.0.0.1", "a b", "", "vni7"}) {
        made = Replica();
        bind({{0, made.logical_switch(name, 5001)}});
        EXPECT_EQ(read().by_id.begin()->second.group, "vni5001") << name;
    }
}

TEST_F(VtepNetworks, AMissingTunnelKeyIsAwaited) {
    bind({{0, made.logical_switch("web", 0)}});
    const Networks networks = read();
    EXPECT_TRUE(networks.placed.empty());
    EXPECT_TRUE(networks.faults.empty()) << "it is on its way";
    EXPECT_EQ(reason(networks, "logical_switch web"),
              "has no tunnel_key yet, its ports are not attached");
}

TEST_F(VtepNetworks, WhatCantBeMadeAttachesNothing) {
    const auto ls = made.logical_switch("web", 5001);
    bind({{10, ls}});
    Networks networks = read();
    EXPECT_TRUE(networks.placed.empty());
    EXPECT_EQ(networks.faults.at("vm1"), "invalid_vlan_map");
    EXPECT_EQ(reason(networks, "port vm1"),
              "vlan_bindings has another VLAN than 0, a port is in one logical switch, untagged");

    made.set("Physical_Port", port, {{"vlan_bindings", vlans({{0, ls}, {10, ls}})}});
    replica = made.tables;
    EXPECT_EQ(read().faults.at("vm1"), "invalid_vlan_map");

    made.set("Physical_Port", port,
             {{"vlan_bindings", vlans({{0, ls}})}, {"acl_bindings", vlans({{0, ls}})}});
    replica = made.tables;
    networks = read();
    EXPECT_TRUE(networks.placed.empty());
    EXPECT_EQ(networks.faults.at("vm1"), "invalid_ACL_binding");

    const auto wide = made.logical_switch("wide", 1 << 24);
    made.set("Physical_Port", port, {{"vlan_bindings", vlans({{0, wide}})}, {"acl_bindings", {}}});
    replica = made.tables;
    networks = read();
    EXPECT_EQ(networks.faults.at("vm1"), "unspecified_fault");
    EXPECT_EQ(reason(networks, "port vm1"),
              "logical switch wide has tunnel_key 16777216, which is outside 1..16777215");
}

TEST_F(VtepNetworks, TwoLogicalSwitchesDontShareAKey) {
    const auto a = made.logical_switch("a", 5001), b = made.logical_switch("b", 5001);
    const auto vm1 = made.port("vm1", {{0, a}}), vm2 = made.port("vm2", {{0, b}});
    made.physical_switch("host-a", {vm1, vm2});
    replica = made.tables;
    const Networks networks = read();
    EXPECT_EQ(networks.placed.size(), 1u);
    EXPECT_EQ(reason(networks, "port vm2"),
              "logical switch b has tunnel_key 5001, which logical switch a has too");
}

TEST_F(VtepNetworks, OtherSwitchesAndTheirPortsAreNoneOfOurs) {
    const auto ls = made.logical_switch("web", 5001);
    made.physical_switch("host-b", {made.port("vm1", {{0, ls}})});
    bind({});
    EXPECT_TRUE(read().placed.empty());
}

TEST_F(VtepNetworks, ALogicalRouterHereIsAFault) {
    const auto ls = made.logical_switch("web", 5001);
    bind({{0, ls}});
    ovsdb::Datum joined;
    joined.is_map = true;
    joined.keys = {std::string("10.0.0.1/24")};
    joined.values = {ls};
    made.add("Logical_Router",
             {{"name", ovsdb::datum(std::string("lr"))}, {"switch_binding", joined}});
    replica = made.tables;
    const Networks networks = read();
    EXPECT_EQ(networks.switch_faults, std::set<std::string>{"lr_support_fault"});
    EXPECT_EQ(networks.placed.size(), 1u) << "the port works without it";
}

TEST_F(VtepNetworks, ARowOfNonsenseChangesNothing) {
    made.add("Physical_Switch", {});
    made.add("Mcast_Macs_Remote", {});
    made.add("Logical_Router", {});
    made.physical_switch("host-a", {ovsdb::Uuid{}, made.add("Physical_Port", {})});
    replica = made.tables;
    const Networks networks = read();
    EXPECT_TRUE(networks.knows_host);
    EXPECT_TRUE(networks.placed.empty());
    EXPECT_TRUE(networks.faults.empty());
}

}  // namespace
}  // namespace sluice::vtep::test
