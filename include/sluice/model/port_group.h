// SPDX-License-Identifier: Apache-2.0
// model::PortGroup: the noun `port_groups`, one policy for many ports. Its defaults are the
// product's defaults (docs/defaults.md is made from them). Limits of 0 mean none. Plain values, any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/model/teaming.h"
#include "sluice/model/vlan.h"
#include "sluice/net/address.h"

namespace sluice::model {

/// What a vNIC may do beside sending from its own MAC and receiving its own frames.
struct Security {
    bool promiscuous = false;       ///< Receives every frame of its domain.
    bool mac_changes = false;       ///< The guest may take another MAC.
    bool forged_transmits = false;  ///< The guest may send from a MAC that is not its own.

    bool operator==(const Security&) const = default;
};

/// Where a vNIC's permitted addresses come from.
enum class SpoofGuard : std::uint8_t {
    kOff,     ///< Any address.
    kAuto,    ///< First use is trusted, within BindingLimits.
    kManual,  ///< Only `ips` of the port.
};

/// How many addresses a vNIC may be seen to own.
struct BindingLimits {
    std::uint32_t arp = 1;    ///< IPv4 addresses learned from ARP.
    std::uint32_t nd = 3;     ///< IPv6 addresses learned from neighbour discovery.
    std::uint32_t age_s = 0;  ///< Idle time after which a learned one is forgotten; 0 = never.

    bool operator==(const BindingLimits&) const = default;
};

/// Frames from the VM that the switch refuses (true = refused).
struct Guards {
    bool bpdu = true;          ///< Spanning-tree frames.
    bool dhcp_server = true;   ///< DHCP answers.
    bool dhcp_client = false;  ///< DHCP requests.
    bool ra = true;            ///< IPv6 router advertisements (RFC 6105).
    bool non_ip = false;       ///< Everything but ARP, IPv4 and IPv6.

    bool operator==(const Guards&) const = default;
};

/// Rates a vNIC may send at, packets per second; 0 = none.
struct Limits {
    std::uint32_t arp_pps = 50;
    std::uint32_t nd_pps = 50;
    std::uint32_t dhcp_pps = 10;
    std::uint32_t broadcast_pps = 0;
    std::uint32_t multicast_pps = 0;
    std::uint32_t flows = 0;  ///< Flow-table entries of the vNIC, a count and not a rate.

    bool operator==(const Limits&) const = default;
};

/// Learning of MACs behind a vNIC (nested guests).
struct MacLearning {
    bool enabled = false;
    std::uint32_t limit = 4096;
    bool unknown_unicast_flood = false;
    std::uint32_t age_s = 300;

    bool operator==(const MacLearning&) const = default;
};

/// How broadcast, unknown unicast and multicast reach other hosts of a VNI.
enum class Replication : std::uint8_t {
    kUnicast,      ///< A copy to each VTEP of the own subnet, one to a proxy of each other subnet.
    kHybrid,       ///< The underlay's multicast in the own subnet, a proxy for each other one.
    kMulticast,    ///< The underlay's multicast, routed by the fabric.
    kHeadEnd,      ///< A copy to each of the group's own `flood_vteps`, wherever they are.
    kServiceNode,  ///< A copy to one of them that works; it copies to the others.
};

[[nodiscard]] constexpr bool uses_multicast(Replication replication) noexcept {
    return replication == Replication::kHybrid || replication == Replication::kMulticast;
}
/// By `flood_vteps` of the group in place of `remote_vteps` of the switch.
[[nodiscard]] constexpr bool uses_flood_vteps(Replication replication) noexcept {
    return replication == Replication::kHeadEnd || replication == Replication::kServiceNode;
}

/// A policy and a layer-2 domain. Groups of one switch with the same VLAN, or the same VNI, share
/// the domain.
struct PortGroup {
    std::string name;
    std::string switch_name;  ///< An existing Switch.
    Vlan vlan;                ///< Of a group without VNI.
    std::uint32_t vni = 0;    ///< 1..16777215; 0 = VLAN-backed.
    Replication replication = Replication::kUnicast;
    std::optional<IpAddr> multicast_group;  ///< Needed by hybrid and multicast.
    std::vector<IpAddr> flood_vteps = {};   ///< Of head_end and service_node; none: no flood.
    std::optional<Teaming> teaming;         ///< In place of the switch's, whole.
    Security security;
    MacLearning mac_learning;
    SpoofGuard spoofguard = SpoofGuard::kOff;
    BindingLimits bindings;
    Guards guards;
    Limits limits;
    bool arp_suppression = true;      ///< Known ARP and ND questions are answered by the switch.
    std::vector<IpPrefix> addresses;  ///< Of members on other hosts, for rules that name the group.
                                      ///< Sorted, without duplicates.

    bool operator==(const PortGroup&) const = default;
};

}  // namespace sluice::model
