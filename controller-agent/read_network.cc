// SPDX-License-Identifier: Apache-2.0
// Readers of host, switches, port_groups and ports.
#include <algorithm>
#include <optional>

#include "controller-agent/document_reader.h"
#include "controller-agent/service_text.h"

namespace sluice::agent {
namespace {

using model::Port;
using model::PortGroup;
using model::PortKind;
using model::SocketMode;
using model::SpoofGuard;
using model::Vlan;
using model::VlanMode;
using model::VlanRange;
using nlohmann::json;

/// Sorts and joins ranges that touch or overlap.
void normalise(std::vector<VlanRange>& ranges) {
    std::sort(ranges.begin(), ranges.end(),
              [](const VlanRange& a, const VlanRange& b) { return a.first < b.first; });
    std::vector<VlanRange> joined;
    for (const VlanRange& range : ranges) {
        if (!joined.empty() && range.first <= joined.back().last + 1) {
            joined.back().last = std::max(joined.back().last, range.last);
        } else {
            joined.push_back(range);
        }
    }
    ranges = std::move(joined);
}

void read_vlan_ranges(Fields& fields, std::vector<VlanRange>& out) {
    std::vector<std::string> items;
    fields.texts("ranges", items, kVlanRangeMax);
    for (const std::string& item : items) {
        const auto range = parse_vlan_range(item);
        if (!range) {
            fields.refuse(Errc::kInvalid, "ranges",
                          "holds " + shown(std::string_view(item)) +
                              ", which is not a VLAN or range of VLANs in 1..4094 like \"1-100\"");
            return;
        }
        out.push_back(*range);
    }
    normalise(out);
}

/// A `vlan` object. Keys that mean nothing in its mode are refused.
Vlan read_vlan(Fields fields) {
    Vlan vlan;
    fields.choice(
        "mode", vlan.mode,
        {{"none", VlanMode::kNone}, {"access", VlanMode::kAccess}, {"trunk", VlanMode::kTrunk}});
    const bool has_id = fields.number("id", vlan.id, kVlanMin, kVlanMax);
    read_vlan_ranges(fields, vlan.ranges);
    if (vlan.mode == VlanMode::kAccess && !has_id) {
        fields.refuse(Errc::kInvalid, "id", "is missing, mode access needs one in 1..4094");
    }
    if (vlan.mode != VlanMode::kAccess && has_id) {
        fields.refuse(Errc::kInvalid, "id",
                      std::to_string(vlan.id) +
                          " needs mode access, in mode none or trunk it has "
                          "no meaning");
    }
    if (vlan.mode != VlanMode::kTrunk && !vlan.ranges.empty()) {
        fields.refuse(Errc::kInvalid, "ranges",
                      "need mode trunk, in another mode they have no meaning");
    }
    if (vlan.mode == VlanMode::kTrunk && vlan.ranges.empty()) {
        vlan.ranges.push_back(VlanRange{});
    }
    fields.finish();
    return vlan;
}

void read_security(Fields fields, model::Security& security) {
    fields.flag("promiscuous", security.promiscuous);
    fields.flag("mac_changes", security.mac_changes);
    fields.flag("forged_transmits", security.forged_transmits);
    fields.finish();
}

void read_security(Fields fields, model::SecurityOverride& security) {
    const auto flag = [&fields](std::string_view key, std::optional<bool>& out) {
        bool value = false;
        if (fields.flag(key, value)) { out = value; }
    };
    flag("promiscuous", security.promiscuous);
    flag("mac_changes", security.mac_changes);
    flag("forged_transmits", security.forged_transmits);
    fields.finish();
}

void read_mac_learning(Fields fields, model::MacLearning& learning) {
    fields.flag("enabled", learning.enabled);
    fields.flag("unknown_unicast_flood", learning.unknown_unicast_flood);
    fields.number("limit", learning.limit, 0, kMacLearningMax);
    fields.number("age_s", learning.age_s, 0, kBindingAgeMaxS);
    fields.finish();
}

void read_bindings(Fields fields, model::BindingLimits& bindings) {
    fields.number("arp", bindings.arp, 0, kBindingLimitMax);
    fields.number("nd", bindings.nd, 0, kBindingLimitMax);
    fields.number("age_s", bindings.age_s, 0, kBindingAgeMaxS);
    fields.finish();
}

void read_guards(Fields fields, model::Guards& guards) {
    fields.flag("bpdu", guards.bpdu);
    fields.flag("dhcp_server", guards.dhcp_server);
    fields.flag("dhcp_client", guards.dhcp_client);
    fields.flag("ra", guards.ra);
    fields.flag("non_ip", guards.non_ip);
    fields.finish();
}

void read_limits(Fields fields, model::Limits& limits) {
    fields.number("arp_pps", limits.arp_pps, 0, kRateMaxPps);
    fields.number("nd_pps", limits.nd_pps, 0, kRateMaxPps);
    fields.number("dhcp_pps", limits.dhcp_pps, 0, kRateMaxPps);
    fields.number("broadcast_pps", limits.broadcast_pps, 0, kRateMaxPps);
    fields.number("multicast_pps", limits.multicast_pps, 0, kRateMaxPps);
    fields.number("flows", limits.flows, 0, kFlowMax);
    fields.finish();
}

void read_spoofguard(Fields& fields, SpoofGuard& out) {
    fields.choice(
        "spoofguard", out,
        {{"off", SpoofGuard::kOff}, {"auto", SpoofGuard::kAuto}, {"manual", SpoofGuard::kManual}});
}

void read_multicast(Fields fields, model::Multicast& multicast) {
    fields.flag("snooping", multicast.snooping);
    fields.flag("flood_unregistered", multicast.flood_unregistered);
    Fields querier = fields.nested("querier");
    querier.flag("enabled", multicast.querier.enabled);
    querier.number("interval_s", multicast.querier.interval_s, 1, kQuerierIntervalMaxS);
    querier.finish();
    if (multicast.querier.enabled && !multicast.snooping) {
        fields.refuse(Errc::kInvalid, "querier.enabled",
                      "true needs snooping, which is off on this switch");
    }
    fields.finish();
}

void read_switch(Fields& fields, std::string name, model::Document& document) {
    model::Switch item;
    item.name = std::move(name);
    fields.number("mtu", item.mtu, kMtuMin, kMtuMax);
    read_multicast(fields.nested("multicast"), item.multicast);
    fields.texts("uplinks", item.uplinks, kUplinkMax);
    read_overlay(fields, item);
    read_teaming(fields.nested("teaming"), item.teaming);
    document.switches.push_back(std::move(item));
}

/// An empty object means the switch's.
void read_own_teaming(Fields& fields, PortGroup& group) {
    const json* value = fields.take("teaming");
    if (value == nullptr || (value->is_object() && value->empty())) { return; }
    read_teaming(fields.nested("teaming"), group.teaming.emplace());
}

void read_port_group(Fields& fields, std::string name, model::Document& document) {
    PortGroup group;
    group.name = std::move(name);
    if (!fields.text("switch", group.switch_name)) {
        const bool only = document.switches.size() == 1;
        group.switch_name = only ? document.switches.front().name : "";
        if (!only) {
            fields.refuse(Errc::kInvalid, "switch", "is missing, expected a switch's name");
        }
    }
    read_overlay(fields, group);
    read_own_teaming(fields, group);
    group.vlan = read_vlan(fields.nested("vlan"));
    if (group.vni != 0 && group.vlan.mode != VlanMode::kNone) {
        fields.refuse(
            Errc::kInvalid, "vni",
            std::to_string(group.vni) + " needs vlan.mode none, a port group has a VNI or VLANs");
    }
    read_security(fields.nested("security"), group.security);
    read_mac_learning(fields.nested("mac_learning"), group.mac_learning);
    read_spoofguard(fields, group.spoofguard);
    read_bindings(fields.nested("bindings"), group.bindings);
    read_guards(fields.nested("guards"), group.guards);
    read_limits(fields.nested("limits"), group.limits);
    fields.flag("arp_suppression", group.arp_suppression);
    read_prefixes(fields, "addresses", kGroupAddressMax, group.addresses);
    document.port_groups.push_back(std::move(group));
}

void read_overrides(Fields fields, model::Overrides& overrides) {
    Fields vlan = fields.nested("vlan");
    if (vlan.present()) { overrides.vlan = read_vlan(vlan); }
    read_security(fields.nested("security"), overrides.security);
    fields.finish();
}

void read_kernel(Fields& fields, Port& port) {
    if (!fields.text("interface", port.interface)) { port.interface = port.name; }
    fields.text("netns", port.netns);
    read_interface_addresses(fields, "addresses", kKernelAddressMax, port.addresses);
}

/// What is plugged into the port, and the keys of that kind. Those of another kind are refused.
void read_kind(Fields& fields, Port& port) {
    fields.choice("kind", port.kind,
                  {{"vhost", PortKind::kVhost},
                   {"kernel", PortKind::kKernel},
                   {"service", PortKind::kService}});
    const auto foreign = [&](std::initializer_list<std::string_view> keys, const char* kind) {
        for (const std::string_view key : keys) {
            if (fields.take(key) != nullptr) {
                fields.refuse(Errc::kInvalid, key, std::string("belongs to kind ") + kind);
            }
        }
    };
    if (port.kind == PortKind::kKernel) {
        foreign({"socket", "socket_mode"}, "vhost or service");
        read_kernel(fields, port);
        return;
    }
    foreign({"interface", "netns", "addresses"}, "kernel");
    if (!fields.text("socket", port.socket)) { port.socket = model::default_socket(port.name); }
    fields.choice("socket_mode", port.socket_mode,
                  {{"client", SocketMode::kClient}, {"server", SocketMode::kServer}});
}

void read_port(Fields& fields, std::string name, model::Document& document) {
    Port port;
    port.name = std::move(name);
    read_kind(fields, port);
    if (!fields.text("port_group", port.port_group) && port.kind != PortKind::kService) {
        const bool only = document.port_groups.size() == 1;
        port.port_group = only ? document.port_groups.front().name : "";
        if (!only) {
            fields.refuse(Errc::kInvalid, "port_group", "is missing, expected a port group's name");
        }
    }
    if (!read_mac(fields, "mac", port.mac)) { port.mac = model::default_mac(port.name); }
    read_ips(fields, "ips", kPortIpMax, port.ips);
    read_tags(fields, port.tags);
    fields.flag("enabled", port.enabled);
    read_overrides(fields.nested("overrides"), port.overrides);
    document.ports.push_back(std::move(port));
}

}  // namespace

void read_tags(Fields& fields, std::map<std::string, std::string>& out) {
    Fields tags = fields.nested("tags");
    for (const auto& [key, value] : tags.members()) {
        if (!value->is_string()) {
            tags.refuse(Errc::kInvalid, key, shown(*value) + " is not a string");
            return;
        }
        const auto& text = value->get_ref<const std::string&>();
        if (key.empty() || key.size() > kTagLengthMax || text.size() > kTagLengthMax) {
            fields.refuse(Errc::kInvalid, "tags",
                          "holds " + shown(std::string_view(key)) + ": " + shown(*value) +
                              ", a key and a value have at most " + std::to_string(kTagLengthMax) +
                              " bytes and a key at least one");
            return;
        }
        out.emplace(key, text);
    }
    if (out.size() > kPortTagMax) {
        fields.refuse(Errc::kLimit, "tags",
                      "has " + std::to_string(out.size()) + " members, at most " +
                          std::to_string(kPortTagMax) + " are allowed");
    }
}

void read_network(Fields& root, Fault& fault, model::Document& document) {
    Fields host(root.take("host"), "host", "", fault);
    if (host.text("name", document.host.name) && !is_name(document.host.name)) {
        host.refuse(Errc::kInvalid, "name",
                    shown(std::string_view(document.host.name)) + " is not a host's name");
    }
    host.finish();
    read_uplinks(root, fault, document);
    read_vteps(root, fault, document);
    each_named(root, "switches", "switch", kSwitchMax, fault,
               [&](Fields& f, std::string name) { read_switch(f, std::move(name), document); });
    each_named(root, "port_groups", "port_group", kPortGroupMax, fault,
               [&](Fields& f, std::string name) { read_port_group(f, std::move(name), document); });
    each_named(root, "ports", "port", kPortMax, fault,
               [&](Fields& f, std::string name) { read_port(f, std::move(name), document); });
}

}  // namespace sluice::agent
