// SPDX-License-Identifier: Apache-2.0
// `show ...`: what runs, as tables. A table is an array of fields; a new column is a new line.
#include <array>
#include <cstdio>

#include "command.h"
#include "format.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
constexpr Align kRight = Align::kRight;

std::string busy_percent(const json& row) {
    const auto busy = number_of(value_at(row, "busy_cycles"));
    const auto idle = number_of(value_at(row, "idle_cycles"));
    if (busy + idle == 0) { return "-"; }
    return std::to_string(busy / ((busy + idle) / 100 + 1)) + "%";
}
std::string as_percent(const json& value) {
    return value.is_number() ? std::to_string(number_of(value)) + "%" : as_text(value);
}

// "10", "VNI 5001", "0" for untagged.
std::string network_of(const json& row) {
    const json vni = value_at(row, "vni");
    return vni.is_number() ? "VNI " + as_text(vni) : as_text(value_at(row, "vlan"));
}

constexpr std::array kPortFields{
    Field{"PORT", "name", as_text},
    Field{"PORT GROUP", "port_group", as_text},
    Field{"KIND", "kind", as_text},
    Field{"STATE", "state", as_text},
    Field{"MAC", "mac", as_text},
    Field{"IPS", "ips", as_text},
    Field{"RX PACKETS", "rx_packets", as_count, kRight},
    Field{"RX BYTES", "rx_bytes", as_bytes, kRight},
    Field{"TX PACKETS", "tx_packets", as_count, kRight},
    Field{"TX BYTES", "tx_bytes", as_bytes, kRight},
    Field{"DROPS", "drops", as_sum, kRight},
    Field{"WHY DOWN", "detail", as_text},
};

// "distributing with 02:00:00:00:00:01"
std::string as_lacp(const json& lacp) {
    if (!lacp.is_object()) { return "-"; }
    const json partner = value_at(lacp, "partner");
    const std::string state = as_text(value_at(lacp, "state"));
    return partner.is_null() ? state : state + " with " + as_text(partner);
}

constexpr std::array kUplinkFields{
    Field{"UPLINK", "name", as_text},
    Field{"DEVICE", "device", as_text},
    Field{"SWITCH", "switch", as_text},
    Field{"STATE", "state", as_text},
    Field{"WHY", "why", as_text},
    Field{"ROLE", "role", as_text},
    Field{"WORKS", "works", as_text},
    Field{"WHY UNUSED", "why_unused", as_text},
    Field{"VNICS", "vnics", as_count, kRight},
    Field{"LACP", "lacp", as_lacp},
    Field{"MAC", "mac", as_text},
    Field{"MTU", "mtu", as_text, kRight},
    Field{"MBIT/S", "speed_mbps", as_text, kRight},
    Field{"RX PACKETS", "rx_packets", as_count, kRight},
    Field{"RX BYTES", "rx_bytes", as_bytes, kRight},
    Field{"TX PACKETS", "tx_packets", as_count, kRight},
    Field{"TX BYTES", "tx_bytes", as_bytes, kRight},
    Field{"DROPS", "drops", as_sum, kRight},
    Field{"DEVICE DROPS", "device_drops", as_sum, kRight},
};

// Own VTEPs first; a column that a row lacks is empty.
std::string bfd_of(const json& row) {
    const json state = value_at(row, "bfd.state");
    return state.is_null() ? "-" : as_text(state);
}

constexpr std::array kVtepFields{
    Field{"VTEP", "vtep", as_text},
    Field{"KIND", "kind", as_text},
    Field{"IP", "ip", as_text},
    Field{"STATE", "state", as_text},
    Field{"WHY", "why", as_text},
    Field{"SINCE", "since_s", as_duration, kRight},
    Field{"UPLINK", "uplink", as_text},
    Field{"MAC", "mac", as_text},
    Field{"NEXT HOP", "next_hop", as_text},
    Field{"NEXT HOP MAC", "next_hop_mac", as_text},
    Field{"BFD", "", bfd_of},
    Field{"LOSS", "loss_percent", as_percent, kRight},
    Field{"RTT US", "rtt_us", as_count, kRight},
    Field{"MACS", "macs", as_count, kRight},
    Field{"PORTS", "ports", as_count, kRight},
    Field{"RX PACKETS", "rx_packets", as_count, kRight},
    Field{"TX PACKETS", "tx_packets", as_count, kRight},
};

constexpr std::array kSlotFields{
    Field{"SLOT", "slot", as_text, kRight},
    Field{"NAME", "name", as_text},
    Field{"STATE", "state", as_text},
    Field{"ON FAILURE", "on_failure", as_text},
    Field{"FROM VM", "from_vm.packets", as_count, kRight},
    Field{"DROPS", "from_vm.drops", as_count, kRight},
    Field{"TO VM", "to_vm.packets", as_count, kRight},
    Field{"DROPS", "to_vm.drops", as_count, kRight},
};

constexpr std::array kRuleFields{
    Field{"SECTION", "section", as_text},
    Field{"RULE", "name", as_text},
    Field{"ACTION", "action", as_text},
    Field{"HITS", "hits", as_count, kRight},
    Field{"PACKETS", "packets", as_count, kRight},
    Field{"BYTES", "bytes", as_bytes, kRight},
};

constexpr std::array kAclFields{
    Field{"ACL", "acl", as_text},
    Field{"RULE", "name", as_text},
    Field{"ACTION", "action", as_text},
    Field{"HITS", "hits", as_count, kRight},
    Field{"PACKETS", "packets", as_count, kRight},
    Field{"BYTES", "bytes", as_bytes, kRight},
};

constexpr std::array kRuleFindingFields{
    Field{"SECTION", "section", as_text}, Field{"RULE", "rule", as_text},
    Field{"FINDING", "finding", as_text}, Field{"BY", "by", as_text},
    Field{"WHY", "detail", as_text},
};

constexpr std::array kFlowFields{
    Field{"INGRESS", "ingress", as_text},          Field{"KEY", "key", as_text},
    Field{"PROGRAM", "program", as_text},          Field{"OUTPUT", "output", as_text},
    Field{"PACKETS", "packets", as_count, kRight}, Field{"BYTES", "bytes", as_bytes, kRight},
    Field{"IDLE", "idle_s", as_duration, kRight},
};

constexpr std::array kWorkerFields{
    Field{"WORKER", "worker", as_text, kRight},
    Field{"CORE", "core", as_text, kRight},
    Field{"BUSY", "", busy_percent, kRight},
    Field{"ASLEEP", "sleep_percent", as_percent, kRight},
    Field{"PACKETS", "packets", as_count, kRight},
    Field{"CYCLES/PACKET", "cycles_per_packet", as_count, kRight},
    Field{"FLOWS", "flows", as_count, kRight},
};

constexpr std::array kBindingFields{
    Field{"PORT", "port", as_text},
    Field{"MAC", "mac", as_text},
    Field{"IP", "ip", as_text},
    Field{"VLAN", "", network_of, kRight},
    Field{"SOURCE", "source", as_text},
    Field{"STATE", "state", as_text},
    Field{"SEEN", "age_s", as_duration, kRight},
    Field{"EXPIRES", "expires_s", as_duration, kRight},
};

constexpr std::array kArpFields{
    Field{"SWITCH", "switch", as_text}, Field{"VLAN", "", network_of, kRight},
    Field{"IP", "ip", as_text},         Field{"MAC", "mac", as_text},
    Field{"PORT", "port", as_text},     Field{"SOURCE", "source", as_text},
    Field{"STATE", "state", as_text},   Field{"EXPIRES", "expires_s", as_duration, kRight},
};

// "10: 3, 20: 1, VNI 5001: 2": networks and how many ports are in them; 0 is untagged.
std::string domains_of(const json& domains) {
    std::string text;
    for (const json& domain : domains) {
        const json vlan = value_at(domain, "vlan");
        text += (text.empty() ? "" : ", ");
        const json vni = value_at(domain, "vni");
        const std::string vlan_text = vlan == 0 ? "untagged" : as_text(vlan);
        text += (vni.is_number() ? "VNI " + as_text(vni) : vlan_text) + ": " +
                as_text(value_at(domain, "ports"));
    }
    return text.empty() ? "-" : text;
}

constexpr std::array kSwitchFields{
    Field{"SWITCH", "name", as_text},
    Field{"MTU", "mtu", as_text, kRight},
    Field{"UPLINKS", "uplinks", as_text},
    Field{"PORT GROUPS", "port_groups", as_text},
    Field{"PORTS", "ports", as_count, kRight},
    Field{"NETWORKS: PORTS", "domains", domains_of},
    Field{"TEAMING", "teaming.policy", as_text},
    Field{"VTEPS", "vteps", as_text},
    Field{"REMOTE VTEPS", "remote_vteps", as_text},
    Field{"MULTICAST", "multicast", as_text},
};

constexpr std::array kGroupFields{
    Field{"GROUP", "name", as_text},
    Field{"TAGS", "tags", as_text},
    Field{"PORTS", "ports", as_text},
    Field{"ADDRESSES", "addresses", as_text},
};

void render_switches(const json& r, const View& v) {
    print_rows(r, kSwitchFields, v, "no switches");
}
void render_groups(const json& r, const View& v) { print_rows(r, kGroupFields, v, "no groups"); }
void render_ports(const json& r, const View& v) { print_rows(r, kPortFields, v, "no ports"); }
void render_uplinks(const json& r, const View& v) { print_rows(r, kUplinkFields, v, "no uplinks"); }
void render_vteps(const json& r, const View& v) { print_rows(r, kVtepFields, v, "no VTEPs"); }
void render_rule_findings(const json& r, const View& v) {
    print_rows(r, kRuleFindingFields, v, "nothing found");
}
void render_rules(const json& r, const View& v) { print_rows(r, kRuleFields, v, "no rules"); }
void render_acls(const json& r, const View& v) { print_rows(r, kAclFields, v, "no ACL rules"); }
void render_flows(const json& r, const View& v) { print_rows(r, kFlowFields, v, "no flows"); }
void render_workers(const json& r, const View& v) { print_rows(r, kWorkerFields, v, "no workers"); }
void render_tree(const json& r, const View& v) { print_tree(r, v); }
void render_macs(const json& r, const View& v) {
    print_any_rows(r,
                   {"mac", "switch", "port_group", "vlan", "vni", "port", "vtep", "source", "age_s",
                    "expires_s"},
                   v, "no MACs");
}
void render_multicast(const json& r, const View& v) {
    print_any_rows(
        r, {"kind", "switch", "vlan", "vni", "group", "port", "source", "age_s", "expires_s"}, v,
        "no groups, routers or queriers");
}
void render_bindings(const json& r, const View& v) {
    print_rows(r, kBindingFields, v, "no bindings");
}
// "10.0.0.1 (02:...:01), 10.0.0.2 (unresolved)"
std::string hops_of(const json& hops) {
    std::string text;
    for (const json& hop : hops) {
        const json mac = value_at(hop, "mac");
        text += (text.empty() ? "" : ", ") + as_text(value_at(hop, "ip")) + " (" +
                as_text(mac.is_null() ? value_at(hop, "state") : mac) + ")";
    }
    return text;
}

constexpr std::array kRouteFields{
    Field{"ROUTER", "router", as_text},       Field{"PREFIX", "prefix", as_text},
    Field{"KIND", "kind", as_text},           Field{"INTERFACE", "interface", as_text},
    Field{"NEXT HOPS", "next_hops", hops_of},
};

void render_routes(const json& r, const View& v) { print_rows(r, kRouteFields, v, "no routes"); }
// 0x87a02010, as captures show it.
std::string as_spi(const json& value) {
    std::array<char, 11> text{};
    std::snprintf(text.data(), text.size(), "0x%08x", static_cast<unsigned>(number_of(value)));
    return text.data();
}

constexpr std::array kSendingFields{
    Field{"  SEALS AT", "vtep", as_text},
    Field{"SPI", "spi", as_spi},
    Field{"PACKETS", "packets", as_count, kRight},
    Field{"BYTES", "bytes", as_bytes, kRight},
};
constexpr std::array kReceivingFields{
    Field{"  OPENS OF", "vtep", as_text},
    Field{"SPI", "spi", as_spi},
    Field{"PACKETS", "packets", as_count, kRight},
    Field{"BYTES", "bytes", as_bytes, kRight},
    Field{"REPLAYED", "replayed", as_count, kRight},
    Field{"BAD TAGS", "bad_tags", as_count, kRight},
};

void render_encryption(const json& r, const View& v) {
    if (r.empty()) { v.out << "no key policies\n"; }
    for (const json& row : r) {
        v.out << paint(v, Color::kBold, printable(as_text(value_at(row, "policy")))) << "  "
              << as_text(value_at(row, "algorithm")) << ", number " << as_text(value_at(row, "id"))
              << ", key " << as_text(value_at(row, "key_id")) << ", epoch "
              << as_text(value_at(row, "epoch")) << ", next in "
              << as_duration(value_at(row, "next_rotation_s")) << '\n';
        for (const char* key : {"why", "fault"}) {
            if (row.contains(key)) {
                v.out << paint(v, Color::kRed, "  ! " + printable(as_text(value_at(row, key))))
                      << '\n';
            }
        }
        print_rows(value_at(row, "sending"), kSendingFields, v, "  seals nothing");
        print_rows(value_at(row, "receiving"), kReceivingFields, v, "  opens nothing yet");
    }
}

void render_arps(const json& r, const View& v) { print_rows(r, kArpFields, v, "no addresses"); }

void render_chain(const json& result, const View& view) {
    view.out << "port " << printable(as_text(value_at(result, "port")))
             << "; from the VM downwards, to the VM upwards\n";
    print_rows(value_at(result, "slots"), kSlotFields, view, "no slots");
}

void render_audit(const json& result, const View& view) {
    Table table({{"BOOK"}, {"PACKETS", kRight}});
    for (const char* key : {"received", "created", "sent", "consumed", "dropped", "held"}) {
        table.add({key, as_count(value_at(result, key))});
    }
    table.print(view);
    const json rest = value_at(result, "unaccounted");
    if (rest.is_number() && rest != 0) {
        view.out << paint(view, Color::kRed, rest.dump() + " packets unaccounted for") << '\n';
    } else {
        view.out << paint(view, Color::kGreen, "books balance") << '\n';
    }
}

void render_drops(const json& result, const View& view) {
    if (result.contains("unaccounted")) { return render_audit(result, view); }
    Table table({{"REASON"}, {"PACKETS", kRight}});
    bool any = false;
    for (const auto& [reason, count] : result.items()) {
        if (number_of(count) == 0) { continue; }
        any = true;
        table.add({reason, as_count(count)});
    }
    if (!any) {
        view.out << "no drops\n";
        return;
    }
    table.print(view);
}

}  // namespace

std::vector<Command> show_commands() {
    const Argument port{"PORT", "port", Kind::kText, true, "name of a port", Offer::kPorts};
    const Argument any_port{"PORT", "port", Kind::kText, false, "only of this port", Offer::kPorts};
    return {
        {"show ports",
         "every port: state, addresses, packets, drops",
         {},
         {"show ports"},
         render_ports},
        {"show port",
         "one port: effective configuration, state, and why it is down",
         {{"NAME", "name", Kind::kText, true, "name of the port", Offer::kPorts}},
         {"show port vm1"},
         render_tree},
        {"show chain",
         "the sixteen slots of a port with packets and drops each way",
         {port},
         {"show chain vm1"},
         render_chain},
        {"show rules",
         "firewall rules in order, with hits",
         {any_port},
         {"show rules", "show rules vm1"},
         render_rules},
        {"show acls",
         "ACL rules in order, with the packets that each matched",
         {any_port},
         {"show acls", "show acls vm1"},
         render_acls},
        {"rule check",
         "rules that never match, that earlier rules take everything from, that nothing has hit",
         {{"SECTION[/RULE]", "name", Kind::kText, false,
           "only this section or rule (an ACL is \"acl NAME\")", Offer::kRules}},
         {"rule check", "rule check app", "rule check app/web-in"},
         render_rule_findings},
        show_conns_command(),
        {"show flows",
         "flow table entries, busiest first",
         {{"--top", "top", Kind::kCount, false, "at most so many"}},
         {"show flows --top 10"},
         render_flows},
        {"show bindings",
         "addresses of each port: from the document, from DHCP, and seen in ARP and neighbour "
         "discovery; a `seen` one waits for who holds the address",
         {any_port},
         {"show bindings", "show bindings vm1"},
         render_bindings},
        {"show arps",
         "the same by switch and VLAN: which MAC has each address; and the neighbours that routers "
         "and VTEPs have found",
         {},
         {"show arps"},
         render_arps},
        {"show routes",
         "routes of each router: connected and static, with the MACs of their next hops",
         {{"ROUTER", "router", Kind::kText, false, "only of this router"}},
         {"show routes", "show routes ldr1"},
         render_routes},
        {"show macs", "where each MAC address lives", {}, {"show macs"}, render_macs},
        {"show multicast",
         "groups with their ports, router ports and queriers, as snooping knows them",
         {},
         {"show multicast"},
         render_multicast},
        {"show drops",
         "dropped packets by reason; --audit checks that the books balance",
         {any_port, {"--audit", "audit", Kind::kFlag, false, "the host's books: received to held"}},
         {"show drops", "show drops vm1", "show drops --audit"},
         render_drops},
        trace_command(),
        {"show workers", "load of each worker", {}, {"show workers"}, render_workers},
        {"show uplinks",
         "uplinks: device, link, part in the team, LACP, and why one is down or not used",
         {},
         {"show uplinks"},
         render_uplinks},
        {"show vteps",
         "VTEPs: our own, and the remote ones with BFD, loss and round trip",
         {},
         {"show vteps", "-o json show vteps | jq '.[] | select(.state == \"down\")'"},
         render_vteps},
        show_services_command(),
        {"show encryption",
         "key policies: epoch, what this host seals with and opens, replayed and bad packets",
         {},
         {"show encryption", "-o json show encryption | jq '.[].receiving'"},
         render_encryption},
        {"show switches",
         "switches: MTU, uplinks and teaming, VTEPs, port groups, networks and their ports",
         {},
         {"show switches", "-o json show switches | jq .[0].domains"},
         render_switches},
        {"show groups",
         "tag groups: their ports and addresses now",
         {},
         {"show groups"},
         render_groups},
    };
}

}  // namespace sluice::cli
