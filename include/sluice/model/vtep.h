// SPDX-License-Identifier: Apache-2.0
// model::Vtep: the noun `vteps`, an end of VXLAN tunnels on this host (RFC 7348). Plain value, any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sluice/model/port.h"
#include "sluice/net/address.h"

namespace sluice::model {

inline constexpr std::uint16_t kVxlanPort = 4789;  ///< RFC 7348 §5.

/// Bytes that encapsulation adds to the inner IP packet: outer IP, UDP, VXLAN and the inner
/// Ethernet header.
[[nodiscard]] constexpr std::uint16_t vxlan_overhead(IpFamily underlay) noexcept {
    return underlay == IpFamily::kV6 ? 70 : 50;
}

/// It has an address and a MAC of its own on the underlay, and answers for them itself.
struct Vtep {
    std::string name;
    InterfaceAddress address;       ///< `ip` of the document, with the subnet's prefix length.
    MacAddr mac;                    ///< default_mac(host/name) if the document gives none.
    std::optional<IpAddr> gateway;  ///< In the subnet; needed to reach other subnets.
    std::string uplink;             ///< An existing Uplink, which belongs to one switch.
    std::uint16_t vlan = 0;         ///< Tag of its frames on the underlay; 0 = none.
    std::uint16_t mtu = 1600;       ///< Bytes of layer 3 that the underlay carries.
    std::uint16_t udp_port = kVxlanPort;

    bool operator==(const Vtep&) const = default;
};

}  // namespace sluice::model
