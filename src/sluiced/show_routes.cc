// SPDX-License-Identifier: Apache-2.0
// show routes: the routes of each router as workers look them up, and whether their next hops are
// resolved; and the neighbours that routers and VTEPs have found, for show arps.
#include <algorithm>
#include <string>
#include <unordered_map>

#include "datapath/route_table.h"
#include "sluice/net/address_text.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {
namespace {

using datapath::RouterConfig;
using datapath::RouteTable;
using datapath::Snapshot;
using nlohmann::json;

const char* kind_text(RouteTable::Kind kind) {
    switch (kind) {
        case RouteTable::Kind::kConnected: return "connected";
        case RouteTable::Kind::kNextHops: return "static";
        case RouteTable::Kind::kBlackhole: break;
    }
    return "blackhole";
}

/// MACs of next hops, by domain and address.
using Neighbours = std::unordered_map<std::string, MacAddr>;

std::string place_of(DomainId domain, const IpAddr& ip) {
    return std::to_string(domain.value) + ' ' + to_string(ip);
}

/// What the document says of it, else a controller, else what was learned.
json next_hop_row(const datapath::Dataplane& dataplane, const RouterConfig& router,
                  const RouteTable::NextHop& hop, const Neighbours& neighbours) {
    const Snapshot& snapshot = dataplane.snapshot();
    const datapath::RouterInterface& interface = router.interfaces[hop.interface];
    json row = {{"ip", to_string(hop.ip)},
                {"interface", interface.name},
                {"mac", nullptr},
                {"state", "unresolved"}};
    const auto set = [&row](const MacAddr& mac, const char* state) {
        row["mac"] = to_string(mac);
        row["state"] = state;
    };
    const datapath::Domain& domain = snapshot.domains[interface.domain_index];
    const AddressOwner* owner = domain.owner(hop.ip);
    if (owner != nullptr && !owner->mac.is_zero()) {
        set(owner->mac, "static");
        return row;
    }
    const auto told = dataplane.fleet().find(LearnedKey::neighbour(domain.id, hop.ip), 0);
    if (told && domain.macs.find(told->mac) == kNoPort) {
        set(told->mac, "controller");
        return row;
    }
    const auto at = neighbours.find(place_of(domain.id, hop.ip));
    if (at != neighbours.end()) { set(at->second, "resolved"); }
    return row;
}

json route_row(const datapath::Dataplane& dataplane, const RouterConfig& router,
               const RouteTable::Row& route, const Neighbours& neighbours) {
    json hops = json::array();
    for (const RouteTable::NextHop& hop : route.next_hops) {
        hops.push_back(next_hop_row(dataplane, router, hop, neighbours));
    }
    json row = {{"router", router.name},         {"prefix", to_string(route.prefix)},
                {"kind", kind_text(route.kind)}, {"interface", nullptr},
                {"next_hops", std::move(hops)},  {"source", "static"}};
    if (route.kind == RouteTable::Kind::kConnected) {
        row["interface"] = router.interfaces[route.interface].name;
    }
    return row;
}

/// Learned bindings and neighbours: the two that routers go by.
boost::asio::awaitable<Neighbours> learned_neighbours(const datapath::Dataplane& dataplane) {
    Neighbours found;
    const auto add = [&found](const LearnedRow& learned) {
        if (learned.key.kind != LearnedKind::kNeighbour &&
            learned.key.kind != LearnedKind::kBinding) {
            return;
        }
        found[place_of(learned.key.domain, learned.key.ip_address())] = learned.value.mac;
    };
    co_await for_each_learned(dataplane.learned(), add);
    co_return found;
}

const datapath::VtepConfig* vtep_of(const Snapshot& snapshot, DomainId underlay) {
    const auto at =
        std::find_if(snapshot.vteps.begin(), snapshot.vteps.end(),
                     [&](const datapath::VtepConfig& vtep) { return vtep.underlay == underlay; });
    return at == snapshot.vteps.end() ? nullptr : &*at;
}

json port_name(const Snapshot& snapshot, PortIndex port) {
    const datapath::PortConfig* config = snapshot.port(port);
    return config == nullptr ? json(nullptr) : json(config->name);
}

}  // namespace

AnswerLater ShowService::routes(std::string router) {
    const Neighbours neighbours = co_await learned_neighbours(dataplane_);
    json rows = json::array();
    bool is_known = router.empty();
    for (std::size_t r = 0; r < dataplane_.snapshot().routers.size(); ++r) {
        const RouterConfig config = dataplane_.snapshot().routers[r];  // It may go meanwhile.
        if (!router.empty() && router != config.name) { continue; }
        is_known = true;
        const std::uint32_t generation = dataplane_.snapshot().generation;
        for (std::size_t i = 0; i < config.routes->rows().size(); ++i) {
            if (dataplane_.snapshot().generation != generation) { break; }
            rows.push_back(route_row(dataplane_, config, config.routes->rows()[i], neighbours));
            if (i % kLearnedSlice != kLearnedSlice - 1) { continue; }
            co_await breathe();
        }
    }
    if (!is_known) {
        co_return Error{Errc::kNotFound, "router " + router + " does not exist",
                        "router " + router};
    }
    co_return rows;
}

json ShowService::neighbour_row(const LearnedRow& learned, std::uint64_t now) const {
    const Snapshot& snapshot = dataplane_.snapshot();
    const LearnedValue& value = learned.value;
    json row = {{"port", port_name(snapshot, value.port)},
                {"port_group", nullptr},
                {"mac", to_string(value.mac)},
                {"ip", to_string(learned.key.ip_address())},
                {"source", "learned"},
                {"state", "active"},
                {"switch", nullptr},
                {"vlan", nullptr},
                {"vni", nullptr},
                {"vtep", nullptr},
                {"age_s", (now - std::min(now, value.last_seen_ns)) / kNsPerSecond},
                {"expires_s", (value.expires_ns - std::min(value.expires_ns, now)) / kNsPerSecond}};
    if (const datapath::VtepConfig* vtep = vtep_of(snapshot, learned.key.domain)) {
        row["vtep"] = port_name(snapshot, vtep->port);
        row["switch"] = vtep->switch_name;
        row["vlan"] = vtep->vlan;
    } else if (const datapath::Domain* domain = domain_of(snapshot, learned.key.domain)) {
        set_network(row, *domain);
    }
    return row;
}

}  // namespace sluice::daemon
