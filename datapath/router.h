// SPDX-License-Identifier: Apache-2.0
// Router: what the parts of the distributed router share. Its stages are route.cc (where a packet
// goes), router.cc (endings: answers, errors, waiting), router_inspect.cc (ARP and ND),
// dhcp_relay.cc. Workers.
#pragma once

#include <optional>

#include "datapath/neighbours.h"
#include "datapath/stages.h"

namespace sluice::datapath {

/// The router of a domain; nullptr: it has none.
[[nodiscard]] inline const RouterConfig* router_of(const Snapshot& snapshot,
                                                   const Domain& domain) noexcept {
    return domain.router == kNoRouter ? nullptr : &snapshot.routers[domain.router];
}
[[nodiscard]] inline const RouterInterface& interface_of(const RouterConfig& router,
                                                         const Domain& domain) noexcept {
    return router.interfaces[domain.interface];
}

/// The link-local address that is made of a MAC (RFC 4291 §2.5.1, appendix A).
[[nodiscard]] IpAddr link_local_of(const MacAddr& mac) noexcept;
/// fe80::/10, 169.254.0.0/16: never routed (RFC 4291 §2.5.6, RFC 3927 §7).
[[nodiscard]] bool is_link_local(const IpAddr& ip) noexcept;

/// True if `ip` is an address of the router in the domain of `interface`, link-local ones included.
[[nodiscard]] bool has_address(const RouterConfig& router, const RouterInterface& interface,
                               const IpAddr& ip) noexcept;
/// True if `ip` is an address of the router on any of its interfaces, for a packet that entered by
/// `entered`.
[[nodiscard]] bool is_own_address(const RouterConfig& router, const RouterInterface& entered,
                                  const IpAddr& ip) noexcept;
/// True if `ip` is in a subnet of the interface.
[[nodiscard]] bool is_on_link(const RouterInterface& interface, const IpAddr& ip) noexcept;
/// From which address the router speaks to `peer`: the one of its subnet, else the first of its
/// family, else the link-local one. Nothing: it has none of the family.
[[nodiscard]] std::optional<IpAddr> address_towards(const RouterConfig& router,
                                                    const RouterInterface& interface,
                                                    const IpAddr& peer) noexcept;

/// The MAC that the router has for who sits behind `in`: only vNICs of this host know the shared
/// one.
[[nodiscard]] inline const MacAddr& router_mac_towards(const RouterConfig& router,
                                                       const PortConfig& in) noexcept {
    return in.is_uplink ? router.pmac : router.vmac;
}

/// The MAC of `ip` in a domain, if it is known: by the document, by controllers, by what vNICs were
/// seen to use, by the router's own questions.
[[nodiscard]] std::optional<MacAddr> next_hop_mac(const WorkerContext& context,
                                                  std::uint16_t domain, const IpAddr& ip) noexcept;

// router_ask.cc
/// The router's question for `ip` in a domain. Frames that waited for it are run again.
[[nodiscard]] NeighbourQuestion router_question(const Snapshot& snapshot, std::uint16_t domain,
                                                const IpAddr& ip) noexcept;

// dhcp_relay.cc
/// Takes a DHCPv4 message of a client in a domain whose interface relays, or a server's answer to
/// the router. True: consumed. False: it is none of these.
[[nodiscard]] bool relay_dhcp(WorkerContext& context, Packet& packet, const PortConfig& in,
                              std::uint16_t domain) noexcept;

}  // namespace sluice::datapath
