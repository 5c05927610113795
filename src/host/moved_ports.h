// SPDX-License-Identifier: Apache-2.0
// Moved ports: the VM of a port of the document is at another host, because live migration has
// taken it there or is to bring it from there (ADR 50). It is no part of the document: a compiled
// snapshot is changed by it, MACs and owners of addresses of the port's domains, nothing else.
// Pure.
#pragma once

#include <optional>

#include "datapath/snapshot.h"

namespace sluice::host {

/// Where the VM of a port is.
struct MovedTo {
    IpAddr vtep;              ///< kNone: by the uplinks of its VLAN.
    bool is_awaited = false;  ///< It is still to come here; else it has left, and what the fabric
                              ///< still brings for it is sent on.
    bool operator==(const MovedTo&) const = default;
};

/// Index of a remote VTEP in Snapshot::remotes; 0: the snapshot does not know it.
[[nodiscard]] std::uint16_t remote_index(const datapath::Snapshot& snapshot, const IpAddr& vtep);

/// Places the VM of a vNIC's port; nullopt: here, as compiled. A VTEP that `next` does not know
/// changes nothing in VNIs. The port's domains get the generation of `next` as their epoch.
void place_port(datapath::Snapshot& next, PortIndex port, const std::optional<MovedTo>& to);

/// What place_port() did last; nullopt: it is here.
[[nodiscard]] std::optional<MovedTo> placed(const datapath::Snapshot& snapshot, PortIndex port);

}  // namespace sluice::host
