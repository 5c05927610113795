// SPDX-License-Identifier: Apache-2.0
// ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861) of the VTEPs themselves. Called by
// underlay.cc and vtep_peers.cc, on the worker that polls the VTEP's uplink.
#pragma once

#include "datapath/snapshot.h"

struct rte_mbuf;

namespace sluice {
struct ParsedFrame;
}

namespace sluice::datapath {

struct WorkerContext;

/// Takes ARP or neighbour discovery that concerns VTEP `vtep`: a question for its address is
/// answered, an answer to a question of its own is learned, a claim of its address noted. True:
/// taken, the frame too.
[[nodiscard]] bool take_arp(WorkerContext& context, std::uint16_t vtep, const ParsedFrame& parsed,
                            rte_mbuf* frame) noexcept;
[[nodiscard]] bool take_nd(WorkerContext& context, std::uint16_t vtep, const ParsedFrame& parsed,
                           rte_mbuf* frame) noexcept;

/// Tells everybody on the underlay where the VTEP is: an ARP announcement (RFC 5227 §3), an
/// unsolicited neighbour advertisement (RFC 4861 §7.2.6).
void announce_vtep(WorkerContext& context, const VtepConfig& vtep) noexcept;

}  // namespace sluice::datapath
