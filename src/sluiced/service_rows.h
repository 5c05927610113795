// SPDX-License-Identifier: Apache-2.0
// Service rows: how an instance of a service does and what it carried, over all workers, for `show
// services` and the metrics. Control thread.
#pragma once

#include <cstdint>

#include "datapath/dataplane.h"

namespace sluice::daemon {

struct ServiceRow {
    bool works = true;
    const char* state = "up";        ///< up, ramping, draining, down.
    std::uint64_t since_ns = 0;      ///< For so long; 0 = ever since it is configured.
    std::uint64_t heartbeat_us = 0;  ///< Round trip of the last one; 0 = none came back yet.
    std::uint64_t connections = 0;   ///< Pinned to it, ever.
    std::uint64_t sent_packets = 0, sent_bytes = 0, returned_packets = 0;
    std::uint64_t skipped_packets = 0, dropped_packets = 0;
};

/// @param instance  index into Snapshot::service_instances
/// @param takes_new  false: its weight is 0
[[nodiscard]] ServiceRow service_row(const datapath::Dataplane& dataplane, std::uint16_t instance,
                                     bool takes_new);

}  // namespace sluice::daemon
