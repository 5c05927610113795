// SPDX-License-Identifier: Apache-2.0
// Bfd: how control packets of BFD travel between VTEPs: to a neighbour on UDP 3784 with TTL 255
// (RFC 5881), through routers on UDP 4784 (RFC 5883). Worker that polls the VTEP's uplink.
#pragma once

#include <cstdint>

#include "datapath/bfd_packet.h"
#include "datapath/snapshot.h"

struct rte_mbuf;

namespace sluice {
struct ParsedFrame;
}

namespace sluice::datapath {

struct VtepPeer;
struct WorkerContext;

inline constexpr std::uint16_t kBfdPort = 3784;          ///< RFC 5881 §4.
inline constexpr std::uint16_t kBfdMultihopPort = 4784;  ///< RFC 5883 §5.

/// A discriminator for the pair `number` (VtepPeers::number_of()), from which take_bfd() finds it.
[[nodiscard]] std::uint32_t make_discriminator(std::uint32_t number, std::uint32_t random) noexcept;

/// Sends a packet of the session with `peer` by `next_hop`.
void send_bfd(WorkerContext& context, const VtepConfig& vtep, std::uint32_t number,
              const VtepPeer& peer, const MacAddr& next_hop, const BfdPacket& packet) noexcept;

/// Takes a UDP datagram to a BFD port of VTEP `vtep`: hands it to its session, or drops it
/// (kBadBfd). Owns the frame.
void take_bfd(WorkerContext& context, std::uint16_t vtep, const ParsedFrame& parsed,
              rte_mbuf* frame) noexcept;

}  // namespace sluice::datapath
