// SPDX-License-Identifier: Apache-2.0
// The writers of write_json.h for what joins hosts: uplinks and teaming, VTEPs, routers.
#include "controller-agent/json_writer.h"

namespace sluice::agent {

Json to_json_value(const model::Uplink& uplink, Detail detail) {
    Writer out(detail);
    out.always("name", uplink.name);
    out.always("device", uplink.device);
    return std::move(out).take();
}

Json to_json_value(const model::Teaming& teaming, Detail detail) {
    const model::Teaming standard;
    Writer out(detail);
    out.word("policy", teaming.policy, standard.policy);
    out.part("active", Json(teaming.active));
    out.part("standby", Json(teaming.standby));
    out.put("failback", teaming.failback, standard.failback);
    out.put("failback_hold_s", teaming.failback_hold_s, standard.failback_hold_s);
    out.word("failure_detection", teaming.detection, standard.detection);
    out.word("lacp", teaming.lacp, standard.lacp);
    return std::move(out).take();
}

Json to_json_value(const model::Bfd& bfd, Detail detail) {
    const model::Bfd standard;
    Writer out(detail);
    out.put("enabled", bfd.enabled, standard.enabled);
    out.put("interval_ms", bfd.interval_ms, standard.interval_ms);
    out.put("multiplier", bfd.multiplier, standard.multiplier);
    return std::move(out).take();
}

Json to_json_value(const model::Vtep& vtep, Detail detail) {
    const model::Vtep standard;
    Writer out(detail);
    out.always("name", vtep.name);
    out.always("ip", address_text(vtep.address));
    out.always("mac", to_string(vtep.mac));
    if (vtep.gateway) { out.always("gateway", to_string(*vtep.gateway)); }
    out.always("uplink", vtep.uplink);
    out.put("vlan", vtep.vlan, standard.vlan);
    out.put("mtu", vtep.mtu, standard.mtu);
    out.put("udp_port", vtep.udp_port, standard.udp_port);
    return std::move(out).take();
}

Json to_json_value(const model::RouterInterface& interface, Detail detail) {
    Writer out(detail);
    out.always("name", interface.name);
    out.always("port_group", interface.port_group);
    out.part("addresses", texts(interface.addresses, address_text));
    out.part("dhcp_relay", ips_json(interface.dhcp_relay));
    return std::move(out).take();
}

Json to_json_value(const model::Route& route, Detail detail) {
    Writer out(detail);
    out.always("prefix", to_string(route.prefix));
    out.part("next_hops", ips_json(route.next_hops));
    out.put("blackhole", route.blackhole, false);
    return std::move(out).take();
}

Json to_json_value(const model::Router& router, Detail detail) {
    Writer out(detail);
    out.always("name", router.name);
    out.put("mac", to_string(router.mac), to_string(model::kRouterMac));
    out.part("interfaces", objects(router.interfaces, detail));
    out.part("routes", objects(router.routes, detail));
    return std::move(out).take();
}

}  // namespace sluice::agent
