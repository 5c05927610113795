// SPDX-License-Identifier: Apache-2.0
// HealthWatch's looks of once a second: queues of guests, rings between workers and to control,
// buffers, connections, uplinks, the source. Each leaves findings; alarms.cc has how long they must
// last.
#include <rte_mempool.h>
#include <rte_ring.h>

#include <algorithm>
#include <utility>

#include "datapath/refused.h"
#include "src/sluiced/health_watch.h"

namespace sluice::daemon {
namespace {

std::string percent_text(std::uint64_t part, std::uint64_t whole) {
    return std::to_string(whole == 0 ? 0 : part * 100U / whole) + " %";
}

}  // namespace

// Its queue takes less than it refuses: who is only slow, or sent too much for a moment, is none.
void HealthWatch::look_at_ports() {
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    std::map<std::string, PortState> seen;
    for (std::uint16_t i = 0; i < snapshot.ports.size(); ++i) {
        const datapath::PortConfig* port = snapshot.port(PortIndex{i});
        if (port == nullptr) { continue; }
        PortState now;
        now.refused = datapath::refused_by(PortIndex{i});
        for (unsigned w = 0; w < dataplane_.worker_count(); ++w) {
            now.sent += std::as_const(dataplane_).worker(w).context().ports[i].tx_packets.get();
        }
        const auto before = ports_.find(port->name);
        if (before != ports_.end()) {
            const std::uint64_t refused = now.refused - before->second.refused;
            const std::uint64_t sent = now.sent - before->second.sent;
            if (refused > sent && port->device->is_up()) {
                slow_.push_back({AlarmKind::kRingFull, "port " + port->name,
                                 "its queue is full: of the last second's frames it took " +
                                     std::to_string(sent) + " and let " + std::to_string(refused) +
                                     " go"});
            }
        }
        seen.emplace(port->name, now);
    }
    ports_ = std::move(seen);
}

void HealthWatch::look_between_workers() {
    for (unsigned from = 0; from < dataplane_.worker_count(); ++from) {
        const datapath::WorkerContext& context = std::as_const(dataplane_).worker(from).context();
        for (unsigned to = 0; to < dataplane_.worker_count(); ++to) {
            if (context.to_worker[to] == nullptr) { continue; }
            const rte_ring* ring = context.to_worker[to]->ring;
            const unsigned count = rte_ring_count(ring);
            const unsigned capacity = rte_ring_get_capacity(ring);
            if (count * 100U < capacity * kRingFullPercent) { continue; }
            slow_.push_back(
                {AlarmKind::kRingFull,
                 "worker " + std::to_string(from) + " to worker " + std::to_string(to),
                 std::to_string(count) + " frames wait in a ring for " + std::to_string(capacity)});
        }
        const std::uint64_t lost = context.firewall_events.lost();
        if (lost != workers_[from].lost_events) {
            slow_.push_back(
                {AlarmKind::kRingFull, "firewall log of worker " + std::to_string(from),
                 "its ring is full: " + std::to_string(lost - workers_[from].lost_events) +
                     " lines were lost in the last second"});
        }
        workers_[from].lost_events = lost;
    }
}

// Two limits, so that a pool that is used to the edge is one alarm and not many.
void HealthWatch::look_at_memory() {
    const rte_mempool* pool = std::as_const(dataplane_).worker(0).context().options.pool;
    const std::uint64_t free = rte_mempool_avail_count(pool);
    const std::uint64_t limit = is_memory_low_ ? kMempoolWellPercent : kMempoolLowPercent;
    is_memory_low_ = free * 100U < pool->size * limit;
    if (!is_memory_low_) { return; }
    slow_.push_back({AlarmKind::kMempoolLow, "host",
                     std::to_string(free) + " of " + std::to_string(pool->size) +
                         " packet buffers are free (" + percent_text(free, pool->size) + ")"});
}

void HealthWatch::look_at_connections() {
    const ConnectionTable& table = dataplane_.connections();
    const std::uint32_t total = dataplane_.snapshot().limits.total;
    const std::uint64_t limit =
        total == 0 ? table.capacity() : std::min<std::uint64_t>(total, table.capacity());
    const std::uint64_t percent =
        are_connections_full_ ? kConnectionsWellPercent : kConnectionsFullPercent;
    const std::uint64_t count = table.size();
    are_connections_full_ = count * 100U >= limit * percent;
    if (!are_connections_full_) { return; }
    slow_.push_back({AlarmKind::kConnectionsFull, "host",
                     std::to_string(count) + " of " + std::to_string(limit) +
                         " connections are there (" + percent_text(count, limit) + ")"});
}

void HealthWatch::look_elsewhere() {
    for (const auto& [name, why] : sources_.uplinks_down()) {
        slow_.push_back({AlarmKind::kUplinkDown, "uplink " + name, why});
    }
    const nlohmann::json source = sources_.source ? sources_.source() : nlohmann::json();
    if (!source.is_object()) { return; }
    std::string text;
    for (const auto& one : source.value("alarms", nlohmann::json::array())) {
        if (one.is_string()) { text += (text.empty() ? "" : "; ") + one.get<std::string>(); }
    }
    if (!text.empty()) {
        slow_.push_back({AlarmKind::kSource, source.value("kind", "source"), text});
    }
}

void HealthWatch::look_slowly() {
    slow_.clear();
    look_at_ports();
    look_between_workers();
    look_at_memory();
    look_at_connections();
    look_elsewhere();
    if (unaccounted_ != 0) {
        slow_.push_back({AlarmKind::kBooksUnbalanced, "host",
                         std::to_string(unaccounted_) +
                             " frames are not accounted for (`sluice show drops --audit`)"});
    }
}

}  // namespace sluice::daemon
