// SPDX-License-Identifier: Apache-2.0
// WorkerCommand: the pieces, each bounded to a few microseconds.
#include "datapath/command.h"

#include <algorithm>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kPiece = 256;  // Entries a step.

}  // namespace

bool FoldCommand::step(WorkerContext& context) noexcept {
    const std::uint32_t end = std::min(at_ + kPiece, context.flows.high_water());
    for (; at_ < end; ++at_) {
        if (context.flows.is_live(at_)) { fold(context, at_); }
    }
    if (at_ < context.flows.high_water()) { return false; }
    const WorkerCounters& c = context.counters;
    received = c.received.get();
    created = c.created.get();
    sent = c.sent.get();
    consumed = c.consumed.get();
    dropped = c.dropped.get();
    handed_over = c.handed_over.get();
    taken_over = c.taken_over.get();
    waiting = context.fragments.held_count() + context.neighbours.held_count() +
              context.large.held_count();
    return true;
}

bool FlushConnections::step(WorkerContext& context) noexcept {
    removed += context.connections.flush(context.options.index, port_, at_, kPiece);
    return at_ >= context.connections.capacity();
}

bool FlushLearned::step(WorkerContext& context) noexcept {
    removed += context.learned.flush(filter_, at_, kPiece);
    return at_ >= context.learned.capacity();
}

bool ForgetRemotes::step(WorkerContext& context) noexcept {
    context.learned.for_each(at_, kPiece, context.now_ns, [&](const LearnedRow& row) {
        const std::uint16_t remote = row.value.remote;
        const bool is_behind = row.key.kind == LearnedKind::kMac && remote < is_gone_.size();
        if (is_behind && is_gone_[remote]) { context.learned.forget(row.key); }
    });
    at_ += kPiece;
    return at_ >= context.learned.used_count();
}

bool SettlePending::step(WorkerContext& context) noexcept {
    const std::size_t end = std::min<std::size_t>(at_ + kPiece, rows_.size());
    for (; at_ < end; ++at_) {
        if (!is_rejected_) {
            context.learned.forget(rows_[at_]);
            continue;
        }
        LearnedValue value =
            context.learned.find(rows_[at_], context.now_ns).value_or(LearnedValue{});
        value.flags = kPendingRejected;
        value.expires_ns = 0;
        context.learned.learn(rows_[at_], value, 0, context.now_ns);
    }
    return at_ == rows_.size();
}

bool FlushFlows::step(WorkerContext& context) noexcept {
    const std::uint32_t end = std::min(at_ + kPiece, context.flows.high_water());
    for (; at_ < end; ++at_) {
        if (context.flows.is_live(at_)) {
            context.flows.remove(at_);
            ++removed;
        }
    }
    context.flows.end_burst();
    if (at_ < context.flows.high_water()) { return false; }
    context.fragments.flush();
    return true;
}

bool ListFlows::step(WorkerContext& context) noexcept {
    const auto fewer = [](const Row& a, const Row& b) { return a.state.packets > b.state.packets; };
    const std::uint32_t end = std::min(at_ + kPiece, context.flows.high_water());
    for (; at_ < end; ++at_) {
        if (!context.flows.is_live(at_)) { continue; }
        const FlowEntry& entry = context.flows.entry(at_);
        if (rows.size() == row_count_max_ &&
            (rows.empty() || entry.state.packets <= rows.front().state.packets)) {
            continue;
        }
        rows.push_back(Row{entry.key, entry.state});
        std::push_heap(rows.begin(), rows.end(), fewer);
        if (rows.size() > row_count_max_) {
            std::pop_heap(rows.begin(), rows.end(), fewer);
            rows.pop_back();
        }
    }
    now_ms = context.now_ms;
    return at_ >= context.flows.high_water();
}

}  // namespace sluice::datapath
