// SPDX-License-Identifier: Apache-2.0
// Spec: one end of the load as the user names it: which socket, and who the pretended guest is.
//     PATH[,mac=02:00:00:00:00:01][,ip=10.0.0.1|10.0.0.1/28|10.0.0.1-10.0.0.9]...[,via=MAC]
//         [,vxlan=VNI/OWN-VTEP/SWITCH-VTEP/SWITCH-MAC][,listen]
// Pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/result.h"

namespace sluice::load {

using Mac = std::array<std::uint8_t, 6>;

/// The VTEPs between the guest of an end and the switch. Addresses in host byte order.
struct Tunnel {
    std::uint32_t vni = 0;
    std::uint32_t own_ip = 0;   ///< Of the VTEP that this end pretends to have.
    std::uint32_t peer_ip = 0;  ///< Of the switch's.
    Mac own_mac{}, peer_mac{};
};

struct Spec {
    std::string path;
    Mac mac{};
    std::optional<Mac> via;          ///< Frames go to this MAC, a router's, not to the other end's.
    std::optional<Tunnel> tunnel;    ///< The end is an uplink, the guest behind a remote VTEP.
    std::vector<std::uint32_t> ips;  ///< Host byte order, at least one.
    bool listen = false;             ///< We make the socket and the switch connects.
};

/// Reads one SPEC. What it leaves out is 02:00:00:00:00:0N and 10.0.0.N, N = `number`. A prefix
/// stands for its addresses from the given one to the last that is not the broadcast address. The
/// MAC of a tunnel's own VTEP is the guest's with 99 in the fifth byte.
/// kInvalid names the end, the value and what is expected.
[[nodiscard]] Result<Spec> parse_spec(const std::string& text, unsigned number);

/// "10.0.0.1" of a host-order address; "02:00:00:00:00:01".
[[nodiscard]] std::string ip_text(std::uint32_t ip);
[[nodiscard]] std::string mac_text(const Mac& mac);

}  // namespace sluice::load
