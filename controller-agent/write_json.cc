// SPDX-License-Identifier: Apache-2.0
// The writers of write_json.h, but for those of tunnels, routers and teaming
// (write_overlay.cc), services and encryption (write_services.cc).
#include "controller-agent/write_json.h"

#include "controller-agent/json_writer.h"

namespace sluice::agent {
namespace {

using model::RuleDirection;

Json prefixes_json(const std::vector<IpPrefix>& prefixes) {
    return texts(prefixes, [](const IpPrefix& prefix) { return to_string(prefix); });
}

Json json_of(const model::Vlan& vlan, Detail detail) {
    Writer out(detail);
    out.word("mode", vlan.mode, model::VlanMode::kNone);
    if (vlan.mode == model::VlanMode::kAccess) { out.always("id", vlan.id); }
    if (vlan.mode == model::VlanMode::kTrunk) {
        out.always("ranges", texts(vlan.ranges,
                                   [](const model::VlanRange& range) { return to_text(range); }));
    }
    return std::move(out).take();
}

Json json_of(const model::Security& security, Detail detail) {
    const model::Security standard;
    Writer out(detail);
    out.put("promiscuous", security.promiscuous, standard.promiscuous);
    out.put("mac_changes", security.mac_changes, standard.mac_changes);
    out.put("forged_transmits", security.forged_transmits, standard.forged_transmits);
    return std::move(out).take();
}

Json json_of(const model::MacLearning& learning, Detail detail) {
    const model::MacLearning standard;
    Writer out(detail);
    out.put("enabled", learning.enabled, standard.enabled);
    out.put("limit", learning.limit, standard.limit);
    out.put("unknown_unicast_flood", learning.unknown_unicast_flood,
            standard.unknown_unicast_flood);
    out.put("age_s", learning.age_s, standard.age_s);
    return std::move(out).take();
}

Json json_of(const model::BindingLimits& bindings, Detail detail) {
    const model::BindingLimits standard;
    Writer out(detail);
    out.put("arp", bindings.arp, standard.arp);
    out.put("nd", bindings.nd, standard.nd);
    out.put("age_s", bindings.age_s, standard.age_s);
    return std::move(out).take();
}

Json json_of(const model::Guards& guards, Detail detail) {
    const model::Guards standard;
    Writer out(detail);
    out.put("bpdu", guards.bpdu, standard.bpdu);
    out.put("dhcp_server", guards.dhcp_server, standard.dhcp_server);
    out.put("dhcp_client", guards.dhcp_client, standard.dhcp_client);
    out.put("ra", guards.ra, standard.ra);
    out.put("non_ip", guards.non_ip, standard.non_ip);
    return std::move(out).take();
}

Json json_of(const model::Limits& limits, Detail detail) {
    const model::Limits standard;
    Writer out(detail);
    out.put("arp_pps", limits.arp_pps, standard.arp_pps);
    out.put("nd_pps", limits.nd_pps, standard.nd_pps);
    out.put("dhcp_pps", limits.dhcp_pps, standard.dhcp_pps);
    out.put("broadcast_pps", limits.broadcast_pps, standard.broadcast_pps);
    out.put("multicast_pps", limits.multicast_pps, standard.multicast_pps);
    out.put("flows", limits.flows, standard.flows);
    return std::move(out).take();
}

Json json_of(const model::Overrides& overrides) {
    Json out = Json::object();
    if (overrides.vlan) { out["vlan"] = json_of(*overrides.vlan, Detail::kAll); }
    const auto flag = [&out](const char* key, const std::optional<bool>& value) {
        if (value) { out["security"][key] = *value; }
    };
    flag("promiscuous", overrides.security.promiscuous);
    flag("mac_changes", overrides.security.mac_changes);
    flag("forged_transmits", overrides.security.forged_transmits);
    return out;
}

Json json_of(const model::Timeouts& timeouts, Detail detail) {
    const model::Timeouts standard;
    Writer out(detail);
    out.put("tcp_syn_sent_s", timeouts.tcp_syn_sent_s, standard.tcp_syn_sent_s);
    out.put("tcp_syn_received_s", timeouts.tcp_syn_received_s, standard.tcp_syn_received_s);
    out.put("tcp_established_s", timeouts.tcp_established_s, standard.tcp_established_s);
    out.put("tcp_fin_wait_s", timeouts.tcp_fin_wait_s, standard.tcp_fin_wait_s);
    out.put("tcp_close_wait_s", timeouts.tcp_close_wait_s, standard.tcp_close_wait_s);
    out.put("tcp_last_ack_s", timeouts.tcp_last_ack_s, standard.tcp_last_ack_s);
    out.put("tcp_time_wait_s", timeouts.tcp_time_wait_s, standard.tcp_time_wait_s);
    out.put("tcp_close_s", timeouts.tcp_close_s, standard.tcp_close_s);
    out.put("udp_s", timeouts.udp_s, standard.udp_s);
    out.put("udp_stream_s", timeouts.udp_stream_s, standard.udp_stream_s);
    out.put("icmp_s", timeouts.icmp_s, standard.icmp_s);
    out.put("other_s", timeouts.other_s, standard.other_s);
    out.put("fragment_v4_s", timeouts.fragment_v4_s, standard.fragment_v4_s);
    out.put("fragment_v6_s", timeouts.fragment_v6_s, standard.fragment_v6_s);
    return std::move(out).take();
}

Json json_of(const model::Multicast& multicast, Detail detail) {
    const model::Multicast standard;
    Writer querier(detail);
    querier.put("enabled", multicast.querier.enabled, standard.querier.enabled);
    querier.put("interval_s", multicast.querier.interval_s, standard.querier.interval_s);
    Writer out(detail);
    out.put("snooping", multicast.snooping, standard.snooping);
    out.put("flood_unregistered", multicast.flood_unregistered, standard.flood_unregistered);
    out.part("querier", std::move(querier).take());
    return std::move(out).take();
}

Json json_of(const model::DfwLimits& limits, Detail detail) {
    const model::DfwLimits standard;
    Writer out(detail);
    out.put("connections_per_port", limits.connections_per_port, standard.connections_per_port);
    out.put("half_open_per_port", limits.half_open_per_port, standard.half_open_per_port);
    out.put("connections", limits.connections, standard.connections);
    return std::move(out).take();
}

}  // namespace

Json to_json_value(const model::Host& host, Detail detail) {
    Writer out(detail);
    out.put("name", host.name, std::string());
    return std::move(out).take();
}

Json to_json_value(const model::Switch& item, Detail detail) {
    Writer out(detail);
    out.always("name", item.name);
    out.part("uplinks", Json(item.uplinks));
    out.put("mtu", item.mtu, model::Switch{}.mtu);
    out.part("multicast", json_of(item.multicast, detail));
    out.part("remote_vteps", ips_json(item.remote_vteps));
    out.part("bfd", to_json_value(item.bfd, detail));
    out.part("teaming", to_json_value(item.teaming, detail));
    return std::move(out).take();
}

Json to_json_value(const model::PortGroup& group, Detail detail) {
    const model::PortGroup standard;
    Writer out(detail);
    out.always("name", group.name);
    out.always("switch", group.switch_name);
    if (group.vni != 0) { out.always("vni", group.vni); }
    out.word("replication", group.replication, standard.replication);
    if (group.multicast_group) { out.always("multicast_group", to_string(*group.multicast_group)); }
    out.part("flood_vteps", ips_json(group.flood_vteps));
    if (group.teaming) { out.always("teaming", to_json_value(*group.teaming, Detail::kAll)); }
    out.put("arp_suppression", group.arp_suppression, standard.arp_suppression);
    out.part("vlan", json_of(group.vlan, detail));
    out.part("security", json_of(group.security, detail));
    out.part("mac_learning", json_of(group.mac_learning, detail));
    out.word("spoofguard", group.spoofguard, standard.spoofguard);
    out.part("bindings", json_of(group.bindings, detail));
    out.part("guards", json_of(group.guards, detail));
    out.part("limits", json_of(group.limits, detail));
    out.part("addresses", prefixes_json(group.addresses));
    return std::move(out).take();
}

Json to_json_value(const model::Port& port, Detail detail) {
    const model::Port standard;
    Writer out(detail);
    out.always("name", port.name);
    if (!port.port_group.empty() || port.kind != model::PortKind::kService) {
        out.always("port_group", port.port_group);
    }
    out.always("kind", to_text(port.kind));
    const bool is_kernel = port.kind == model::PortKind::kKernel;
    if (!is_kernel || detail == Detail::kAll) {
        out.always("socket", port.socket);
        out.word("socket_mode", port.socket_mode, standard.socket_mode);
    }
    if (is_kernel || detail == Detail::kAll) {
        out.always("interface", port.interface);
        out.put("netns", port.netns, standard.netns);
        out.part("addresses", texts(port.addresses, address_text));
    }
    out.always("mac", to_string(port.mac));
    out.part("ips", ips_json(port.ips));
    out.part("tags", Json(port.tags));
    out.put("enabled", port.enabled, standard.enabled);
    out.part("overrides", json_of(port.overrides));
    return std::move(out).take();
}

Json to_json_value(const model::AddressSet& set, Detail detail) {
    Writer out(detail);
    out.always("name", set.name);
    out.part("members", prefixes_json(set.members));
    return std::move(out).take();
}

Json to_json_value(const model::Group& group, Detail detail) {
    Writer out(detail);
    out.always("name", group.name);
    out.part("tags", Json(group.tags));
    out.part("addresses", prefixes_json(group.addresses));
    return std::move(out).take();
}

Json to_json_value(const model::AclRule& rule, Detail detail) {
    Writer out(detail);
    out.always("name", rule.name);
    out.always("action", to_text(rule.action));
    out.word("direction", rule.direction, RuleDirection::kBoth);
    out.part("source", names_or_any(rule.source, detail));
    out.part("destination", names_or_any(rule.destination, detail));
    out.part("services", services_or_any(rule.services, detail));
    if (rule.source_mac) { out.always("source_mac", to_text(*rule.source_mac)); }
    if (rule.destination_mac) { out.always("destination_mac", to_text(*rule.destination_mac)); }
    if (rule.ethertype) { out.always("ethertype", ethertype_text(*rule.ethertype)); }
    if (rule.vlan) { out.always("vlan", *rule.vlan); }
    if (rule.tcp_flags) { out.always("tcp_flags", to_text(*rule.tcp_flags)); }
    if (rule.dscp) { out.always("dscp", *rule.dscp); }
    if (rule.set_dscp) { out.always("set_dscp", *rule.set_dscp); }
    return std::move(out).take();
}

Json to_json_value(const model::Acl& acl, Detail detail) {
    Writer out(detail);
    out.always("name", acl.name);
    out.part("applied_to", names_or_any(acl.applied_to, detail));
    out.part("rules", objects(acl.rules, detail));
    return std::move(out).take();
}

Json to_json_value(const model::Rule& rule, Detail detail) {
    const model::Rule standard;
    Writer out(detail);
    out.always("name", rule.name);
    out.always("action", to_text(rule.action));
    out.word("direction", rule.direction, RuleDirection::kBoth);
    out.part("source", names_or_any(rule.source, detail));
    out.part("destination", names_or_any(rule.destination, detail));
    out.put("negate_source", rule.negate_source, standard.negate_source);
    out.put("negate_destination", rule.negate_destination, standard.negate_destination);
    out.part("services", services_or_any(rule.services, detail));
    out.part("applied_to", names_or_any(rule.applied_to, detail));
    out.word("alg", rule.alg, standard.alg);
    out.put("log", rule.log, standard.log);
    return std::move(out).take();
}

Json to_json_value(const model::Section& section, Detail detail) {
    const model::Section standard;
    Writer out(detail);
    out.always("name", section.name);
    out.put("stateful", section.stateful, standard.stateful);
    out.put("tcp_strict", section.tcp_strict, standard.tcp_strict);
    out.part("rules", objects(section.rules, detail));
    return std::move(out).take();
}

Json to_json_value(const model::Dfw& dfw, Detail detail) {
    Writer out(detail);
    out.word("default", dfw.default_action, model::DfwAction::kAllow);
    out.part("sections", objects(dfw.sections, detail));
    out.part("exclude", Json(dfw.exclude));
    out.put("grace_s", dfw.grace_s, model::Dfw{}.grace_s);
    out.part("timeouts", json_of(dfw.timeouts, detail));
    out.part("limits", json_of(dfw.limits, detail));
    return std::move(out).take();
}

Json to_json_value(const model::Binding& binding, Detail detail) {
    Writer out(detail);
    out.always("port_group", binding.port_group);
    out.always("mac", to_string(binding.mac));
    out.always("ip", to_string(binding.ip));
    if (binding.vlan) { out.always("vlan", *binding.vlan); }
    if (binding.vtep) { out.always("vtep", to_string(*binding.vtep)); }
    return std::move(out).take();
}

Json to_json_value(const model::Document& document, Detail detail) {
    Writer out(detail);
    out.part("host", to_json_value(document.host, detail));
    out.part("uplinks", objects(document.uplinks, detail));
    out.part("vteps", objects(document.vteps, detail));
    out.part("switches", objects(document.switches, detail));
    out.part("port_groups", objects(document.port_groups, detail));
    out.part("ports", objects(document.ports, detail));
    out.part("address_sets", objects(document.address_sets, detail));
    out.part("groups", objects(document.groups, detail));
    out.part("acls", objects(document.acls, detail));
    out.part("dfw", to_json_value(document.dfw, detail));
    out.part("service_chains", objects(document.service_chains, detail));
    out.part("encryption", to_json_value(document.encryption, detail));
    out.part("routers", objects(document.routers, detail));
    out.part("bindings", objects(document.bindings, detail));
    return std::move(out).take();
}

}  // namespace sluice::agent
