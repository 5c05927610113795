// SPDX-License-Identifier: Apache-2.0
// reply_key(): from a flow to the one that answers it, for what is foreseen of answers: programs
// (reply.cc) and services (compose_service.cc). Worker.
#pragma once

#include "sluice/iochain/flow_key.h"

namespace sluice::datapath {

/// The key of the packets that answer those of `key`: neither side tags, so that nothing is guessed
/// but the DSCP.
[[nodiscard]] inline FlowKey reply_key(const FlowKey& key, PortIndex responder) noexcept {
    FlowKey reply = key;
    reply.source_mac = key.destination_mac;
    reply.destination_mac = key.source_mac;
    __builtin_memcpy(reply.source_ip, key.destination_ip, sizeof reply.source_ip);
    __builtin_memcpy(reply.destination_ip, key.source_ip, sizeof reply.destination_ip);
    reply.source_port = key.destination_port;
    reply.destination_port = key.source_port;
    reply.port = responder;
    return reply;
}

}  // namespace sluice::datapath
