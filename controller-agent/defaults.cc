// SPDX-License-Identifier: Apache-2.0
// Values come from the types, meanings from the list below; a key without a meaning fails the unit
// test.
#include "controller-agent/defaults.h"

#include <map>
#include <string_view>

#include "controller-agent/write_json.h"

namespace sluice::agent {
namespace {

using Meanings = std::map<std::string_view, std::string_view>;

const Meanings& network_meanings() {
    static const Meanings kMeanings{
        {"host.name", "name of this hypervisor"},
        {"uplinks[].device", "DPDK's device string, needed"},
        {"switches[].uplinks", "the uplink that carries the switch's VLANs, one at most"},
        {"switches[].mtu", "bytes of layer 3 in the largest frame"},
        {"switches[].multicast.snooping",
         "while a querier is heard, groups reach only ports that asked for them (IGMP, MLD)"},
        {"switches[].multicast.flood_unregistered",
         "groups that nobody asked for go everywhere; else to routers and uplinks"},
        {"switches[].multicast.querier.enabled", "the switch itself asks who wants which group"},
        {"switches[].multicast.querier.interval_s", "seconds between its questions"},
        {"port_groups[].switch", "the only switch, if there is one only"},
        {"port_groups[].arp_suppression", "known ARP and ND questions are answered by the switch"},
        {"port_groups[].vlan.mode", "none, access or trunk"},
        {"port_groups[].vlan.id", "VLAN of an access group, 1..4094"},
        {"port_groups[].vlan.ranges", "VLANs that a trunk passes"},
        {"port_groups[].security.promiscuous", "receives every frame of its domain"},
        {"port_groups[].security.mac_changes",
         "the guest may change its MAC; frames follow the newest"},
        {"port_groups[].security.forged_transmits", "the guest may send from a foreign MAC"},
        {"port_groups[].mac_learning.enabled", "MACs behind the vNIC are learned"},
        {"port_groups[].mac_learning.limit", "learned MACs a vNIC, 0 = no limit"},
        {"port_groups[].mac_learning.unknown_unicast_flood",
         "unknown unicast is flooded to the vNIC; with `enabled` only"},
        {"port_groups[].mac_learning.age_s", "seconds until an idle MAC is forgotten, 0 = never"},
        {"port_groups[].spoofguard", "off, auto or manual"},
        {"port_groups[].bindings.arp",
         "IPv4 addresses a vNIC may claim by first use, 1..256, 0 = no limit; leases don't count"},
        {"port_groups[].bindings.nd", "the same of IPv6"},
        {"port_groups[].bindings.age_s",
         "seconds until an idle claim is forgotten, 0 = never; leases end when they end"},
        {"port_groups[].guards.bpdu", "drops spanning-tree frames from the VM"},
        {"port_groups[].guards.dhcp_server", "drops DHCP answers from the VM"},
        {"port_groups[].guards.dhcp_client", "drops DHCP requests from the VM"},
        {"port_groups[].guards.ra", "drops IPv6 router advertisements from the VM"},
        {"port_groups[].guards.non_ip", "drops all but ARP, IPv4 and IPv6 from the VM"},
        {"port_groups[].limits.arp_pps", "ARP packets per second from a vNIC, 0 = no limit"},
        {"port_groups[].limits.nd_pps", "ND packets per second from a vNIC, 0 = no limit"},
        {"port_groups[].limits.dhcp_pps", "DHCP packets per second from a vNIC, 0 = no limit"},
        {"port_groups[].limits.broadcast_pps", "broadcasts per second from a vNIC, 0 = no limit"},
        {"port_groups[].limits.multicast_pps", "multicasts per second from a vNIC, 0 = no limit"},
        {"port_groups[].limits.flows", "flow-table entries of a vNIC, 0 = no limit"},
        {"ports[].port_group", "the only port group, if there is one only"},
        {"ports[].kind", "vhost, kernel or service"},
        {"ports[].socket", "vhost-user socket"},
        {"ports[].socket_mode", "client: QEMU listens; server: the switch listens"},
        {"ports[].interface", "kind kernel: its name in the host's stack"},
        {"ports[].netns",
         "kind kernel: network namespace below /run/netns, empty = the daemon's own"},
        {"ports[].addresses", "kind kernel: addresses that the interface gets; they count as ips"},
        {"ports[].mac", "locally administered, always the same for a name"},
        {"ports[].ips", "the vNIC's own addresses"},
        {"ports[].tags", "what groups select ports by"},
        {"ports[].enabled", "false: no frame in or out"},
        {"ports[].overrides", "vlan and security of this port in place of its group's"},
    };
    return kMeanings;
}

const Meanings& policy_meanings() {
    static const Meanings kMeanings{
        {"bindings[].port_group", "the only port group, if there is one only"},
        {"bindings[].mac", "a vNIC of that network: the address is its own; else a host elsewhere"},
        {"bindings[].ip", "who has it; once in a network"},
        {"bindings[].vlan", "of a trunk group: the VLAN"},
        {"address_sets[].members", "addresses and prefixes; none = matches nothing"},
        {"groups[].tags", "tags that a member carries; none = no member"},
        {"acls[].applied_to", "groups, port groups, ports"},
        {"acls[].rules", "in order, first match wins; without a match: permit"},
        {"acls[].rules[].action", "permit, deny, or count: counts and goes on to the next rule"},
        {"acls[].rules[].direction", "both, in or out, seen from the VM"},
        {"acls[].rules[].source", "addresses, prefixes, names"},
        {"acls[].rules[].destination", "addresses, prefixes, names"},
        {"acls[].rules[].services", "protocols and ports"},
        {"dfw.default", "allow, drop or reject: what no rule matches, stateful"},
        {"dfw.sections", "in order, first match wins"},
        {"dfw.exclude", "groups, port groups and ports that the firewall leaves alone"},
        {"dfw.sections[].stateful", "replies of an allowed connection pass"},
        {"dfw.sections[].tcp_strict", "a TCP connection starts with a SYN only"},
        {"dfw.sections[].rules", "in order, first match wins"},
        {"dfw.sections[].rules[].action", "allow, drop or reject"},
        {"dfw.sections[].rules[].direction", "both, in or out, seen from the VM"},
        {"dfw.sections[].rules[].source", "addresses, prefixes, names"},
        {"dfw.sections[].rules[].destination", "addresses, prefixes, names"},
        {"dfw.sections[].rules[].negate_source", "matches all but `source`"},
        {"dfw.sections[].rules[].negate_destination", "matches all but `destination`"},
        {"dfw.sections[].rules[].services", "protocols and ports"},
        {"dfw.sections[].rules[].applied_to", "groups, port groups, ports"},
        {"dfw.grace_s",
         "seconds after the start in which any TCP segment with ACK may begin a connection"},
        {"dfw.sections[].rules[].alg",
         "none, ftp or tftp: connections that the allowed ones announce are allowed, too"},
        {"dfw.sections[].rules[].log", "each new connection and refused flow is logged"},
        {"dfw.timeouts.tcp_syn_sent_s", "seconds after a SYN"},
        {"dfw.timeouts.tcp_syn_received_s", "seconds after a SYN and its SYN/ACK"},
        {"dfw.timeouts.tcp_established_s", "seconds, connection open"},
        {"dfw.timeouts.tcp_fin_wait_s", "seconds after the first FIN"},
        {"dfw.timeouts.tcp_close_wait_s", "seconds after the first FIN was acknowledged"},
        {"dfw.timeouts.tcp_last_ack_s", "seconds after the second FIN"},
        {"dfw.timeouts.tcp_time_wait_s", "seconds after the last ACK"},
        {"dfw.timeouts.tcp_close_s", "seconds after an RST"},
        {"dfw.timeouts.udp_s", "seconds, seen in one direction"},
        {"dfw.timeouts.udp_stream_s", "seconds, seen in both directions"},
        {"dfw.timeouts.icmp_s", "seconds after an ICMP query"},
        {"dfw.timeouts.other_s", "seconds, every other protocol"},
        {"dfw.timeouts.fragment_v4_s", "seconds that an IPv4 datagram may take to be complete"},
        {"dfw.timeouts.fragment_v6_s", "seconds that an IPv6 datagram may take to be complete"},
        {"dfw.limits.connections_per_port", "connections of a vNIC, 0 = no limit"},
        {"dfw.limits.half_open_per_port",
         "half-open TCP connections of a vNIC, the oldest gives way; 0 = no limit"},
        {"dfw.limits.connections", "connections of the host, 0 = no limit"},
    };
    return kMeanings;
}

std::string meaning_of(const std::string& key) {
    for (const Meanings* meanings : {&network_meanings(), &policy_meanings()}) {
        const auto found = meanings->find(key);
        if (found != meanings->end()) { return std::string(found->second); }
    }
    return {};
}

class Table {
public:
    void add(const std::string& key, std::string value) {
        rows_.push_back({key, std::move(value), meaning_of(key)});
    }

    /// Every key of an object but `name`; objects that have members are descended into.
    void add_object(const std::string& prefix, const Json& object) {
        for (const auto& [key, value] : object.items()) {
            const std::string full = prefix + "." + key;
            if (key == "name" && prefix != "host") { continue; }
            if (value.is_object() && !value.empty()) {
                add_object(full, value);
            } else {
                add(full, computed(full, value));
            }
            if (full == "port_groups[].vlan") { add_vlan(full); }
        }
    }

    std::vector<DefaultRow> take() && { return std::move(rows_); }

private:
    /// Defaults that depend on other parts of the document.
    static std::string computed(const std::string& key, const Json& value) {
        if (key == "ports[].mac") { return "from the name"; }
        if (key == "bindings[].mac" || key == "bindings[].ip") { return "none, needed"; }
        if (key == "bindings[].port_group") { return "see right"; }
        if (key == "ports[].interface") { return "the port's name"; }
        if (key == "uplinks[].device") { return "none"; }
        if (key == "ports[].socket") { return model::default_socket("NAME"); }
        if (key == "port_groups[].switch" || key == "ports[].port_group") { return "see right"; }
        return value.dump();
    }

    void add_vlan(const std::string& prefix) {
        add(prefix + ".id", "none, access needs one");
        add(prefix + ".ranges", "[\"" + std::to_string(model::VlanRange{}.first) + "-" +
                                    std::to_string(model::VlanRange{}.last) + "\"]");
    }

    std::vector<DefaultRow> rows_;
};

}  // namespace

std::vector<DefaultRow> defaults() {
    Table table;
    table.add_object("host", to_json_value(model::Host{}, Detail::kAll));
    table.add_object("uplinks[]", to_json_value(model::Uplink{}, Detail::kAll));
    table.add_object("switches[]", to_json_value(model::Switch{}, Detail::kAll));
    table.add_object("port_groups[]", to_json_value(model::PortGroup{}, Detail::kAll));
    table.add_object("ports[]", to_json_value(model::Port{}, Detail::kAll));
    table.add_object("address_sets[]", to_json_value(model::AddressSet{}, Detail::kAll));
    table.add_object("groups[]", to_json_value(model::Group{}, Detail::kAll));
    table.add_object("acls[]", to_json_value(model::Acl{}, Detail::kAll));
    table.add_object("acls[].rules[]", to_json_value(model::AclRule{}, Detail::kAll));
    table.add_object("bindings[]", to_json_value(model::Binding{}, Detail::kAll));
    table.add("bindings[].vlan", "none, a trunk needs one");
    table.add_object("dfw", to_json_value(model::Dfw{}, Detail::kAll));
    table.add_object("dfw.sections[]", to_json_value(model::Section{}, Detail::kAll));
    table.add_object("dfw.sections[].rules[]", to_json_value(model::Rule{}, Detail::kAll));
    return std::move(table).take();
}

std::string defaults_markdown() {
    std::string text =
        "# Defaults\n\n"
        "Generated from the model's types (controller-agent/defaults.cc); a unit test compares "
        "this file with "
        "them.\nEvery key but `name` may be left out. Keys that an ACL rule leaves out and that "
        "are not listed "
        "(MACs, ethertype,\nVLAN, TCP flags, DSCP) match everything; without `set_dscp` nothing is "
        "marked.\n\n"
        "| key | default | unit and meaning |\n|---|---|---|\n";
    for (const DefaultRow& row : defaults()) {
        text += "| `" + row.key + "` | `" + row.value + "` | " + row.meaning + " |\n";
    }
    return text;
}

}  // namespace sluice::agent
