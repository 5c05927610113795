// SPDX-License-Identifier: Apache-2.0
// OwnHost: what the host's own file offers to a controller of the hardware_vtep schema: uplinks,
// VTEPs, and the ports that have no port group of their own. Plain values and pure functions, any
// thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "controller-agent/fleet/rows.h"
#include "sluice/model/port.h"

namespace sluice::vtep {

using fleet::Problem;

/// An IPv4 end of tunnels; the schema knows no other ("vxlan_over_ipv4").
struct OwnVtep {
    model::InterfaceAddress address;
    bool has_gateway = false;
    std::uint16_t mtu = 0;  ///< Bytes of layer 3 of the underlay.
};

struct OwnHost {
    std::string name;
    std::vector<std::string> uplinks;
    std::vector<OwnVtep> vteps;
    std::vector<std::string> ports;  ///< That the controller may bind.
    std::vector<Problem> problems;   ///< What of the file it can't be offered.

    [[nodiscard]] bool has_vtep(const IpAddr& ip) const;
    /// The address that others find this host's MACs behind; kNone: it has no VTEP.
    [[nodiscard]] IpAddr locator() const;
    /// Why no tunnel can go there, as the end of a sentence; empty: one can.
    [[nodiscard]] std::string why_unreachable(const IpAddr& ip) const;
};

/// @param file  content of the host's own file, valid as far as the daemon runs by it
[[nodiscard]] OwnHost read_own_host(const std::string& name, const nlohmann::json& file);

}  // namespace sluice::vtep
