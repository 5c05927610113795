// SPDX-License-Identifier: Apache-2.0
// FlowTable: see flow_table.h. The lookup of a burst is inlined from flow_table.h; here is the
// rest of finding and the memory. Insertion, eviction and the sweep are flow_table_insert.cc. An
// empty way has tag 0.
#include "datapath/flow_table.h"

#include <sys/mman.h>

#include <algorithm>
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

void LazyMemory::populate(std::size_t bytes) const noexcept {
    madvise(memory_, std::min(bytes, bytes_), MADV_POPULATE_WRITE);
}

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
      acl_trail_memory_(sizeof(AclTrail) * std::size_t{capacity_}),
      buckets_(static_cast<Bucket*>(bucket_memory_.get())),
      entries_(static_cast<FlowEntry*>(entry_memory_.get())),
      cold_(static_cast<FlowCold*>(cold_memory_.get())),
      acl_trails_(static_cast<AclTrail*>(acl_trail_memory_.get())),
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

void FlowTable::prepare() noexcept {
    constexpr std::size_t kFirst = std::size_t{4} << 20U;  // A whole huge page, wherever it begins.
    bucket_memory_.populate(SIZE_MAX);                     // The first flows are all over it.
    entry_memory_.populate(kFirst);
    cold_memory_.populate(kFirst);
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
    const Bucket& first = buckets_[first_bucket(hash)];
    const std::uint32_t index = find_in(first, key, tag);
    if (index != kNoFlow || first.spilled == 0) { return index; }
    return find_in(buckets_[second_bucket(hash)], key, tag);
}

namespace {
constexpr RuleId kLongTrail{0xffffffffU};
}  // namespace

// 8 bytes a flow, where the whole trail has 124.
void FlowTable::set_acl(std::uint32_t index, const AclTrail& trail) noexcept {
    const std::span<const RuleId> from = trail.of_source();
    const std::span<const RuleId> to = trail.all().subspan(from.size());
    if (from.size() > 1 || to.size() > 1) {
        cold_[index].acl = {kLongTrail, kLongTrail};
        acl_trails_[index].assign(trail);
        return;
    }
    cold_[index].acl = {from.empty() ? RuleId{} : from.front(), to.empty() ? RuleId{} : to.front()};
}

AclTrail FlowTable::acl(std::uint32_t index) const noexcept {
    const AclPair& pair = cold_[index].acl;
    if (pair.from == kLongTrail) { return acl_trails_[index]; }
    AclTrail trail;
    if (pair.from.value != 0) { trail.add(pair.from); }
    trail.end_source();
    if (pair.to.value != 0) { trail.add(pair.to); }
    return trail;
}

}  // namespace sluice::datapath
