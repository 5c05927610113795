// SPDX-License-Identifier: Apache-2.0
// RandomPolicy: see random_policy.h.
#include "tests/packet/random_policy.h"

#include "sluice/net/address_text.h"

namespace sluice::test {
namespace {

using nlohmann::json;

constexpr const char* kGroupOf[kUniverseSize] = {"plain", "plain", "plain", "a10",
                                                 "trunk", "a10",   "far"};
constexpr const char* kItems[] = {
    "any",  "set1", "set2",         "red",         "plain",          "a10",
    "p0",   "p1",   "10.0.0.0/30",  "10.0.0.2",    "2001:db8::/126", "2001:db8::1",
    "blue", "p4",   "10.0.0.68/31", "192.0.2.0/24"};
constexpr const char* kTargets[] = {"any", "red", "blue", "plain", "a10", "p0", "p1", "p2", "p4"};
constexpr const char* kServices[] = {
    "any",    "tcp",       "udp",       "tcp/80", "tcp/443",       "tcp/20-100", "tcp/80:1000-1003",
    "udp/53", "udp/50-60", "udp/1000",  "icmp",   "icmp/8",        "icmp/0",     "icmpv6/128",
    "icmpv6", "ip/47",     "sctp/9000", "tcp/22", "udp/1002:5000", "icmpv6/129"};
constexpr const char* kTcpFlags[] = {"syn,!ack", "psh", "!syn", "rst", "fin,ack", "!ack,!rst"};
constexpr const char* kMacs[] = {"02:00:00:00:00:01",
                                 "02:00:00:00:00:02",
                                 "02:00:00:00:00:00/ff:ff:ff:ff:ff:f0",
                                 "any",
                                 "any",
                                 "any"};

}  // namespace

std::string port_name(std::size_t index) { return "p" + std::to_string(index); }

Vnic vnic_of(std::size_t index) {
    const auto last = static_cast<std::uint8_t>(index + 1);
    Vnic vnic{mac("02:00:00:00:00:00"), ip("10.0.0.0"), ip("2001:db8::")};
    vnic.mac.bytes[5] = last;
    vnic.ip4.bytes[15] = vnic.ip6.bytes[15] =
        static_cast<std::uint8_t>(last + (index < 3 ? 0 : 64));
    return vnic;
}

RandomPolicy::RandomPolicy(std::uint64_t seed) : random_(seed) { reset(); }

void RandomPolicy::reset() {
    document_ = json_of(R"({
        "switches": [{"name": "dvs0"}, {"name": "dvs1"}],
        "port_groups": [{"name": "plain", "switch": "dvs0"},
                        {"name": "a10", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
                        {"name": "trunk", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["1-12"]}},
                        {"name": "far", "switch": "dvs1"}],
        "address_sets": [{"name": "set1", "members": ["10.0.0.1", "2001:db8::2"]}, {"name": "set2", "members": ["10.0.0.0/29"]}],
        "groups": [{"name": "red", "tags": {"colour": "red"}}, {"name": "blue", "tags": {"colour": "blue"}}],
        "acls": [],
        "dfw": {"default": "allow", "sections": [], "exclude": [],
                "timeouts": {"tcp_syn_sent_s": 5, "tcp_established_s": 60, "udp_s": 3, "udp_stream_s": 8, "icmp_s": 3, "other_s": 4}}})");
    // Rows don't age: when one was last used is known more exactly without the flow cache.
    for (json& each : document_["port_groups"]) { each["mac_learning"] = {{"age_s", 0}}; }
    document_["ports"] = json::array();
    for (std::size_t i = 0; i < kUniverseSize; ++i) {
        document_["ports"].push_back(port_of(port_name(i), kGroupOf[i], vnic_of(i)));
        document_["ports"].back()["tags"] = {{"colour", i % 2 == 0 ? "red" : "blue"}};
    }
    document_["routers"] = json_of(R"([{"name": "r", "interfaces": [
        {"name": "plain", "port_group": "plain", "addresses": ["10.0.0.62/26", "2001:db8::3e/122"]},
        {"name": "a10", "port_group": "a10", "addresses": ["10.0.0.126/26", "2001:db8::7e/122"]}]}])");
    is_present_.fill(true);
}

// What is far away is behind one vNIC or another; a short way leads round a long one.
void RandomPolicy::change_routes() {
    json routes = json::array();
    const auto add = [&](const char* prefix, const json& hops) {
        json route = {{"prefix", prefix}};
        if (chance(20)) {
            route["blackhole"] = true;
        } else {
            route["next_hops"] = hops;
        }
        if (chance(70)) { routes.push_back(route); }
    };
    add("192.0.2.0/24", chance(50) ? json{"10.0.0.1", "10.0.0.68"} : json{"10.0.0.2"});
    add("2001:db8:1::/48", json{"2001:db8::45", "2001:db8::3"});
    add("10.0.0.69/32", json{"10.0.0.3"});
    document_["routers"][0]["routes"] = routes;
}

json& RandomPolicy::port() {
    return document_["ports"][below(static_cast<unsigned>(document_["ports"].size()))];
}

json RandomPolicy::addresses() {
    json list = json::array();
    for (unsigned count = below(3); count > 0; --count) {
        const std::string item = one_of(kItems);
        if (item == "any" && !list.empty()) { continue; }
        if (!list.empty() && list[0] == "any") { break; }
        if (item[0] != 'p' || item.size() != 2 ||
            is_present_[static_cast<std::size_t>(item[1] - '0')]) {
            list.push_back(item);
        }
    }
    return list;
}

json RandomPolicy::services() {
    json list = json::array();
    for (unsigned count = below(3); count > 0; --count) {
        const std::string item = one_of(kServices);
        if (item == "any" && !list.empty()) { continue; }
        if (!list.empty() && list[0] == "any") { break; }
        list.push_back(item);
    }
    return list;
}

json RandomPolicy::rule() {
    json out = {{"name", "r" + std::to_string(names_++ % 1000)},
                {"action", chance(60) ? "allow" : (chance(50) ? "drop" : "reject")},
                {"log", chance(20)},
                {"direction", one_of(std::array{"in", "out", "both"})},
                {"source", addresses()},
                {"destination", addresses()},
                {"services", services()}};
    const auto is_any = [](const json& list) {
        return list.empty() || std::find(list.begin(), list.end(), "any") != list.end();
    };
    if (!is_any(out["source"]) && chance(15)) { out["negate_source"] = true; }
    if (!is_any(out["destination"]) && chance(15)) { out["negate_destination"] = true; }
    const std::string target = one_of(kTargets);
    if (chance(40) &&
        (target.size() != 2 || is_present_[static_cast<std::size_t>(target[1] - '0')])) {
        out["applied_to"] = json::array({target});
    }
    if (chance(12)) {
        out["action"] = "allow";
        out["services"] = json::array({"udp/50-60"});
        out["alg"] = "tftp";
    }
    return out;
}

// A rule keeps its `alg` only where the document may have one.
void settle_alg(json& section) {
    for (json& rule : section["rules"]) {
        if (rule["action"] != "allow" || !section["stateful"].get<bool>()) { rule.erase("alg"); }
    }
}

json RandomPolicy::section() {
    json out = {{"name", "s" + std::to_string(names_++ % 1000)},
                {"stateful", chance(70)},
                {"tcp_strict", chance(60)},
                {"rules", json::array()}};
    for (unsigned count = 1 + below(4); count > 0; --count) { out["rules"].push_back(rule()); }
    settle_alg(out);
    return out;
}

json RandomPolicy::acl() {
    json out = {{"name", "acl" + std::to_string(names_++ % 1000)},
                {"applied_to", {one_of(std::array{"any", "red", "blue", "plain"})}},
                {"rules", json::array()}};
    for (unsigned count = 1 + below(3); count > 0; --count) {
        json rule = {{"name", "r" + std::to_string(names_++ % 1000)},
                     {"action", one_of(std::array{"permit", "deny", "deny", "count"})},
                     {"direction", one_of(std::array{"in", "out", "both"})},
                     {"source", addresses()},
                     {"destination", addresses()},
                     {"services", services()}};
        if (chance(20)) { rule["dscp"] = below(2) * 46; }
        if (chance(10)) { rule["vlan"] = 10; }
        if (chance(10)) { rule["source_mac"] = one_of(kMacs); }
        if (chance(10)) { rule["ethertype"] = "0x0800"; }
        if (rule["services"].empty() && chance(60)) { rule["tcp_flags"] = one_of(kTcpFlags); }
        if (rule["action"] != "deny" && chance(40)) { rule["set_dscp"] = 1 + below(63); }
        out["rules"].push_back(rule);
    }
    return out;
}

void RandomPolicy::change_rules() {
    json& dfw = document_["dfw"];
    json& sections = dfw["sections"];
    const unsigned what = below(10);
    if (what == 0) { dfw["default"] = chance(65) ? "allow" : (chance(50) ? "drop" : "reject"); }
    if (what <= 2 && sections.size() < 4) { sections.insert(sections.begin(), section()); }
    if (what == 3 && !sections.empty()) {
        sections.erase(below(static_cast<unsigned>(sections.size())));
    }
    if (what >= 4 && !sections.empty()) {
        json& chosen = sections[below(static_cast<unsigned>(sections.size()))];
        json& rules = chosen["rules"];
        const unsigned at = below(static_cast<unsigned>(rules.size()));
        if (what == 4) { rules.insert(rules.begin() + at, rule()); }
        if (what == 5 && rules.size() > 1) { rules.erase(at); }
        if (what == 6) { std::swap(rules[0], rules[at]); }
        if (what == 7) { rules[at]["action"] = rules[at]["action"] == "allow" ? "drop" : "allow"; }
        if (what == 8) { chosen["stateful"] = !chosen["stateful"].get<bool>(); }
        if (what == 9) { chosen["tcp_strict"] = !chosen["tcp_strict"].get<bool>(); }
        settle_alg(chosen);
    }
}

void RandomPolicy::change_ports() {
    json& chosen = port();
    const unsigned what = below(9);
    if (what == 0) { chosen["enabled"] = chance(80); }
    if (what == 1 && chance(30)) { chosen["overrides"] = {{"vlan", {{"mode", "none"}}}}; }
    if (what == 2 && chance(30)) {
        chosen["overrides"] = {{"vlan", {{"mode", "access"}, {"id", chance(70) ? 10 : 3}}}};
    }
    if (what == 3) {
        chosen["overrides"] = {{"security",
                                {{"promiscuous", chance(40)},
                                 {"forged_transmits", chance(40)},
                                 {"mac_changes", chance(30)}}}};
    }
    if (what == 4) { chosen.erase("overrides"); }
    if (what == 5) { chosen["tags"] = {{"colour", one_of(std::array{"red", "blue", "green"})}}; }
    if (what == 6) {
        document_["dfw"]["exclude"] =
            chance(60) ? json::array() : json::array({one_of(std::array{"red", "blue", "a10"})});
    }
    if (what == 7) { document_["switches"][0]["mtu"] = chance(30) ? 900 : 1500; }
    if (what == 8) { turn_addresses(chosen); }
}

// What the document does not say of a vNIC, its frames may.
void RandomPolicy::turn_addresses(json& port) {
    if (port.erase("ips") > 0) { return; }
    const auto name = port["name"].get<std::string>();
    const Vnic vnic = vnic_of(static_cast<std::size_t>(name[1] - '0'));
    port["ips"] = {to_string(vnic.ip4), to_string(vnic.ip6)};
}

void RandomPolicy::change_groups() {
    json& chosen = group();
    const unsigned what = below(15);
    if (what > 12) { return change_routes(); }
    if (what == 12) { chosen["arp_suppression"] = chance(50); }
    if (what == 0) {
        chosen["spoofguard"] = one_of(std::array{"manual", "auto", "auto", "off", "off", "off"});
        chosen["bindings"] = {{"arp", below(3)}, {"nd", below(4)}};
    }
    if (what == 1) {
        chosen["guards"] = {{"dhcp_server", chance(50)},
                            {"dhcp_client", chance(30)},
                            {"ra", chance(50)},
                            {"non_ip", chance(30)},
                            {"bpdu", chance(50)}};
    }
    if (what == 2) {
        chosen["limits"] = {{"arp_pps", one_of(std::array{0, 5, 50})},
                            {"broadcast_pps", one_of(std::array{0, 0, 20})},
                            {"flows", one_of(std::array{0, 0, 1, 5, 40})}};
    }
    if (what == 3) { chosen["security"] = {{"forged_transmits", chance(40)}}; }
    if (what == 4) {
        document_["address_sets"][0]["members"] =
            chance(50) ? json{"10.0.0.1", "10.0.0.3"} : json{"10.0.0.0/30", "2001:db8::/125"};
    }
    if (what == 5) { document_["acls"] = chance(40) ? json::array() : json::array({acl(), acl()}); }
    if (what == 6) {
        document_["dfw"]["limits"] = {{"connections_per_port", one_of(std::array{0, 0, 10, 100})},
                                      {"half_open_per_port", one_of(std::array{0, 0, 3})}};
    }
    if (what == 7) { document_["dfw"]["timeouts"]["udp_s"] = 1 + below(5); }
    if (what == 8) {
        chosen["mac_learning"] = {{"enabled", chance(60)},
                                  {"unknown_unicast_flood", chance(50)},
                                  {"limit", one_of(std::array{0, 1, 2, 3})},
                                  {"age_s", 0}};
    }
    if (what == 9) {
        document_["switches"][0]["multicast"] = {{"snooping", chance(80)},
                                                 {"flood_unregistered", chance(50)},
                                                 {"querier", {{"enabled", false}}}};
    }
    if (what == 10) {  // Members elsewhere.
        const std::string some = "10.0.0." + std::to_string(1 + below(9));
        document_["groups"][below(2)]["addresses"] =
            chance(50) ? json::array() : json::array({some, "2001:db8::4/126"});
    }
    if (what == 11) { document_["bindings"] = bindings(); }
}

/// Some of the vNICs' own, some of hosts elsewhere.
json RandomPolicy::bindings() {
    json list = json::array();
    for (const char* name : {"plain", "a10"}) {
        if (chance(40)) { continue; }
        list.push_back({{"port_group", name},
                        {"mac", to_string(vnic_of(below(9)).mac)},
                        {"ip", "10.0.0." + std::to_string(1 + below(9))}});
    }
    return list;
}

void RandomPolicy::change_once() {
    const unsigned what = below(12);
    if (what < 6) { return change_rules(); }
    if (what < 8) { return change_ports(); }
    if (what < 11) { return change_groups(); }
    come_or_go();
}

// One of the two ports that no rule names.
void RandomPolicy::come_or_go() {
    const std::size_t index = chance(50) ? 3 : 5;
    json& ports = document_["ports"];
    if (!is_present_[index]) {
        ports.push_back(port_of(port_name(index), kGroupOf[index], vnic_of(index)));
    } else {
        for (std::size_t i = 0; i < ports.size(); ++i) {
            if (ports[i]["name"] == port_name(index)) {
                ports.erase(i);
                break;
            }
        }
    }
    is_present_[index] = !is_present_[index];
}

// One rule of an ACL, most of which apply to a few flows only.
void RandomPolicy::refine_acl() {
    json& acls = document_["acls"];
    if (acls.empty()) { return acls.push_back(acl()); }
    json& rules = acls[below(static_cast<unsigned>(acls.size()))]["rules"];
    const unsigned at = below(static_cast<unsigned>(rules.size()));
    const unsigned what = below(3);
    if (what == 0 && rules.size() < 6) { rules.insert(rules.begin() + at, acl()["rules"][0]); }
    if (what == 1 && rules.size() > 1) { rules.erase(at); }
    if (what == 2) {
        rules[at]["action"] = rules[at]["action"] == "deny" ? "permit" : "deny";
        rules[at].erase("set_dscp");
    }
}

void RandomPolicy::refine() {
    const unsigned what = below(13);
    if (what == 12) { return change_routes(); }
    if (what < 6) { return change_rules(); }
    if (what == 6) { return refine_acl(); }
    if (what == 7) { return come_or_go(); }
    if (what == 8) {
        port()["tags"] = {{"colour", one_of(std::array{"red", "blue", "green"})}};
        return;
    }
    if (what == 9 && chance(5)) { return reset(); }
    if (what == 9 && chance(30)) { return turn_addresses(port()); }
    json& sections = document_["dfw"]["sections"];
    if (what == 10 && !sections.empty()) {
        json& rules = sections[below(static_cast<unsigned>(sections.size()))]["rules"];
        json& rule = rules[below(static_cast<unsigned>(rules.size()))];
        rule["applied_to"] = {one_of(kTargets)};
        return;
    }
    document_["address_sets"][below(2)]["members"] = {"10.0.0." + std::to_string(below(4)),
                                                      "10.0.0." + std::to_string(4 + below(4)),
                                                      "2001:db8::" + std::to_string(below(8))};
}

void RandomPolicy::change() {
    if (chance(8)) { reset(); }
    for (unsigned count = 1 + below(3); count > 0; --count) { change_once(); }
}

}  // namespace sluice::test
