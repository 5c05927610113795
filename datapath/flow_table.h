// SPDX-License-Identifier: Apache-2.0
// FlowTable: exact-match cache from FlowKey to FlowState, one a worker, never shared. Buckets of
// eight tags and indexes (one cache line) point into a dense array of entries (two lines each) and
// a cold array that only insertion, folding and eviction touch. Each key has two buckets. A port
// has a quota of flows, and a small one of its own for programs that drop; an insertion beyond it
// evicts within it, least recently inserted first with a second chance if used since. A full table
// evicts of the port that has most. An evicted
// entry's memory is reused only after end_burst(), so pointers of the running burst stay valid.
// Thread: its worker. No allocation after construction.
#pragma once

#include <emmintrin.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "datapath/program.h"
#include "sluice/iochain/flow_key.h"
#include "sluice/telemetry/counters.h"

namespace sluice::datapath {

inline constexpr std::uint32_t kNoFlow = 0xffffffffU;

/// A flow's ACL rules as most flows have them: one at most a vNIC. 0 = none.
struct AclPair {
    RuleId from, to;
};

/// What only slow operations read. Indexed like the entries.
struct FlowCold {
    RuleId rule_from;  ///< Source vNIC's firewall rule; 0 = none.
    RuleId rule_to;    ///< Destination vNIC's.
    std::uint32_t previous = kNoFlow;
    std::uint32_t next = kNoFlow;
    std::uint64_t folded_packets : 48 = 0;            ///< Modulo 2^48.
    std::uint64_t sender_value : 16 = kNoPort.value;  ///< See sender().
    std::uint64_t folded_bytes = 0;
    AclPair acl;

    /// Of kProgramReturned: where its frames entered first.
    [[nodiscard]] PortIndex sender() const noexcept {
        return PortIndex{static_cast<std::uint16_t>(sender_value)};
    }
};
static_assert(sizeof(FlowCold) == 40);
inline constexpr std::uint64_t kFoldedPacketsMask = (std::uint64_t{1} << 48U) - 1U;

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
    /// Backs the first `bytes` of it, or as much as there is, with pages. A kernel that can't
    /// (before 5.14) leaves that to the first use.
    void populate(std::size_t bytes) const noexcept;

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

    /// Has the memory ready that the first flows need: a worker that takes over waits for no page,
    /// each of which may be 2 MiB that the kernel clears first. Control, before the worker starts.
    void prepare() noexcept;

    [[nodiscard]] std::uint64_t hash(const FlowKey& key) const noexcept;

    // The three stages of a burst's lookup.
    void prefetch_bucket(std::uint64_t hash) const noexcept;
    /// Index of the first entry in the first bucket whose tag agrees, kNoFlow if none; prefetches
    /// it.
    [[nodiscard]] std::uint32_t candidate(std::uint64_t hash) const noexcept;
    /// True if `candidate` is the entry of `key`; else find() may still know one.
    [[nodiscard]] bool matches(std::uint32_t candidate, const FlowKey& key) const noexcept {
        return candidate != kNoFlow && entries_[candidate].key == key;
    }

    /// The entry of `key`, kNoFlow if none.
    [[nodiscard]] std::uint32_t find(const FlowKey& key, std::uint64_t hash) const noexcept;

    /// Adds a flow that is not there. At the port's quota one of the port's own makes room, in a
    /// full table one of the port with the most. kNoFlow if there is no room (then it is not
    /// cached).
    [[nodiscard]] std::uint32_t insert(const FlowKey& key, std::uint64_t hash,
                                       const Program& program) noexcept;
    /// True if one more flow of the port that does not drop pushes nobody out.
    [[nodiscard]] bool has_room(PortIndex port) const noexcept;
    void remove(std::uint32_t index) noexcept;
    /// Memory of entries removed since the last call becomes free.
    void end_burst() noexcept;

    /// Removes up to `budget` entries from the sweep's place on that were idle for idle_ms. Call
    /// when no burst runs.
    void sweep(std::uint32_t budget, std::uint32_t now_ms, std::uint32_t idle_ms) noexcept;

    void set_quota(PortIndex port, std::uint32_t flow_count_max) noexcept;
    [[nodiscard]] FlowEntry& entry(std::uint32_t index) noexcept { return entries_[index]; }
    [[nodiscard]] FlowCold& cold(std::uint32_t index) noexcept { return cold_[index]; }
    /// Which ACL rules the flow's packets are counted by: for programs that has_acl() says.
    [[nodiscard]] AclTrail acl(std::uint32_t index) const noexcept;
    void set_acl(std::uint32_t index, const AclTrail& trail) noexcept;
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
        std::uint32_t spilled;  // Keys of this bucket that sit in their second one.
        std::uint32_t reserved[3];
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
    [[nodiscard]] static bool place_in(Bucket& bucket, std::uint16_t tag,
                                       std::uint32_t index) noexcept;
    [[nodiscard]] bool place(std::uint64_t hash, std::uint32_t index) noexcept;
    [[nodiscard]] static bool take_from(Bucket& bucket, std::uint32_t index) noexcept;
    [[nodiscard]] bool is_nearly_full() const noexcept;
    [[nodiscard]] List& longest_list(List& inserting) noexcept;
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
    LazyMemory acl_trail_memory_;
    Bucket* buckets_;
    FlowEntry* entries_;
    FlowCold* cold_;
    AclTrail* acl_trails_;           // Of entries whose FlowCold::acl says so.
    std::uint32_t fresh_ = 0;        // Next never-used entry.
    std::uint32_t free_ = kNoFlow;   // Free list through FlowCold::next.
    std::uint32_t limbo_ = kNoFlow;  // Removed in this burst.
    std::uint32_t size_ = 0;
    std::uint32_t sweep_at_ = 0;
    std::size_t longest_ = 0;  // The longest of `lists_`, nearly.
    std::size_t probed_ = 0;
    Counter evictions_;        // worker: rw, control: ro
    std::vector<List> lists_;  // [port * 2 + is_drop]
    Retire retire_;
    void* context_;
};

// The lookup of a burst, inlined into its loops (ingress.cc).

/// Multiply and fold: 128 bits of product into 64.
[[nodiscard]] inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(a) * b;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

// Seeded multiply-and-fold over four independent lanes, so that a guest can't aim at a bucket.
inline std::uint64_t FlowTable::hash(const FlowKey& key) const noexcept {
    // Word by word: vector loads would overlap the stores that parse has just made, and wait for
    // them.
    std::uint64_t w[8];
    for (unsigned i = 0; i < 8; ++i) {
        std::uint64_t word = 0;
        __builtin_memcpy(&word, reinterpret_cast<const char*>(&key) + i * sizeof word, sizeof word);
        asm("" : "+r"(word));
        w[i] = word;
    }
    const std::uint64_t a = mix(w[0] ^ seed_[0], w[1] ^ seed_[1]);
    const std::uint64_t b = mix(w[2] ^ seed_[2], w[3] ^ seed_[3]);
    const std::uint64_t c = mix(w[4] ^ seed_[4], w[5] ^ seed_[5]);
    const std::uint64_t d = mix(w[6] ^ seed_[6], w[7] ^ seed_[7]);
    return mix(a + (b << 1U), c ^ (d + seed_[3]));
}

inline std::uint16_t FlowTable::tag_of(std::uint64_t hash) noexcept {
    const auto tag = static_cast<std::uint16_t>(hash >> 48U);
    return tag == 0 ? 1 : tag;
}

inline std::uint32_t FlowTable::first_bucket(std::uint64_t hash) const noexcept {
    return static_cast<std::uint32_t>(hash) & bucket_mask_;
}

inline std::uint32_t FlowTable::second_bucket(std::uint64_t hash) const noexcept {
    return (static_cast<std::uint32_t>(hash) ^ (std::uint32_t{tag_of(hash)} * 0x5bd1e995U | 1U)) &
           bucket_mask_;
}

inline std::uint32_t FlowTable::match_mask(const Bucket& bucket, std::uint16_t tag) noexcept {
    const __m128i tags = _mm_load_si128(reinterpret_cast<const __m128i*>(bucket.tags));
    const __m128i equal = _mm_cmpeq_epi16(tags, _mm_set1_epi16(static_cast<short>(tag)));
    return static_cast<std::uint32_t>(_mm_movemask_epi8(equal));  // Two bits a way.
}

inline void FlowTable::prefetch_bucket(std::uint64_t hash) const noexcept {
    __builtin_prefetch(&buckets_[first_bucket(hash)]);
}

inline std::uint32_t FlowTable::candidate(std::uint64_t hash) const noexcept {
    const Bucket& bucket = buckets_[first_bucket(hash)];
    const std::uint32_t mask = match_mask(bucket, tag_of(hash));
    if (mask == 0) { return kNoFlow; }
    const std::uint32_t index = bucket.indexes[static_cast<unsigned>(std::countr_zero(mask)) / 2U];
    __builtin_prefetch(&entries_[index].key);
    __builtin_prefetch(&entries_[index].state, 1);
    return index;
}

}  // namespace sluice::datapath
