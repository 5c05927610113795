// SPDX-License-Identifier: Apache-2.0
// Nsh: the envelope in which frames travel to services that speak it, and to services of other
// hosts (RFC 8300, MD type 1, next protocol Ethernet): an Ethernet header with ethertype 0x894f,
// the base header, the service path header and four context words, then the frame as it is.
// docs/adr/0039-a-connection-is-pinned-to-its-services.md. Worker.
#pragma once

#include <cstdint>

#include "datapath/context.h"
#include "sluice/iochain/chain.h"
#include "sluice/iochain/connection_table.h"

namespace sluice::datapath {

/// What the header says. Context words, network order: [0] ingress port << 16 | service VID;
/// [1] slot << 24 | bits: 0 direction (1: to the VM), 1 side (1: the responder's), 2 verdict
/// "bypass the rest"; [2] index, [3] generation of the connection.
struct NshContext {
    std::uint32_t path = 0;    ///< Service path identifier, 24 bits: the instance.
    std::uint8_t index = 255;  ///< Service index: services less one each pass.
    PortIndex port = kNoPort;  ///< Where the frame entered.
    std::uint16_t service_vid = 0;
    std::uint8_t slot = 0;
    Direction direction = Direction::kFromVm;
    ConnectionSide side = ConnectionSide::kOpener;
    bool bypasses_rest = false;
    ConnectionHandle connection;
};

/// Sends a frame, untagged, in an envelope to an instance that wants one or is elsewhere. Owns the
/// frame.
void send_in_nsh(WorkerContext& context, rte_mbuf* frame, std::uint16_t instance,
                 const NshContext& what) noexcept;

/// Takes the envelope off a frame, untagged inside, and runs what is inside as if the service had
/// sent it plain. Owns the frame.
/// @param tunnel  FlowKey::tunnel of it: 0, or of an instance elsewhere, whose number stands in
///                place of the VNI (instance_behind())
void open_envelope(WorkerContext& context, rte_mbuf* frame, std::uint16_t service_vid,
                   std::uint32_t tunnel) noexcept;

}  // namespace sluice::datapath
