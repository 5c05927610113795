// SPDX-License-Identifier: Apache-2.0
// Tunnel: an end that lies behind the fabric. Its socket is an uplink of the switch (DPDK's
// net_vhost); the guest that it pretends to be runs on another host, whose VTEP it pretends to be,
// too: what it sends has VXLAN's outer header (RFC 7348 §5, IPv4), what it receives is expected
// with one, and it answers ARP for that VTEP's address.
// Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "spec.h"

namespace sluice::load {

/// Ethernet, IPv4, UDP and VXLAN headers in front of the inner frame.
inline constexpr std::size_t kOuterBytes = 50;

/// Writes the outer header of an inner frame of `inner_bytes`. `flow`: what its source port is
/// made of.
void write_outer(std::span<std::uint8_t, kOuterBytes> at, const Tunnel& tunnel,
                 std::size_t inner_bytes, std::uint64_t flow);

/// Is `frame`, as it came from the fabric, an ARP request for the address of the end's VTEP?
[[nodiscard]] bool asks_for(std::span<const std::uint8_t> frame, const Tunnel& tunnel);

}  // namespace sluice::load
