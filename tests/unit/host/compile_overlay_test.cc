// SPDX-License-Identifier: Apache-2.0
// What a document with tunnels, routers and several uplinks becomes in the snapshot: ports of
// VTEPs, VNI domains, remote VTEPs, teams, routers; and what keeps its epoch over a change.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "controller-agent/document_json.h"
#include "datapath/route_table.h"
#include "datapath/vtep_port.h"
#include "sluice/net/address_text.h"
#include "src/host/compile.h"

namespace sluice::host {
namespace {

using datapath::Domain;
using datapath::kNoTeam;
using datapath::kNoVtep;
using datapath::PortConfig;
using datapath::RouteTable;
using datapath::Snapshot;
using nlohmann::json;

json overlay() {
    return json::parse(R"({
 "host": {"name": "host-a"},
 "uplinks": [{"name": "up0", "device": "net_null0"}, {"name": "up1", "device": "net_null1"}],
 "vteps": [{"name": "tep0", "ip": "172.16.0.1/24", "gateway": "172.16.0.254", "uplink": "up0", "vlan": 7},
           {"name": "tep1", "ip": "172.16.0.11/24", "uplink": "up1"}],
 "switches": [{"name": "dvs0", "uplinks": ["up0", "up1"], "remote_vteps": ["172.16.0.2", "172.16.0.3"]}],
 "port_groups": [
  {"name": "web", "switch": "dvs0", "vni": 5001},
  {"name": "db", "switch": "dvs0", "vni": 5002, "replication": "multicast", "multicast_group": "239.1.1.2"},
  {"name": "old", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
  {"name": "pinned", "switch": "dvs0", "vlan": {"mode": "access", "id": 10},
   "teaming": {"policy": "explicit", "active": ["up1"], "standby": ["up0"]}}],
 "ports": [
  {"name": "vm1", "port_group": "web", "mac": "02:00:00:00:00:01", "ips": ["10.0.1.1"]},
  {"name": "vm2", "port_group": "old", "mac": "02:00:00:00:00:02", "ips": ["10.0.9.2"]},
  {"name": "vm3", "port_group": "pinned", "mac": "02:00:00:00:00:03", "ips": ["10.0.9.3"]}],
 "bindings": [
  {"port_group": "web", "mac": "02:00:00:00:00:09", "ip": "10.0.1.9", "vtep": "172.16.0.2"},
  {"port_group": "web", "mac": "02:00:00:00:00:09", "ip": "2001:db8:1::9", "vtep": "172.16.0.2"},
  {"port_group": "web", "mac": "02:00:00:00:00:0a", "ip": "10.0.1.10", "vtep": "172.16.0.200"},
  {"port_group": "web", "mac": "02:00:00:00:00:01", "ip": "10.0.1.11", "vtep": "172.16.0.3"}],
 "routers": [{"name": "ldr1",
  "interfaces": [{"name": "web-gw", "port_group": "web", "addresses": ["10.0.1.254/24", "2001:db8:1::1/64"]},
                 {"name": "db-gw", "port_group": "db", "addresses": ["10.0.2.254/24"], "dhcp_relay": ["10.0.9.5"]},
                 {"name": "old-gw", "port_group": "old", "addresses": ["10.0.9.254/24"]}],
  "routes": [{"prefix": "192.0.2.0/24", "blackhole": true},
             {"prefix": "0.0.0.0/0", "next_hops": ["10.0.9.253", "10.0.2.253"]}]}]
})");
}

class CompileOverlay : public testing::Test {
protected:
    const Snapshot& compile(const json& document) {
        const auto parsed = agent::read_document(document, {});
        if (!parsed.ok()) {
            ADD_FAILURE() << parsed.error().message;
            return *snapshot_;
        }
        auto compiled = host::compile(
            parsed.value(), *snapshot_, 1, registries_,
            [this](const model::Port& port) {
                return Result<std::shared_ptr<datapath::Port>>(device(port.name));
            },
            [this](const std::string& uplink) { return device(uplink); });
        if (!compiled.ok()) {
            ADD_FAILURE() << compiled.error().message;
            return *snapshot_;
        }
        former_ = std::move(snapshot_);
        snapshot_ = std::move(compiled.value().snapshot);
        return *snapshot_;
    }

    std::shared_ptr<datapath::Port> device(const std::string& name) {
        std::shared_ptr<datapath::Port>& found = devices_[name];
        if (!found) { found = std::make_shared<datapath::VtepPort>(); }
        return found;
    }
    [[nodiscard]] const PortConfig& port(const std::string& name) const {
        return *snapshot_->port(index(name));
    }
    [[nodiscard]] PortIndex index(const std::string& name) const {
        return registries_.ports.find(name);
    }
    [[nodiscard]] const Domain& vni(std::uint32_t number) const {
        return *std::find_if(snapshot_->domains.begin(), snapshot_->domains.end(),
                             [&](const Domain& each) { return each.vni == number; });
    }
    [[nodiscard]] const Domain& vlan(std::uint16_t id) const {
        return *std::find_if(snapshot_->domains.begin(), snapshot_->domains.end(),
                             [&](const Domain& each) { return each.vni == 0 && each.vlan == id; });
    }
    [[nodiscard]] std::uint16_t remote(const char* ip) const {
        const auto& remotes = snapshot_->remotes;
        const auto at = std::find_if(remotes.begin() + 1, remotes.end(),
                                     [&](const auto& each) { return each.ip == *parse_ip(ip); });
        return at == remotes.end() ? std::uint16_t{0}
                                   : static_cast<std::uint16_t>(at - remotes.begin());
    }

    Registries registries_;
    std::map<std::string, std::shared_ptr<datapath::Port>> devices_;
    std::unique_ptr<Snapshot> former_;
    std::unique_ptr<Snapshot> snapshot_ = std::make_unique<Snapshot>();
};

TEST_F(CompileOverlay, AVtepIsAPortOfItsUplinksWorkerThatNobodyPolls) {
    const Snapshot& snapshot = compile(overlay());
    ASSERT_EQ(snapshot.vteps.size(), 2u);
    const datapath::VtepConfig& vtep = snapshot.vteps[0];
    EXPECT_EQ(vtep.port, index("tep0"));
    EXPECT_EQ(vtep.uplink, index("up0"));
    EXPECT_EQ(to_string(vtep.ip), "172.16.0.1");
    EXPECT_EQ(vtep.prefix_length, 24);
    EXPECT_EQ(vtep.vlan, 7);
    EXPECT_EQ(vtep.mtu, 1600);
    EXPECT_EQ(vtep.udp_port, 4789);
    EXPECT_EQ(vtep.bfd_interval_ms, 300u);
    EXPECT_NE(vtep.underlay, snapshot.vteps[1].underlay);
    EXPECT_EQ(port("tep0").vtep, 0);
    EXPECT_TRUE(port("tep0").is_uplink);
    EXPECT_TRUE(port("tep0").learning.learns);
    EXPECT_EQ(port("tep0").frame_size_max, 1514u);
    EXPECT_EQ(port("tep0").worker, port("up0").worker);
    EXPECT_TRUE(port("up0").has_vteps);
    for (const auto& polled : snapshot.worker_ports) {
        EXPECT_EQ(std::count(polled.begin(), polled.end(), index("tep0")), 0);
    }
}

TEST_F(CompileOverlay, AVniIsADomainWhoseFabricIsItsVteps) {
    compile(overlay());
    const Domain& web = vni(5001);
    EXPECT_EQ(web.vteps, (std::vector<std::uint16_t>{0, 1}));
    EXPECT_EQ(web.fabric, (std::vector<PortIndex>{index("tep0"), index("tep1")}));
    EXPECT_EQ(web.members, (std::vector<PortIndex>{index("vm1")}));
    EXPECT_EQ(web.team, kNoTeam);
    const Domain& db = vni(5002);  // No port of this host is there, but the router.
    EXPECT_EQ(db.replication, model::Replication::kMulticast);
    EXPECT_EQ(to_string(db.multicast_group), "239.1.1.2");
    ASSERT_NE(port("tep0").vlan.vnis, nullptr);
    const auto& vnis = *port("tep0").vlan.vnis;
    ASSERT_EQ(vnis.size(), 2u);
    EXPECT_EQ(vnis[0].first, 5001u);
    EXPECT_EQ(vnis[1].first, 5002u);
    EXPECT_EQ(snapshot_->domains[vnis[1].second].vni, 5002u);
}

TEST_F(CompileOverlay, AGroupMayListWhoGetsItsFloods) {
    json document = overlay();
    document["port_groups"][0]["replication"] = "head_end";
    document["port_groups"][0]["flood_vteps"] = {"172.16.0.3", "172.16.0.77"};
    const Snapshot& snapshot = compile(document);
    const Domain& web = vni(5001);
    EXPECT_EQ(web.replication, model::Replication::kHeadEnd);
    ASSERT_EQ(web.flood_remotes.size(), 2u);
    EXPECT_EQ(to_string(snapshot.remotes[web.flood_remotes[0]].ip), "172.16.0.3");
    EXPECT_EQ(to_string(snapshot.remotes[web.flood_remotes[1]].ip), "172.16.0.77");
    EXPECT_TRUE(vni(5002).flood_remotes.empty());
}

TEST_F(CompileOverlay, BindingsSayBehindWhichVtepAMacIs) {
    compile(overlay());
    const Domain& web = vni(5001);
    const auto* far = web.macs.row(*parse_mac("02:00:00:00:00:09"));
    ASSERT_NE(far, nullptr);
    EXPECT_EQ(far->port, kNoPort);
    EXPECT_EQ(far->remote, remote("172.16.0.2"));
    EXPECT_EQ(web.macs.rows().size(), 3u) << "one row a MAC";
    EXPECT_EQ(web.macs.find(*parse_mac("02:00:00:00:00:01")), index("vm1"))
        << "a vNIC of this host goes before what is said of it";
    ASSERT_NE(web.owner(*parse_ip("10.0.1.9")), nullptr);
    EXPECT_EQ(web.owner(*parse_ip("10.0.1.9"))->port, kNoPort);
    EXPECT_TRUE(snapshot_->remotes[remote("172.16.0.3")].gets_floods);
    EXPECT_FALSE(snapshot_->remotes[remote("172.16.0.200")].gets_floods);
}

TEST_F(CompileOverlay, ARemoteVtepKeepsItsIndexAndOneThatIsGoneIsUsedAgainLast) {
    json document = overlay();
    compile(document);
    const std::uint16_t third = remote("172.16.0.3");
    const std::uint16_t second = remote("172.16.0.2");
    document["switches"][0]["remote_vteps"] = {"172.16.0.9", "172.16.0.3"};
    document["bindings"] = json::array();
    compile(document);
    EXPECT_EQ(remote("172.16.0.3"), third);
    EXPECT_EQ(remote("172.16.0.2"), 0);
    EXPECT_EQ(snapshot_->remotes[second], datapath::RemoteVtep{});
    EXPECT_NE(remote("172.16.0.9"), second);
    EXPECT_NE(remote("172.16.0.9"), 0);
}

TEST_F(CompileOverlay, TeamsAreThoseOfSwitchesAndPortGroups) {
    const Snapshot& snapshot = compile(overlay());
    const Domain& old = vlan(10);
    ASSERT_NE(old.team, kNoTeam);
    EXPECT_EQ(old.fabric, (std::vector<PortIndex>{index("up0"), index("up1")}));
    EXPECT_EQ(snapshot.teams[old.team].active, old.fabric);
    EXPECT_EQ(port("vm2").team, kNoTeam);
    ASSERT_NE(port("vm3").team, kNoTeam);
    const datapath::Team& own = snapshot.teams[port("vm3").team];
    EXPECT_EQ(own.policy, model::TeamingPolicy::kExplicit);
    EXPECT_EQ(own.active, (std::vector<PortIndex>{index("up1")}));
    EXPECT_EQ(own.standby, (std::vector<PortIndex>{index("up0")}));
}

TEST_F(CompileOverlay, ARouterJoinsDomainsUnderOneTracking) {
    const Snapshot& snapshot = compile(overlay());
    ASSERT_EQ(snapshot.routers.size(), 1u);
    const datapath::RouterConfig& router = snapshot.routers[0];
    EXPECT_EQ(router.vmac, model::kRouterMac);
    EXPECT_EQ(router.pmac, model::default_mac("host-a/router"));
    ASSERT_EQ(router.interfaces.size(), 3u);
    const Domain& db = snapshot.domains[router.interfaces[1].domain_index];
    EXPECT_EQ(db.vni, 5002u);
    EXPECT_EQ(db.router, 0);
    EXPECT_EQ(db.interface, 1);
    EXPECT_EQ(db.tracking, vlan(10).tracking);
    EXPECT_EQ(db.tracking, vni(5001).tracking);
    EXPECT_NE(db.tracking, db.id);
    const std::vector<RouteTable::Row>& rows = router.routes->rows();
    ASSERT_EQ(rows.size(), 6u);
    EXPECT_EQ(to_string(rows[0].prefix), "0.0.0.0/0");
    EXPECT_EQ(rows[0].next_hops, (std::vector<RouteTable::NextHop>{{*parse_ip("10.0.9.253"), 2},
                                                                   {*parse_ip("10.0.2.253"), 1}}));
    EXPECT_EQ(to_string(rows[1].prefix), "10.0.1.0/24");
    EXPECT_EQ(rows[1].kind, RouteTable::Kind::kConnected);
    EXPECT_EQ(rows[1].interface, 0);
    EXPECT_EQ(rows[4].kind, RouteTable::Kind::kBlackhole);
    EXPECT_EQ(to_string(rows[5].prefix), "2001:db8:1::/64");
}

TEST_F(CompileOverlay, WhatDidNotChangeKeepsItsEpoch) {
    json document = overlay();
    compile(document);
    compile(document);
    EXPECT_EQ(snapshot_->generation, 2u);
    for (const Domain& domain : snapshot_->domains) { EXPECT_EQ(domain.epoch, 1u); }
    for (const auto& each : snapshot_->ports) { EXPECT_EQ(each->policy_epoch, 1u) << each->name; }
    EXPECT_EQ(snapshot_->routers[0].epoch, 1u);
    EXPECT_EQ(snapshot_->routers[0].routes, former_->routers[0].routes);
    EXPECT_TRUE(snapshot_->differences.empty());
}

TEST_F(CompileOverlay, ARouteChangesTheRouterAndNoDomain) {
    json document = overlay();
    compile(document);
    document["routers"][0]["routes"][0]["prefix"] = "198.51.100.0/24";
    compile(document);
    EXPECT_EQ(snapshot_->routers[0].epoch, 2u);
    EXPECT_EQ(vni(5001).epoch, 1u);
}

TEST_F(CompileOverlay, AnInterfaceChangesTheDomainsOfItsRouter) {
    json document = overlay();
    compile(document);
    document["routers"][0]["interfaces"][0]["addresses"][0] = "10.0.1.253/24";
    compile(document);
    EXPECT_EQ(snapshot_->routers[0].epoch, 2u);
    EXPECT_EQ(vni(5001).epoch, 2u);
    document["routers"] = json::array();
    compile(document);
    EXPECT_EQ(vni(5001).epoch, 3u);
    EXPECT_EQ(vni(5001).tracking, vni(5001).id);
}

TEST_F(CompileOverlay, AMovedBindingIsADifferenceAndNoMore) {
    json document = overlay();
    compile(document);
    document["bindings"][2]["vtep"] = "172.16.0.3";
    compile(document);
    EXPECT_EQ(vni(5001).epoch, 1u);
    ASSERT_EQ(snapshot_->differences.size(), 1u);
    const auto& domains = snapshot_->differences[0]->domains;
    ASSERT_EQ(domains.size(), 1u);
    EXPECT_EQ(domains[0].domain, vni(5001).id);
    EXPECT_EQ(domains[0].macs,
              (std::vector<std::uint64_t>{parse_mac("02:00:00:00:00:0a")->number()}));
}

TEST_F(CompileOverlay, TeamingOfASwitchChangesItsVlansAndOfAGroupItsPorts) {
    json document = overlay();
    compile(document);
    document["switches"][0]["teaming"] = {{"policy", "src_mac"}};
    compile(document);
    EXPECT_EQ(vlan(10).epoch, 2u);
    EXPECT_EQ(vni(5001).epoch, 1u);
    document["port_groups"][3]["teaming"]["active"] = {"up0", "up1"};
    document["port_groups"][3]["teaming"]["standby"] = json::array();
    compile(document);
    EXPECT_EQ(vlan(10).epoch, 2u);
    EXPECT_EQ(port("vm3").policy_epoch, 3u);
    EXPECT_EQ(port("vm2").policy_epoch, 1u);
}

TEST_F(CompileOverlay, VtepsKeepTheirOrderWhenOneIsAddedInFront) {
    json document = overlay();
    compile(document);
    const DomainId underlay = snapshot_->vteps[0].underlay;
    const json added{{"name", "tep9"}, {"ip", "172.16.0.99/24"}, {"uplink", "up0"}};
    document["vteps"].insert(document["vteps"].begin(), added);
    compile(document);
    EXPECT_EQ(snapshot_->vteps[0].underlay, underlay);
    EXPECT_EQ(snapshot_->vteps[2].port, index("tep9"));
    EXPECT_EQ(port("tep0").policy_epoch, 1u);
}

}  // namespace
}  // namespace sluice::host
