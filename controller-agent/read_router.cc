// SPDX-License-Identifier: Apache-2.0
// Reader of routers. Their routes are, like bindings, objects without a name of their own: the
// prefix is it.
#include "controller-agent/document_reader.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

using model::Route;
using model::Router;
using model::RouterInterface;

void read_interface(Fields& fields, std::string name, const model::Document& document,
                    Router& router) {
    RouterInterface interface;
    interface.name = std::move(name);
    if (!fields.text("port_group", interface.port_group)) {
        const bool only = document.port_groups.size() == 1;
        interface.port_group = only ? document.port_groups.front().name : "";
        if (!only) {
            fields.refuse(Errc::kInvalid, "port_group", "is missing, expected a port group's name");
        }
    }
    read_interface_addresses(fields, "addresses", kInterfaceAddressMax, interface.addresses);
    read_ips(fields, "dhcp_relay", kDhcpRelayMax, interface.dhcp_relay);
    router.interfaces.push_back(std::move(interface));
}

void read_prefix(Fields& fields, Route& route) {
    constexpr const char* kExpected = "a prefix without host bits like \"192.0.2.0/24\"";
    std::string text;
    if (!fields.text("prefix", text)) {
        fields.refuse(Errc::kInvalid, "prefix", std::string("is missing, expected ") + kExpected);
        return;
    }
    const auto prefix = parse_prefix(text);
    if (!prefix) {
        fields.refuse(Errc::kInvalid, "prefix",
                      shown(std::string_view(text)) + " is not " + kExpected);
        return;
    }
    route.prefix = *prefix;
    route.name = to_string(*prefix);
}

Route read_route(Fields fields) {
    Route route;
    read_prefix(fields, route);
    read_ips(fields, "next_hops", kNextHopMax, route.next_hops);
    fields.flag("blackhole", route.blackhole);
    fields.finish();
    return route;
}

void read_routes(Fields& fields, Fault& fault, Router& router) {
    const nlohmann::json* items = fields.list("routes", kRouteMax);
    if (items == nullptr) { return; }
    router.routes.reserve(items->size());
    for (std::size_t i = 0; i < items->size() && !fault.any(); ++i) {
        const std::string place = fields.object() + " routes[" + std::to_string(i) + "]";
        router.routes.push_back(read_route(Fields(&(*items)[i], place, "", fault)));
    }
}

void read_router(Fields& fields, Fault& fault, std::string name, model::Document& document) {
    Router router;
    router.name = std::move(name);
    read_mac(fields, "mac", router.mac);
    each_named(
        fields, "interfaces", fields.object() + " interface", kRouterInterfaceMax, fault,
        [&](Fields& f, std::string n) { read_interface(f, std::move(n), document, router); });
    read_routes(fields, fault, router);
    document.routers.push_back(std::move(router));
}

}  // namespace

void read_routers(Fields& root, Fault& fault, model::Document& document) {
    each_named(root, "routers", "router", kRouterMax, fault, [&](Fields& f, std::string name) {
        read_router(f, fault, std::move(name), document);
    });
}

}  // namespace sluice::agent
