// SPDX-License-Identifier: Apache-2.0
// Takes over the records that another process left: it may have been killed at any instruction, and
// its memory may be damaged. Nothing but the records is believed, and each only if its identity
// checks out; index, counts, lists of free and half-open records are made anew. A record that was
// caught in the middle of a change (its lock is set) is kept, but its windows are not checked any
// more. Every record's policy is asked anew by its next packet (judged_generation 0). Control
// thread, while no worker runs.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "iochain/dfw/connection_arena.h"
#include "iochain/dfw/tcp_tracker.h"
#include "sluice/base/assert.h"
#include "sluice/iochain/service_pins.h"

namespace sluice {
namespace {

constexpr std::uint8_t kScaleMax = 14;        // RFC 7323 §2.3.
constexpr std::uint32_t kPrefetchAhead = 16;  // Buckets.
constexpr std::uint64_t kExpiryMaxNs = (std::uint64_t{kTimeoutMaxS} + 60U) * 1'000'000'000U;

// Whether a connection of the protocol can be in the state.
bool fits(ConnectionState state, std::uint8_t protocol, IpFamily family) noexcept {
    const auto number = static_cast<unsigned>(state);
    const auto last_tcp = static_cast<unsigned>(ConnectionState::kTcpClose);
    if (number == 0 || number >= kConnectionStateCount) { return false; }
    if (family != IpFamily::kV4 && family != IpFamily::kV6) { return false; }
    if (protocol == 6) { return number <= last_tcp; }
    const unsigned first = number - last_tcp - 1U;  // UDP, ICMP, other: two states each.
    const bool is_icmp = protocol == (family == IpFamily::kV4 ? 1 : 58);
    return number > last_tcp && first / 2U == (protocol == 17 ? 0U : is_icmp ? 1U : 2U);
}

bool has_right_scales(const Connection& record) noexcept {
    return record.peer[0].scale <= kScaleMax && record.peer[1].scale <= kScaleMax;
}

}  // namespace

/// One adoption: which records live (first pass), then where they belong (second pass).
class ConnectionTable::Adopter {
public:
    Adopter(ConnectionTable& table, std::uint64_t now_ns, ServicePinTable* pins, bool has_checks)
        : table_(table), now_ns_(now_ns), pins_(pins), has_checks_(has_checks) {}

    ConnectionAdoption run(std::uint32_t record_count) {
        hashes_.assign(record_count, 0);
        std::uint32_t used = 0;
        for (std::uint32_t i = 0; i < record_count; ++i) {
            if (i + kPrefetchAhead < record_count) {
                __builtin_prefetch(&table_.records_[i + kPrefetchAhead].tuple);
                __builtin_prefetch(&table_.records_[i + kPrefetchAhead].lock);
            }
            if (examine(i)) { used = i + 1U; }
        }
        lay_out(used);
        for (std::uint32_t i = 0; i < used; ++i) {
            if (i + kPrefetchAhead < used) {
                __builtin_prefetch(&table_.bucket_of(hashes_[i + kPrefetchAhead]), 1);
            }
            if (hashes_[i] != 0) { enter(i); }
        }
        list_free(used);
        list_half_open();
        return found_;
    }

private:
    /// True if the record lives on: its hash is noted then.
    bool examine(std::uint32_t index) {
        Connection& record = table_.records_[index];
        if (record.state == ConnectionState::kClosed) {
            if (record.lock != 0) { free(record); }
            return false;
        }
        const std::uint64_t hash = table_.hash_of(record.tuple);
        const bool is_known =
            !has_checks_ || record.identity_check == table_.check_of(record, hash);
        if (!is_known || !fits(record.state, record.tuple.protocol, record.tuple.family) ||
            !has_pins(record, index)) {
            ++found_.damaged;
            free(record);
            return false;
        }
        if (now_ns_ >= record.expires_ns) {
            ++found_.expired;
            free(record);
            return false;
        }
        hashes_[index] = hash == 0 ? 1 : hash;
        return true;
    }

    // What services knew of it is gone with the process that they were in.
    [[nodiscard]] bool has_pins(const Connection& record, std::uint32_t index) const noexcept {
        if (record.redirected == 0) { return true; }
        if (pins_ == nullptr || !pins_->row(index).is_whole()) { return false; }
        for (ServiceHop& hop : pins_->row(index).hops) { hop.state = 0; }
        return true;
    }

    static void free(Connection& record) noexcept {
        record.state = ConnectionState::kClosed;
        record.generation = generation_after(record.generation);
        record.lock = 0;
        record.redirected = 0;
        record.logged = 0;
    }

    void lay_out(std::uint32_t used) noexcept {
        const std::uint32_t wanted = bucket_count_of(used);
        const std::uint32_t first = std::min(table_.bucket_count_, kBucketsMin);
        table_.arena_->used = used;
        table_.arena_->grown = wanted > first ? std::min(wanted, table_.bucket_count_) - first : 0;
    }

    void enter(std::uint32_t index) {
        Connection& record = table_.records_[index];
        const std::uint64_t hash = table_.hash_of(record.tuple);
        ConnectionBucket& bucket = table_.bucket_of(hash);
        if (table_.lookup(bucket, record.tuple, hash) != 0) {
            ++found_.damaged;
            free(record);
            hashes_[index] = 0;
            return;
        }
        if (!has_checks_) { record.identity_check = table_.check_of(record, hash); }
        mend(record);
        record.judged_generation = 0;
        record.expires_ns = std::min(record.expires_ns, now_ns_ + kExpiryMaxNs);
        if (record.generation == 0) { record.generation = 1; }
        if (record.logged != 0) { table_.opened_ns_[index] = now_ns_; }
        record.flags &= static_cast<std::uint8_t>(~unsigned{kConnHalfOpen});
        table_.link(bucket, index, hash);
        ++table_.arena_->workers[0].live;
        if (!is_closed(record.state)) { table_.count_live(record.opener_port, 1); }
        if (is_half_open(record.state)) { half_open_.emplace_back(record.expires_ns, index); }
        if (is_closed(record.state)) { note_closed(index); }
        ++found_.adopted;
    }

    // What a change in progress may have left half done.
    void mend(Connection& record) noexcept {
        const bool is_tcp = record.tuple.protocol == 6;
        const bool is_torn = record.lock != 0 || (is_tcp && !has_right_scales(record));
        record.lock = 0;
        if (!is_torn) { return; }
        ++found_.lenient;
        for (TcpPeer& peer : record.peer) { peer.scale = std::min(peer.scale, kScaleMax); }
        if (is_tcp && !is_half_open(record.state)) {
            record.flags |= static_cast<std::uint8_t>(kConnLiberal);
        }
    }

    // Worker 0 makes room of them, oldest by place.
    void note_closed(std::uint32_t index) noexcept {
        ClosedQueue& queue = table_.closed_[0];
        if (queue.count < table_.closed_max_) { queue.indexes[queue.count++] = index; }
    }

    // The lowest first, so that memory stays dense.
    void list_free(std::uint32_t used) noexcept {
        for (std::uint32_t i = used; i-- > 0;) {
            if (hashes_[i] != 0) { continue; }
            table_.links_[i].next = table_.arena_->free_head;
            table_.arena_->free_head = i + 1U;
        }
    }

    // The order in which they were opened is that in which they expire, nearly.
    void list_half_open() {
        std::sort(half_open_.begin(), half_open_.end());
        for (const auto& [expires_ns, index] : half_open_) {
            table_.set_half_open(table_.records_[index], true);
        }
    }

    ConnectionTable& table_;
    const std::uint64_t now_ns_;
    ServicePinTable* const pins_;
    const bool has_checks_;
    ConnectionAdoption found_;
    std::vector<std::uint64_t> hashes_;                               // By record; 0: free.
    std::vector<std::pair<std::uint64_t, std::uint32_t>> half_open_;  // By expiry.
};

void ConnectionTable::clear_index() noexcept {
    const std::uint32_t used = used_count();
    std::memset(static_cast<void*>(buckets_), 0, sizeof(ConnectionBucket) * bucket_count_in_use());
    if (used > 0) { std::memset(static_cast<void*>(links_), 0, sizeof(RecordLinks) * used); }
    std::memset(static_cast<void*>(arena_), 0, sizeof(ConnectionArena));
    for (unsigned i = 0; i < worker_count_; ++i) { closed_[i].first = closed_[i].count = 0; }
}

ConnectionAdoption ConnectionTable::adopt(std::uint32_t record_count, std::uint64_t now_ns,
                                          ServicePinTable* pins, bool has_checks) {
    SLUICE_ASSERT(record_count <= capacity_);
    clear_index();
    if (ready_count() < record_count) { set_ready(record_count); }
    return Adopter(*this, now_ns, pins, has_checks).run(record_count);
}

void ConnectionTable::prepare(std::uint32_t record_count) noexcept {
    constexpr std::size_t kPage = 4096;
    const auto touch = [](void* memory, std::size_t bytes) {
        auto* at = static_cast<volatile unsigned char*>(memory);
        for (std::size_t i = 0; i < bytes; i += kPage) { at[i] = at[i]; }
    };
    const std::uint32_t count = std::min(record_count, capacity_);
    touch(buckets_, sizeof(ConnectionBucket) * std::min(bucket_count_of(count), bucket_count_));
    touch(links_, sizeof(RecordLinks) * count);
}

void ConnectionTable::set_ready(std::uint32_t count) noexcept {
    __atomic_store_n(&ready_count_, std::min(count, capacity_), __ATOMIC_RELEASE);
}

}  // namespace sluice
