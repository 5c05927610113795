// SPDX-License-Identifier: Apache-2.0
// Layout of the learned table's memory. Private to slot 1.
//
//   records: capacity * 80 bytes, which outlive the process
//   index:   [LearnedArena header][buckets: one a row of capacity, rounded up to a power of two]
//            [next ones: capacity * 4 bytes], which the next process makes anew (adopt())
//
// Indexes only, no pointers; all zero is a valid empty table, so references are index + 1.
// Threads: workers; lock order is bucket, then free list, then change.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

#include "iochain/byte_lock.h"
#include "sluice/base/limits.h"
#include "sluice/iochain/learned_table.h"

namespace sluice {

inline constexpr std::uint32_t kExpirySlots = 4096;  // Seconds, modulo.
inline constexpr std::uint64_t kLearnedSecondNs = 1000000000;

struct LearnedBucket {
    std::uint32_t head;  // worker: rw under lock. Record index + 1.
    std::uint8_t lock;   // worker: rw, atomic
    std::uint8_t reserved[3];
};
static_assert(sizeof(LearnedBucket) == 8);

struct LearnedRecord {
    LearnedKey key;         // worker: rw under the bucket's lock; control: ro by `version`
    LearnedValue value;     // worker: rw under the bucket's lock; control: ro by `version`
    std::uint32_t check;    // worker: rw under the bucket's lock. What adopt() knows the row by.
    std::uint32_t version;  // worker: rw under the bucket's lock. Odd while the record is written.
};
static_assert(sizeof(LearnedRecord) == 80);

/// Counts that limits look at: one a kind (of bindings: those of IPv4 by first use), and the other
/// bindings.
inline constexpr unsigned kCountBinding = static_cast<unsigned>(LearnedKind::kBinding) - 1U;
inline constexpr unsigned kCountIpv6Binding = kLearnedKindCount - 1U;
inline constexpr unsigned kCountLease = kLearnedKindCount;
inline constexpr unsigned kCountIpv6Lease = kLearnedKindCount + 1U;
inline constexpr unsigned kCountSlots = kLearnedKindCount + 2U;
[[nodiscard]] constexpr unsigned count_slot(const LearnedKey& key, LearnedSource source) noexcept {
    if (key.kind != LearnedKind::kBinding) { return static_cast<unsigned>(key.kind) - 1U; }
    const bool v6 = key.family == IpFamily::kV6;
    if (source == LearnedSource::kDhcp) { return v6 ? kCountIpv6Lease : kCountLease; }
    return v6 ? kCountIpv6Binding : kCountBinding;
}

/// What one port has learned.
struct LearnedPort {
    std::uint32_t count[kCountSlots];  // workers: rw, relaxed
    std::uint32_t total;               // workers: rw, relaxed
    std::uint32_t epoch;               // workers: rw under change_lock, ro relaxed. Of bindings.
};
static_assert(sizeof(LearnedPort) == 52);

struct alignas(64) LearnedArena {
    std::uint32_t epoch;             // workers: rw under change_lock, ro
    std::uint32_t expiry_epoch;      // workers: rw under change_lock, ro. Of any binding.
    std::uint8_t change_lock;        // workers: rw, atomic
    std::uint64_t next_second_ns;    // workers: rw, atomic. When rows may expire next.
    alignas(64) std::uint32_t used;  // workers: rw under free_lock, ro relaxed
    std::uint32_t free_head;         // workers: rw under free_lock. Record index + 1.
    std::uint32_t live;              // workers: rw, relaxed
    std::uint32_t sweep_cursor;      // workers: rw, relaxed
    std::uint8_t free_lock;          // workers: rw, atomic
    alignas(64) LearnedPort ports[kPortMax];
    std::uint32_t expiring[kExpirySlots];  // workers: rw, relaxed. Rows that expire in a second.
    std::uint32_t expiring_bindings[kExpirySlots];  // workers: rw, relaxed. Those of them.
};

[[nodiscard]] constexpr std::uint32_t learned_bucket_count(std::uint32_t capacity) noexcept {
    return std::bit_ceil(capacity);
}
[[nodiscard]] constexpr std::size_t learned_buckets_offset() noexcept {
    return page_aligned(sizeof(LearnedArena));
}
[[nodiscard]] constexpr std::size_t learned_links_offset(std::uint32_t capacity) noexcept {
    return learned_buckets_offset() +
           page_aligned(sizeof(LearnedBucket) * learned_bucket_count(capacity));
}

}  // namespace sluice
