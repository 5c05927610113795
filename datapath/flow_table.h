// SPDX-License-Identifier: Apache-2.0
// FlowTable: exact-match cache from FlowKey to FlowState, one a worker, never shared. Buckets of
// eight tags and indexes (one cache line) point into a dense array of entries (two lines each) and
// a cold array that only insertion, folding and eviction touch. Each key has two buckets. A port
// has a quota of flows, and a small one of its own for programs that drop; an insertion beyond it
// evicts within it, least recently inserted first with a second chance if used since. An evicted
// entry's memory is reused only after end_burst(), so pointers of the running burst stay valid.
// Thread: its worker. No allocation after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "datapath/program.h"
#include "sluice/iochain/flow_key.h"
#include "sluice/telemetry/counters.h"

namespace sluice::datapath {

inline constexpr std::uint32_t kNoFlow = 0xffffffffU;

/// What only slow operations read. Indexed like the entries.
struct FlowCold {
    RuleId rule_from;  ///< Source vNIC's firewall rule; 0 = none.
    RuleId rule_to;    ///< Destination vNIC's.
    std::uint32_t previous = kNoFlow;
    std::uint32_t next = kNoFlow;
    std::uint64_t folded_packets = 0;
    std::uint64_t folded_bytes = 0;
};

struct FlowEntry {
    FlowKey key;
    FlowState state;
};
static_assert(sizeof(FlowEntry) == 128);

/// Memory from the kernel, zero pages until touched, huge pages asked for.
class LazyMemory {
public:
    explicit LazyMemory(std::size_t bytes);
    ~LazyMemory();
    LazyMemory(const LazyMemory&) = delete;
    LazyMemory& operator=(const LazyMemory&) = delete;
    [[nodiscard]] void* get() const noexcept { return memory_; }

private:
    void* memory_;
    std::size_t bytes_;
};

class FlowTable {
public:
    /// Called with the index of an entry whose figures are to be folded: it is about to be
    /// forgotten, or the sweep came by one whose source MAC is learned.
    using Retire = void (*)(void* context, std::uint32_t index);

    /// @param capacity  entries, rounded up to a power of two, at most 2^23
    FlowTable(std::uint32_t capacity, std::size_t port_count_max, std::uint64_t seed, Retire retire,
              void* context);

    [[nodiscard]] std::uint64_t hash(const FlowKey& key) const noexcept;

    // The three stages of a burst's lookup.
    void prefetch_bucket(std::uint64_t hash) const noexcept;
    /// Index of the first entry in the first bucket whose tag agrees, kNoFlow if none; prefetches
    /// it.
    [[nodiscard]] std::uint32_t candidate(std::uint64_t hash) const noexcept;
    /// The entry of `key`, kNoFlow if none. `candidate` is tried first.
    [[nodiscard]] std::uint32_t find(const FlowKey& key, std::uint64_t hash,
                                     std::uint32_t candidate) const noexcept;

    /// Adds a flow that is not there. Evicts within the port's quota. kNoFlow if there is no room
    /// (then it is not cached).
    [[nodiscard]] std::uint32_t insert(const FlowKey& key, std::uint64_t hash,
                                       const Program& program) noexcept;
    void remove(std::uint32_t index) noexcept;
    /// Memory of entries removed since the last call becomes free.
    void end_burst() noexcept;

    /// Removes up to `budget` entries from the sweep's place on that were idle for idle_ms. Call
    /// when no burst runs.
    void sweep(std::uint32_t budget, std::uint32_t now_ms, std::uint32_t idle_ms) noexcept;

    void set_quota(PortIndex port, std::uint32_t flow_count_max) noexcept;
    [[nodiscard]] FlowEntry& entry(std::uint32_t index) noexcept { return entries_[index]; }
    [[nodiscard]] FlowCold& cold(std::uint32_t index) noexcept { return cold_[index]; }
    [[nodiscard]] bool is_live(std::uint32_t index) const noexcept {
        return cold_[index].previous != kFree;
    }
    /// True if the entry, found in this burst, was removed in this burst.
    [[nodiscard]] bool is_forgotten(std::uint32_t index) const noexcept {
        return entries_[index].key.side == kForgotten;
    }
    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    /// Entries that had to make room within their port's quota. Any thread.
    [[nodiscard]] std::uint64_t eviction_count() const noexcept { return evictions_.get(); }
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    [[nodiscard]] std::uint32_t size_of_port(PortIndex port) const noexcept;
    /// Entries with a larger index were never used.
    [[nodiscard]] std::uint32_t high_water() const noexcept { return fresh_; }

private:
    static constexpr std::uint32_t kWays = 8;
    static constexpr std::uint32_t kFree =
        0xfffffffeU;                            // FlowCold::previous of an entry that is not live.
    static constexpr KeySide kForgotten{0xff};  // FlowKey::side of one: equals no frame's key.

    struct alignas(64) Bucket {
        std::uint16_t tags[kWays];
        std::uint32_t indexes[kWays];
        std::uint32_t reserved[4];
    };
    static_assert(sizeof(Bucket) == 64);

    // Insertion order of one port's flows, carrying ones and dropping ones apart.
    struct List {
        std::uint32_t head = kNoFlow;  // Newest.
        std::uint32_t tail = kNoFlow;
        std::uint32_t count = 0;
        std::uint32_t quota = 0;
    };

    [[nodiscard]] static std::uint16_t tag_of(std::uint64_t hash) noexcept;
    [[nodiscard]] std::uint32_t first_bucket(std::uint64_t hash) const noexcept;
    [[nodiscard]] std::uint32_t second_bucket(std::uint64_t hash) const noexcept;
    [[nodiscard]] static std::uint32_t match_mask(const Bucket& bucket, std::uint16_t tag) noexcept;
    [[nodiscard]] std::uint32_t find_in(const Bucket& bucket, const FlowKey& key,
                                        std::uint16_t tag) const noexcept;
    [[nodiscard]] bool place(std::uint64_t hash, std::uint32_t index) noexcept;
    [[nodiscard]] std::uint32_t take_free() noexcept;
    void evict_one(List& list) noexcept;
    void unlink_bucket(std::uint32_t index) noexcept;
    [[nodiscard]] List& list_of(const FlowEntry& entry) noexcept;
    void push_front(List& list, std::uint32_t index) noexcept;
    void unlink(List& list, std::uint32_t index) noexcept;

    std::uint32_t capacity_;
    std::uint32_t bucket_mask_;
    std::uint64_t seed_[8];
    LazyMemory bucket_memory_;
    LazyMemory entry_memory_;
    LazyMemory cold_memory_;
    Bucket* buckets_;
    FlowEntry* entries_;
    FlowCold* cold_;
    std::uint32_t fresh_ = 0;        // Next never-used entry.
    std::uint32_t free_ = kNoFlow;   // Free list through FlowCold::next.
    std::uint32_t limbo_ = kNoFlow;  // Removed in this burst.
    std::uint32_t size_ = 0;
    std::uint32_t sweep_at_ = 0;
    Counter evictions_;        // worker: rw, control: ro
    std::vector<List> lists_;  // [port * 2 + is_drop]
    Retire retire_;
    void* context_;
};

}  // namespace sluice::datapath
