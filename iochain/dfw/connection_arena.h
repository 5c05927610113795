// SPDX-License-Identifier: Apache-2.0
// Layout of the connection table's memory, and the byte locks in it. Private to slot 2.
//
//   records: capacity * 128 bytes, which outlive the process
//   index:   [ConnectionArena header][buckets: capacity / 5 + 1 cache lines]
//            [links of records: capacity * 12 bytes], which the next process makes anew (adopt())
//
// Indexes only, no pointers: the records may be mapped elsewhere by the next process. All zero is a
// valid empty table, so that untouched pages stay untouched; references are therefore index + 1. Of
// the buckets only as many are in use as the records need (linear hashing): see
// connection_growth.cc. Threads: workers; lock order is bucket, then record, then free list.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "iochain/byte_lock.h"
#include "sluice/base/limits.h"
#include "sluice/iochain/connection_table.h"

namespace sluice {

inline constexpr std::uint32_t kBucketLoad = 5;     // Mean connections of a bucket in a full table.
inline constexpr unsigned kBucketSlots = 11;        // Of which a full table overfills 0.6 %.
inline constexpr std::uint32_t kBucketsMin = 1024;  // In use from the start.
inline constexpr std::uint32_t kFreeCacheMax = 60;  // Free records that a worker may keep.

/// One cache line of the index. Slots fill from any place; more than kBucketSlots connections are
/// chained from `overflow` through RecordLinks::next.
struct alignas(64) ConnectionBucket {
    std::uint8_t lock;                // worker: rw, atomic
    std::uint8_t tag[kBucketSlots];   // worker: rw under lock. Low byte of the hash.
    std::uint32_t overflow;           // worker: rw under lock. Record index + 1.
    std::uint32_t ref[kBucketSlots];  // worker: rw under lock. Record index + 1, 0 = empty.
    std::uint32_t reserved;
};
static_assert(sizeof(ConnectionBucket) == 64);

/// Connections of one vNIC, by the side that opened them. The half-open ones form a list, oldest
/// first: references are index + 1, 0 = none.
struct PortCount {
    std::uint32_t live;       // workers: rw, relaxed
    std::uint32_t half_open;  // workers: rw, relaxed
    std::uint32_t oldest;     // workers: rw under lock, ro relaxed
    std::uint32_t newest;     // workers: rw under lock
    std::uint8_t lock;        // workers: rw, atomic. The last one that is taken.
};

/// Places of a record in lists: index + 1, 0 = none.
struct RecordLinks {
    std::uint32_t older;  // workers: rw under the vNIC's lock. Half-open ones; of others nothing.
    std::uint32_t newer;  // The same.
    std::uint32_t next;   // worker: rw under the bucket's or the free list's lock.
};

/// What a worker keeps for itself.
struct alignas(64) ConnectionWorker {
    std::uint32_t live;  // worker: rw; others: ro, relaxed. Opened minus closed here, modulo 2^32.
    std::uint32_t free_count;           // worker: rw
    std::uint32_t free[kFreeCacheMax];  // worker: rw. Record indexes, last in first out.
    std::uint64_t early_drops;          // worker: rw; others: ro, relaxed
};
static_assert(sizeof(ConnectionWorker) == 256);

/// Head of the index.
struct alignas(64) ConnectionArena {
    std::uint32_t used;               // workers: rw under free_lock, ro relaxed. Records ever used.
    std::uint32_t free_head;          // workers: rw under free_lock. Record index + 1.
    std::uint32_t sweep_cursor;       // workers: rw, relaxed
    std::uint8_t free_lock;           // workers: rw, atomic
    alignas(64) std::uint32_t grown;  // workers: rw under grow_lock, ro relaxed. Buckets in use
                                      // beyond the first ones.
    std::uint8_t grow_lock;           // workers: rw, atomic. Only tried, never waited for.
    alignas(64) PortCount ports[kPortMax];
    ConnectionWorker workers[ConnectionTable::kWorkerMax];
};

[[nodiscard]] constexpr std::uint32_t bucket_count_of(std::uint32_t capacity) noexcept {
    return capacity / kBucketLoad + 1U;
}
[[nodiscard]] constexpr std::size_t buckets_offset() noexcept {
    return page_aligned(sizeof(ConnectionArena));
}
[[nodiscard]] constexpr std::size_t links_offset(std::uint32_t capacity) noexcept {
    return buckets_offset() + page_aligned(sizeof(ConnectionBucket) * bucket_count_of(capacity));
}

/// Holds a record's byte lock while it changes. With one worker nobody waits for it, but it says
/// all the same, to who finds the record after this process was killed, that a change was under
/// way.
class [[nodiscard]] RecordLock {
public:
    RecordLock(std::uint8_t& lock, bool shared) noexcept : lock_(lock), shared_(shared) {
        if (shared_) {
            ByteLock::acquire(lock_);
        } else {
            store_relaxed(lock_, 1);
        }
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
    }
    ~RecordLock() {
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        if (shared_) {
            ByteLock::release(lock_);
        } else {
            store_relaxed(lock_, 0);
        }
    }
    RecordLock(const RecordLock&) = delete;
    RecordLock& operator=(const RecordLock&) = delete;

private:
    std::uint8_t& lock_;
    const bool shared_;
};

/// Records of connections that one worker saw close, oldest first: a ring of ConnectionTable's
/// closed_max_ indexes, in memory of the process. What an index names may have been reopened or
/// freed meanwhile: looked at again before it is freed. worker: rw, nobody else.
struct ConnectionTable::ClosedQueue {
    std::unique_ptr<std::uint32_t[]> indexes;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    ConnectionEndListener listener = nullptr;
    void* context = nullptr;  // Of `listener`.
};

/// Holds the lock of the bucket that a hash belongs to, wherever growth has just put it.
class [[nodiscard]] ConnectionTable::BucketLock {
public:
    BucketLock(const ConnectionTable& table, std::uint64_t hash) noexcept
        : bucket_(&table.bucket_of(hash)), shared_(table.shared_) {
        if (!shared_) { return; }
        for (;;) {
            ByteLock::acquire(bucket_->lock);
            ConnectionBucket* const now = &table.bucket_of(hash);
            if (now == bucket_) { return; }
            ByteLock::release(bucket_->lock);
            bucket_ = now;
        }
    }
    ~BucketLock() {
        if (shared_) { ByteLock::release(bucket_->lock); }
    }
    BucketLock(const BucketLock&) = delete;
    BucketLock& operator=(const BucketLock&) = delete;
    [[nodiscard]] ConnectionBucket& bucket() const noexcept { return *bucket_; }

private:
    ConnectionBucket* bucket_;
    const bool shared_;
};

/// 0 is that of a record that was never used.
[[nodiscard]] inline std::uint32_t generation_after(std::uint32_t generation) noexcept {
    return generation + 1U == 0 ? 1U : generation + 1U;
}

/// True while the record is somebody's live connection. Line 1 only.
[[nodiscard]] inline bool is_live(const Connection& record, std::uint64_t now_ns) noexcept {
    return load_relaxed(record.state) != ConnectionState::kClosed &&
           now_ns < load_relaxed(record.expires_ns);
}

}  // namespace sluice
