// SPDX-License-Identifier: Apache-2.0
// Report: what this host writes into hardware_vtep (vtep(5)), as operations (RFC 7047 §5.2) that
// make its part of a replica what it should be. Pure, any thread; called by Source.
//
// Ours are the Physical_Switch of the host's name with all its ports, and the rows of
// Ucast_Macs_Local and Mcast_Macs_Local whose locator is an address of the host. Rows that nothing
// refers to are the server's to collect.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "controller-agent/fleet/host_control.h"
#include "controller-agent/ovsdb/value.h"
#include "controller-agent/vtep/networks.h"

namespace sluice::vtep {

/// A list of operations; empty: the replica says it all.
/// @param state  with all ports, whatever epoch
/// @param faults  ports that the daemon refused, beside those of `networks`
/// @param is_refused  the daemon refused the document as a whole
[[nodiscard]] nlohmann::json report(const ovsdb::Tables& tables, const OwnHost& own,
                                    const Networks& networks, const fleet::LocalState& state,
                                    const std::map<std::string, std::string>& faults,
                                    bool is_refused);

}  // namespace sluice::vtep
