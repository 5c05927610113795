// SPDX-License-Identifier: Apache-2.0
// Ends of connections: by handle, by age, because a newer one needs the room, all of a vNIC's. And
// the table looked at record by record: sweep and flush on workers, listings on control.
// Records never used are never touched.
#include <algorithm>
#include <cstring>

#include "iochain/dfw/connection_arena.h"
#include "sluice/iochain/expectation_table.h"

namespace sluice {

template <typename Condition>
bool ConnectionTable::close_if(unsigned worker, std::uint32_t index, Condition&& condition,
                               ConnectionEnd why) noexcept {
    Connection& record = records_[index];
    ConnectionTuple tuple;
    {
        const ByteLock lock(record.lock, shared_);
        if (record.state == ConnectionState::kClosed || !condition(record)) { return false; }
        tuple = record.tuple;
    }
    const BucketLock bucket_lock(*this, hash_of(tuple));
    const RecordLock lock(record.lock, shared_);
    // It may have been closed, and opened again as another one, in between.
    if (record.state == ConnectionState::kClosed || !condition(record) ||
        !(record.tuple == tuple)) {
        return false;
    }
    retire(worker, bucket_lock.bucket(), index, why);
    return true;
}

void ConnectionTable::close(unsigned worker, ConnectionHandle handle, ConnectionEnd why) noexcept {
    if (get(handle) == nullptr) { return; }
    close_if(
        worker, handle.index,
        [&](const Connection& record) { return record.generation == handle.generation; }, why);
}

bool ConnectionTable::reclaim_closed(unsigned worker) noexcept {
    ClosedQueue& queue = closed_[worker];
    while (queue.count > 0) {
        const std::uint32_t index = queue.indexes[queue.first];
        queue.first = queue.first + 1U == closed_max_ ? 0 : queue.first + 1U;
        --queue.count;
        if (close_if(worker, index, [](const Connection& r) { return is_closed(r.state); })) {
            return true;
        }
    }
    return false;
}

bool ConnectionTable::drop_oldest_half_open(unsigned worker, PortIndex opener) noexcept {
    constexpr unsigned kTries = 4;  // The oldest may be another one by the time it is looked at.
    if (opener.value >= kPortMax) { return false; }
    for (unsigned i = 0; i < kTries; ++i) {
        const std::uint32_t oldest = load_relaxed(arena_->ports[opener.value].oldest);
        if (oldest == 0) { return false; }
        const bool dropped = close_if(worker, oldest - 1U, [opener](const Connection& r) {
            return (r.flags & kConnHalfOpen) != 0 && r.opener_port == opener;
        });
        if (!dropped) { continue; }
        ConnectionWorker& own = arena_->workers[worker];
        store_relaxed(own.early_drops, own.early_drops + 1U);
        return true;
    }
    return false;
}

void ConnectionTable::make_room(unsigned worker, const OpenRequest& request) noexcept {
    if (needs_room(worker) && !reclaim_closed(worker)) [[unlikely]] {
        drop_oldest_half_open(worker, request.opener_port);
        return;
    }
    const bool is_tcp = request.tuple.tuple.protocol == 6;
    if (over_limit(request.opener_port, is_tcp) != DropReason::kNone) [[unlikely]] {
        drop_oldest_half_open(worker, request.opener_port);
    }
}

// What the next ones to be reclaimed need: first the record, then the line of the index that its
// tuple says. Another worker may be writing the record: then the wrong line is fetched.
[[gnu::no_sanitize("thread")]] void ConnectionTable::prefetch_closed(
    const ClosedQueue& queue) const noexcept {
    constexpr std::uint32_t kRecordAhead = 8, kBucketAhead = 4;
    if (queue.count <= kRecordAhead) { return; }
    const auto at = [&](std::uint32_t ahead) {
        const std::uint32_t place = queue.first + ahead;
        return &records_[queue.indexes[place < closed_max_ ? place : place - closed_max_]];
    };
    __builtin_prefetch(&at(kRecordAhead)->tuple, 1);
    __builtin_prefetch(&at(kRecordAhead)->lock, 1);
    const auto* from = reinterpret_cast<const std::uint32_t*>(&at(kBucketAhead)->tuple);
    ConnectionTuple tuple;
    auto* to = reinterpret_cast<std::uint32_t*>(&tuple);
    for (std::size_t i = 0; i < sizeof tuple / sizeof *to; ++i) {
        to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
    }
    __builtin_prefetch(&bucket_of(hash_of(tuple)), 1);
}

void ConnectionTable::note_closed(unsigned worker, ConnectionHandle handle) noexcept {
    if (Connection* record = get(handle); record != nullptr) {
        const RecordLock lock(record->lock, shared_);
        if (record->logged != 0 && record->generation == handle.generation) {
            const bool is_reset = record->state == ConnectionState::kTcpClose;
            report(worker, *record, is_reset ? ConnectionEnd::kReset : ConnectionEnd::kClosed);
        }
    }
    ClosedQueue& queue = closed_[worker];
    if (queue.count == closed_max_) {
        reclaim_closed(worker);
        prefetch_closed(queue);
    }
    std::uint32_t place = queue.first + queue.count;
    if (place >= closed_max_) { place -= closed_max_; }
    queue.indexes[place] = handle.index;
    ++queue.count;
}

std::uint32_t ConnectionTable::sweep(unsigned worker, std::uint32_t budget,
                                     std::uint64_t now_ns) noexcept {
    if (load_relaxed(started_ns_) == 0) [[unlikely]] { store_relaxed(started_ns_, now_ns); }
    expectations_->sweep(now_ns);
    const std::uint32_t used = used_count();
    const std::uint32_t count = std::min(budget, used);
    if (count == 0) { return 0; }
    std::uint32_t index = load_relaxed(arena_->sweep_cursor) % used;
    store_relaxed(arena_->sweep_cursor,
                  (index + count) % used);  // Two workers at once may look at the same records.
    std::uint32_t closed = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const Connection& record = records_[index];
        const bool dead =
            load_relaxed(record.state) != ConnectionState::kClosed && !is_live(record, now_ns);
        if (dead &&
            close_if(
                worker, index, [now_ns](const Connection& r) { return now_ns >= r.expires_ns; },
                ConnectionEnd::kTimeout)) {
            ++closed;
        }
        index = index + 1U == used ? 0 : index + 1U;
    }
    return closed;
}

std::uint32_t ConnectionTable::flush(unsigned worker, PortIndex port, std::uint32_t& cursor,
                                     std::uint32_t budget) noexcept {
    const std::uint32_t used = used_count();
    std::uint32_t closed = 0;
    for (; cursor < used && budget > 0; ++cursor, --budget) {
        if (load_relaxed(records_[cursor].state) == ConnectionState::kClosed) { continue; }
        const bool all = port == kNoPort;
        const auto wanted = [all, port](const Connection& r) {
            return all || r.opener_port == port || r.responder_port == port;
        };
        if (close_if(worker, cursor, wanted, ConnectionEnd::kFlushed)) { ++closed; }
    }
    if (cursor >= used_count()) { cursor = capacity_; }
    return closed;
}

// Reads beside workers that write: fields may be of different moments, an identity of two
// connections is discarded.
[[gnu::no_sanitize("thread")]] bool ConnectionTable::copy_live(std::uint32_t index,
                                                               std::uint64_t now_ns,
                                                               Connection& out) const noexcept {
    const Connection& record = records_[index];
    if (!is_live(record, now_ns)) { return false; }
    const std::uint32_t before = __atomic_load_n(&record.generation, __ATOMIC_ACQUIRE);
    const auto* from = reinterpret_cast<const std::uint64_t*>(&record);
    auto* to = reinterpret_cast<std::uint64_t*>(&out);
    for (std::size_t i = 0; i < sizeof out / sizeof *to; ++i) {
        to[i] = __atomic_load_n(from + i, __ATOMIC_RELAXED);
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&record.generation, __ATOMIC_RELAXED) == before &&
           out.state != ConnectionState::kClosed && now_ns < out.expires_ns;
}

}  // namespace sluice
