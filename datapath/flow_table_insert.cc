// SPDX-License-Identifier: Apache-2.0
// FlowTable: insertion, eviction, removal and the sweep, see flow_table.h. First packets, ended
// connections and the end of a poll; never the packet of a known flow.
#include <algorithm>
#include <bit>

#include "datapath/flow_table.h"
#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

namespace sluice::datapath {

bool FlowTable::place_in(Bucket& bucket, std::uint16_t tag, std::uint32_t index) noexcept {
    const std::uint32_t empty = match_mask(bucket, 0);
    if (empty == 0) { return false; }
    const unsigned way = static_cast<unsigned>(std::countr_zero(empty)) / 2U;
    bucket.tags[way] = tag;
    bucket.indexes[way] = index;
    return true;
}

// Both full of other flows: this one stays uncached rather than push out another vNIC's.
bool FlowTable::place(std::uint64_t hash, std::uint32_t index) noexcept {
    const std::uint16_t tag = tag_of(hash);
    Bucket& first = buckets_[first_bucket(hash)];
    if (place_in(first, tag, index)) [[likely]] { return true; }
    if (!place_in(buckets_[second_bucket(hash)], tag, index)) { return false; }
    ++first.spilled;
    return true;
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

// Entries removed in this burst can't be had before its end: some are kept back for what it still
// inserts.
bool FlowTable::is_nearly_full() const noexcept {
    return capacity_ - size_ <= std::min(capacity_ / 4U, kFlowReserve);
}

bool FlowTable::has_room(PortIndex port) const noexcept {
    const List& list = lists_[std::size_t{port.value} * 2U];
    return list.count < list.quota && !is_nearly_full();
}

// Who takes most makes room, so that no vNIC can push out another's by being quick. The answer is
// found in passing: the last one, who inserts now, and one more a time are compared.
FlowTable::List& FlowTable::longest_list(List& inserting) noexcept {
    ++probed_;
    if (probed_ >= lists_.size()) { probed_ = 0; }
    if (lists_[probed_].count > lists_[longest_].count) { longest_ = probed_; }
    if (inserting.count > lists_[longest_].count) {
        longest_ = static_cast<std::size_t>(&inserting - lists_.data());
    }
    if (lists_[longest_].count == 0) {  // It emptied by itself. Somebody has some: it is full.
        const auto more = [](const List& a, const List& b) { return a.count < b.count; };
        const auto most = std::max_element(lists_.begin(), lists_.end(), more);
        longest_ = static_cast<std::size_t>(most - lists_.begin());
    }
    return lists_[longest_];
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
    if (list.count >= list.quota && list.count > 0) {
        evict_one(list);
    } else if (is_nearly_full()) [[unlikely]] {
        evict_one(longest_list(list));
    }
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

bool FlowTable::take_from(Bucket& bucket, std::uint32_t index) noexcept {
    for (unsigned way = 0; way < kWays; ++way) {
        if (bucket.tags[way] != 0 && bucket.indexes[way] == index) {
            bucket.tags[way] = 0;
            return true;
        }
    }
    return false;
}

void FlowTable::unlink_bucket(std::uint32_t index) noexcept {
    const std::uint64_t h = hash(entries_[index].key);
    Bucket& first = buckets_[first_bucket(h)];
    if (take_from(first, index)) [[likely]] { return; }
    const bool taken = take_from(buckets_[second_bucket(h)], index);
    SLUICE_ASSERT(taken && first.spilled > 0);
    --first.spilled;
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
