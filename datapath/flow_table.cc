// SPDX-License-Identifier: Apache-2.0
// FlowTable: see flow_table.h. The lookup of a burst is inlined from flow_table.h; here is the
// rest. An empty way has tag 0.
#include "datapath/flow_table.h"

#include <sys/mman.h>

#include <bit>
#include <new>

#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

namespace sluice::datapath {

LazyMemory::LazyMemory(std::size_t bytes) : memory_(nullptr), bytes_(bytes) {
    memory_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) { throw std::bad_alloc(); }
    madvise(memory_, bytes,
            MADV_HUGEPAGE);  // A wish: without it the table works, with more TLB misses.
}

LazyMemory::~LazyMemory() { munmap(memory_, bytes_); }

namespace {

std::uint32_t bucket_count(std::uint32_t capacity) noexcept {
    return std::bit_ceil(std::max(
        capacity / 4U, 16U));  // Half full at capacity: nearly all keys sit in their first bucket.
}

}  // namespace

FlowTable::FlowTable(std::uint32_t capacity, std::size_t port_count_max, std::uint64_t seed,
                     Retire retire, void* context)
    : capacity_(std::bit_ceil(std::max(capacity, 64U))),
      bucket_mask_(bucket_count(capacity_) - 1U),
      bucket_memory_(sizeof(Bucket) * (std::size_t{bucket_mask_} + 1U)),
      entry_memory_(sizeof(FlowEntry) * std::size_t{capacity_}),
      cold_memory_(sizeof(FlowCold) * std::size_t{capacity_}),
      buckets_(static_cast<Bucket*>(bucket_memory_.get())),
      entries_(static_cast<FlowEntry*>(entry_memory_.get())),
      cold_(static_cast<FlowCold*>(cold_memory_.get())),
      lists_(port_count_max * 2U),
      retire_(retire),
      context_(context) {
    SLUICE_ASSERT(capacity_ <= kFlowTableMax);
    for (auto& word : seed_) {
        seed = mix(seed + 0x9e3779b97f4a7c15ULL, 0xd6e8feb86659fd93ULL);
        word = seed | 1U;
    }
    for (std::size_t i = 0; i < lists_.size(); ++i) {
        lists_[i].quota = i % 2U == 0 ? capacity_ : kNegativeFlowsPerPort;
    }
}

std::uint32_t FlowTable::find_in(const Bucket& bucket, const FlowKey& key,
                                 std::uint16_t tag) const noexcept {
    for (std::uint32_t mask = match_mask(bucket, tag); mask != 0;
         mask &= mask - 1U, mask &= mask - 1U) {
        const std::uint32_t index =
            bucket.indexes[static_cast<unsigned>(std::countr_zero(mask)) / 2U];
        if (entries_[index].key == key) { return index; }
    }
    return kNoFlow;
}

std::uint32_t FlowTable::find(const FlowKey& key, std::uint64_t hash) const noexcept {
    const std::uint16_t tag = tag_of(hash);
    const std::uint32_t index = find_in(buckets_[first_bucket(hash)], key, tag);
    return index != kNoFlow ? index : find_in(buckets_[second_bucket(hash)], key, tag);
}

bool FlowTable::place(std::uint64_t hash, std::uint32_t index) noexcept {
    for (const std::uint32_t at : {first_bucket(hash), second_bucket(hash)}) {
        Bucket& bucket = buckets_[at];
        const std::uint32_t empty = match_mask(bucket, 0);
        if (empty != 0) {
            const unsigned way = static_cast<unsigned>(std::countr_zero(empty)) / 2U;
            bucket.tags[way] = tag_of(hash);
            bucket.indexes[way] = index;
            return true;
        }
    }
    return false;  // Both full of other flows: this one stays uncached rather than push out another
                   // vNIC's.
}

std::uint32_t FlowTable::take_free() noexcept {
    if (free_ != kNoFlow) {
        const std::uint32_t index = free_;
        free_ = cold_[index].next;
        return index;
    }
    return fresh_ < capacity_ ? fresh_++ : kNoFlow;
}

FlowTable::List& FlowTable::list_of(const FlowEntry& entry) noexcept {
    const std::size_t is_drop = entry.state.program.ending == Ending::kDrop ? 1U : 0U;
    return lists_[std::size_t{entry.key.port.value} * 2U + is_drop];
}

void FlowTable::push_front(List& list, std::uint32_t index) noexcept {
    cold_[index].previous = kNoFlow;
    cold_[index].next = list.head;
    if (list.head != kNoFlow) { cold_[list.head].previous = index; }
    list.head = index;
    if (list.tail == kNoFlow) { list.tail = index; }
    ++list.count;
}

void FlowTable::unlink(List& list, std::uint32_t index) noexcept {
    const FlowCold& cold = cold_[index];
    if (cold.previous != kNoFlow) {
        cold_[cold.previous].next = cold.next;
    } else {
        list.head = cold.next;
    }
    if (cold.next != kNoFlow) {
        cold_[cold.next].previous = cold.previous;
    } else {
        list.tail = cold.previous;
    }
    --list.count;
}

// Second chance: an entry used within the last second goes to the front once, a few at most.
void FlowTable::evict_one(List& list) noexcept {
    for (unsigned spared = 0; spared < kFlowSecondChances && list.tail != list.head; ++spared) {
        const std::uint32_t index = list.tail;
        const std::uint32_t newest = entries_[list.head].state.last_used_ms;
        if (newest - entries_[index].state.last_used_ms > kFlowRecentMs) { break; }
        unlink(list, index);
        push_front(list, index);
    }
    evictions_.add(1);
    remove(list.tail);
}

std::uint32_t FlowTable::insert(const FlowKey& key, std::uint64_t hash,
                                const Program& program) noexcept {
    const std::size_t is_drop = program.ending == Ending::kDrop ? 1U : 0U;
    List& list = lists_[std::size_t{key.port.value} * 2U + is_drop];
    if (list.count >= list.quota && list.count > 0) { evict_one(list); }
    const std::uint32_t index = take_free();
    if (index == kNoFlow) { return kNoFlow; }
    if (!place(hash, index)) {
        cold_[index].previous = kFree;
        cold_[index].next = free_;
        free_ = index;
        return kNoFlow;
    }
    entries_[index].key = key;
    entries_[index].state = FlowState{};
    entries_[index].state.program = program;
    cold_[index] = FlowCold{};
    push_front(list, index);
    ++size_;
    return index;
}

void FlowTable::unlink_bucket(std::uint32_t index) noexcept {
    const std::uint64_t h = hash(entries_[index].key);
    for (const std::uint32_t at : {first_bucket(h), second_bucket(h)}) {
        for (unsigned way = 0; way < kWays; ++way) {
            if (buckets_[at].tags[way] != 0 && buckets_[at].indexes[way] == index) {
                buckets_[at].tags[way] = 0;
                return;
            }
        }
    }
}

// The key is spoilt, so that a candidate taken earlier in the burst does not match any more.
void FlowTable::remove(std::uint32_t index) noexcept {
    SLUICE_ASSERT(is_live(index));
    retire_(context_, index);
    unlink_bucket(index);
    unlink(list_of(entries_[index]), index);
    entries_[index].key.side = kForgotten;
    cold_[index].previous = kFree;
    cold_[index].next = limbo_;
    limbo_ = index;
    --size_;
}

void FlowTable::end_burst() noexcept {
    while (limbo_ != kNoFlow) {
        const std::uint32_t index = limbo_;
        limbo_ = cold_[index].next;
        cold_[index].next = free_;
        free_ = index;
    }
}

void FlowTable::sweep(std::uint32_t budget, std::uint32_t now_ms, std::uint32_t idle_ms) noexcept {
    for (; budget > 0 && fresh_ > 0; --budget) {
        if (sweep_at_ >= fresh_) { sweep_at_ = 0; }
        const std::uint32_t index = sweep_at_++;
        if (is_live(index) && now_ms - entries_[index].state.last_used_ms >= idle_ms) {
            remove(index);
        } else if (is_live(index) &&
                   (entries_[index].state.program.flags & kProgramLearnedFrom) != 0) {
            retire_(context_, index);  // Only folds: its learned source stays fresh.
        }
        if (sweep_at_ >= fresh_) { break; }
    }
    end_burst();
}

void FlowTable::set_quota(PortIndex port, std::uint32_t flow_count_max) noexcept {
    lists_[std::size_t{port.value} * 2U].quota = flow_count_max == 0 ? capacity_ : flow_count_max;
}

std::uint32_t FlowTable::size_of_port(PortIndex port) const noexcept {
    return lists_[std::size_t{port.value} * 2U].count +
           lists_[std::size_t{port.value} * 2U + 1U].count;
}

}  // namespace sluice::datapath
