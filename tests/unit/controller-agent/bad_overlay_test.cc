// SPDX-License-Identifier: Apache-2.0
// Documents that are bad in what joins hosts: VTEPs, VNIs, routers, teaming. The table is the
// specification.
#include <nlohmann/json.hpp>

#include "tests/unit/controller-agent/bad_documents.h"

namespace sluice::agent {
namespace {

using nlohmann::json;

/// Two uplinks, two VTEPs, groups with VNI and VLAN, a router between them.
json good() {
    return json::parse(R"({
 "uplinks": [{"name": "up0", "device": "net_null0"}, {"name": "up1", "device": "net_null1"},
             {"name": "spare", "device": "net_null2"}],
 "vteps": [{"name": "tep0", "ip": "172.16.0.1/24", "mac": "02:00:00:00:99:01", "gateway": "172.16.0.254", "uplink": "up0"},
           {"name": "tep1", "ip": "172.16.0.11/24", "mac": "02:00:00:00:99:02", "uplink": "up1"}],
 "switches": [{"name": "s", "uplinks": ["up0", "up1"], "remote_vteps": ["172.16.0.2"]}, {"name": "t"}],
 "port_groups": [{"name": "web", "switch": "s", "vni": 5001}, {"name": "db", "switch": "s", "vni": 5002},
                 {"name": "old", "switch": "s", "vlan": {"mode": "access", "id": 10}},
                 {"name": "trunk", "switch": "s", "vlan": {"mode": "trunk"}}],
 "ports": [{"name": "vm1", "port_group": "web", "mac": "02:00:00:00:00:01", "ips": ["10.0.1.1"]}],
 "routers": [{"name": "r",
   "interfaces": [{"name": "a", "port_group": "web", "addresses": ["10.0.1.254/24", "2001:db8:1::1/64"]},
                  {"name": "b", "port_group": "db", "addresses": ["10.0.2.254/24"]}],
   "routes": [{"prefix": "0.0.0.0/0", "next_hops": ["10.0.2.253"]}]}],
 "bindings": [{"port_group": "web", "mac": "02:00:00:00:00:09", "ip": "10.0.1.9", "vtep": "172.16.0.2"}]
})");
}

/// good() with the value at a JSON pointer replaced, or added ("/vteps/-").
std::string with(const char* pointer, const char* value) {
    json document = good();
    document[json::json_pointer(pointer)] = json::parse(value);
    return document.dump();
}
std::string without(const char* parent, const char* key) {
    json document = good();
    document[json::json_pointer(parent)].erase(key);
    return document.dump();
}

std::vector<Bad> vtep_cases() {
    return {
        {"ip missing", without("/vteps/0", "ip"), "vtep tep0",
         "ip is missing, expected an address"},
        {"ip", with("/vteps/0/ip", R"("172.16.0.1")"), "vtep tep0",
         "ip \"172.16.0.1\" is not an address with its prefix length"},
        {"ip group", with("/vteps/0/ip", R"("239.0.0.1/24")"), "vtep tep0",
         "ip 239.0.0.1/24 is not a routable unicast address"},
        {"ip link local", with("/vteps/0/ip", R"("fe80::1/64")"), "vtep tep0",
         "ip fe80::1/64 is not a routable unicast address"},
        {"ip twice", with("/vteps/1/ip", R"("172.16.0.1/24")"), "vtep tep1",
         "ip 172.16.0.1 is used by vtep tep0 too", Errc::kExists},
        {"mac", with("/vteps/0/mac", R"("01:00:5e:00:00:01")"), "vtep tep0",
         "mac 01:00:5e:00:00:01 is not a unicast address"},
        {"mac twice", with("/vteps/1/mac", R"("02:00:00:00:99:01")"), "vtep tep1",
         "mac 02:00:00:00:99:01 is used by vtep tep0 too", Errc::kExists},
        {"mac of a port", with("/vteps/1/mac", R"("02:00:00:00:00:01")"), "vtep tep1",
         "mac 02:00:00:00:00:01 is used by port vm1 too", Errc::kExists},
        {"gateway outside", with("/vteps/0/gateway", R"("172.16.1.254")"), "vtep tep0",
         "gateway 172.16.1.254 is outside of 172.16.0.0/24, the subnet of its ip"},
        {"gateway itself", with("/vteps/0/gateway", R"("172.16.0.1")"), "vtep tep0",
         "gateway 172.16.0.1 is its own ip"},
        {"uplink missing", without("/vteps/0", "uplink"), "vtep tep0",
         "uplink is missing, expected an uplink's name"},
        {"uplink unknown", with("/vteps/0/uplink", R"("up9")"), "vtep tep0",
         "uplink \"up9\" does not exist"},
        {"uplink of no switch", with("/vteps/0/uplink", R"("spare")"), "vtep tep0",
         "uplink \"spare\" belongs to no switch"},
        {"name of an uplink", with("/vteps/0/name", R"("up1")"), "vtep up1",
         "the name \"up1\" is taken by uplink up1", Errc::kExists},
        {"name of a port", with("/vteps/0/name", R"("vm1")"), "vtep vm1",
         "the name \"vm1\" is taken by port vm1", Errc::kExists},
        {"vlan", with("/vteps/0/vlan", "4095"), "vtep tep0", "vlan 4095 is outside 0..4094"},
        {"udp port", with("/vteps/0/udp_port", "0"), "vtep tep0", "udp_port 0 is outside 1..65535"},
        {"mtu range", with("/vteps/0/mtu", "100"), "vtep tep0", "mtu 100 is outside 576..9216"},
        {"mtu", with("/vteps/0/mtu", "1549"), "vtep tep0",
         "mtu 1549 is too small for port_group web: the mtu 1500 of switch s and 50 bytes of VXLAN "
         "need 1550"},
        {"unknown key", with("/vteps/0/tos", "1"), "vtep tep0", "unknown key \"tos\""},
        {"type", with("/vteps", "{}"), "document", "vteps {} is not a list"},
    };
}

std::vector<Bad> remote_cases() {
    return {
        {"not an address", with("/switches/0/remote_vteps", R"(["a"])"), "switch s",
         "remote_vteps holds \"a\", which is not an IPv4 or IPv6 address"},
        {"own", with("/switches/0/remote_vteps", R"(["172.16.0.11"])"), "switch s",
         "remote_vteps holds 172.16.0.11, which is vtep tep1 of this host"},
        {"twice", with("/switches/0/remote_vteps", R"(["172.16.0.2", "172.16.0.2"])"), "switch s",
         "remote_vteps holds 172.16.0.2 twice", Errc::kExists},
        {"group", with("/switches/0/remote_vteps", R"(["239.1.1.1"])"), "switch s",
         "remote_vteps holds 239.1.1.1, which is not a unicast address"},
        {"family", with("/switches/0/remote_vteps", R"(["2001:db8::2"])"), "switch s",
         "remote_vteps holds 2001:db8::2, and no vtep of switch s has an IPv6 address"},
        {"of two switches", with("/switches/1/remote_vteps", R"(["172.16.0.2"])"), "switch t",
         "remote_vteps holds 172.16.0.2, which is a remote VTEP of switch s, expected one of "
         "switch "
         "t",
         Errc::kExists},
        {"bfd interval", with("/switches/0/bfd", R"({"interval_ms": 1})"), "switch s",
         "bfd.interval_ms 1 is outside 10..60000"},
        {"bfd multiplier", with("/switches/0/bfd", R"({"multiplier": 0})"), "switch s",
         "bfd.multiplier 0 is outside 1..50"},
        {"bfd key", with("/switches/0/bfd", R"({"on": true})"), "switch s",
         "unknown key \"bfd.on\""},
        {"binding's own", with("/bindings/0/vtep", R"("172.16.0.1")"), "binding web/10.0.1.9",
         "vtep is 172.16.0.1, which is vtep tep0 of this host"},
        {"binding's family", with("/bindings/0/vtep", R"("2001:db8::2")"), "binding web/10.0.1.9",
         "vtep is 2001:db8::2, and no vtep of switch s has an IPv6 address"},
        {"binding of a vlan", with("/bindings/0/port_group", R"("old")"), "binding old/10.0.1.9",
         "vtep 172.16.0.2 is given, port_group old has no vni"},
        {"binding's mac elsewhere",
         with(
             "/bindings/-",
             R"({"port_group":"web","mac":"02:00:00:00:00:09","ip":"10.0.1.8","vtep":"172.16.0.3"})"),
         "binding web/10.0.1.8",
         "mac 02:00:00:00:00:09 is behind vtep 172.16.0.3, binding web/10.0.1.9 has it behind vtep "
         "172.16.0.2",
         Errc::kExists},
    };
}

std::vector<Bad> vni_cases() {
    return {
        {"range", with("/port_groups/0/vni", "16777216"), "port_group web",
         "vni 16777216 is outside 1..16777215"},
        {"vlan", with("/port_groups/0/vlan", R"({"mode":"access","id":10})"), "port_group web",
         "vni 5001 needs vlan.mode none"},
        {"two switches", with("/port_groups/-", R"({"name":"x","switch":"t","vni":5001})"),
         "port_group x",
         "vni 5001 is used by port_group web on switch s too, a VNI belongs to one switch",
         Errc::kExists},
        {"replication of a vlan", with("/port_groups/2/replication", R"("hybrid")"),
         "port_group old", "replication needs a vni, the port group has none"},
        {"group of a vlan", with("/port_groups/2/multicast_group", R"("239.1.1.1")"),
         "port_group old", "multicast_group needs a vni, the port group has none"},
        {"replication", with("/port_groups/0/replication", R"("flood")"), "port_group web",
         "replication \"flood\" is not one of unicast, hybrid, multicast, head_end, service_node"},
        {"group missing", with("/port_groups/0/replication", R"("hybrid")"), "port_group web",
         "multicast_group is missing, replication hybrid needs one"},
        {"group no group", with("/port_groups/0/multicast_group", R"("10.0.0.1")"),
         "port_group web", "multicast_group 10.0.0.1 is not a multicast address"},
        {"group's family", with("/port_groups/0/multicast_group", R"("ff0e::1")"), "port_group web",
         "multicast_group ff0e::1 needs a vtep with an IPv6 address, switch s has none"},
        {"two replications",
         with(
             "/port_groups/-",
             R"({"name":"x","switch":"s","vni":5001,"replication":"multicast","multicast_group":"239.1.1.1"})"),
         "port_group x",
         "vni 5001 is that of port_group web, which has another replication, multicast_group or "
         "flood_vteps"},
        {"floods without a list's mode", with("/port_groups/0/flood_vteps", R"(["172.16.0.2"])"),
         "port_group web", "flood_vteps needs replication head_end or service_node"},
        {"floods twice",
         with(
             "/port_groups/0",
             R"({"name":"web","switch":"s","vni":5001,"replication":"head_end","flood_vteps":["172.16.0.2","172.16.0.2"]})"),
         "port_group web", "flood_vteps holds 172.16.0.2 twice", Errc::kExists},
        {"floods to itself",
         with(
             "/port_groups/0",
             R"({"name":"web","switch":"s","vni":5001,"replication":"service_node","flood_vteps":["172.16.0.1"]})"),
         "port_group web", "flood_vteps holds 172.16.0.1, which is vtep tep0 of this host"},
        {"list and group",
         with(
             "/port_groups/0",
             R"({"name":"web","switch":"s","vni":5001,"replication":"head_end","multicast_group":"239.1.1.1"})"),
         "port_group web", "multicast_group has no meaning with replication head_end"},
        {"override", with("/ports/0/overrides", R"({"vlan":{"mode":"access","id":5}})"), "port vm1",
         "overrides.vlan has no meaning, port_group web has vni 5001"},
        {"binding's vlan", with("/bindings/0/vlan", "5"), "binding web.5/10.0.1.9",
         "vlan 5 is given, port_group web is no trunk"},
        {"mac twice",
         with("/ports/-", R"({"name":"vm2","port_group":"web","mac":"02:00:00:00:00:01"})"),
         "port vm2", "mac 02:00:00:00:00:01 is used by port vm1 too, in VNI 5001 on switch s",
         Errc::kExists},
    };
}

std::vector<Bad> router_cases() {
    const char* a = "router r interface a";
    const char* b = "router r interface b";
    const char* route = "router r route 0.0.0.0/0";
    return {
        {"mac", with("/routers/0/mac", R"("01:00:5e:00:00:01")"), "router r",
         "mac 01:00:5e:00:00:01 is not a unicast address"},
        {"mac of a port", with("/routers/0/mac", R"("02:00:00:00:00:01")"), "router r",
         "mac 02:00:00:00:00:01 is used by port vm1 too", Errc::kExists},
        {"port group missing", without("/routers/0/interfaces/0", "port_group"), a,
         "port_group is missing"},
        {"port group unknown", with("/routers/0/interfaces/0/port_group", R"("x")"), a,
         "port_group \"x\" does not exist"},
        {"trunk", with("/routers/0/interfaces/0/port_group", R"("trunk")"), a,
         "port_group trunk is a trunk, an interface needs one network"},
        {"one network twice", with("/routers/0/interfaces/1/port_group", R"("web")"), b,
         "port_group web (VNI 5001 of switch s) is the network of router r interface a too",
         Errc::kExists},
        {"two routers in one network",
         with("/routers/-", R"({"name":"q","interfaces":[{"name":"a","port_group":"web"}]})"),
         "router q interface a",
         "port_group web (VNI 5001 of switch s) is the network of router r interface a too",
         Errc::kExists},
        {"name twice", with("/routers/0/interfaces/1/name", R"("a")"), a,
         "the name is given twice in interfaces", Errc::kExists},
        {"overlap", with("/routers/0/interfaces/1/addresses", R"(["10.0.0.1/16"])"), a,
         "addresses holds 10.0.1.254/24, which overlaps 10.0.0.1/16 of interface b"},
        {"overlap in one",
         with("/routers/0/interfaces/0/addresses", R"(["10.0.1.254/24", "10.0.1.253/24"])"), a,
         "addresses holds 10.0.1.253/24, which overlaps 10.0.1.254/24 of interface a"},
        {"address", with("/routers/0/interfaces/0/addresses", R"(["10.0.1.254"])"), a,
         "addresses holds \"10.0.1.254\", which is not an address with its prefix length"},
        {"link local", with("/routers/0/interfaces/0/addresses", R"(["fe80::1/64"])"), a,
         "addresses holds fe80::1/64, which is not a routable unicast address"},
        {"network", with("/routers/0/interfaces/0/addresses", R"(["10.0.1.0/24"])"), a,
         "addresses holds 10.0.1.0/24, which is the address of the network itself"},
        {"broadcast", with("/routers/0/interfaces/0/addresses", R"(["10.0.1.255/24"])"), a,
         "addresses holds 10.0.1.255/24, which is the address of the network for broadcasts"},
        {"a port's address", with("/routers/0/interfaces/0/addresses", R"(["10.0.1.1/24"])"), a,
         "addresses holds 10.0.1.1, which port vm1 has, too", Errc::kExists},
        {"a binding's address", with("/routers/0/interfaces/0/addresses", R"(["10.0.1.9/24"])"), a,
         "addresses holds 10.0.1.9, which binding web/10.0.1.9 has, too", Errc::kExists},
        {"relay", with("/routers/0/interfaces/0/dhcp_relay", R"(["2001:db8::1"])"), a,
         "dhcp_relay holds 2001:db8::1, which is not a unicast IPv4 address"},
        {"relay without address",
         with("/routers/0/interfaces/1",
              R"({"name":"b","port_group":"db","dhcp_relay":["10.0.9.5"]})"),
         b, "dhcp_relay needs an IPv4 address among addresses"},
        {"prefix missing", with("/routers/0/routes/0", R"({"blackhole":true})"),
         "router r routes[0]", "prefix is missing"},
        {"prefix", with("/routers/0/routes/0/prefix", R"("192.0.2.1/24")"), "router r routes[0]",
         "prefix \"192.0.2.1/24\" is not a prefix without host bits"},
        {"prefix twice", with("/routers/0/routes/-", R"({"prefix":"0.0.0.0/0","blackhole":true})"),
         route, "the prefix is given twice in routes", Errc::kExists},
        {"prefix connected", with("/routers/0/routes/0/prefix", R"("10.0.1.0/24")"),
         "router r route 10.0.1.0/24", "the prefix is the subnet of interface a", Errc::kExists},
        {"neither", with("/routers/0/routes/0", R"({"prefix":"0.0.0.0/0"})"), route,
         "has neither next_hops nor blackhole"},
        {"both", with("/routers/0/routes/0/blackhole", "true"), route,
         "has next_hops and blackhole"},
        {"next hop far", with("/routers/0/routes/0/next_hops", R"(["10.0.3.1"])"), route,
         "next_hops holds 10.0.3.1, which is on no connected subnet of the router"},
        {"next hop own", with("/routers/0/routes/0/next_hops", R"(["10.0.2.254"])"), route,
         "next_hops holds 10.0.2.254, which is the router's own at interface b"},
        {"next hop twice",
         with("/routers/0/routes/0/next_hops", R"(["10.0.2.253", "10.0.1.7", "10.0.2.253"])"),
         route, "next_hops holds 10.0.2.253 twice", Errc::kExists},
        {"next hop's family", with("/routers/0/routes/0/next_hops", R"(["2001:db8:1::7"])"), route,
         "next_hops holds 2001:db8:1::7, which is not an IPv4 address"},
        {"next hops",
         with(
             "/routers/0/routes/0/next_hops",
             R"(["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4","1.1.1.5","1.1.1.6","1.1.1.7","1.1.1.8","1.1.1.9"])"),
         "router r routes[0]", "next_hops has 9 items, at most 8 are allowed", Errc::kLimit},
    };
}

std::vector<Bad> teaming_cases() {
    return {
        {"policy", with("/switches/0/teaming", R"({"policy":"random"})"), "switch s",
         "teaming.policy \"random\" is not one of port_id, src_mac, ip_hash, load, explicit"},
        {"active unknown", with("/switches/0/teaming", R"({"active":["spare"]})"), "switch s",
         "teaming.active holds \"spare\", which is no uplink of switch s"},
        {"standby unknown", with("/switches/0/teaming", R"({"standby":["up9"]})"), "switch s",
         "teaming.standby holds \"up9\", which is no uplink of switch s"},
        {"in both", with("/switches/0/teaming", R"({"active":["up0"],"standby":["up0"]})"),
         "switch s", "teaming.standby holds \"up0\", an uplink stands once in active or standby",
         Errc::kExists},
        {"all wait", with("/switches/0/teaming", R"({"standby":["up0","up1"]})"), "switch s",
         "teaming.standby holds every uplink of switch s"},
        {"explicit", with("/switches/0/teaming", R"({"policy":"explicit"})"), "switch s",
         "teaming.policy explicit needs teaming.active"},
        {"hold", with("/switches/0/teaming", R"({"failback_hold_s":90000})"), "switch s",
         "teaming.failback_hold_s 90000 is outside 0..86400"},
        {"detection", with("/switches/0/teaming", R"({"failure_detection":"ping"})"), "switch s",
         "teaming.failure_detection \"ping\" is not one of link, probe"},
        {"lacp's policy", with("/switches/0/teaming", R"({"lacp":"active"})"), "switch s",
         "teaming.lacp active needs teaming.policy ip_hash, it is port_id"},
        {"lacp of a group",
         with("/port_groups/2/teaming", R"({"lacp":"passive","policy":"ip_hash"})"),
         "port_group old", "teaming.lacp passive belongs to the teaming of a switch"},
        {"group's active", with("/port_groups/2/teaming", R"({"active":["spare"]})"),
         "port_group old", "teaming.active holds \"spare\", which is no uplink of switch s"},
        {"uplink twice", with("/switches/0/uplinks", R"(["up0", "up1", "up0"])"), "switch s",
         "uplinks holds \"up0\" twice", Errc::kExists},
        {"uplink of two switches", with("/switches/1/uplinks", R"(["up0"])"), "switch t",
         "uplink up0 belongs to switch s too, an uplink belongs to one switch", Errc::kExists},
        {"key", with("/switches/0/teaming", R"({"mode":"x"})"), "switch s",
         "unknown key \"teaming.mode\""},
    };
}

class BadOverlay : public testing::TestWithParam<Bad> {};

TEST_P(BadOverlay, IsRefusedWithOneSentence) { expect_refused(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Vteps, BadOverlay, testing::ValuesIn(vtep_cases()), name_of_bad);
INSTANTIATE_TEST_SUITE_P(Remotes, BadOverlay, testing::ValuesIn(remote_cases()), name_of_bad);
INSTANTIATE_TEST_SUITE_P(Vnis, BadOverlay, testing::ValuesIn(vni_cases()), name_of_bad);
INSTANTIATE_TEST_SUITE_P(Routers, BadOverlay, testing::ValuesIn(router_cases()), name_of_bad);
INSTANTIATE_TEST_SUITE_P(Teaming, BadOverlay, testing::ValuesIn(teaming_cases()), name_of_bad);

TEST(Overlay, TheirCommonBaseIsGood) {
    const auto result = parse_document(good().dump());
    EXPECT_TRUE(result.ok()) << result.error().message;
}

TEST(Overlay, ARemoteVtepInAnotherSubnetNeedsAGateway) {
    json document = good();
    document["switches"][0]["remote_vteps"] = {"10.9.0.1"};
    EXPECT_TRUE(parse_document(document.dump()).ok());
    document["vteps"][0].erase("gateway");
    const auto result = parse_document(document.dump());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message,
              "switch s: remote_vteps holds 10.9.0.1, which is in no subnet of a vtep of switch s, "
              "and none has a gateway");
}

TEST(Overlay, APortGroupCantTeamTheUplinksOfALag) {
    json document = good();
    document["switches"][0]["teaming"] = {{"policy", "ip_hash"}, {"lacp", "active"}};
    EXPECT_TRUE(parse_document(document.dump()).ok());
    document["port_groups"][2]["teaming"] = {{"policy", "explicit"}, {"active", {"up1"}}};
    const auto result = parse_document(document.dump());
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message,
              "port_group old: teaming is set, but switch s has lacp active, which makes its "
              "uplinks one link");
}

}  // namespace
}  // namespace sluice::agent
