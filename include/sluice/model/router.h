// SPDX-License-Identifier: Apache-2.0
// model::Router: the noun `routers`, a distributed router: the same on every host, each routes what
// its own vNICs send. Plain values, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sluice/model/port.h"
#include "sluice/net/address.h"

namespace sluice::model {

/// The router in the layer-2 domain of a port group: the gateway of its vNICs.
struct RouterInterface {
    std::string name;        ///< Unique in its router.
    std::string port_group;  ///< An existing PortGroup: access, untagged or with a VNI; no trunk.
    std::vector<InterfaceAddress> addresses;  ///< Its own, with their subnets.
    std::vector<IpAddr> dhcp_relay;           ///< DHCPv4 servers that clients' requests go to.

    bool operator==(const RouterInterface&) const = default;
};

/// Static route.
struct Route {
    std::string name;               ///< The prefix as text: made when it is read, never written.
    IpPrefix prefix;                ///< Once in a router.
    std::vector<IpAddr> next_hops;  ///< On connected subnets; several share the traffic (ECMP).
    bool blackhole = false;         ///< Drops; then there are no next hops.

    bool operator==(const Route&) const = default;
};

/// vMAC of routers that the document gives none.
inline constexpr MacAddr kRouterMac{{0x02, 0x00, 0x5e, 0x53, 0x4c, 0x01}};

struct Router {
    std::string name;
    MacAddr mac = kRouterMac;  ///< vMAC: of its interfaces towards vNICs, on every host.
    std::vector<RouterInterface> interfaces;
    std::vector<Route> routes;

    bool operator==(const Router&) const = default;
};

}  // namespace sluice::model
