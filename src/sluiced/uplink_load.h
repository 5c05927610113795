// SPDX-License-Identifier: Apache-2.0
// UplinkLoad: which vNIC the policy `load` moves to another uplink. Pure. Control thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "sluice/base/ids.h"

namespace sluice::daemon {

/// What an uplink carried in the time that is looked at, both ways.
struct UplinkLoad {
    PortIndex uplink;
    std::uint64_t bytes = 0;
};
/// The same of a vNIC, and which uplink it uses. Bytes that stay on the host count, too: nobody
/// keeps them apart.
struct VnicLoad {
    PortIndex vnic;
    PortIndex uplink;
    std::uint64_t bytes = 0;
};
struct LoadMove {
    PortIndex vnic;
    PortIndex uplink;  ///< To which.
    bool operator==(const LoadMove&) const = default;
};

/// The vNIC that evens out the busiest of `uplinks` and the least busy best, if the one carries
/// over 75 % more than the other, and at least `bytes_min`. One at a time: what it changes is seen
/// before the next one moves.
[[nodiscard]] std::optional<LoadMove> next_move(const std::vector<UplinkLoad>& uplinks,
                                                const std::vector<VnicLoad>& vnics,
                                                std::uint64_t bytes_min);

}  // namespace sluice::daemon
