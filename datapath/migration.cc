// SPDX-License-Identifier: Apache-2.0
// Migration: see migration.h.
#include "datapath/migration.h"

#include <algorithm>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::size_t kPiece = 64;  // A connection costs some cache misses: about 20 us a step.
constexpr std::uint32_t kFlowPiece = 256;

struct PinChange {
    ServicePins* to;
    const ServicePins* from;
};

std::uint32_t limit_of(const PortConfig& port, const LearnedRow& row) noexcept {
    if (row.key.kind == LearnedKind::kPending) { return kPendingPerPortMax; }
    if (row.key.kind == LearnedKind::kMac) { return port.learning.limit; }
    if (row.key.kind != LearnedKind::kBinding || row.value.source == LearnedSource::kDhcp) {
        return kBindingPerPortMax;
    }
    const std::uint32_t limit =
        row.key.family == IpFamily::kV4 ? port.bindings.limit_v4 : port.bindings.limit_v6;
    return limit == 0 ? kBindingPerPortMax : limit;
}

}  // namespace

void ImportConnections::put(WorkerContext& context, Row& row) noexcept {
    ConnectionTable& table = context.connections;
    table.prepare(row.connection.tuple);
    const ConnectionImported done =
        import_connection(table, context.options.index, row.connection, context.now_ns);
    if (!done.handle.is_set()) {
        ++refused;
        return;
    }
    ++(done.is_new ? opened : renewed);
    if (row.pins.count == 0) { return; }
    PinChange change{&context.pins.of(done.handle), &row.pins};
    const auto set = [](void* argument) {
        const auto& pins = *static_cast<const PinChange*>(argument);
        *pins.to = *pins.from;
        pins.to->seal();
    };
    if (table.run_locked(done.handle, set, &change)) {
        [[maybe_unused]] const ConnectionHandle now = table.redirect(done.handle);
    }
}

bool ImportConnections::step(WorkerContext& context) noexcept {
    const std::size_t all = rows_.size() + ended_.size();
    const std::size_t end = std::min(at_ + kPiece, all);
    for (; at_ < end; ++at_) {
        if (at_ < rows_.size()) {
            put(context, rows_[at_]);
            continue;
        }
        const ConnectionHandle old =
            context.connections.find(ended_[at_ - rows_.size()], context.now_ns);
        if (!old.is_set()) { continue; }
        context.connections.close(context.options.index, old, ConnectionEnd::kClosed);
        ++ended;
    }
    return at_ == all;
}

bool ImportLearned::step(WorkerContext& context) noexcept {
    const std::size_t end = std::min(at_ + kPiece, rows_.size());
    for (; at_ < end; ++at_) {
        const LearnedRow& row = rows_[at_];
        const PortConfig* port = context.snapshot->port(row.owner());
        if (port == nullptr) { continue; }  // It went meanwhile.
        const LearnResult result =
            context.learned.learn(row.key, row.value, limit_of(*port, row), context.now_ns);
        const bool is_refused = result == LearnResult::kLimit || result == LearnResult::kFull;
        ++(is_refused ? refused : kept);
    }
    context.refresh_stamp();
    return at_ == rows_.size();
}

bool CountStragglers::step(WorkerContext& context) noexcept {
    const std::uint32_t end = std::min(at_ + kFlowPiece, context.flows.high_water());
    for (; at_ < end; ++at_) {
        if (!context.flows.is_live(at_)) { continue; }
        const FlowEntry& entry = context.flows.entry(at_);
        if (entry.key.destination_mac != mac_) { continue; }
        ++flows;
        packets += entry.state.packets;
        idle_ms = std::min(idle_ms, context.now_ms - entry.state.last_used_ms);
    }
    return at_ >= context.flows.high_water();
}

}  // namespace sluice::datapath
