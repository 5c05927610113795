// SPDX-License-Identifier: Apache-2.0
// Takes over the rows that another process left, which may have been killed at any instruction:
// each is kept if it checks out, the rest is freed; index, counts and the wheel of expiries are
// made anew. A row whose times were being deferred is kept: any of them is a time that was right.
// Control thread, while no worker runs.
#include <algorithm>
#include <cstring>

#include "iochain/swsec/learned_arena.h"
#include "sluice/base/assert.h"

namespace sluice {
namespace {

constexpr std::uint64_t kExpiryMaxNs = (std::uint64_t{kTimeoutMaxS} + 60U) * kLearnedSecondNs;

bool makes_sense(const LearnedKey& key, const LearnedValue& value) noexcept {
    const auto kind = static_cast<unsigned>(key.kind);
    return kind > 0 && kind < kLearnedKindCount && value.source <= LearnedSource::kMld &&
           key.family <= IpFamily::kV6;
}

}  // namespace

void LearnedTable::clear_index() noexcept {
    const std::uint32_t used = used_count();
    const std::uint32_t epoch = arena_->epoch;
    std::memset(static_cast<void*>(arena_), 0, sizeof(LearnedArena));
    arena_->epoch = epoch;
    if (used == 0) { return; }  // Never touched.
    std::memset(static_cast<void*>(buckets_), 0, sizeof(LearnedBucket) * (bucket_mask_ + 1U));
    std::memset(static_cast<void*>(next_), 0, sizeof *next_ * used);
}

bool LearnedTable::enter(std::uint32_t index, std::uint64_t now_ns, bool has_checks,
                         LearnedAdoption& found) noexcept {
    LearnedRecord& record = records_[index];
    if (record.key == LearnedKey{}) { return false; }
    const bool is_known = !has_checks || record.check == check_of(record);
    const std::uint32_t bucket = bucket_of(record.key);
    if (!is_known || !makes_sense(record.key, record.value) || lookup(bucket, record.key) != 0) {
        ++found.damaged;
        return false;
    }
    const std::uint64_t expires_ns = record.value.expires_ns;
    if (expires_ns != 0 && now_ns >= expires_ns) {
        ++found.expired;
        return false;
    }
    record.version &= ~1U;
    record.check = check_of(record);
    record.value.first_seen_ns = std::min(record.value.first_seen_ns, now_ns);
    record.value.last_seen_ns = std::min(record.value.last_seen_ns, now_ns);
    record.value.expires_ns = 0;
    set_expiry(record, expires_ns == 0 ? 0 : std::min(expires_ns, now_ns + kExpiryMaxNs));
    next_[index] = buckets_[bucket].head;
    buckets_[bucket].head = index + 1U;
    count_row(record, true);
    ++found.adopted;
    found.bindings += record.key.kind == LearnedKind::kBinding ? 1U : 0U;
    return true;
}

LearnedAdoption LearnedTable::adopt(std::uint32_t record_count, std::uint64_t now_ns,
                                    bool has_checks) {
    SLUICE_ASSERT(record_count <= capacity_);
    clear_index();
    if (ready_count() < record_count) { set_ready(record_count); }
    LearnedAdoption found;
    std::uint32_t used = 0;
    for (std::uint32_t i = 0; i < record_count; ++i) {
        if (enter(i, now_ns, has_checks, found)) {
            used = i + 1U;
        } else if (!(records_[i].key == LearnedKey{}) || (records_[i].version & 1U) != 0) {
            records_[i].key = LearnedKey{};
            records_[i].version &= ~1U;
        }
    }
    arena_->used = used;
    for (std::uint32_t i = used; i-- > 0;) {  // The lowest is used first.
        if (!(records_[i].key == LearnedKey{})) { continue; }
        next_[i] = arena_->free_head;
        arena_->free_head = i + 1U;
    }
    ++arena_->epoch;
    arena_->expiry_epoch = arena_->epoch;
    for (LearnedPort& port : arena_->ports) { port.epoch = arena_->epoch; }
    return found;
}

void LearnedTable::set_ready(std::uint32_t count) noexcept {
    __atomic_store_n(&ready_count_, std::min(count, capacity_), __ATOMIC_RELEASE);
}

}  // namespace sluice
