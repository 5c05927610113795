// SPDX-License-Identifier: Apache-2.0
// Values come from the types, meanings from the list below; a key without a meaning fails the unit
// test.
#include "controller-agent/defaults.h"

#include <algorithm>
#include <array>
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
        {"switches[].uplinks",
         "what carries the switch's VLANs and VTEPs; an uplink has one switch"},
        {"switches[].mtu", "bytes of layer 3 in the largest frame"},
        {"switches[].multicast.snooping",
         "while a querier is heard, groups reach only ports that asked for them (IGMP, MLD)"},
        {"switches[].multicast.flood_unregistered",
         "groups that nobody asked for go everywhere; else to routers and uplinks"},
        {"switches[].multicast.querier.enabled", "the switch itself asks who wants which group"},
        {"switches[].multicast.querier.interval_s", "seconds between its questions"},
        {"port_groups[].switch", "the only switch, if there is one only"},
        {"port_groups[].arp_suppression", "known ARP and ND questions are answered by the switch"},
        {"port_groups[].addresses", "the same of a port group, as groups[].addresses"},
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
        {"ports[].port_group",
         "the only port group, if there is one only; kind service: none, its frames are tagged"},
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

const Meanings& fabric_meanings() {
    static const Meanings kMeanings{
        {"vteps[].ip", "its address on the underlay, with the subnet's length; needed"},
        {"vteps[].mac", "its own; locally administered, always the same for a host and a name"},
        {"vteps[].gateway", "in the subnet; towards remote VTEPs of other subnets"},
        {"vteps[].uplink", "the only uplink, if there is one only"},
        {"vteps[].vlan", "tag of its frames on the underlay, 0 = none"},
        {"vteps[].mtu",
         "bytes of layer 3 that the underlay carries; VXLAN takes 50 (IPv6: 70) of them"},
        {"vteps[].udp_port", "destination port of VXLAN, on both sides"},
        {"switches[].remote_vteps", "VTEPs of other hosts: who may send, and gets copies for all"},
        {"switches[].bfd.enabled", "remote VTEPs are watched by BFD"},
        {"switches[].bfd.interval_ms", "milliseconds between its packets, each way"},
        {"switches[].bfd.multiplier", "so many missed in a row: the remote VTEP is down"},
        {"switches[].teaming.policy",
         "which uplink a vNIC's frames take: port_id, src_mac, ip_hash, load or explicit"},
        {"switches[].teaming.active", "uplinks in use, in order; none = all but `standby`"},
        {"switches[].teaming.standby", "uplinks that stand in for failed ones, in order"},
        {"switches[].teaming.failback", "an active uplink that recovered is used again"},
        {"switches[].teaming.failback_hold_s", "seconds that it must have worked before"},
        {"switches[].teaming.failure_detection",
         "link: carrier; probe: beacons between the host's uplinks, too"},
        {"switches[].teaming.lacp",
         "off, active or passive: the active uplinks are one link; needs policy ip_hash"},
        {"port_groups[].vni", "VXLAN network of the group, 1..16777215, in place of VLANs"},
        {"port_groups[].replication",
         "frames for all to other hosts: unicast, hybrid, multicast, head_end or service_node; "
         "with a "
         "vni only"},
        {"port_groups[].flood_vteps",
         "of head_end: each gets a copy; of service_node: one that works does"},
        {"port_groups[].multicast_group", "of the underlay; hybrid and multicast need one"},
        {"port_groups[].teaming", "in place of the switch's, whole; without lacp"},
        {"bindings[].vtep", "of a group with a vni: the remote VTEP behind which it is"},
        {"routers[].mac", "of its interfaces towards vNICs, the same on every host"},
        {"routers[].interfaces", "one a network"},
        {"routers[].routes", "static ones, each prefix once"},
        {"routers[].interfaces[].port_group",
         "the only port group, if there is one only; no trunk"},
        {"routers[].interfaces[].addresses",
         "with the lengths of their subnets, which don't overlap"},
        {"routers[].interfaces[].dhcp_relay",
         "DHCPv4 servers that get what clients ask; none = no relay"},
        {"routers[].routes[].prefix", "destinations, without host bits; needed"},
        {"routers[].routes[].next_hops", "on connected subnets; several share the traffic"},
        {"routers[].routes[].blackhole", "drops; then there are no next hops"},
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
        {"groups[].addresses",
         "of members on other hosts, for rules that name the group; no part of applied_to"},
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

const Meanings& service_meanings() {
    static const Meanings kMeanings{
        {"service_chains[].rules", "of each slot in order, first match wins; else direct"},
        {"service_chains[].rules[].action", "redirect or bypass"},
        {"service_chains[].rules[].initiator",
         "both, in or out: who opened the connection, seen from the VM; out did itself"},
        {"service_chains[].rules[].source", "of the packet that opens: addresses, prefixes, names"},
        {"service_chains[].rules[].destination",
         "of the packet that opens: addresses, prefixes, names"},
        {"service_chains[].rules[].services", "of the packet that opens: protocols and ports"},
        {"service_chains[].rules[].applied_to", "groups, port groups, ports"},
        {"service_chains[].rules[].slot", "4..12: where in the vNIC's chain"},
        {"service_chains[].rules[].on_failure",
         "while no instance works: open goes on without it, closed drops"},
        {"service_chains[].rules[].instances", "redirect needs at least one"},
        {"service_chains[].rules[].instances[].in",
         "port of kind service: what leaves the VM goes out by it; or vtep, or module"},
        {"service_chains[].rules[].instances[].out", "its other leg; none = one leg"},
        {"service_chains[].rules[].instances[].weight",
         "share of new connections, 0..1000; 0 = draining"},
        {"service_chains[].rules[].instances[].encapsulation",
         "plain (a VLAN tag a layer-2 domain) or nsh"},
        {"service_chains[].rules[].instances[].vtep", "the remote VTEP behind which it is"},
        {"service_chains[].rules[].instances[].vni",
         "network by which hosts hand it frames; with vtep it is needed"},
        {"service_chains[].rules[].instances[].path", "NSH service path, 1..16777215"},
        {"service_chains[].rules[].instances[].module", "name of an in-process service"},
        {"encryption.key_policies", "who seals with what"},
        {"encryption.rules", "in order, first match wins, either way round; else clear"},
        {"encryption.key_policies[].algorithm",
         "aes-128-gcm, aes-256-gcm or aes-128-gmac (integrity only)"},
        {"encryption.key_policies[].rotate_s", "seconds of an epoch, each with keys of its own"},
        {"encryption.key_policies[].key_file", "absolute path of a group key; or keys"},
        {"encryption.key_policies[].id", "1..63, what packets name it by"},
        {"encryption.key_policies[].keys",
         "group keys sealed to hosts: epoch from which on, hosts by public key"},
        {"encryption.rules[].action", "encrypt, integrity or clear"},
        {"encryption.rules[].required",
         "plaintext neither leaves nor enters; of action clear: false"},
        {"encryption.rules[].key_policy", "needed but for action clear"},
        {"encryption.rules[].source", "addresses, prefixes, names"},
        {"encryption.rules[].destination", "addresses, prefixes, names"},
        {"encryption.rules[].services", "protocols and ports"},
        {"encryption.rules[].applied_to", "groups, port groups, ports"},
    };
    return kMeanings;
}

std::string meaning_of(const std::string& key) {
    for (const Meanings* meanings :
         {&network_meanings(), &fabric_meanings(), &policy_meanings(), &service_meanings()}) {
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
        static const std::map<std::string_view, std::string> kComputed{
            {"ports[].mac", "from the name"},
            {"vteps[].mac", "from the names"},
            {"vteps[].ip", "none, needed"},
            {"routers[].routes[].prefix", "none, needed"},
            {"bindings[].mac", "none, needed"},
            {"bindings[].ip", "none, needed"},
            {"ports[].interface", "the port's name"},
            {"uplinks[].device", "none"},
            {"ports[].socket", model::default_socket("NAME")},
        };
        constexpr std::array<std::string_view, 5> kOnlyOne{
            "bindings[].port_group", "port_groups[].switch", "ports[].port_group", "vteps[].uplink",
            "routers[].interfaces[].port_group"};
        if (std::find(kOnlyOne.begin(), kOnlyOne.end(), key) != kOnlyOne.end()) {
            return "see right";
        }
        const auto found = kComputed.find(key);
        return found == kComputed.end() ? value.dump() : found->second;
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
    table.add_object("vteps[]", to_json_value(model::Vtep{}, Detail::kAll));
    table.add("vteps[].gateway", "none");
    table.add_object("switches[]", to_json_value(model::Switch{}, Detail::kAll));
    table.add_object("port_groups[]", to_json_value(model::PortGroup{}, Detail::kAll));
    table.add("port_groups[].vni", "none");
    table.add("port_groups[].multicast_group", "none");
    table.add("port_groups[].teaming", "the switch's");
    table.add_object("ports[]", to_json_value(model::Port{}, Detail::kAll));
    table.add_object("address_sets[]", to_json_value(model::AddressSet{}, Detail::kAll));
    table.add_object("groups[]", to_json_value(model::Group{}, Detail::kAll));
    table.add_object("acls[]", to_json_value(model::Acl{}, Detail::kAll));
    table.add_object("acls[].rules[]", to_json_value(model::AclRule{}, Detail::kAll));
    table.add_object("bindings[]", to_json_value(model::Binding{}, Detail::kAll));
    table.add("bindings[].vlan", "none, a trunk needs one");
    table.add("bindings[].vtep", "none");
    table.add_object("routers[]", to_json_value(model::Router{}, Detail::kAll));
    table.add_object("routers[].interfaces[]",
                     to_json_value(model::RouterInterface{}, Detail::kAll));
    table.add_object("routers[].routes[]", to_json_value(model::Route{}, Detail::kAll));
    table.add_object("dfw", to_json_value(model::Dfw{}, Detail::kAll));
    table.add_object("dfw.sections[]", to_json_value(model::Section{}, Detail::kAll));
    table.add_object("dfw.sections[].rules[]", to_json_value(model::Rule{}, Detail::kAll));
    table.add_object("service_chains[]", to_json_value(model::ServiceChain{}, Detail::kAll));
    table.add_object("service_chains[].rules[]", to_json_value(model::ServiceRule{}, Detail::kAll));
    table.add_object("service_chains[].rules[].instances[]",
                     to_json_value(model::ServiceInstance{}, Detail::kAll));
    table.add("service_chains[].rules[].instances[].vtep", "none");
    table.add("service_chains[].rules[].instances[].vni", "none");
    table.add("service_chains[].rules[].instances[].path", "from the name");
    table.add_object("encryption", to_json_value(model::Encryption{}, Detail::kAll));
    table.add_object("encryption.key_policies[]", to_json_value(model::KeyPolicy{}, Detail::kAll));
    table.add("encryption.key_policies[].id", "from the name");
    table.add_object("encryption.rules[]", to_json_value(model::EncryptionRule{}, Detail::kAll));
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
