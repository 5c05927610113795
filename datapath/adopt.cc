// SPDX-License-Identifier: Apache-2.0
// The dataplane's side of the arena: taking over what another process left there, and room for more
// records ahead of use. Control thread.
#include <algorithm>
#include <chrono>

#include "datapath/dataplane.h"

namespace sluice::datapath {
namespace {

std::uint64_t clock_ns() noexcept {
    return static_cast<std::uint64_t>(
        std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count());
}

// Records of `bytes_each` that the file has room for.
std::uint32_t records_in(const ArenaRegion& region, std::size_t bytes_each,
                         std::uint32_t capacity) noexcept {
    return static_cast<std::uint32_t>(
        std::min<std::size_t>(region.file_bytes() / bytes_each, capacity));
}

}  // namespace

// Of a table that outgrew its file, those in memory of the process too.
std::uint32_t Dataplane::connection_records() noexcept {
    const std::uint32_t in_file =
        records_in(arena_->connections(), sizeof(Connection), connections_->capacity());
    const bool has_others = has_more_connections_ || !arena_->is_kept();
    return has_others ? std::max(in_file, connections_->used_count()) : in_file;
}

std::uint32_t Dataplane::learned_records() noexcept {
    const std::uint32_t in_file = records_in(
        arena_->learned(), LearnedTable::record_bytes(1U << 12U) >> 12U, learned_->capacity());
    const bool has_others = has_more_learned_ || !arena_->is_kept();
    return has_others ? std::max(in_file, learned_->used_count()) : in_file;
}

Result<AdoptReport> Dataplane::adopt(std::uint64_t now_ns) {
    const std::uint64_t begun_ns = clock_ns();
    if (Status loaded = arena_->reload(); !loaded) { return loaded.error(); }
    const bool has_checks = !arena_->is_found() || arena_->schema() > kArenaSchemaOldest;
    AdoptReport report;
    report.connections = connections_->adopt(connection_records(), now_ns, &pins_, has_checks);
    report.learned = learned_->adopt(learned_records(), now_ns, has_checks);
    if (Status noted = arena_->note_adopted(); !noted) { return noted.error(); }
    static_cast<void>(tend_arena());  // Without room for more, what is there goes on all the same.
    report.took_ns = clock_ns() - begun_ns;
    return report;
}

void Dataplane::prepare_adoption() {
    static_cast<void>(arena_->reload());  // adopt() says what is wrong.
    arena_->connections().populate();
    arena_->learned().populate();
    arena_->pins().populate();
    connections_->prepare(connection_records());
    for (const auto& worker : workers_) { worker->context().flows.prepare(); }
}

Status Dataplane::tend_connections() {
    if (has_more_connections_) { return Ok{}; }
    const std::uint32_t capacity = connections_->capacity();
    const std::uint32_t wanted =  // A busy host opens as many in a tenth of a second.
        std::min(capacity, connections_->used_count() + 2U * kArenaAheadRecords);
    ArenaRegion& records = arena_->connections();
    Status grown = records.grow(std::size_t{wanted} * sizeof(Connection));
    const std::uint32_t ready = records_in(records, sizeof(Connection), capacity);
    if (grown && keeps_pins_) { grown = arena_->pins().grow(ServicePinTable::bytes(ready)); }
    has_more_connections_ = !grown;
    connections_->set_ready(grown ? ready : capacity);
    return grown;
}

Status Dataplane::tend_learned() {
    if (has_more_learned_) { return Ok{}; }
    const std::uint32_t capacity = learned_->capacity();
    const std::uint32_t wanted = std::min(capacity, learned_->used_count() + kArenaAheadRecords);
    ArenaRegion& records = arena_->learned();
    Status grown = records.grow(LearnedTable::record_bytes(wanted));
    has_more_learned_ = !grown;
    const std::size_t each = LearnedTable::record_bytes(1U << 12U) >> 12U;
    learned_->set_ready(grown ? records_in(records, each, capacity) : capacity);
    return grown;
}

Status Dataplane::tend_arena() {
    if (!arena_->is_kept()) { return Ok{}; }
    const Status connections = tend_connections();
    const Status learned = tend_learned();
    return connections ? learned : connections;
}

// Before any worker can pin a connection: rows of those that may be opened have room in the arena,
// or none has (tend_arena() says so then).
void Dataplane::keep_pins(const Snapshot& next) {
    if (keeps_pins_ || next.service_rules.size() <= 1) { return; }
    keeps_pins_ = true;
    if (!arena_->is_kept() || has_more_connections_) { return; }
    if (!arena_->pins().grow(ServicePinTable::bytes(connections_->ready_count()))) {
        has_more_connections_ = true;
        connections_->set_ready(connections_->capacity());
    }
}

}  // namespace sluice::datapath
