// SPDX-License-Identifier: Apache-2.0
// Growth of the connection table's index, by linear hashing (Litwin 1980): the number of buckets in
// use follows the records in use, so that a table made for 8 M connections costs a host with a
// thousand no more than a thousand need, in memory and in cache. With n buckets in use, the low
// bits of the hash (as many as n needs) name one; a number that is not in use yet loses its highest
// bit. Bucket n comes into use by moving there what belongs to it from the one bucket that held it.
//
// Called from open(), a bucket a connection until the index has caught up. Thread: workers. Both
// buckets are locked while records move; whoever waited for the old one looks again (BucketLock).
#include <algorithm>
#include <array>
#include <bit>

#include "iochain/dfw/connection_arena.h"

namespace sluice {
namespace {

// Bucket of a hash among `count` in use. The tag is the hash's lowest byte: other bits serve here.
std::uint32_t place_of(std::uint64_t hash, std::uint32_t count) noexcept {
    const std::uint32_t mask = std::bit_ceil(count) - 1U;
    const std::uint32_t place = static_cast<std::uint32_t>(hash >> 32U) & mask;
    return place < count ? place : place & (mask >> 1U);
}

}  // namespace

std::uint32_t ConnectionTable::bucket_count_in_use() const noexcept {
    return std::min(bucket_count_, kBucketsMin) + load_relaxed(arena_->grown);
}

ConnectionBucket& ConnectionTable::bucket_of(std::uint64_t hash) const noexcept {
    return buckets_[place_of(hash, bucket_count_in_use())];
}

bool ConnectionTable::wants_growth() const noexcept {
    return bucket_count_in_use() < bucket_count_of(used_count());
}

void ConnectionTable::grow() noexcept {
    if (shared_ && !ByteLock::try_acquire(arena_->grow_lock)) { return; }
    if (wants_growth()) {  // bucket_count_of(capacity) is all there are.
        const std::uint32_t to = bucket_count_in_use();
        split(to & (std::bit_ceil(to + 1U) - 1U) >> 1U, to);
    }
    if (shared_) { ByteLock::release(arena_->grow_lock); }
}

// Nobody knows `to` before `grown` says so, and then waits for its lock.
void ConnectionTable::split(std::uint32_t from, std::uint32_t to) noexcept {
    ConnectionBucket& old = buckets_[from];
    ConnectionBucket& next = buckets_[to];
    const ByteLock old_lock(old.lock, shared_);
    const ByteLock next_lock(next.lock, shared_);
    std::array<std::uint32_t, kBucketSlots> refs;
    std::copy_n(old.ref, kBucketSlots, refs.begin());
    for (const std::uint32_t ref : refs) {
        if (ref != 0) { __builtin_prefetch(&records_[ref - 1U].tuple); }
    }
    std::uint32_t chained = old.overflow;
    old.overflow = 0;
    std::fill_n(old.ref, kBucketSlots, 0U);
    const auto put = [&](std::uint32_t ref) {
        const std::uint64_t hash = hash_of(records_[ref - 1U].tuple);
        link(place_of(hash, to + 1U) == to ? next : old, ref - 1U, hash);
    };
    for (const std::uint32_t ref : refs) {
        if (ref != 0) { put(ref); }
    }
    while (chained != 0) {
        const std::uint32_t ref = chained;
        chained = links_[ref - 1U].next;
        put(ref);
    }
    store_relaxed(arena_->grown, arena_->grown + 1U);
}

}  // namespace sluice
