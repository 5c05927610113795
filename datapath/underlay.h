// SPDX-License-Identifier: Apache-2.0
// Underlay: what a VTEP says and hears itself on the fabric, beside tunnels: ARP and ND for its
// address, echo, BFD; and the way to the next hop of a tunnel. Called by the tunnel's ingress and
// output, on the worker that polls the VTEP's uplink.
#pragma once

#include <cstdint>

#include "datapath/neighbours.h"
#include "datapath/snapshot.h"

namespace sluice::datapath {

/// Takes a frame that came by `uplink` if it concerns a VTEP there itself: unicast to its MAC, an
/// ARP request or answer or a neighbour solicitation or advertisement about its address, or a group
/// of its own. Not for VXLAN that its VTEP takes. True: taken (answered, consumed or dropped).
/// False: it goes on to the VLAN's domain, nothing was done.
[[nodiscard]] bool take_underlay(WorkerContext& context, PortIndex uplink,
                                 rte_mbuf* frame) noexcept;

/// To whom a frame for `remote` is handed: itself if it is in the VTEP's subnet, else the gateway.
/// kNone: there is no way.
[[nodiscard]] IpAddr next_hop_of(const VtepConfig& vtep, const IpAddr& remote) noexcept;

/// NeighbourQuestion::ask of VTEPs: an ARP request, or a neighbour solicitation, from the VTEP.
void ask_underlay(WorkerContext& context, const NeighbourQuestion& question) noexcept;

/// The question of VTEP `vtep` for a next hop of its subnet.
/// @param resume  what becomes of frames that waited for it
[[nodiscard]] NeighbourQuestion underlay_question(
    const Snapshot& snapshot, std::uint16_t vtep, const IpAddr& next_hop,
    decltype(NeighbourQuestion::resume) resume) noexcept;

/// Bytes of layer 3 that the underlay carries from VTEP `vtep` to the remote one: the VTEP's MTU,
/// or what a router on the way said within the last ten minutes.
[[nodiscard]] std::uint16_t underlay_mtu(const WorkerContext& context, std::uint16_t vtep,
                                         std::uint16_t remote) noexcept;

}  // namespace sluice::datapath
