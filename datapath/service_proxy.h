// SPDX-License-Identifier: Apache-2.0
// Service proxy: lets hosts use instances of this one. They hand frames over in an envelope, by the
// VNI of the service's path. One that speaks NSH gets the envelope as it is, with the origin noted
// in it; for a plain one it is taken off, and put back on when the frame returns, by what its tag
// says (service_networks.h). What such a service invents goes to the network that it names, where
// that host judges it. Called by nsh.cc; worker.
#pragma once

#include "datapath/nsh_header.h"

namespace sluice::datapath {

/// Hands a frame of host `origin` (an index into Snapshot::remotes) to an instance here. Owns the
/// frame.
void serve_host(WorkerContext& context, rte_mbuf* frame, NshHeader& header, std::uint16_t instance,
                std::uint16_t origin) noexcept;
/// Sends a frame that a service which speaks NSH gave back to the host that it names. Owns it.
void hand_back(WorkerContext& context, rte_mbuf* frame, NshHeader& header,
               std::uint16_t instance) noexcept;
/// The same of a plain one: `packet` came by its leg, with a tag that is no domain's of this host.
void hand_back_plain(WorkerContext& context, Packet& packet, std::uint16_t instance) noexcept;

}  // namespace sluice::datapath
