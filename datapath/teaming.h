// SPDX-License-Identifier: Apache-2.0
// Teaming: which uplink, or VTEP, carries a frame out of the host, and which of the fabric's copies
// of a frame a vNIC takes. Pure functions of the snapshot and of Reach: workers ask for first
// packets, inspected frames, copies and programs that are looked at again; control asks the same to
// know who uses what. docs/adr/0031 says why rendezvous hashing.
#pragma once

#include "datapath/reach.h"
#include "datapath/snapshot.h"
#include "sluice/iochain/flow_key.h"

namespace sluice::datapath {

/// The uplink of a team for frames of `key` by `sender`, kNoPort if none works. Each sender (or
/// source MAC, or flow, by the policy) has a home among `active`, found by rendezvous hashing: it
/// moves only if its home fails, and comes back with it. While it is away, the first failed one of
/// `active` is stood in for by the first standby that works, the second by the second; when there
/// is no further standby, by all that are left.
[[nodiscard]] PortIndex choose_uplink(const Reach& reach, const Team& team, PortIndex sender,
                                      const FlowKey& key) noexcept;

/// Port of the VTEP of a VNI's domain for `sender`; the same rule, over all of the domain's VTEPs.
[[nodiscard]] PortIndex choose_vtep(const Snapshot& snapshot, const Reach& reach,
                                    const Domain& domain, PortIndex sender) noexcept;

/// The team of frames that `sender` (kNoPort: the switch itself) sends in a VLAN's domain; kNoTeam:
/// there is none.
[[nodiscard]] std::uint16_t team_of(const Snapshot& snapshot, const Domain& domain,
                                    PortIndex sender) noexcept;

/// way_out() for whoever has no WorkerContext.
[[nodiscard]] PortIndex find_way_out(const Snapshot& snapshot, const Reach& reach,
                                     std::uint16_t domain, PortIndex sender,
                                     const FlowKey& key) noexcept;

/// True if `receiver` takes a frame of `key` that the fabric sends everybody (broadcast, multicast,
/// unknown unicast). The fabric sends it to each of several uplinks, or VTEPs: a vNIC takes the one
/// that comes by its own way out. Always true for what did not enter by the fabric.
[[nodiscard]] bool takes_from_fabric(const Snapshot& snapshot, const Reach& reach,
                                     std::uint16_t domain, const FlowKey& key,
                                     PortIndex receiver) noexcept;

}  // namespace sluice::datapath
