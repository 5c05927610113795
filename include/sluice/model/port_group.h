// SPDX-License-Identifier: Apache-2.0
// model::PortGroup: the noun `port_groups`, one policy for many ports. Its defaults are the
// product's defaults (docs/defaults.md is made from them). Limits of 0 mean none. Plain values, any
// thread.
#pragma once

#include <cstdint>
#include <string>

#include "sluice/model/vlan.h"

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

/// A policy and a layer-2 domain. Groups of one switch with the same VLAN share the domain.
struct PortGroup {
    std::string name;
    std::string switch_name;  ///< An existing Switch.
    Vlan vlan;
    Security security;
    MacLearning mac_learning;
    SpoofGuard spoofguard = SpoofGuard::kOff;
    BindingLimits bindings;
    Guards guards;
    Limits limits;
    bool arp_suppression = true;  ///< Known ARP and ND questions are answered by the switch.

    bool operator==(const PortGroup&) const = default;
};

}  // namespace sluice::model
