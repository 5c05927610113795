// SPDX-License-Identifier: Apache-2.0
// Echo between VTEPs: ICMP and ICMPv6 echo requests that measure round trip and loss of each remote
// VTEP, whatever it is, and what routers on the way say of its path MTU. Worker that polls the
// VTEP's uplink.
#pragma once

#include <cstdint>

#include "datapath/snapshot.h"

namespace sluice {
struct ParsedFrame;
}

namespace sluice::datapath {

struct EchoProbe;
struct VtepPeer;
struct WorkerContext;

/// Sends the next probe to the peer `number` (VtepPeers::number_of()) by `next_hop`; one before
/// that got no answer is lost.
void send_echo(WorkerContext& context, const VtepConfig& vtep, std::uint32_t number, VtepPeer& peer,
               const MacAddr& next_hop) noexcept;

/// Takes in an echo reply to VTEP `vtep`. Whoever did not see the request can't make one.
void note_echo_reply(WorkerContext& context, std::uint16_t vtep,
                     const ParsedFrame& parsed) noexcept;

/// Takes in an ICMP error to VTEP `vtep`: fragmentation needed (RFC 1191), packet too big (RFC
/// 8201), if it quotes a tunnel of ours. Lowers the path MTU for ten minutes.
void note_icmp_error(WorkerContext& context, std::uint16_t vtep,
                     const ParsedFrame& parsed) noexcept;

}  // namespace sluice::datapath
