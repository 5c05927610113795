// SPDX-License-Identifier: Apache-2.0
// Service rows: see service_rows.h.
#include "src/sluiced/service_rows.h"

#include <utility>

#include "datapath/service_choice.h"
#include "src/sluiced/worker_clock.h"

namespace sluice::daemon {

ServiceRow service_row(const datapath::Dataplane& dataplane, std::uint16_t instance,
                       bool takes_new) {
    const datapath::ServiceStates& states = dataplane.services();
    const std::uint64_t now_ns = worker_now_ns();
    const std::uint64_t since_ns = states.since_ns(instance);
    ServiceRow row;
    row.works = states.works(instance);
    row.state = !row.works                                          ? "down"
                : !takes_new                                        ? "draining"
                : datapath::ramp_of(states, instance, now_ns) < 1.0 ? "ramping"
                                                                    : "up";
    row.since_ns = since_ns == 0 || since_ns > now_ns ? 0 : now_ns - since_ns;
    row.heartbeat_us = states.round_trip_ns(instance) / 1000U;
    for (unsigned w = 0; w < dataplane.worker_count(); ++w) {
        const datapath::ServiceCounters& counters =
            dataplane.worker(w).context().service_counters[instance];
        row.connections += counters.connections.get();
        row.sent_packets += counters.sent_packets.get();
        row.sent_bytes += counters.sent_bytes.get();
        row.returned_packets += counters.returned_packets.get();
        row.skipped_packets += counters.skipped_packets.get();
        row.dropped_packets += counters.dropped_packets.get();
    }
    return row;
}

}  // namespace sluice::daemon
