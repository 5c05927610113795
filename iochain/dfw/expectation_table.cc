// SPDX-License-Identifier: Apache-2.0
// ExpectationTable: what is expected, found by first packets and taken by those that open. Reading
// of payloads is expectation_read.cc. Workers.
#include "sluice/iochain/expectation_table.h"

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>

#include "iochain/dfw/expectation_buckets.h"

namespace sluice {
namespace {

template <typename T>
T* zeroed(std::size_t count) {
    static_assert(alignof(T) <= alignof(std::max_align_t));
    void* memory = std::calloc(count, sizeof(T));  // Of this size: pages that nobody has touched.
    if (memory == nullptr) { throw std::bad_alloc(); }
    return static_cast<T*>(memory);
}

std::uint64_t mix(std::uint64_t z) noexcept {  // SplitMix64's finaliser.
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
}

std::uint64_t hash_of(const std::uint8_t (&ip)[16], std::uint64_t seed) noexcept {
    std::uint64_t half[2];
    std::memcpy(half, ip, sizeof half);
    return mix(mix(half[0] + seed) ^ half[1]);
}

template <typename Entry>
void fill_parent_key(const Entry& entry, FlowKey& key) noexcept {
    key = FlowKey{};
    std::memcpy(key.source_ip, entry.by_source ? entry.source_ip : entry.destination_ip, 16);
    std::memcpy(key.destination_ip, entry.by_source ? entry.destination_ip : entry.source_ip, 16);
    key.source_port = entry.parent_source_port;
    key.destination_port = entry.parent_destination_port;
    key.protocol = entry.protocol;
    key.flags = static_cast<std::uint8_t>((entry.family == IpFamily::kV4 ? kKeyIpv4 : kKeyIpv6) |
                                          kKeyPorts);
}

template <typename Entry>
bool same_way(const Entry& entry, const std::uint8_t* source,
              const std::uint8_t* destination) noexcept {
    return std::memcmp(entry.source_ip, source, 16) == 0 &&
           std::memcmp(entry.destination_ip, destination, 16) == 0;
}

template <typename Entry>
bool is_between(const Entry& entry, const FlowKey& key, DomainId domain) noexcept {
    return entry.domain == domain && entry.protocol == key.protocol &&
           entry.destination_port == key.destination_port && entry.family == key.family() &&
           same_way(entry, key.source_ip, key.destination_ip);
}

// Announced by the same connection, and pending.
template <typename Entry>
bool is_sibling(const Entry& entry, const Entry& wanted) noexcept {
    return entry.state == ExpectationState::kPending && entry.domain == wanted.domain &&
           entry.protocol == wanted.protocol &&
           entry.parent_source_port == wanted.parent_source_port &&
           entry.parent_destination_port == wanted.parent_destination_port &&
           (same_way(entry, wanted.source_ip, wanted.destination_ip) ||
            same_way(entry, wanted.destination_ip, wanted.source_ip));
}

template <typename Entry>
bool is_same(const Entry& entry, const Entry& wanted) noexcept {
    return entry.destination_port == wanted.destination_port &&
           same_way(entry, wanted.source_ip, wanted.destination_ip);
}

void count(std::uint64_t& counter) noexcept { __atomic_fetch_add(&counter, 1, __ATOMIC_RELAXED); }

}  // namespace

void ExpectationTable::Freed::operator()(void* memory) const noexcept { std::free(memory); }

ExpectationTable::ExpectationTable(ConnectionTable& connections, bool shared, std::uint64_t seed)
    : connections_(connections),
      shared_(shared),
      seed_(mix(seed)),
      buckets_(zeroed<Bucket>(kExpectationBuckets)),
      sessions_(zeroed<SessionBucket>(kSessionBuckets)) {}

ExpectationTable::~ExpectationTable() = default;

// The same for both directions, so that a connection's expectations lie together.
ExpectationTable::Bucket& ExpectationTable::bucket_of(const FlowKey& key,
                                                      DomainId domain) const noexcept {
    const std::uint64_t both = hash_of(key.source_ip, seed_) + hash_of(key.destination_ip, seed_);
    const std::uint64_t rest = std::uint64_t{domain.value} << 8U | key.protocol;
    return buckets_[mix(both ^ rest) % kExpectationBuckets];
}

bool ExpectationTable::has_parent(const Entry& entry, std::uint64_t now_ns) noexcept {
    Connection record;
    return connections_.snapshot(entry.parent, record) && now_ns < record.expires_ns &&
           !is_closed(record.state) && (record.flags & kConnAlg) != 0;
}

bool ExpectationTable::is_over(const Entry& entry, std::uint64_t now_ns) noexcept {
    if (entry.state == ExpectationState::kPending) {
        return now_ns >= entry.expires_ns || !has_parent(entry, now_ns);
    }
    FlowKey key;  // Of the connection that took it.
    fill_parent_key(entry, key);
    std::memcpy(key.source_ip, entry.source_ip, 16);
    std::memcpy(key.destination_ip, entry.destination_ip, 16);
    key.source_port = entry.source_port;
    key.destination_port = entry.destination_port;
    return !connections_.find(tuple_of(key, entry.domain), now_ns).is_set();
}

void ExpectationTable::release(Entry& entry) noexcept {
    add_count(entry.state == ExpectationState::kPending ? pending_ : related_, ~0U, shared_);
    entry.state = ExpectationState::kFree;
}

ExpectationTable::Entry* ExpectationTable::find_pending(Bucket& bucket, const FlowKey& key,
                                                        DomainId domain,
                                                        std::uint64_t now_ns) noexcept {
    for (Entry& entry : bucket.entries) {
        if (entry.state != ExpectationState::kPending || !is_between(entry, key, domain)) {
            continue;
        }
        if (!is_over(entry, now_ns)) { return &entry; }
        release(entry);
    }
    return nullptr;
}

bool ExpectationTable::find(const FlowKey& key, DomainId domain, std::uint64_t now_ns,
                            FlowKey& parent_key) noexcept {
    Bucket& bucket = bucket_of(key, domain);
    const ByteLock lock(bucket.lock, shared_);
    const Entry* entry = find_pending(bucket, key, domain, now_ns);
    if (entry == nullptr) { return false; }
    fill_parent_key(*entry, parent_key);
    return true;
}

bool ExpectationTable::take(const FlowKey& key, DomainId domain, std::uint64_t now_ns) noexcept {
    Bucket& bucket = bucket_of(key, domain);
    const ByteLock lock(bucket.lock, shared_);
    Entry* entry = find_pending(bucket, key, domain, now_ns);
    if (entry == nullptr) { return false; }
    entry->state = ExpectationState::kTaken;
    entry->source_port = key.source_port;
    add_count(pending_, ~0U, shared_);
    add_count(related_, 1, shared_);
    count(counts_.taken);
    return true;
}

bool ExpectationTable::parent_of(const FlowKey& opener_key, DomainId domain,
                                 FlowKey& parent_key) noexcept {
    Bucket& bucket = bucket_of(opener_key, domain);
    const ByteLock lock(bucket.lock, shared_);
    const Entry* last = nullptr;
    for (const Entry& entry : bucket.entries) {
        if (entry.state == ExpectationState::kTaken &&
            entry.source_port == opener_key.source_port && is_between(entry, opener_key, domain)) {
            last = &entry;
        }
    }
    if (last == nullptr) { return false; }
    fill_parent_key(*last, parent_key);
    return true;
}

// Where `wanted` may be written: where it stands already, over the oldest of its parent's if those
// are too many, or in a free place. What is over is looked for only if there is none: that asks the
// connection table. Live connections keep theirs.
ExpectationTable::Entry* ExpectationTable::place_for(Bucket& bucket, const Entry& wanted,
                                                     std::uint64_t now_ns) noexcept {
    Entry* free = nullptr;
    Entry* oldest = nullptr;
    unsigned siblings = 0;
    for (Entry& entry : bucket.entries) {
        if (entry.state == ExpectationState::kFree) { free = &entry; }
        if (!is_sibling(entry, wanted)) { continue; }
        if (is_same(entry, wanted)) { return &entry; }
        ++siblings;
        if (oldest == nullptr || entry.expires_ns < oldest->expires_ns) { oldest = &entry; }
    }
    if (siblings >= kExpectationPerConnection) { return oldest; }
    for (Entry& entry : bucket.entries) {
        if (free != nullptr) { break; }
        if (!is_over(entry, now_ns)) { continue; }
        release(entry);
        free = &entry;
    }
    return free;
}

void ExpectationTable::expect(const AlgPayload& from, std::uint16_t port,
                              std::uint64_t now_ns) noexcept {
    const FlowKey& key = from.key;
    const bool by_opener = from.side == ConnectionSide::kOpener;
    Entry wanted{};
    std::memcpy(wanted.source_ip, key.destination_ip, 16);
    std::memcpy(wanted.destination_ip, key.source_ip, 16);
    wanted.domain = from.domain;
    wanted.parent = from.connection;
    wanted.destination_port = Be16::from_host(port);
    wanted.parent_source_port = by_opener ? key.source_port : key.destination_port;
    wanted.parent_destination_port = by_opener ? key.destination_port : key.source_port;
    wanted.protocol = key.protocol;
    wanted.family = key.family();
    wanted.by_source = !by_opener;
    wanted.state = ExpectationState::kPending;
    wanted.expires_ns = now_ns + kExpectationTimeoutNs;
    Bucket& bucket = bucket_of(key, from.domain);
    const ByteLock lock(bucket.lock, shared_);
    Entry* place = place_for(bucket, wanted, now_ns);
    if (place == nullptr) { return refuse(); }
    if (place->state == ExpectationState::kFree) { add_count(pending_, 1, shared_); }
    *place = wanted;
    count(counts_.made);
}

void ExpectationTable::refuse() noexcept { count(counts_.refused); }

void ExpectationTable::sweep(std::uint64_t now_ns) noexcept {
    if (pending() == 0 && load_relaxed(related_) == 0) [[likely]] { return; }
    const std::uint32_t at = load_relaxed(sweep_cursor_) % kExpectationBuckets;
    store_relaxed(sweep_cursor_, at + 1U);
    Bucket& bucket = buckets_[at];
    const ByteLock lock(bucket.lock, shared_);
    for (Entry& entry : bucket.entries) {
        if (entry.state != ExpectationState::kFree && is_over(entry, now_ns)) { release(entry); }
    }
}

ExpectationCounts ExpectationTable::counts() const noexcept {
    return {load_relaxed(counts_.made), load_relaxed(counts_.taken), load_relaxed(counts_.refused)};
}

}  // namespace sluice
