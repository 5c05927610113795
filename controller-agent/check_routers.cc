// SPDX-License-Identifier: Apache-2.0
// The checks of routers: an interface a network, subnets that don't overlap, addresses that nobody
// else has, next hops that are on a connected subnet. Called by check_document.cc.
#include "controller-agent/check_routers.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "controller-agent/check_addresses.h"
#include "sluice/base/limits.h"
#include "sluice/model/segment.h"

namespace sluice::agent {
namespace {

using model::Document;
using model::InterfaceAddress;
using model::PortGroup;
using model::Route;
using model::Router;
using model::RouterInterface;
using model::Segment;

/// A subnet of a router, with the interface that it is at.
struct Subnet {
    IpPrefix prefix;
    const InterfaceAddress* address = nullptr;
    const RouterInterface* interface = nullptr;
};

/// Subnets of one router, ascending. One that holds another has that, or one that it holds, too, as
/// its next.
class Subnets {
public:
    Subnets(const Router& router, Fault& fault) {
        for (const RouterInterface& interface : router.interfaces) {
            for (const InterfaceAddress& address : interface.addresses) {
                subnets_.push_back({model::subnet_of(address), &address, &interface});
            }
        }
        std::stable_sort(subnets_.begin(), subnets_.end(),
                         [](const Subnet& a, const Subnet& b) { return a.prefix < b.prefix; });
        for (std::size_t i = 1; i < subnets_.size(); ++i) {
            const Subnet& a = subnets_[i - 1];
            const Subnet& b = subnets_[i];
            if (!a.prefix.contains(b.prefix.address)) { continue; }
            fault.refuse(Errc::kInvalid,
                         "router " + router.name + " interface " + b.interface->name,
                         "addresses holds " + to_text(*b.address) + ", which overlaps " +
                             to_text(*a.address) + " of interface " + a.interface->name);
        }
    }

    /// The subnet that `ip` is in; nullptr if none.
    [[nodiscard]] const Subnet* find(const IpAddr& ip) const {
        auto at = std::upper_bound(
            subnets_.begin(), subnets_.end(), ip,
            [](const IpAddr& x, const Subnet& each) { return x < each.prefix.address; });
        if (at == subnets_.begin()) { return nullptr; }
        --at;
        return at->prefix.contains(ip) ? &*at : nullptr;
    }

private:
    std::vector<Subnet> subnets_;
};

/// One run over a document. The first fault sticks.
class Routers {
public:
    Routers(const Document& document, Fault& fault) : document_(document), fault_(fault) {
        for (const PortGroup& group : document.port_groups) { groups_.emplace(group.name, &group); }
    }

    void run() {
        for (const Router& router : document_.routers) {
            if (fault_.any()) { return; }
            check_mac(router);
            for (const RouterInterface& interface : router.interfaces) {
                check_interface(router, interface);
            }
            if (fault_.any()) { return; }
            const Subnets subnets(router, fault_);
            check_routes(router, subnets);
        }
        if (!fault_.any()) { check_owners(); }
    }

private:
    void check_mac(const Router& router) {
        const std::string object = "router " + router.name;
        const std::string what = "mac " + to_string(router.mac);
        if (!is_unicast(router.mac)) {
            fault_.refuse(Errc::kInvalid, object, what + " is not a unicast address");
        }
        for (const model::Port& port : document_.ports) {
            if (port.mac != router.mac) { continue; }
            fault_.refuse(Errc::kExists, object, what + " is used by port " + port.name + " too");
        }
    }

    void check_interface(const Router& router, const RouterInterface& interface) {
        const std::string object = "router " + router.name + " interface " + interface.name;
        const auto group = groups_.find(interface.port_group);
        if (group == groups_.end()) {
            fault_.refuse(
                Errc::kInvalid, object,
                "port_group " + shown(std::string_view(interface.port_group)) + " does not exist");
            return;
        }
        if (group->second->vlan.mode == model::VlanMode::kTrunk) {
            fault_.refuse(Errc::kInvalid, object,
                          "port_group " + interface.port_group +
                              " is a trunk, an interface needs one network");
        }
        check_domain(*group->second, object);
        for (const InterfaceAddress& address : interface.addresses) {
            check_address(address, object);
            owners_.emplace(std::tuple{std::string_view(group->second->switch_name),
                                       model::segment_of(*group->second), address.ip},
                            object);
        }
        check_relay(interface, object);
    }

    void check_domain(const PortGroup& group, const std::string& object) {
        const Segment segment = model::segment_of(group);
        const auto [other, is_new] =
            domains_.try_emplace({std::string_view(group.switch_name), segment}, object);
        if (is_new) { return; }
        fault_.refuse(Errc::kExists, object,
                      "port_group " + group.name + " (" + model::to_text(segment) + " of switch " +
                          group.switch_name + ") is the network of " + other->second +
                          " too, a network has one interface");
    }

    void check_address(const InterfaceAddress& address, const std::string& object) {
        const std::string what = "addresses holds " + to_text(address);
        if (!is_unicast(address.ip) || is_link_local(address.ip)) {
            fault_.refuse(Errc::kInvalid, object,
                          what + ", which is not a routable unicast address");
        }
        const unsigned width = address.ip.is_v4() ? 32 : 128;
        if (address.prefix_length + 1U >= width) { return; }
        const IpPrefix subnet = model::subnet_of(address);
        const bool is_broadcast = address.ip.is_v4() && is_last(address);
        if (subnet.address == address.ip || is_broadcast) {
            fault_.refuse(Errc::kInvalid, object,
                          what + ", which is the address of the network " +
                              (is_broadcast ? "for broadcasts" : "itself"));
        }
    }

    static bool is_last(const InterfaceAddress& address) {
        const std::uint32_t host_bits = ~std::uint32_t{0} >> address.prefix_length;
        return (address.ip.v4_host() & host_bits) == host_bits;
    }

    void check_relay(const RouterInterface& interface, const std::string& object) {
        for (const IpAddr& server : interface.dhcp_relay) {
            if (server.is_v4() && is_unicast(server)) { continue; }
            fault_.refuse(
                Errc::kInvalid, object,
                "dhcp_relay holds " + to_string(server) + ", which is not a unicast IPv4 address");
        }
        const auto& addresses = interface.addresses;
        const bool has_v4 = std::any_of(addresses.begin(), addresses.end(),
                                        [](const auto& each) { return each.ip.is_v4(); });
        if (!interface.dhcp_relay.empty() && !has_v4) {
            fault_.refuse(Errc::kInvalid, object,
                          "dhcp_relay needs an IPv4 address among addresses, there is none");
        }
    }

    void check_routes(const Router& router, const Subnets& subnets) {
        routes_ += router.routes.size();
        if (routes_ > kRouteMax) {
            fault_.refuse(Errc::kLimit, "router " + router.name,
                          "with it the document has " + std::to_string(routes_) +
                              " routes, at most " + std::to_string(kRouteMax) + " are allowed");
        }
        std::vector<const Route*> sorted;
        for (const Route& route : router.routes) { sorted.push_back(&route); }
        std::sort(sorted.begin(), sorted.end(),
                  [](const Route* a, const Route* b) { return a->prefix < b->prefix; });
        for (std::size_t i = 0; i < sorted.size() && !fault_.any(); ++i) {
            const Route& route = *sorted[i];
            if (i > 0 && sorted[i - 1]->prefix == route.prefix) {
                fault_.refuse(Errc::kExists, object_of(router, route),
                              "the prefix is given twice in routes");
            }
            check_route(router, route, subnets);
        }
    }

    static std::string object_of(const Router& router, const Route& route) {
        return "router " + router.name + " route " + route.name;
    }

    void check_route(const Router& router, const Route& route, const Subnets& subnets) {
        if (route.blackhole != route.next_hops.empty()) {
            fault_.refuse(Errc::kInvalid, object_of(router, route),
                          route.blackhole ? "has next_hops and blackhole, expected one of them"
                                          : "has neither next_hops nor blackhole, expected one");
        }
        const Subnet* connected = subnets.find(route.prefix.address);
        if (connected != nullptr && connected->prefix == route.prefix) {
            fault_.refuse(Errc::kExists, object_of(router, route),
                          "the prefix is the subnet of interface " + connected->interface->name);
        }
        for (std::size_t i = 0; i < route.next_hops.size() && !fault_.any(); ++i) {
            check_next_hop(router, route, i, subnets);
        }
    }

    void check_next_hop(const Router& router, const Route& route, std::size_t index,
                        const Subnets& subnets) {
        const IpAddr& hop = route.next_hops[index];
        const auto refuse = [&](Errc code, const std::string& why) {
            fault_.refuse(code, object_of(router, route),
                          "next_hops holds " + to_string(hop) + why);
        };
        if (hop.family != route.prefix.address.family) {
            return refuse(Errc::kInvalid, std::string(", which is not an ") +
                                              family_text(route.prefix.address.family) +
                                              " address");
        }
        const Subnet* subnet = subnets.find(hop);
        if (subnet == nullptr) {
            return refuse(Errc::kInvalid, ", which is on no connected subnet of the router");
        }
        if (subnet->address->ip == hop) {
            return refuse(Errc::kInvalid,
                          ", which is the router's own at interface " + subnet->interface->name);
        }
        if (std::find(route.next_hops.begin(), route.next_hops.begin() + static_cast<int>(index),
                      hop) != route.next_hops.begin() + static_cast<int>(index)) {
            refuse(Errc::kExists, " twice");
        }
    }

    /// Nobody else has the address of an interface in its network.
    void check_owners() {
        if (owners_.empty()) { return; }
        const auto check = [this](const PortGroup& group, const Segment& segment, const IpAddr& ip,
                                  const std::string& other) {
            const auto at = owners_.find({std::string_view(group.switch_name), segment, ip});
            if (at == owners_.end()) { return; }
            fault_.refuse(Errc::kExists, at->second,
                          "addresses holds " + to_string(ip) + ", which " + other + " has, too");
        };
        for (const model::Port& port : document_.ports) {
            if (port.port_group.empty()) { continue; }  // A service's leg.
            const PortGroup& group = *groups_.at(port.port_group);
            const model::Vlan& vlan = model::effective_vlan(port, group);
            if (group.vni == 0 && vlan.mode == model::VlanMode::kTrunk) { continue; }
            const Segment segment{group.vni, group.vni != 0 ? std::uint16_t{0} : vlan.id};
            for (const IpAddr& ip : model::own_ips(port)) {
                check(group, segment, ip, "port " + port.name);
            }
        }
        for (const model::Binding& binding : document_.bindings) {
            const PortGroup& group = *groups_.at(binding.port_group);
            check(group, model::segment_of(binding, group), binding.ip, "binding " + binding.name);
        }
    }

    const Document& document_;
    Fault& fault_;
    std::unordered_map<std::string_view, const PortGroup*> groups_;
    std::map<std::pair<std::string_view, Segment>, std::string> domains_;
    std::map<std::tuple<std::string_view, Segment, IpAddr>, std::string> owners_;
    std::size_t routes_ = 0;
};

}  // namespace

void check_routers(const Document& document, Fault& fault) {
    if (!fault.any()) { Routers(document, fault).run(); }
}

}  // namespace sluice::agent
