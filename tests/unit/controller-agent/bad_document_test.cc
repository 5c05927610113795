// SPDX-License-Identifier: Apache-2.0
// Documents that are bad: each is refused whole, with one sentence that names the object, the value
// and what was expected. The table is the specification.
#include "tests/unit/controller-agent/bad_documents.h"

namespace sluice::agent {
namespace {

/// A document with one switch s, one port group g (plus `group` keys) and one port p (plus `port`
/// keys).
std::string with(const std::string& group, const std::string& port, const std::string& rest) {
    return R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g","switch":"s")" + group +
           R"(}],"ports":[{"name":"p","port_group":"g")" + port + "}]" + rest + "}";
}
std::string group(const std::string& keys) { return with("," + keys, "", ""); }
std::string port(const std::string& keys) { return with("", "," + keys, ""); }
std::string kernel(const std::string& keys) { return port(R"("kind":"kernel",)" + keys); }
std::string rest(const std::string& keys) { return with("", "", "," + keys); }
std::string switches(const std::string& keys) {
    return R"({"switches":[{"name":"s",)" + keys + "}]}";
}
std::string rule(const std::string& keys) {
    return rest(
        R"("address_sets":[{"name":"set"}],"dfw":{"sections":[{"name":"app","rules":[{"name":"r",)" +
        keys + "}]}]}");
}
std::string acl_rule(const std::string& keys) {
    return rest(R"("acls":[{"name":"a","rules":[{"name":"r",)" + keys + "}]}]");
}

std::string counting_acl(int rules) {
    std::string text;
    for (int i = 0; i < rules; ++i) {
        text += (i == 0 ? "" : ",") + std::string(R"({"name":"r)") + std::to_string(i) +
                R"(","action":"count"})";
    }
    return rest(R"("acls":[{"name":"a","rules":[)" + text + "]}]");
}

std::vector<Bad> shape_cases() {
    return {
        {"not json", "{\"host\": }", "document", "is not JSON: line 1, column 10"},
        {"empty text", "", "document", "is not JSON: line 1, column 1"},
        {"not an object", "[]", "document", "document: [] is not an object"},
        {"unknown noun", R"({"widgets": []})", "document", "unknown key \"widgets\""},
        {"doubled key", R"({"host": {}, "host": {}})", "document", "\"host\" is given twice"},
        {"host no object", R"({"host": "a"})", "host", "host: \"a\" is not an object"},
        {"host name", R"({"host": {"name": "a b"}})", "host", "name \"a b\" is not a host's name"},
        {"list no list", R"({"switches": {}})", "document", "switches {} is not a list"},
        {"item no object", R"({"switches": [3]})", "switches[0]", "3 is not an object"},
        {"name missing", R"({"switches": [{"name": "s"}, {"mtu": 1500}]})", "switches[1]",
         "name is missing"},
        {"name no string", R"({"switches": [{"name": 7}]})", "switches[0]",
         "name 7 is not a string"},
        {"name empty", R"({"switches": [{"name": ""}]})", "switches[0]", "name \"\" is not 1..64"},
        {"name charset", R"({"switches": [{"name": "a/b"}]})", "switches[0]",
         "name \"a/b\" is not 1..64"},
        {"name dash", R"({"switches": [{"name": "-x"}]})", "switches[0]", "name \"-x\" is not"},
        {"name length", R"({"switches": [{"name": ")" + std::string(65, 'x') + "\"}]}",
         "switches[0]", "is not 1..64"},
        {"name any", R"({"groups": [{"name": "any"}]})", "groups[0]", "\"any\" is reserved"},
        {"name address", R"({"groups": [{"name": "10.0.0.1"}]})", "group 10.0.0.1",
         "is an address, not a name"},
        {"null", R"({"host": {"name": null}})", "host", "name null is not a string"},
    };
}

std::vector<Bad> name_cases() {
    return {
        {"two switches", R"({"switches": [{"name": "s"}, {"name": "s"}]})", "switch s",
         "given twice in switches", Errc::kExists},
        {"two ports",
         R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[{"name":"p"},{"name":"p"}]})",
         "port p", "given twice in ports", Errc::kExists},
        {"port like port group",
         R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[{"name":"g"}]})",
         "port g", "\"g\" is taken by port_group g", Errc::kExists},
        {"set like group", R"({"groups":[{"name":"x"}],"address_sets":[{"name":"x"}]})", "group x",
         "taken by address_set x", Errc::kExists},
        {"two rules",
         rest(R"("dfw":{"sections":[{"name":"app","rules":[{"name":"r"},{"name":"r"}]}]})"),
         "dfw section app rule r", "given twice in rules", Errc::kExists},
        {"two sections", R"({"dfw":{"sections":[{"name":"a"},{"name":"a"}]}})", "dfw section a",
         "given twice in sections", Errc::kExists},
        {"two acls", R"({"acls":[{"name":"a"},{"name":"a"}]})", "acl a", "given twice in acls",
         Errc::kExists},
        {"rule without name", R"({"dfw":{"sections":[{"name":"a","rules":[{}]}]}})",
         "dfw section a rules[0]", "name is missing"},
        {"switch missing", R"({"port_groups":[{"name":"g","switch":"nope"}]})", "port_group g",
         "switch \"nope\" does not exist"},
        {"switch not given",
         R"({"switches":[{"name":"s"},{"name":"t"}],"port_groups":[{"name":"g"}]})", "port_group g",
         "switch is missing"},
        {"port group missing", R"({"ports":[{"name":"p","port_group":"nope"}]})", "port p",
         "port_group \"nope\" does not exist"},
        {"port group not given", R"({"ports":[{"name":"p"}]})", "port p", "port_group is missing"},
    };
}

std::vector<Bad> network_cases() {
    return {
        {"switch key", switches(R"("mtuu":1)"), "switch s", "unknown key \"mtuu\""},
        {"mtu range", switches(R"("mtu":70000)"), "switch s", "mtu 70000 is outside 576..9216"},
        {"mtu negative", switches(R"("mtu":-1)"), "switch s", "mtu -1 is outside"},
        {"querier without snooping",
         switches(R"("multicast":{"snooping":false,"querier":{"enabled":true}})"), "switch s",
         "multicast.querier.enabled true needs snooping"},
        {"querier interval", switches(R"("multicast":{"querier":{"interval_s":0}})"), "switch s",
         "multicast.querier.interval_s 0 is outside 1..18000"},
        {"multicast key", switches(R"("multicast":{"snoop":true})"), "switch s",
         "\"multicast.snoop\""},
        {"learning flag", group(R"("mac_learning":{"enabled":1})"), "port_group g",
         "mac_learning.enabled 1 is not"},
        {"learning limit", group(R"("mac_learning":{"limit":70000})"), "port_group g",
         "mac_learning.limit 70000 is outside 0..65536"},
        {"mtu fraction", switches(R"("mtu":1500.5)"), "switch s",
         "mtu 1500.5 is not a whole number"},
        {"mtu huge", switches(R"("mtu":99999999999999999999999)"), "switch s",
         "is not a whole number"},
        {"mtu text", switches(R"("mtu":"1500")"), "switch s", "mtu \"1500\" is not a whole number"},
        {"nested key", group(R"("guards":{"bpdus":true})"), "port_group g",
         "unknown key \"guards.bpdus\""},
        {"deep nested key", port(R"("overrides":{"security":{"promisc":true}})"), "port p",
         "unknown key \"overrides.security.promisc\""},
        {"override key", port(R"("overrides":{"spoofguard":"off"})"), "port p",
         "unknown key \"overrides.spoofguard\""},
        {"flag type", group(R"("security":{"promiscuous":1})"), "port_group g",
         "security.promiscuous 1 is not true or false"},
        {"nested type", group(R"("limits":50)"), "port_group g", "limits 50 is not an object"},
        {"spoofguard word", group(R"("spoofguard":"on")"), "port_group g",
         "spoofguard \"on\" is not one of off, auto, manual"},
        {"vlan mode", group(R"("vlan":{"mode":"qinq"})"), "port_group g",
         "vlan.mode \"qinq\" is not one of none, access, trunk"},
        {"vlan 0", group(R"("vlan":{"mode":"access","id":0})"), "port_group g",
         "vlan.id 0 is outside 1..4094"},
        {"vlan 4095", group(R"("vlan":{"mode":"access","id":4095})"), "port_group g",
         "vlan.id 4095 is outside 1..4094"},
        {"vlan id missing", group(R"("vlan":{"mode":"access"})"), "port_group g",
         "vlan.id is missing"},
        {"vlan id unused", group(R"("vlan":{"id":10})"), "port_group g",
         "vlan.id 10 needs mode access"},
        {"vlan ranges unused", group(R"("vlan":{"mode":"access","id":1,"ranges":["1"]})"),
         "port_group g", "vlan.ranges need mode trunk"},
        {"vlan range backwards", group(R"("vlan":{"mode":"trunk","ranges":["9-1"]})"),
         "port_group g", "vlan.ranges holds \"9-1\""},
        {"vlan range end", group(R"("vlan":{"mode":"trunk","ranges":["1-4095"]})"), "port_group g",
         "vlan.ranges holds \"1-4095\""},
        {"vlan range number", group(R"("vlan":{"mode":"trunk","ranges":[5]})"), "port_group g",
         "vlan.ranges holds 5, which is not a string"},
        {"vlan override", port(R"("overrides":{"vlan":{"mode":"access","id":5000}})"), "port p",
         "overrides.vlan.id 5000 is outside 1..4094"},
        {"rate", group(R"("limits":{"arp_pps":-5})"), "port_group g",
         "limits.arp_pps -5 is outside 0.."},
        {"mac text", port(R"("mac":"02:00:00:00:00")"), "port p",
         "mac \"02:00:00:00:00\" is not a MAC address"},
        {"mac multicast", port(R"("mac":"01:00:5e:00:00:01")"), "port p",
         "mac 01:00:5e:00:00:01 is not a unicast address"},
        {"mac zero", port(R"("mac":"00:00:00:00:00:00")"), "port p", "is not a unicast address"},
        {"ip text", port(R"("ips":["10.0.0.256"])"), "port p",
         "ips holds \"10.0.0.256\", which is not an IPv4 or IPv6 address"},
        {"ip prefix", port(R"("ips":["10.0.0.1/24"])"), "port p", "ips holds \"10.0.0.1/24\""},
        {"ip multicast", port(R"("ips":["224.0.0.1"])"), "port p",
         "224.0.0.1, which is not a unicast address"},
        {"ip unspecified", port(R"("ips":["::"])"), "port p",
         "ips holds ::, which is not a unicast address"},
        {"ip twice", port(R"("ips":["10.0.0.1","10.0.0.1"])"), "port p", "ips holds 10.0.0.1 twice",
         Errc::kExists},
        {"kind word", port(R"("kind":"tap")"), "port p",
         "kind \"tap\" is not one of vhost, kernel, service"},
        {"socket mode", port(R"("socket_mode":"both")"), "port p",
         "socket_mode \"both\" is not one of client, server"},
        {"socket relative", port(R"("socket":"vm1.sock")"), "port p",
         "socket \"vm1.sock\" is not an absolute path"},
        {"socket folder", port(R"("socket":"/run/")"), "port p",
         "socket \"/run/\" is not an absolute path of a socket"},
        {"socket zero byte", port(R"("socket":"/run/a\u0000b")"), "port p",
         "is not an absolute path"},
        {"socket long", port("\"socket\":\"/" + std::string(107, 'x') + "\""), "port p",
         "has 108 bytes, a socket's path has at most 107"},
        {"kernel key of a vhost port", port(R"("netns":"x")"), "port p",
         "netns belongs to kind kernel"},
        {"socket of a kernel port", kernel(R"("socket":"/run/x.sock")"), "port p",
         "socket belongs to kind vhost"},
        {"interface name", kernel(R"("interface":"a/b")"), "port p",
         "interface \"a/b\" is not an interface's name of 1..15 bytes"},
        {"interface long", kernel(R"("interface":"abcdefghijklmnop")"), "port p",
         "interface \"abcdefghijklmnop\" is not an interface's name"},
        {"netns name", kernel(R"("netns":"../x")"), "port p",
         "netns \"../x\" is not the name of a namespace"},
        {"address without length", kernel(R"("addresses":["10.0.9.1"])"), "port p",
         "addresses holds \"10.0.9.1\", which is not an address with its prefix length"},
        {"address length", kernel(R"("addresses":["10.0.9.1/33"])"), "port p",
         "addresses holds \"10.0.9.1/33\""},
        {"address multicast", kernel(R"("addresses":["224.0.0.1/24"])"), "port p",
         "addresses holds 224.0.0.1, which is not a unicast address"},
        {"address twice", kernel(R"("addresses":["10.0.9.1/24","10.0.9.1/16"])"), "port p",
         "addresses holds 10.0.9.1 twice", Errc::kExists},
        {"one interface two ports",
         R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[{"name":"a","kind":"kernel","interface":"x"},{"name":"b","kind":"kernel","interface":"x"}]})",
         "port b", "interface \"x\" is used by port a too", Errc::kExists},
        {"uplink without device", R"({"uplinks":[{"name":"up0"}]})", "uplink up0",
         "device is missing"},
        {"uplink device", R"({"uplinks":[{"name":"up0","device":"eth1 x"}]})", "uplink up0",
         "device \"eth1 x\" is not a DPDK device"},
        {"device twice",
         R"({"uplinks":[{"name":"a","device":"net_null0"},{"name":"b","device":"net_null0,x=1"}]})",
         "uplink b", "device \"net_null0\" is used by uplink a too", Errc::kExists},
        {"iface twice",
         R"({"uplinks":[{"name":"a","device":"net_x0,iface=e"},{"name":"b","device":"net_x1,iface=e"}]})",
         "uplink b", "iface \"e\" is used by uplink a too", Errc::kExists},
        {"uplink named like a port", rest(R"("uplinks":[{"name":"p","device":"net_null0"}])"),
         "uplink p", "the name \"p\" is taken by port p", Errc::kExists},
        {"uplink unknown", switches(R"("uplinks":["up0"])"), "switch s",
         "uplinks holds \"up0\", which does not exist"},
        {"tag type", port(R"("tags":{"app":1})"), "port p", "tags.app 1 is not a string"},
        {"tag key empty", port(R"("tags":{"":"x"})"), "port p", "tags holds \"\""},
        {"one socket two ports",
         R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[{"name":"a","socket":"/run/x"},{"name":"b","socket":"/run/x"}]})",
         "port b", "socket \"/run/x\" is used by port a too", Errc::kExists},
        {"one mac two ports",
         R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g"}],"ports":[{"name":"a","mac":"02:00:00:00:00:01"},{"name":"b","mac":"02:00:00:00:00:01"}]})",
         "port b", "mac 02:00:00:00:00:01 is used by port a too, untagged on switch s",
         Errc::kExists},
        {"one mac on trunk",
         R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g","vlan":{"mode":"access","id":7}},{"name":"t","switch":"s","vlan":{"mode":"trunk"}}],"ports":[{"name":"a","port_group":"g","mac":"02:00:00:00:00:01"},{"name":"b","port_group":"t","mac":"02:00:00:00:00:01"}]})",
         "port b", "in VLAN 7 on switch s", Errc::kExists},
    };
}

std::string bound(const std::string& bindings, const char* vlan = R"({"mode":"none"})") {
    return R"({"switches":[{"name":"s"}],"port_groups":[{"name":"g","vlan":)" + std::string(vlan) +
           R"(},{"name":"h","switch":"s"}],"bindings":[)" + bindings + "]}";
}

std::vector<Bad> binding_cases() {
    const std::string mac = R"("mac":"02:00:00:00:00:09")";
    const std::string good = R"({"port_group":"g",)" + mac + R"(,"ip":"10.0.0.9"})";
    const char* trunk = R"({"mode":"trunk","ranges":["5-9"]})";
    return {
        {"limit of claims", group(R"("bindings":{"arp":257})"), "port_group g",
         "bindings.arp 257 is outside 0..256"},
        {"binding group", bound(R"({"port_group":"x",)" + mac + R"(,"ip":"10.0.0.9"})"),
         "binding x/10.0.0.9", "port_group \"x\" does not exist"},
        {"binding without group", bound("{" + mac + R"(,"ip":"10.0.0.9"})"), "bindings[0]",
         "port_group is missing"},
        {"binding without mac", bound(R"({"port_group":"g","ip":"10.0.0.9"})"), "bindings[0]",
         "mac is missing"},
        {"binding without ip", bound(R"({"port_group":"g",)" + mac + "}"), "bindings[0]",
         "ip is missing"},
        {"binding ip", bound(R"({"port_group":"g",)" + mac + R"(,"ip":"10.0.0.0/24"})"),
         "bindings[0]", "ip \"10.0.0.0/24\" is not an IPv4 or IPv6 address"},
        {"binding group mac",
         bound(R"({"port_group":"g","mac":"01:00:00:00:00:09","ip":"10.0.0.9"})"),
         "binding g/10.0.0.9", "mac 01:00:00:00:00:09 is not a unicast address"},
        {"binding group ip", bound(R"({"port_group":"g",)" + mac + R"(,"ip":"ff02::1"})"),
         "binding g/ff02::1", "ip ff02::1 is not a unicast address"},
        {"binding key", bound(R"({"port_group":"g",)" + mac + R"(,"ip":"10.0.0.9","name":"x"})"),
         "bindings[0]", "unknown key \"name\""},
        {"binding twice", bound(good + "," + good), "binding g/10.0.0.9",
         "ip 10.0.0.9 is bound by binding g/10.0.0.9 too", Errc::kExists},
        {"binding twice in a network",
         bound(good + R"(,{"port_group":"h","mac":"02:00:00:00:00:08","ip":"10.0.0.9"})"),
         "binding h/10.0.0.9", "ip 10.0.0.9 is bound by binding g/10.0.0.9 too", Errc::kExists},
        {"binding vlan", bound(R"({"port_group":"g",)" + mac + R"(,"ip":"10.0.0.9","vlan":5})"),
         "binding g.5/10.0.0.9", "vlan 5 is given, port_group g is no trunk"},
        {"binding of a trunk", bound(good, trunk), "binding g/10.0.0.9", "vlan is missing"},
        {"binding off a trunk",
         bound(R"({"port_group":"g",)" + mac + R"(,"ip":"10.0.0.9","vlan":4})", trunk),
         "binding g.4/10.0.0.9", "vlan 4 is not one of port_group g"},
    };
}

std::vector<Bad> policy_cases() {
    const char* r = "dfw section app rule r";
    return {
        {"set host bits", R"({"address_sets":[{"name":"x","members":["10.0.1.5/24"]}]})",
         "address_set x",
         "members holds \"10.0.1.5/24\", which is not an address or a prefix without host bits"},
        {"set length", R"({"address_sets":[{"name":"x","members":["10.0.1.0/33"]}]})",
         "address_set x", "members holds \"10.0.1.0/33\""},
        {"set text", R"({"address_sets":[{"name":"x","members":["web"]}]})", "address_set x",
         "members holds \"web\""},
        {"set key", R"({"address_sets":[{"name":"x","addresses":[]}]})", "address_set x",
         "unknown key \"addresses\""},
        {"group addresses", R"({"groups":[{"name":"x","addresses":["10.0.1.5/24"]}]})", "group x",
         "addresses holds \"10.0.1.5/24\", which is not an address or a prefix without host bits"},
        {"group key", R"({"groups":[{"name":"x","tag":{}}]})", "group x", "unknown key \"tag\""},
        {"rule key", rule(R"("sorce":[])"), r, "unknown key \"sorce\""},
        {"rule action", rule(R"("action":"permit")"), r,
         "action \"permit\" is not one of allow, drop, reject"},
        {"rule direction", rule(R"("direction":"inout")"), r,
         "direction \"inout\" is not one of both, in, out"},
        {"rule source name", rule(R"("source":["web-vmss"])"), r,
         "source \"web-vmss\" is no address or prefix"},
        {"rule destination bits", rule(R"("destination":["10.0.0.1/8"])"), r,
         "destination \"10.0.0.1/8\" is not a prefix without host bits"},
        {"rule source string", rule(R"("source":"any")"), r, "source \"any\" is not a list"},
        {"rule any mixed", rule(R"("source":["any","10.0.0.1"])"), r,
         "source holds \"any\" beside other items"},
        {"rule target missing", rule(R"("applied_to":["vm9"])"), r,
         "applied_to \"vm9\" does not exist"},
        {"rule target set", rule(R"("applied_to":["set"])"), r,
         "applied_to \"set\" is an address set"},
        {"rule target address", rule(R"("applied_to":["10.0.0.1"])"), r,
         "applied_to \"10.0.0.1\" does not exist"},
        {"rule port range", rule(R"("services":["tcp/90-80"])"), r, "services holds \"tcp/90-80\""},
        {"rule port", rule(R"("services":["tcp/65536"])"), r, "services holds \"tcp/65536\""},
        {"rule protocol", rule(R"("services":["http"])"), r, "services holds \"http\""},
        {"rule negated any", rule(R"("negate_source":true)"), r,
         "negate_source true needs a source"},
        {"rule negated any 2", rule(R"("negate_destination":true,"destination":["any"])"), r,
         "negate_destination true needs a destination"},
        {"rule alg", rule(R"("alg":"sip")"), r, "alg \"sip\" is not one of none, ftp, tftp"},
        {"rule alg any", rule(R"("alg":"ftp")"), r, "alg ftp needs services that are all tcp"},
        {"rule alg protocol", rule(R"("alg":"ftp","services":["tcp/21","udp/21"])"), r,
         "alg ftp needs services that are all tcp"},
        {"rule alg tftp", rule(R"("alg":"tftp","services":["tcp/69"])"), r,
         "alg tftp needs services that are all udp"},
        {"rule alg drop", rule(R"("alg":"ftp","services":["tcp/21"],"action":"drop")"), r,
         "alg ftp needs action allow"},
        {"rule alg stateless",
         R"({"dfw":{"sections":[{"name":"app","stateful":false,"rules":[{"name":"r","alg":"ftp","services":["tcp/21"]}]}]}})",
         r, "alg ftp needs a section that is stateful"},
        {"dfw grace", R"({"dfw":{"grace_s":86401}})", "dfw", "grace_s 86401 is outside 0..86400"},
        {"section key", R"({"dfw":{"sections":[{"name":"app","state":true}]}})", "dfw section app",
         "unknown key \"state\""},
        {"dfw key", R"({"dfw":{"defaults":"drop"}})", "dfw", "unknown key \"defaults\""},
        {"dfw default", R"({"dfw":{"default":"deny"}})", "dfw",
         "default \"deny\" is not one of allow, drop, reject"},
        {"exclude missing", R"({"dfw":{"exclude":["vm9"]}})", "dfw",
         "exclude \"vm9\" does not exist"},
        {"timeout 0", R"({"dfw":{"timeouts":{"udp_s":0}}})", "dfw",
         "timeouts.udp_s 0 is outside 1.."},
        {"timeout key", R"({"dfw":{"timeouts":{"udp_ms":9}}})", "dfw",
         "unknown key \"timeouts.udp_ms\""},
        {"limit type", R"({"dfw":{"limits":{"connections":"many"}}})", "dfw",
         "limits.connections \"many\" is not a whole number"},
        {"acl action", acl_rule(R"("action":"drop")"), "acl a rule r",
         "action \"drop\" is not one of permit, deny, count"},
        {"acl mac", acl_rule(R"("source_mac":"02:zz")"), "acl a rule r",
         "source_mac \"02:zz\" is not any, MAC or MAC/MASK"},
        {"acl mac bits", acl_rule(R"("destination_mac":"02:00:00:00:00:01/ff:00:00:00:00:00")"),
         "acl a rule r", "without bits outside the mask"},
        {"acl ethertype", acl_rule(R"("ethertype":"0x0500")"), "acl a rule r",
         "ethertype \"0x0500\" is not 0x0600..0xffff"},
        {"acl ethertype number", acl_rule(R"("ethertype":2048)"), "acl a rule r",
         "ethertype 2048 is not a string"},
        {"acl vlan", acl_rule(R"("vlan":4095)"), "acl a rule r", "vlan 4095 is outside 1..4094"},
        {"acl dscp", acl_rule(R"("dscp":64)"), "acl a rule r", "dscp 64 is outside 0..63"},
        {"acl flags", acl_rule(R"("tcp_flags":"syn,!syn")"), "acl a rule r",
         "tcp_flags \"syn,!syn\" is not a list like \"syn,!ack\""},
        {"acl no flags", acl_rule(R"("tcp_flags":"")"), "acl a rule r", "tcp_flags \"\" is not"},
        {"acl flags of udp", acl_rule(R"("tcp_flags":"syn","services":["udp/53"])"), "acl a rule r",
         "tcp_flags \"syn\" can't match, no service is of TCP"},
        {"acl mark", acl_rule(R"("set_dscp":64)"), "acl a rule r", "set_dscp 64 is outside 0..63"},
        {"acl mark of deny", acl_rule(R"("action":"deny","set_dscp":0)"), "acl a rule r",
         "set_dscp 0 marks what passes, the action is deny"},
        {"acl counts", counting_acl(15), "acl a",
         "with it port p has 15 rules with action count in one direction, at most 14",
         Errc::kLimit},
        {"acl source", acl_rule(R"("source":["nope"])"), "acl a rule r",
         "source \"nope\" is no address"},
        {"acl target", R"({"acls":[{"name":"a","applied_to":["nope"]}]})", "acl a",
         "applied_to \"nope\" does not exist"},
    };
}

std::vector<Bad> type_cases() {
    return {
        {"log's type", rule(R"("log":"yes")"), "dfw section app rule r",
         "log \"yes\" is not true or false"},
        {"uplinks' type", R"({"uplinks":{}})", "document", "uplinks {} is not a list"},
        {"chains' type", R"({"service_chains":{}})", "document", "service_chains {} is not a list"},
        {"encryption's type", R"({"encryption":[]})", "encryption", "is not"},
    };
}

class BadDocument : public testing::TestWithParam<Bad> {};

TEST_P(BadDocument, IsRefusedWithOneSentence) { expect_refused(GetParam()); }

INSTANTIATE_TEST_SUITE_P(Shape, BadDocument, testing::ValuesIn(shape_cases()), name_of_bad);
INSTANTIATE_TEST_SUITE_P(Names, BadDocument, testing::ValuesIn(name_cases()), name_of_bad);
INSTANTIATE_TEST_SUITE_P(Network, BadDocument, testing::ValuesIn(network_cases()), name_of_bad);
INSTANTIATE_TEST_SUITE_P(Bindings, BadDocument, testing::ValuesIn(binding_cases()), name_of_bad);
INSTANTIATE_TEST_SUITE_P(Policy, BadDocument, testing::ValuesIn(policy_cases()), name_of_bad);
INSTANTIATE_TEST_SUITE_P(Types, BadDocument, testing::ValuesIn(type_cases()), name_of_bad);

}  // namespace
}  // namespace sluice::agent
