// SPDX-License-Identifier: Apache-2.0
// Router rig: vNICs in several networks that one router joins, and what frames look like on its two
// sides.
#pragma once

#include <memory>

#include "tests/packet/pipeline.h"

namespace sluice::test {

inline const MacAddr kVmac = mac("02:00:5e:53:4c:01");

/// red 10.0.0.0/24 and 2001:db8::/64 (vm1, vm2), VLAN 10; blue 10.0.1.0/24 and 2001:db8:1::/64
/// (vm4), VLAN 20; the router "r" has .254 and ::254 in both.
[[nodiscard]] nlohmann::json two_networks();
inline const Vnic kVm4{mac("02:00:00:00:00:04"), ip("10.0.1.4"), ip("2001:db8:1::4")};
/// A machine in blue that the document does not know.
inline const Vnic kStranger{mac("02:00:00:00:0f:01"), ip("10.0.1.99"), ip("2001:db8:1::99")};
inline const Vnic kRedGateway{kVmac, ip("10.0.0.254"), ip("2001:db8::254")};
inline const Vnic kBlueGateway{kVmac, ip("10.0.1.254"), ip("2001:db8:1::254")};

/// This host's own MAC of the first router.
[[nodiscard]] MacAddr pmac_of(Pipeline& p);

/// From one vNIC to another in another network, as the sender's side sees it, and the receiver's.
[[nodiscard]] Path to_router(const Vnic& from, const Vnic& to, bool is_v6);
[[nodiscard]] Path from_router(const Vnic& from, const Vnic& to, bool is_v6);
/// The frame one hop on: MACs of `path`, TTL less one, IPv4's checksum mended.
[[nodiscard]] Bytes routed(Bytes frame, const Path& path);

}  // namespace sluice::test
