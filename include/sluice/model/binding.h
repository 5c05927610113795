// SPDX-License-Identifier: Apache-2.0
// model::Binding: the noun `bindings`, who has an address in a layer-2 domain. Plain value, any
// thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "sluice/model/port_group.h"
#include "sluice/net/address.h"

namespace sluice::model {

/// One fact: in the domain of a port group, `ip` is at `mac`. If that is the MAC of a vNIC there,
/// the address is that vNIC's own, as if it were one of its `ips`; else that of a host elsewhere.
struct Binding {
    std::string name;        ///< "GROUP/IP", "GROUP.VLAN/IP": made when it is read, never written.
    std::string port_group;  ///< An existing PortGroup.
    MacAddr mac;             ///< Unicast.
    IpAddr ip;               ///< Unicast; once in a domain.
    std::optional<std::uint16_t> vlan;  ///< Of a trunk group, one of its VLANs; else none.
    std::optional<IpAddr> vtep = {};  ///< Of a group with VNI: the remote VTEP behind which it is.

    bool operator==(const Binding&) const = default;
};

}  // namespace sluice::model
