// SPDX-License-Identifier: Apache-2.0
// Documents that are good: what each key becomes, what is legal because it changes nothing, and
// what export gives.
#include "controller-agent/document_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

using nlohmann::json;

model::Document parsed(std::string_view text) {
    const auto result = parse_document(text);
    EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
    return result.ok() ? result.value() : model::Document{};
}

json exported(std::string_view text) { return json::parse(export_document(parsed(text))); }

TEST(Document, EmptyObjectIsTheEmptyDocument) {
    EXPECT_EQ(parsed("{}"), model::Document{});
    EXPECT_EQ(export_document(model::Document{}), "{}\n");
}

TEST(Document, ReadsPortGroupAndPort) {
    const auto d = parsed(R"({
      "switches": [{"name": "dvs0", "mtu": 9000}],
      "port_groups": [{"name": "web", "switch": "dvs0", "vlan": {"mode": "access", "id": 10},
        "security": {"promiscuous": true, "forged_transmits": true}, "spoofguard": "manual",
        "bindings": {"arp": 2, "nd": 4, "age_s": 60}, "guards": {"bpdu": false, "non_ip": true},
        "limits": {"arp_pps": 0, "flows": 7}, "arp_suppression": false}],
      "ports": [{"name": "vm1", "port_group": "web", "kind": "vhost", "socket": "/tmp/vm1.sock",
        "socket_mode": "server", "mac": "02:00:00:00:00:01", "ips": ["10.0.0.1", "2001:db8::1"],
        "tags": {"app": "web"}, "enabled": false,
        "overrides": {"vlan": {"mode": "trunk", "ranges": ["5-9", "7-12", "13", "20"]}, "security": {"promiscuous": false}}}]})");
    const model::PortGroup& group = d.port_groups.at(0);
    EXPECT_EQ(d.switches.at(0).mtu, 9000);
    EXPECT_EQ(group.vlan, (model::Vlan{model::VlanMode::kAccess, 10, {}}));
    EXPECT_EQ(group.security, (model::Security{true, false, true}));
    EXPECT_EQ(group.spoofguard, model::SpoofGuard::kManual);
    EXPECT_EQ(group.bindings, (model::BindingLimits{2, 4, 60}));
    EXPECT_EQ(group.guards, (model::Guards{false, true, false, true, true}));
    EXPECT_EQ(group.limits.arp_pps, 0u);
    EXPECT_EQ(group.limits.flows, 7u);
    EXPECT_FALSE(group.arp_suppression);
    const model::Port& port = d.ports.at(0);
    EXPECT_EQ(port.socket_mode, model::SocketMode::kServer);
    EXPECT_EQ(to_string(port.mac), "02:00:00:00:00:01");
    EXPECT_EQ(port.ips.size(), 2u);
    EXPECT_EQ(port.tags.at("app"), "web");
    EXPECT_FALSE(port.enabled);
    const std::vector<model::VlanRange> joined{{5, 13}, {20, 20}};
    EXPECT_EQ(port.overrides.vlan->ranges, joined);
    EXPECT_EQ(port.overrides.security.promiscuous, false);
    EXPECT_EQ(port.overrides.security.forged_transmits, std::nullopt);
}

TEST(Document, ReadsRules) {
    const auto d = parsed(R"({
      "address_sets": [{"name": "db", "members": ["10.0.2.7", "10.0.1.0/24", "2001:db8::/64", "10.0.2.7"]}],
      "acls": [{"name": "a", "applied_to": ["any"], "rules": [{"name": "r", "action": "deny", "direction": "in",
        "source": ["any"], "destination": ["db"], "services": ["any"], "source_mac": "02:00:00:00:00:00/ff:00:00:00:00:00",
        "destination_mac": "any", "ethertype": "0x0800", "vlan": 10, "dscp": 46, "tcp_flags": "syn,!ack"},
        {"name": "m", "action": "count", "set_dscp": 0}]}],
      "dfw": {"default": "drop", "sections": [{"name": "s", "stateful": false, "tcp_strict": false, "rules": [
        {"name": "r", "action": "drop", "direction": "out", "source": ["10.0.0.0/8"], "negate_source": true,
         "services": ["tcp/80", "icmp/8"]}]}], "timeouts": {"udp_s": 5}, "limits": {"connections": 10}}})");
    EXPECT_EQ(d.address_sets.at(0).members.size(), 3u);
    const model::AclRule& acl_rule = d.acls.at(0).rules.at(0);
    EXPECT_TRUE(d.acls[0].applied_to.empty());
    EXPECT_TRUE(acl_rule.source.empty());
    EXPECT_TRUE(acl_rule.services.empty());
    EXPECT_EQ(acl_rule.destination, std::vector<std::string>{"db"});
    EXPECT_EQ(acl_rule.action, model::AclAction::kDeny);
    EXPECT_TRUE(acl_rule.source_mac.has_value());
    EXPECT_FALSE(acl_rule.destination_mac.has_value());
    EXPECT_EQ(acl_rule.ethertype, 0x0800);
    EXPECT_EQ(acl_rule.vlan, 10);
    EXPECT_EQ(acl_rule.dscp, 46);
    EXPECT_EQ(acl_rule.tcp_flags, (model::TcpFlagsMatch{0x02, 0x12}));
    EXPECT_EQ(acl_rule.set_dscp, std::nullopt);
    EXPECT_EQ(d.acls[0].rules.at(1).action, model::AclAction::kCount);
    EXPECT_EQ(d.acls[0].rules[1].set_dscp, 0);
    const model::Rule& rule = d.dfw.sections.at(0).rules.at(0);
    EXPECT_FALSE(d.dfw.sections[0].stateful);
    EXPECT_FALSE(d.dfw.sections[0].tcp_strict);
    EXPECT_TRUE(rule.negate_source);
    EXPECT_EQ(rule.services.size(), 2u);
    EXPECT_EQ(d.dfw.timeouts.udp_s, 5u);
    EXPECT_EQ(d.dfw.limits.connections, 10u);
}

TEST(Document, ReadsAlgsAndTheGraceWindow) {
    const auto d = parsed(R"({"dfw": {"grace_s": 30, "sections": [{"name": "s", "rules": [
        {"name": "f", "services": ["tcp/21", "tcp/2121"], "alg": "ftp"},
        {"name": "t", "services": ["udp/69"], "alg": "tftp"},
        {"name": "n", "alg": "none"}]}]}})");
    EXPECT_EQ(d.dfw.grace_s, 30u);
    const std::vector<model::Rule>& rules = d.dfw.sections.at(0).rules;
    EXPECT_EQ(rules.at(0).alg, model::Alg::kFtp);
    EXPECT_EQ(rules.at(1).alg, model::Alg::kTftp);
    EXPECT_EQ(rules.at(2).alg, model::Alg::kNone);
    EXPECT_EQ(parsed(export_document(d)), d);
}

TEST(Document, TrunkWithoutRangesPassesEveryVlan) {
    const auto d = parsed(
        R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g","vlan":{"mode":"trunk"}}]})");
    EXPECT_EQ(d.port_groups.at(0).vlan.ranges, std::vector<model::VlanRange>{model::VlanRange{}});
}

TEST(Document, MissingMacAndSocketComeFromTheName) {
    const auto d = parsed(
        R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[{"name":"vm1"}]})");
    EXPECT_EQ(d.ports.at(0).mac, model::default_mac("vm1"));
    EXPECT_EQ(d.ports.at(0).socket, "/run/sluice/vm1.sock");
}

TEST(Document, KernelPortsAndUplinksComeBackFromTheirExport) {
    const auto d = parsed(R"({
      "uplinks": [{"name": "up0", "device": "net_af_packet0,framesz=4096,iface=eth1"}],
      "switches": [{"name": "s", "uplinks": ["up0"]}], "port_groups": [{"name": "g"}],
      "ports": [{"name": "vmk0", "kind": "kernel"},
                {"name": "vmk1", "kind": "kernel", "interface": "eth0", "netns": "storage",
                 "ips": ["10.0.9.2"], "addresses": ["10.0.9.2/24", "2001:db8::9/64"]}]})");
    EXPECT_EQ(model::device_name(d.uplinks.at(0).device), "net_af_packet0");
    EXPECT_EQ(model::device_interface(d.uplinks.at(0).device), "eth1");
    EXPECT_EQ(d.switches.at(0).uplinks, std::vector<std::string>{"up0"});
    EXPECT_EQ(d.ports.at(0).interface, "vmk0");
    EXPECT_EQ(d.ports.at(0).socket, "");
    EXPECT_EQ(d.ports.at(1).addresses.at(0).prefix_length, 24);
    EXPECT_EQ(model::own_ips(d.ports.at(1)).size(), 2u);  // One of them is given twice.
    EXPECT_EQ(parsed(export_document(d)), d);
}

TEST(Document, NamespaceOfAKernelPortIsAskedFor) {
    CheckOptions options;
    options.netns_exists = [](const std::string& name) { return name == "storage"; };
    const std::string text =
        R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[{"name":"a","kind":"kernel","netns":"NAME"}]})";
    std::string good = text;
    EXPECT_TRUE(parse_document(good.replace(good.find("NAME"), 4, "storage"), options).ok());
    const auto result = parse_document(text, options);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message, "port a: netns \"NAME\" does not exist in /run/netns");
}

TEST(Document, BindingsAreReadAndWritten) {
    const auto d = parsed(R"({"switches":[{"name":"s"}],
      "port_groups":[{"name":"web"},{"name":"all","vlan":{"mode":"trunk","ranges":["5-9"]}}],
      "bindings":[{"port_group":"web","mac":"02:00:00:00:00:09","ip":"10.0.0.9"},
                  {"port_group":"all","mac":"02:00:00:00:00:09","ip":"2001:db8::9","vlan":7}]})");
    const MacAddr mac{{2, 0, 0, 0, 0, 9}};
    ASSERT_EQ(d.bindings.size(), 2u);
    EXPECT_EQ(d.bindings[0],
              (model::Binding{"web/10.0.0.9", "web", mac, IpAddr::v4(0x0a000009), {}, {}}));
    EXPECT_EQ(d.bindings[1].name, "all.7/2001:db8::9");
    EXPECT_EQ(d.bindings[1].vlan, 7);
    EXPECT_EQ(parsed(export_document(d)), d);
    EXPECT_TRUE(parsed(R"({"bindings":[]})").bindings.empty());
}

TEST(Document, KeysThatChangeNothingAreLegal) {
    const char* text = R"({
      "uplinks": [], "vteps": [], "service_chains": [], "routers": [],
      "encryption": {"key_policies": [], "rules": []},
      "switches": [{"name": "s", "uplinks": [], "remote_vteps": [], "bfd": {"enabled": false, "interval_ms": 300},
        "teaming": {"policy": "port_id", "active": [], "standby": [], "failback": true, "failback_hold_s": 10, "lacp": "off"}}],
      "port_groups": [{"name": "g", "switch": "s", "teaming": {}, "replication": "unicast",
        "mac_learning": {"enabled": false, "limit": 4096, "unknown_unicast_flood": false, "age_s": 300},
        "security": {"mac_changes": false}, "spoofguard": "off"}],
      "ports": [{"name": "p", "port_group": "g", "overrides": {"security": {"mac_changes": false}}}],
      "dfw": {"sections": [{"name": "a", "rules": [{"name": "r", "log": false}]}], "limits": {"half_open_per_port": 0}}})";
    const auto d = parsed(text);
    EXPECT_EQ(d.switches.size(), 1u);
    EXPECT_EQ(d.dfw.sections.size(), 1u);
}

TEST(Document, SameMacIsFineOnAnotherSwitchOrVlan) {
    const auto d = parsed(R"({
      "switches": [{"name": "s"}, {"name": "t"}],
      "port_groups": [{"name": "a", "switch": "s", "vlan": {"mode": "access", "id": 1}},
                      {"name": "b", "switch": "s", "vlan": {"mode": "access", "id": 2}},
                      {"name": "c", "switch": "t", "vlan": {"mode": "access", "id": 1}},
                      {"name": "d", "switch": "s", "vlan": {"mode": "trunk", "ranges": ["3-9"]}}],
      "ports": [{"name": "p1", "port_group": "a", "mac": "02:00:00:00:00:01"},
                {"name": "p2", "port_group": "b", "mac": "02:00:00:00:00:01"},
                {"name": "p3", "port_group": "c", "mac": "02:00:00:00:00:01"},
                {"name": "p4", "port_group": "d", "mac": "02:00:00:00:00:01"}]})");
    EXPECT_EQ(d.ports.size(), 4u);
}

TEST(Document, FolderOfASocketIsAskedFor) {
    CheckOptions options;
    std::vector<std::string> asked;
    options.folder_exists = [&asked](const std::string& folder) {
        asked.push_back(folder);
        return folder == "/run/sluice";
    };
    const char* text =
        R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[{"name":"a"},{"name":"b","socket":"/no/b.sock"}]})";
    const auto result = parse_document(text, options);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().object, "port b");
    EXPECT_EQ(result.error().message,
              "port b: socket \"/no/b.sock\" is in folder \"/no\", which does not exist");
    EXPECT_EQ(asked, (std::vector<std::string>{"/run/sluice", "/no"}));
    EXPECT_TRUE(parse_document(text).ok());
    EXPECT_TRUE(folder_on_disk("/"));
    EXPECT_FALSE(folder_on_disk("/no/such/folder"));
    EXPECT_FALSE(folder_on_disk("/proc/self/status"));
}

TEST(Export, GivesWhatWasSaidAndIsStable) {
    const char* text = R"({
      "host": {"name": "h"}, "switches": [{"name": "s"}],
      "port_groups": [{"name": "g", "switch": "s", "spoofguard": "manual", "limits": {"arp_pps": 50, "nd_pps": 9}}],
      "ports": [{"name": "p", "port_group": "g", "socket": "/run/p.sock", "mac": "02:00:00:00:00:01", "kind": "vhost",
                 "overrides": {"security": {"promiscuous": true}}}],
      "groups": [{"name": "w", "tags": {"app": "web"}}],
      "dfw": {"default": "drop", "sections": [{"name": "s", "rules": [{"name": "r", "action": "allow", "source": ["any"],
              "services": ["tcp/80"]}]}]}})";
    const json expected = json::parse(R"({
      "host": {"name": "h"}, "switches": [{"name": "s"}],
      "port_groups": [{"name": "g", "switch": "s", "spoofguard": "manual", "limits": {"nd_pps": 9}}],
      "ports": [{"name": "p", "port_group": "g", "kind": "vhost", "socket": "/run/p.sock", "mac": "02:00:00:00:00:01",
                 "overrides": {"security": {"promiscuous": true}}}],
      "groups": [{"name": "w", "tags": {"app": "web"}}],
      "dfw": {"default": "drop", "sections": [{"name": "s", "rules": [{"name": "r", "action": "allow", "services": ["tcp/80"]}]}]}})");
    EXPECT_EQ(exported(text), expected);
    const auto d = parsed(text);
    EXPECT_EQ(parsed(export_document(d)), d);
    EXPECT_EQ(export_document(parsed(export_document(d))), export_document(d));
}

TEST(Export, OverrideToModeNoneSurvives) {
    const auto d = parsed(R"({"switches":[{"name":"s"}],
      "port_groups":[{"name":"g","vlan":{"mode":"access","id":9}}],
      "ports":[{"name":"p","overrides":{"vlan":{"mode":"none"}}}]})");
    EXPECT_EQ(parsed(export_document(d)), d);
    EXPECT_EQ(model::effective_vlan(d.ports[0], d.port_groups[0]).mode, model::VlanMode::kNone);
}

TEST(Document, ReadsVtepsAndWhatUsesThem) {
    const auto d = parsed(R"({
      "host": {"name": "a"}, "uplinks": [{"name": "up0", "device": "net_null0"}],
      "vteps": [{"name": "tep0", "ip": "172.16.0.1/24", "gateway": "172.16.0.254", "vlan": 7, "mtu": 9000, "udp_port": 8472},
                {"name": "tep1", "ip": "2001:db8::1/64"}],
      "switches": [{"name": "s", "uplinks": ["up0"], "remote_vteps": ["172.16.0.2", "2001:db8::2"],
                    "bfd": {"enabled": false, "interval_ms": 50, "multiplier": 5}}],
      "port_groups": [{"name": "web", "vni": 5001, "replication": "hybrid", "multicast_group": "239.1.1.1"},
                      {"name": "db", "vni": 5002, "replication": "head_end", "flood_vteps": ["172.16.0.9"]}],
      "bindings": [{"port_group": "web", "mac": "02:00:00:00:00:09", "ip": "10.0.0.9", "vtep": "172.16.0.2"}]})");
    ASSERT_EQ(d.vteps.size(), 2u);
    const model::Vtep& vtep = d.vteps[0];
    EXPECT_EQ(to_string(vtep.address.ip), "172.16.0.1");
    EXPECT_EQ(vtep.address.prefix_length, 24);
    EXPECT_EQ(vtep.mac, model::default_mac("a/tep0"));
    EXPECT_EQ(vtep.gateway, parse_ip("172.16.0.254"));
    EXPECT_EQ(vtep.uplink, "up0");
    EXPECT_EQ(vtep.vlan, 7);
    EXPECT_EQ(vtep.mtu, 9000);
    EXPECT_EQ(vtep.udp_port, 8472);
    EXPECT_EQ(d.switches[0].remote_vteps.size(), 2u);
    EXPECT_EQ(d.switches[0].bfd, (model::Bfd{false, 50, 5}));
    EXPECT_EQ(d.port_groups[0].vni, 5001u);
    EXPECT_EQ(d.port_groups[0].replication, model::Replication::kHybrid);
    EXPECT_EQ(d.port_groups[0].multicast_group, parse_ip("239.1.1.1"));
    EXPECT_EQ(d.port_groups[1].replication, model::Replication::kHeadEnd);
    EXPECT_EQ(d.port_groups[1].flood_vteps, std::vector{*parse_ip("172.16.0.9")});
    EXPECT_EQ(d.bindings[0].vtep, parse_ip("172.16.0.2"));
    EXPECT_EQ(parsed(export_document(d)), d);
}

TEST(Document, ReadsTeamingOfSwitchesAndGroups) {
    const auto d = parsed(R"({
      "uplinks": [{"name": "a", "device": "net_null0"}, {"name": "b", "device": "net_null1"}],
      "switches": [{"name": "s", "uplinks": ["a", "b"], "teaming": {"policy": "ip_hash", "lacp": "passive"}},
                   {"name": "t"}],
      "port_groups": [{"name": "own", "switch": "t", "teaming": {"policy": "load"}},
                      {"name": "same", "switch": "s", "teaming": {}}]})");
    EXPECT_EQ(d.switches[0].teaming.policy, model::TeamingPolicy::kIpHash);
    EXPECT_EQ(d.switches[0].teaming.lacp, model::Lacp::kPassive);
    ASSERT_TRUE(d.port_groups[0].teaming.has_value());
    EXPECT_EQ(d.port_groups[0].teaming->policy, model::TeamingPolicy::kLoad);
    EXPECT_FALSE(d.port_groups[1].teaming.has_value()) << "an empty object is the switch's";
}

TEST(Document, ReadsRouters) {
    const auto d = parsed(R"({
      "switches": [{"name": "s"}],
      "port_groups": [{"name": "web", "vni": 5001}],
      "routers": [{"name": "r", "interfaces": [{"name": "gw", "addresses": ["10.0.0.254/24"], "dhcp_relay": ["10.0.0.5"]}],
                   "routes": [{"prefix": "0.0.0.0/0", "next_hops": ["10.0.0.1", "10.0.0.2"]}]}]})");
    ASSERT_EQ(d.routers.size(), 1u);
    const model::Router& router = d.routers[0];
    EXPECT_EQ(router.mac, model::kRouterMac);
    EXPECT_EQ(router.interfaces[0].port_group, "web");
    EXPECT_EQ(to_string(model::subnet_of(router.interfaces[0].addresses[0])), "10.0.0.0/24");
    EXPECT_EQ(router.routes[0].name, "0.0.0.0/0");
    EXPECT_EQ(router.routes[0].next_hops.size(), 2u);
}

}  // namespace
}  // namespace sluice::agent
