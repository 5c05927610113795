// SPDX-License-Identifier: Apache-2.0
// Compile routers: see compile_routers.h.
#include "src/host/compile_routers.h"

#include <algorithm>
#include <memory>

#include "datapath/route_table.h"
#include "sluice/base/assert.h"
#include "sluice/base/limits.h"
#include "sluice/net/address_text.h"
#include "src/host/compile.h"

namespace sluice::host {
namespace {

using datapath::RouterConfig;
using datapath::RouterInterface;
using datapath::RouteTable;
using datapath::Snapshot;

/// This host's MAC for what its routers send to the fabric. Hosts without a name are told apart by
/// the address of their first VTEP.
MacAddr pmac_of(const model::Document& document) {
    std::string host = document.host.name;
    if (host.empty() && !document.vteps.empty()) {
        host = to_string(document.vteps.front().address.ip);
    }
    return model::default_mac(host + "/router");
}

/// Connected routes, ascending.
std::vector<RouteTable::Row> connected_rows(const model::Router& router) {
    std::vector<RouteTable::Row> rows;
    for (std::size_t i = 0; i < router.interfaces.size(); ++i) {
        for (const model::InterfaceAddress& address : router.interfaces[i].addresses) {
            rows.push_back({model::subnet_of(address),
                            RouteTable::Kind::kConnected,
                            static_cast<std::uint16_t>(i),
                            {}});
        }
    }
    std::sort(rows.begin(), rows.end(),
              [](const auto& a, const auto& b) { return a.prefix < b.prefix; });
    return rows;
}

/// The interface whose subnet holds `ip`. There is one: check_routers saw to it, and that subnets
/// don't overlap.
std::uint16_t interface_towards(const std::vector<RouteTable::Row>& connected, const IpAddr& ip) {
    const auto at = std::upper_bound(
        connected.begin(), connected.end(), ip,
        [](const IpAddr& x, const RouteTable::Row& row) { return x < row.prefix.address; });
    SLUICE_ASSERT(at != connected.begin());
    return std::prev(at)->interface;
}

std::vector<RouteTable::Row> rows_of(const model::Router& router) {
    const std::vector<RouteTable::Row> connected = connected_rows(router);
    std::vector<RouteTable::Row> rows = connected;
    rows.reserve(rows.size() + router.routes.size());
    for (const model::Route& route : router.routes) {
        RouteTable::Row row;
        row.prefix = route.prefix;
        if (!route.blackhole) { row.kind = RouteTable::Kind::kNextHops; }
        for (const IpAddr& hop : route.next_hops) {
            row.next_hops.push_back({hop, interface_towards(connected, hop)});
        }
        rows.push_back(std::move(row));
    }
    std::sort(rows.begin(), rows.end(),
              [](const auto& a, const auto& b) { return a.prefix < b.prefix; });
    return rows;
}

bool is_alike(const RouterInterface& a, const RouterInterface& b) {
    return a.name == b.name && a.domain == b.domain && a.addresses == b.addresses &&
           a.dhcp_relay == b.dhcp_relay;
}

/// But for routes.
bool is_alike(const RouterConfig& a, const RouterConfig& b) {
    return a.vmac == b.vmac && a.pmac == b.pmac &&
           std::equal(a.interfaces.begin(), a.interfaces.end(), b.interfaces.begin(),
                      b.interfaces.end(),
                      [](const auto& x, const auto& y) { return is_alike(x, y); });
}

const RouterConfig* find(const Snapshot& snapshot, const std::string& name) {
    const auto at = std::find_if(snapshot.routers.begin(), snapshot.routers.end(),
                                 [&](const RouterConfig& each) { return each.name == name; });
    return at == snapshot.routers.end() ? nullptr : &*at;
}

/// One interface, its domain made the router's.
Result<RouterInterface> compile_interface(const Compilation& compilation, Switching& switching,
                                          const model::Router& router, std::size_t index,
                                          DomainId tracking) {
    const model::RouterInterface& interface = router.interfaces[index];
    RouterInterface config;
    config.name = interface.name;
    config.domain_index = switching.open(*compilation.resolver.port_group(interface.port_group));
    if (config.domain_index == datapath::kNoDomain) {
        const std::string object = "router " + router.name;
        return Error{Errc::kLimit,
                     object + ": the host would have more than " + std::to_string(kDomainMax) +
                         " layer-2 domains",
                     object};
    }
    datapath::Domain& domain = compilation.next.domains[config.domain_index];
    domain.router = static_cast<std::uint16_t>(compilation.next.routers.size());
    domain.interface = static_cast<std::uint16_t>(index);
    domain.tracking = tracking;
    config.domain = domain.id;
    for (const model::InterfaceAddress& address : interface.addresses) {
        config.addresses.push_back({address.ip, address.prefix_length});
    }
    config.dhcp_relay = interface.dhcp_relay;
    return config;
}

/// The table of `rows`: the present one if it has the same.
std::shared_ptr<const RouteTable> table_of(std::vector<RouteTable::Row> rows,
                                           const RouterConfig* old) {
    if (old != nullptr && old->routes->rows() == rows) { return old->routes; }
    return RouteTable::build(std::move(rows));
}

}  // namespace

Result<std::vector<bool>> compile_routers(const Compilation& compilation, Switching& switching) {
    Snapshot& next = compilation.next;
    std::vector<bool> is_changed;
    for (const model::Router& router : compilation.document.routers) {
        RouterConfig config;
        config.name = router.name;
        config.vmac = router.mac;
        config.pmac = pmac_of(compilation.document);
        const DomainId tracking =
            compilation.registries.domains.acquire_named("router " + router.name);
        for (std::size_t i = 0; i < router.interfaces.size(); ++i) {
            Result<RouterInterface> interface =
                compile_interface(compilation, switching, router, i, tracking);
            if (!interface) { return interface.error(); }
            config.interfaces.push_back(std::move(interface).value());
        }
        const RouterConfig* old = find(compilation.previous, router.name);
        config.routes = table_of(rows_of(router), old);
        is_changed.push_back(old == nullptr || !is_alike(config, *old));
        const bool is_same = !is_changed.back() && config.routes == old->routes;
        config.epoch = is_same ? old->epoch : next.generation;
        next.routers.push_back(std::move(config));
    }
    return is_changed;
}

}  // namespace sluice::host
