// SPDX-License-Identifier: Apache-2.0
// LearnedTable: see learned_table.h. Chained hashing over everything of the key but its port, so
// that rows which differ only in that share a chain. Workers; the listing copies run on control.
#include "sluice/iochain/learned_table.h"

#include <algorithm>
#include <cstring>
#include <iterator>

#include "iochain/swsec/learned_arena.h"
#include "sluice/base/assert.h"
#include "sluice/iochain/learned_order.h"

namespace sluice {
namespace {

std::uint64_t fold_multiply(std::uint64_t x, std::uint64_t y) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(x) * y;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

// SplitMix64 (Steele, Lea, Flood 2014): independent keys from one seed.
std::uint64_t next_key(std::uint64_t& state) noexcept {
    state += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
}

bool is_counted(PortIndex port) noexcept { return port.value < kPortMax; }

PortIndex owner_of(const LearnedKey& key, const LearnedValue& value) noexcept {
    return key.is_per_port() ? key.port : value.port;
}

bool same_but_port(const LearnedKey& a, const LearnedKey& b) noexcept {
    LearnedKey as_if = b;
    as_if.port = a.port;
    return a == as_if;
}

bool is_expired(const LearnedValue& value, std::uint64_t now_ns) noexcept {
    return value.expires_ns != 0 && now_ns >= value.expires_ns;
}

/// False for rows that no decision reads.
bool is_decisive(LearnedKind kind) noexcept {
    return kind != LearnedKind::kDhcpClient && kind != LearnedKind::kPending;
}

bool is_lease(const LearnedRecord& record) noexcept {
    return record.key.kind == LearnedKind::kBinding && record.value.source == LearnedSource::kDhcp;
}

std::uint64_t whole_seconds(std::uint64_t expires_ns) noexcept {
    return (expires_ns + kLearnedSecondNs - 1U) / kLearnedSecondNs * kLearnedSecondNs;
}

// Marks a record as being written, for control's copies.
class Writing {
public:
    explicit Writing(LearnedRecord& record) noexcept : record_(record) {
        store_relaxed(record_.version, record_.version + 1U);
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    ~Writing() { __atomic_store_n(&record_.version, record_.version + 1U, __ATOMIC_RELEASE); }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;

private:
    LearnedRecord& record_;
};

}  // namespace

bool comes_before(const LearnedRow& a, const LearnedRow& b) noexcept {
    const bool leased = a.value.source == LearnedSource::kDhcp;
    if (leased != (b.value.source == LearnedSource::kDhcp)) { return leased; }
    return a.value.first_seen_ns < b.value.first_seen_ns;
}

std::size_t LearnedTable::index_bytes(std::uint32_t capacity) noexcept {
    return page_aligned(learned_links_offset(capacity) + sizeof(std::uint32_t) * capacity);
}

std::size_t LearnedTable::record_bytes(std::uint32_t capacity) noexcept {
    return page_aligned(sizeof(LearnedRecord) * capacity);
}

LearnedTable::LearnedTable(const LearnedMemory& memory, std::uint32_t capacity,
                           unsigned worker_count, std::uint64_t hash_seed) noexcept
    : arena_(static_cast<LearnedArena*>(memory.index)),
      buckets_(reinterpret_cast<LearnedBucket*>(static_cast<std::byte*>(memory.index) +
                                                learned_buckets_offset())),
      next_(reinterpret_cast<std::uint32_t*>(static_cast<std::byte*>(memory.index) +
                                             learned_links_offset(capacity))),
      records_(static_cast<LearnedRecord*>(memory.records)),
      capacity_(capacity),
      ready_count_(capacity),
      bucket_mask_(learned_bucket_count(capacity) - 1U),
      shared_(worker_count > 1) {
    SLUICE_ASSERT(reinterpret_cast<std::uintptr_t>(memory.index) % 4096U == 0 &&
                  reinterpret_cast<std::uintptr_t>(memory.records) % 4096U == 0);
    SLUICE_ASSERT(capacity > 0 && capacity <= kLearnedMax && worker_count > 0);
    for (std::uint64_t& key : hash_keys_) { key = next_key(hash_seed); }
}

std::uint32_t LearnedTable::bucket_of(const LearnedKey& key) const noexcept {
    std::uint64_t word[3] = {};
    std::memcpy(&word[0], &key, sizeof word[0]);
    std::memcpy(&word[1], key.address, sizeof key.address);
    constexpr std::uint64_t kPortBits = 0xffffULL << 32U;  // Bytes 4 and 5 of the key.
    static_assert(offsetof(LearnedKey, port) == 4 && offsetof(LearnedKey, address) == 8);
    const std::uint64_t x =
        fold_multiply((word[0] & ~kPortBits) ^ hash_keys_[0], word[1] ^ hash_keys_[1]);
    const std::uint64_t hash = fold_multiply(x ^ hash_keys_[2], word[2] ^ hash_keys_[3]);
    return static_cast<std::uint32_t>(hash ^ hash_keys_[4]) & bucket_mask_;
}

// Over all that makes the row what it is: not the times, which every packet may defer.
std::uint32_t LearnedTable::check_of(const LearnedRecord& record) const noexcept {
    std::uint64_t word[6] = {};
    std::memcpy(word, &record.key, sizeof record.key);
    const LearnedValue& value = record.value;
    std::memcpy(&word[4], value.mac.bytes.data(), value.mac.bytes.size());
    word[4] |= std::uint64_t{value.port.value} << 48U;
    word[5] = std::uint64_t{value.remote} << 16U |
              std::uint64_t{static_cast<std::uint8_t>(value.source)} << 8U | value.flags;
    const std::uint64_t x = fold_multiply(word[0] ^ hash_keys_[0], word[1] ^ hash_keys_[1]);
    const std::uint64_t y = fold_multiply(word[2] ^ hash_keys_[2], word[3] ^ hash_keys_[3]);
    const std::uint64_t z = fold_multiply(word[4] ^ hash_keys_[4], word[5] ^ hash_keys_[0]);
    return static_cast<std::uint32_t>(fold_multiply(x ^ hash_keys_[1], y + (z << 1U | 1U))) | 1U;
}

// Index + 1, 0 if there is none.
std::uint32_t LearnedTable::lookup(std::uint32_t bucket, const LearnedKey& key) const noexcept {
    std::uint32_t ref = buckets_[bucket].head;
    while (ref != 0 && !(records_[ref - 1U].key == key)) { ref = next_[ref - 1U]; }
    return ref;
}

std::optional<LearnedValue> LearnedTable::find(const LearnedKey& key,
                                               std::uint64_t now_ns) const noexcept {
    const std::uint32_t bucket = bucket_of(key);
    const ByteLock lock(buckets_[bucket].lock, shared_);
    const std::uint32_t ref = lookup(bucket, key);
    if (ref == 0 || is_expired(records_[ref - 1U].value, now_ns)) { return std::nullopt; }
    return records_[ref - 1U].value;
}

void LearnedTable::walk(const LearnedKey& key, std::uint64_t now_ns, Visitor visit,
                        void* context) const noexcept {
    const std::uint32_t bucket = bucket_of(key);
    const ByteLock lock(buckets_[bucket].lock, shared_);
    for (std::uint32_t ref = buckets_[bucket].head; ref != 0; ref = next_[ref - 1U]) {
        const LearnedRecord& record = records_[ref - 1U];
        if (!same_but_port(record.key, key) || is_expired(record.value, now_ns)) { continue; }
        visit(context, LearnedRow{record.key, record.value});
    }
}

PortIndex LearnedTable::holder(DomainId domain, const IpAddr& ip,
                               std::uint64_t now_ns) const noexcept {
    LearnedRow best;
    best.key.port = kNoPort;
    for_each_port(LearnedKey::binding(domain, PortIndex{0}, ip), now_ns,
                  [&best](const LearnedRow& row) {
                      if (best.key.port == kNoPort || comes_before(row, best)) { best = row; }
                  });
    return best.key.port;
}

// A change is in force before epoch() says so: who loads the new epoch finds the new rows. The
// caller holds the bucket's lock.
void LearnedTable::changed(std::uint32_t bucket, const LearnedKey& key) noexcept {
    if (!is_decisive(key.kind)) { return; }
    const ByteLock lock(arena_->change_lock, true);  // Control may note a change beside us.
    const std::uint32_t epoch = arena_->epoch + 1U;
    const auto stamp = [&](PortIndex port) {
        if (is_counted(port)) { store_relaxed(arena_->ports[port.value].epoch, epoch); }
    };
    if (key.kind == LearnedKind::kBinding) {
        stamp(key.port);
        for (std::uint32_t ref = buckets_[bucket].head; ref != 0; ref = next_[ref - 1U]) {
            if (same_but_port(records_[ref - 1U].key, key)) { stamp(records_[ref - 1U].key.port); }
        }
    }
    __atomic_store_n(&arena_->epoch, epoch, __ATOMIC_RELEASE);
}

void LearnedTable::note_change() noexcept {
    const ByteLock lock(arena_->change_lock, true);  // Control may note a change beside us.
    __atomic_store_n(&arena_->epoch, arena_->epoch + 1U, __ATOMIC_RELEASE);
}

void LearnedTable::count_row(const LearnedRecord& record, bool present) noexcept {
    const std::uint32_t delta = present ? 1U : ~0U;
    add_count(arena_->live, delta, shared_);
    const PortIndex owner = owner_of(record.key, record.value);
    if (!is_counted(owner)) { return; }
    LearnedPort& port = arena_->ports[owner.value];
    add_count(port.count[count_slot(record.key, record.value.source)], delta, shared_);
    add_count(port.total, delta, shared_);
}

void LearnedTable::set_expiry(LearnedRecord& record, std::uint64_t expires_ns) noexcept {
    const std::uint64_t next = whole_seconds(expires_ns);
    const std::uint64_t old = record.value.expires_ns;
    if (next == old) { return; }
    const auto count = [&](std::uint64_t expires, std::uint32_t delta) {
        if (expires == 0 || !is_decisive(record.key.kind)) { return; }
        const std::size_t slot = expires / kLearnedSecondNs % kExpirySlots;
        add_count(arena_->expiring[slot], delta, shared_);
        if (record.key.kind != LearnedKind::kBinding) { return; }
        add_count(arena_->expiring_bindings[slot], delta, shared_);
    };
    count(old, ~0U);
    count(next, 1U);
    store_relaxed(record.value.expires_ns, next);
}

LearnResult LearnedTable::refuse(const LearnedKey& key, const LearnedValue& value,
                                 std::uint32_t limit) const noexcept {
    const PortIndex owner = owner_of(key, value);
    const std::uint32_t free = capacity_ - std::min(capacity_, load_relaxed(arena_->live));
    if (free == 0) { return LearnResult::kFull; }
    if (!is_counted(owner)) { return LearnResult::kNew; }
    const LearnedPort& port = arena_->ports[owner.value];
    const unsigned slot = count_slot(key, value.source);
    if (limit != 0 && load_relaxed(port.count[slot]) >= limit) { return LearnResult::kLimit; }
    return load_relaxed(port.total) >= free ? LearnResult::kFull : LearnResult::kNew;
}

// Claims of one moment keep their order.
std::uint64_t LearnedTable::first_seen(std::uint32_t bucket, const LearnedKey& key,
                                       std::uint64_t now_ns) const noexcept {
    if (key.kind != LearnedKind::kBinding) { return now_ns; }
    for (std::uint32_t ref = buckets_[bucket].head; ref != 0; ref = next_[ref - 1U]) {
        const LearnedRecord& other = records_[ref - 1U];
        if (same_but_port(other.key, key)) {
            now_ns = std::max(now_ns, other.value.first_seen_ns + 1U);
        }
    }
    return now_ns;
}

LearnResult LearnedTable::insert(std::uint32_t bucket, const LearnedKey& key,
                                 const LearnedValue& value, std::uint64_t now_ns) noexcept {
    std::uint32_t index = 0;
    {
        const ByteLock lock(arena_->free_lock, shared_);
        if (arena_->free_head != 0) {
            index = arena_->free_head - 1U;
            arena_->free_head = next_[index];
        } else if (arena_->used < ready_count()) {
            index = arena_->used;
            store_relaxed(arena_->used, index + 1U);
        } else {
            return LearnResult::kFull;
        }
    }
    LearnedRecord& record = records_[index];
    {
        const Writing writing(record);
        record.key = key;
        record.value = value;
        record.value.first_seen_ns = first_seen(bucket, key, now_ns);
        record.value.last_seen_ns = now_ns;
        record.value.expires_ns = 0;
        set_expiry(record, value.expires_ns);
        record.check = check_of(record);
    }
    next_[index] = buckets_[bucket].head;
    buckets_[bucket].head = index + 1U;
    count_row(record, true);
    changed(bucket, key);
    return LearnResult::kNew;
}

LearnResult LearnedTable::update(std::uint32_t bucket, LearnedRecord& record,
                                 const LearnedValue& value, std::uint32_t limit,
                                 std::uint64_t now_ns) noexcept {
    if (is_lease(record) && value.source != LearnedSource::kDhcp) {
        const Writing writing(record);
        record.value.last_seen_ns = now_ns;
        return LearnResult::kRefreshed;
    }
    const PortIndex from = owner_of(record.key, record.value);
    const PortIndex to = owner_of(record.key, value);
    const bool is_recounted = from != to || count_slot(record.key, record.value.source) !=
                                                count_slot(record.key, value.source);
    if (is_recounted) {
        const LearnResult refused = refuse(record.key, value, limit);
        if (refused != LearnResult::kNew) { return refused; }
    }
    const bool has_moved =
        from != to || record.value.mac != value.mac || record.value.remote != value.remote;
    const bool counts = has_moved || is_recounted || record.value.flags != value.flags;
    if (is_recounted) { count_row(record, false); }
    {
        const Writing writing(record);
        record.value.mac = value.mac;
        record.value.port = value.port;
        record.value.remote = value.remote;
        record.value.source = value.source;
        record.value.flags = value.flags;
        record.value.detail = value.detail;
        record.value.last_seen_ns = now_ns;
        set_expiry(record, value.expires_ns);
        record.check = check_of(record);
    }
    if (is_recounted) { count_row(record, true); }
    if (counts) { changed(bucket, record.key); }
    return has_moved ? LearnResult::kMoved : LearnResult::kRefreshed;
}

LearnResult LearnedTable::learn(const LearnedKey& key, const LearnedValue& value,
                                std::uint32_t limit, std::uint64_t now_ns) noexcept {
    const std::uint32_t bucket = bucket_of(key);
    const ByteLock lock(buckets_[bucket].lock, shared_);
    const std::uint32_t ref = lookup(bucket, key);
    if (ref != 0) {
        LearnedRecord& record = records_[ref - 1U];
        if (!is_expired(record.value, now_ns)) {
            return update(bucket, record, value, limit, now_ns);
        }
        remove(bucket, ref - 1U);
    }
    const LearnResult refused = refuse(key, value, limit);
    return refused == LearnResult::kNew ? insert(bucket, key, value, now_ns) : refused;
}

bool LearnedTable::touch(const LearnedKey& key, std::uint64_t seen_ns, std::uint64_t expires_ns,
                         std::uint64_t now_ns) noexcept {
    const std::uint32_t bucket = bucket_of(key);
    const ByteLock lock(buckets_[bucket].lock, shared_);
    const std::uint32_t ref = lookup(bucket, key);
    if (ref == 0 || is_expired(records_[ref - 1U].value, now_ns)) { return false; }
    LearnedRecord& record = records_[ref - 1U];
    const Writing writing(record);
    record.value.last_seen_ns = std::max(record.value.last_seen_ns, seen_ns);
    if (is_lease(record)) { return true; }
    const std::uint64_t old = record.value.expires_ns;
    set_expiry(record, expires_ns == 0 ? 0 : std::max(expires_ns, old));
    return true;
}

void LearnedTable::remove(std::uint32_t bucket, std::uint32_t index) noexcept {
    std::uint32_t* ref = &buckets_[bucket].head;
    while (*ref != 0 && *ref != index + 1U) { ref = &next_[*ref - 1U]; }
    SLUICE_ASSERT(*ref != 0);
    LearnedRecord& record = records_[index];
    *ref = next_[index];
    const LearnedKey key = record.key;
    count_row(record, false);
    {
        const Writing writing(record);
        set_expiry(record, 0);
        record.key = LearnedKey{};
    }
    {
        const ByteLock lock(arena_->free_lock, shared_);
        next_[index] = arena_->free_head;
        arena_->free_head = index + 1U;
    }
    changed(bucket, key);
}

bool LearnedTable::forget(const LearnedKey& key) noexcept {
    const std::uint32_t bucket = bucket_of(key);
    const ByteLock lock(buckets_[bucket].lock, shared_);
    const std::uint32_t ref = lookup(bucket, key);
    if (ref != 0) { remove(bucket, ref - 1U); }
    return ref != 0;
}

// The record may become another row while its bucket's lock is waited for: it is looked up again.
template <typename Condition>
bool LearnedTable::remove_if(std::uint32_t index, Condition&& condition) noexcept {
    LearnedRow row;
    if (!copy_live(index, 0, row) || !condition(row)) { return false; }
    const std::uint32_t bucket = bucket_of(row.key);
    const ByteLock lock(buckets_[bucket].lock, shared_);
    if (lookup(bucket, row.key) != index + 1U ||
        !condition(LearnedRow{records_[index].key, records_[index].value})) {
        return false;
    }
    remove(bucket, index);
    return true;
}

std::uint32_t LearnedTable::sweep(std::uint32_t budget, std::uint64_t now_ns) noexcept {
    const std::uint32_t used = used_count();
    const std::uint32_t count = std::min(budget, used);
    if (count == 0) { return 0; }
    std::uint32_t index = load_relaxed(arena_->sweep_cursor) % used;
    store_relaxed(arena_->sweep_cursor, (index + count) % used);
    std::uint32_t removed = 0;
    for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint64_t expires_ns = load_relaxed(records_[index].value.expires_ns);
        const bool may_be_dead = expires_ns != 0 && now_ns >= expires_ns;
        const auto is_dead = [now_ns](const LearnedRow& row) {
            return is_expired(row.value, now_ns);
        };
        if (may_be_dead && remove_if(index, is_dead)) { ++removed; }
        index = index + 1U == used ? 0 : index + 1U;
    }
    return removed;
}

std::uint32_t LearnedTable::flush(const LearnedFilter& filter, std::uint32_t& cursor,
                                  std::uint32_t budget) noexcept {
    const std::uint32_t used = used_count();
    const auto is_named = [&filter](const LearnedRow& row) { return filter.matches(row); };
    std::uint32_t removed = 0;
    for (; cursor < used && budget > 0; ++cursor, --budget) {
        if (remove_if(cursor, is_named)) { ++removed; }
    }
    if (cursor >= used_count()) { cursor = capacity_; }
    return removed;
}

std::uint64_t LearnedTable::next_second_ns() const noexcept {
    return load_relaxed(arena_->next_second_ns);
}

// One worker does it for all; rows of the seconds since the last time may have expired. A row
// beyond the wheel's reach counts too early: that costs a look.
void LearnedTable::pass_second(std::uint64_t now_ns) noexcept {
    std::uint64_t seen = load_relaxed(arena_->next_second_ns);
    const std::uint64_t next = (now_ns / kLearnedSecondNs + 1U) * kLearnedSecondNs;
    if (next <= seen || !__atomic_compare_exchange_n(&arena_->next_second_ns, &seen, next, false,
                                                     __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
        return;
    }
    const std::uint64_t last = now_ns / kLearnedSecondNs;
    const std::uint64_t first =
        std::max(seen / kLearnedSecondNs, last > kExpirySlots ? last - kExpirySlots + 1U : 0U);
    std::uint32_t rows = 0;
    std::uint32_t bindings = 0;
    for (std::uint64_t second = first; second <= last; ++second) {
        rows |= load_relaxed(arena_->expiring[second % kExpirySlots]);
        bindings |= load_relaxed(arena_->expiring_bindings[second % kExpirySlots]);
    }
    if (rows == 0) { return; }
    const ByteLock lock(arena_->change_lock, true);  // Control may note a change beside us.
    const std::uint32_t epoch = arena_->epoch + 1U;
    if (bindings != 0) { store_relaxed(arena_->expiry_epoch, epoch); }
    __atomic_store_n(&arena_->epoch, epoch, __ATOMIC_RELEASE);
}

// Reads beside workers that write: a copy of two moments is discarded.
[[gnu::no_sanitize("thread")]] bool LearnedTable::copy_live(std::uint32_t index,
                                                            std::uint64_t now_ns,
                                                            LearnedRow& out) const noexcept {
    const LearnedRecord& record = records_[index];
    const std::uint32_t before = __atomic_load_n(&record.version, __ATOMIC_ACQUIRE);
    if ((before & 1U) != 0) { return false; }
    std::uint64_t words[9];
    static_assert(sizeof words == sizeof(LearnedRow));
    const auto* from = reinterpret_cast<const char*>(&record);
    for (std::size_t i = 0; i < std::size(words); ++i) {
        words[i] =
            __atomic_load_n(reinterpret_cast<const std::uint64_t*>(from) + i, __ATOMIC_RELAXED);
    }
    std::memcpy(&out, words, sizeof out);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return __atomic_load_n(&record.version, __ATOMIC_RELAXED) == before &&
           out.key.kind != LearnedKind::kNone && !is_expired(out.value, now_ns);
}

std::uint32_t LearnedTable::epoch() const noexcept {
    return __atomic_load_n(&arena_->epoch, __ATOMIC_ACQUIRE);
}

std::uint32_t LearnedTable::port_epoch(PortIndex port) const noexcept {
    if (!is_counted(port)) { return 0; }
    const std::uint32_t own = load_relaxed(arena_->ports[port.value].epoch);
    if (count(port, LearnedKind::kBinding) == 0) { return own; }
    const std::uint32_t expiry = load_relaxed(arena_->expiry_epoch);
    return static_cast<std::int32_t>(expiry - own) > 0 ? expiry : own;
}

std::uint32_t LearnedTable::count(PortIndex port, LearnedKind kind,
                                  IpFamily family) const noexcept {
    if (!is_counted(port) || kind == LearnedKind::kNone) { return 0; }
    const LearnedPort& counts = arena_->ports[port.value];
    if (kind != LearnedKind::kBinding) {
        return load_relaxed(counts.count[static_cast<unsigned>(kind) - 1U]);
    }
    const std::uint32_t v4 =
        load_relaxed(counts.count[kCountBinding]) + load_relaxed(counts.count[kCountLease]);
    const std::uint32_t v6 =
        load_relaxed(counts.count[kCountIpv6Binding]) + load_relaxed(counts.count[kCountIpv6Lease]);
    return (family == IpFamily::kV6 ? 0 : v4) + (family == IpFamily::kV4 ? 0 : v6);
}

std::uint32_t LearnedTable::first_use_count(PortIndex port, IpFamily family) const noexcept {
    if (!is_counted(port)) { return 0; }
    const bool v6 = family == IpFamily::kV6;
    return load_relaxed(arena_->ports[port.value].count[v6 ? kCountIpv6Binding : kCountBinding]);
}

std::uint32_t LearnedTable::size() const noexcept { return load_relaxed(arena_->live); }

std::uint32_t LearnedTable::used_count() const noexcept { return load_relaxed(arena_->used); }

}  // namespace sluice
