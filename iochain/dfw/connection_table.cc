// SPDX-License-Identifier: Apache-2.0
// ConnectionTable: find, open, close and what concerns one record. Index, free records, sweep and
// the connection step have files of their own. Called by workers; size() and its like by control
// too.
#include "sluice/iochain/connection_table.h"

#include <algorithm>
#include <cstring>

#include "iochain/dfw/connection_arena.h"
#include "iochain/dfw/connection_timer.h"
#include "iochain/dfw/tcp_tracker.h"
#include "sluice/base/assert.h"
#include "sluice/iochain/expectation_table.h"

namespace sluice {
namespace {

std::uint64_t timeout_of(const ConnectionTimeouts& timeouts, ConnectionState state) noexcept {
    switch (state) {
        case ConnectionState::kClosed: return 0;
        case ConnectionState::kTcpSynSent:
        case ConnectionState::kTcpSynSent2: return timeouts.tcp_syn_sent_ns;
        case ConnectionState::kTcpSynReceived: return timeouts.tcp_syn_received_ns;
        case ConnectionState::kTcpEstablished: return timeouts.tcp_established_ns;
        case ConnectionState::kTcpFinWait: return timeouts.tcp_fin_wait_ns;
        case ConnectionState::kTcpCloseWait: return timeouts.tcp_close_wait_ns;
        case ConnectionState::kTcpLastAck: return timeouts.tcp_last_ack_ns;
        case ConnectionState::kTcpTimeWait: return timeouts.tcp_time_wait_ns;
        case ConnectionState::kTcpClose: return timeouts.tcp_close_ns;
        case ConnectionState::kUdpOneWay: return timeouts.udp_ns;
        case ConnectionState::kUdpTwoWay: return timeouts.udp_stream_ns;
        case ConnectionState::kIcmpOneWay:
        case ConnectionState::kIcmpTwoWay: return timeouts.icmp_ns;
        case ConnectionState::kOtherOneWay:
        case ConnectionState::kOtherTwoWay: return timeouts.other_ns;
    }
    return 0;
}

constexpr std::uint8_t kProtocolTcp = 6;
constexpr std::uint8_t kProtocolUdp = 17;
constexpr std::uint8_t kProtocolIcmp = 1;
constexpr std::uint8_t kProtocolIcmp6 = 58;

// SplitMix64 (Steele, Lea, Flood 2014): independent keys from one seed.
std::uint64_t next_key(std::uint64_t& state) noexcept {
    state += 0x9e3779b97f4a7c15ULL;
    std::uint64_t z = state;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
}

ConnectionState first_state(std::uint8_t protocol, IpFamily family) noexcept {
    if (protocol == kProtocolUdp) { return ConnectionState::kUdpOneWay; }
    const std::uint8_t icmp = family == IpFamily::kV4 ? kProtocolIcmp : kProtocolIcmp6;
    return protocol == icmp ? ConnectionState::kIcmpOneWay : ConnectionState::kOtherOneWay;
}

unsigned when(bool on, ConnectionFlag flag) noexcept { return on ? unsigned{flag} : 0U; }

unsigned stateful_flags(bool opener, bool responder) noexcept {
    return when(opener, kConnOpenerStateful) | when(responder, kConnResponderStateful);
}

unsigned flags_of(const OpenRequest& request) noexcept {
    return when(request.tuple.from_a, kConnOpenerIsA) | when(request.related, kConnRelated) |
           when(request.alg, kConnAlg) |
           stateful_flags(request.opener_stateful, request.responder_stateful);
}

bool is_counted(PortIndex port) noexcept { return port.value < kPortMax; }

}  // namespace

std::size_t ConnectionTable::index_bytes(std::uint32_t capacity) noexcept {
    return page_aligned(links_offset(capacity) + sizeof(RecordLinks) * capacity);
}

ConnectionTable::ConnectionTable(const ConnectionMemory& memory, std::uint32_t capacity,
                                 unsigned worker_count, std::uint64_t hash_seed)
    : arena_(static_cast<ConnectionArena*>(memory.index)),
      buckets_(reinterpret_cast<ConnectionBucket*>(static_cast<std::byte*>(memory.index) +
                                                   buckets_offset())),
      records_(static_cast<Connection*>(memory.records)),
      links_(reinterpret_cast<RecordLinks*>(static_cast<std::byte*>(memory.index) +
                                            links_offset(capacity))),
      capacity_(capacity),
      ready_count_(capacity),
      bucket_count_(bucket_count_of(capacity)),
      batch_count_(std::clamp(capacity / (worker_count * 16U), 1U, kFreeCacheMax / 2U)),
      worker_count_(worker_count),
      shared_(worker_count > 1),
      closed_max_(std::clamp(capacity / 2U, 1U, kClosedConnectionMax) / worker_count + 1U),
      closed_(std::make_unique<ClosedQueue[]>(worker_count)),
      opened_ns_(std::make_unique_for_overwrite<std::uint64_t[]>(capacity)),
      timeout_ns_{},
      limits_{},
      expectations_(std::make_unique<ExpectationTable>(*this, worker_count > 1, hash_seed)) {
    SLUICE_ASSERT(reinterpret_cast<std::uintptr_t>(memory.index) % 4096U == 0 &&
                  reinterpret_cast<std::uintptr_t>(memory.records) % 4096U == 0);
    SLUICE_ASSERT(capacity > 0 && capacity <= kConnectionMax && worker_count > 0 &&
                  worker_count <= kWorkerMax);
    for (std::uint64_t& key : hash_keys_) { key = next_key(hash_seed); }
    for (unsigned i = 0; i < worker_count; ++i) {
        closed_[i].indexes = std::make_unique_for_overwrite<std::uint32_t[]>(closed_max_);
    }
}

ConnectionTable::~ConnectionTable() = default;

void ConnectionTable::prepare(TupleOfFrame& tuple) const noexcept {
    tuple.hash = hash_of(tuple.tuple);
    __builtin_prefetch(&bucket_of(tuple.hash));
}

ConnectionHandle ConnectionTable::find(const TupleOfFrame& tuple, std::uint64_t now_ns) noexcept {
    const std::uint64_t hash = hash_for(tuple);
    const BucketLock lock(*this, hash);
    const std::uint32_t ref = lookup(lock.bucket(), tuple.tuple, hash);
    if (ref == 0 || !is_live(records_[ref - 1U], now_ns)) { return {}; }
    return {ref - 1U, load_relaxed(records_[ref - 1U].generation)};
}

bool ConnectionTable::in_grace(std::uint64_t now_ns) const noexcept {
    const std::uint64_t grace_ns = load_relaxed(limits_.grace_ns);
    const std::uint64_t started_ns = load_relaxed(started_ns_);  // 0: a worker's very first poll.
    return grace_ns != 0 && (started_ns == 0 || now_ns - started_ns < grace_ns);
}

DropReason ConnectionTable::may_open(const OpenRequest& request, const ParsedFrame& frame,
                                     std::uint64_t now_ns) const noexcept {
    if (!request.tuple.may_open) { return DropReason::kIcmpNoConnection; }
    if (request.tuple.tuple.protocol != kProtocolTcp) { return DropReason::kNone; }
    if (!has_tcp_header(frame)) { return DropReason::kTcpNoConnection; }
    constexpr std::uint8_t kJudged = kTcpSyn | kTcpAck | kTcpFin | kTcpRst;
    if ((frame.tcp_flags & kJudged) == kTcpSyn) { return DropReason::kNone; }
    // Mid-stream: neither an end, which is soon over, nor the answer to a SYN that nobody saw.
    const bool picked_up =
        (frame.tcp_flags & kJudged) == kTcpAck && (!request.tcp_strict || in_grace(now_ns));
    return picked_up ? DropReason::kNone : DropReason::kTcpNoConnection;
}

bool ConnectionTable::over_total() const noexcept {
    const std::uint32_t total = load_relaxed(limits_.total);
    return total != 0 && size() >= total;
}

DropReason ConnectionTable::over_limit(PortIndex opener, bool is_tcp) const noexcept {
    if (!is_counted(opener)) { return DropReason::kNone; }
    const PortCount& port = arena_->ports[opener.value];
    const std::uint32_t per_port = load_relaxed(limits_.per_port);
    if (per_port != 0 && load_relaxed(port.live) >= per_port) {
        return DropReason::kConnectionLimit;
    }
    const std::uint32_t half_open = load_relaxed(limits_.half_open_per_port);
    if (is_tcp && half_open != 0 && load_relaxed(port.half_open) >= half_open) {
        return DropReason::kHalfOpenLimit;
    }
    return DropReason::kNone;
}

void ConnectionTable::begin(Connection& record, const OpenRequest& request, std::uint64_t hash,
                            const ParsedFrame& frame, std::uint64_t now_ns) noexcept {
    const RecordLock lock(record.lock, shared_);  // A stale handle may still be looking.
    record.tuple = request.tuple.tuple;
    record.opener_port = request.opener_port;
    record.responder_port = request.responder_port;
    record.opener_rule = request.opener_rule;
    record.responder_rule = request.responder_rule;
    store_relaxed(record.judged_generation, request.judged_generation);
    store_relaxed(record.flags, static_cast<std::uint8_t>(flags_of(request)));
    record.identity_check = check_of(record, hash);
    record.peer[0] = record.peer[1] = TcpPeer{};
    record.packets = 0;
    record.bytes = 0;
    record.redirected = 0;
    record.logged = request.logged ? 1U : 0U;
    if (request.logged) { opened_ns_[static_cast<std::size_t>(&record - records_)] = now_ns; }
    if (record.generation == 0) { store_relaxed(record.generation, 1); }  // Never used before.
    __atomic_signal_fence(__ATOMIC_SEQ_CST);  // A state only to an identity that is whole.
    if (record.tuple.protocol == kProtocolTcp) {
        begin_tcp(record, frame);
    } else {
        store_relaxed(record.state, first_state(record.tuple.protocol, record.tuple.family));
    }
    store_relaxed(record.expires_ns, timer_of(record.state).target_ns(now_ns));
    count_live(record.opener_port, 1);
    set_half_open(record, is_half_open(record.state));
}

OpenResult ConnectionTable::open(unsigned worker, const OpenRequest& request,
                                 const ParsedFrame& frame, std::uint64_t now_ns) noexcept {
    if (const DropReason reason = may_open(request, frame, now_ns); reason != DropReason::kNone) {
        return {{}, reason, false};
    }
    make_room(worker, request);
    if (wants_growth()) [[unlikely]] { grow(); }
    const std::uint64_t hash = hash_for(request.tuple);
    const BucketLock lock(*this, hash);
    ConnectionBucket& bucket = lock.bucket();
    if (const std::uint32_t ref = lookup(bucket, request.tuple.tuple, hash); ref != 0) {
        Connection& found = records_[ref - 1U];
        if (is_live(found, now_ns)) {
            return {{ref - 1U, found.generation}, DropReason::kNone, false};
        }
        const RecordLock record_lock(found.lock, shared_);
        const bool is_forced = load_relaxed(found.expires_ns) == 0;  // A SYN took its place.
        retire(worker, bucket, ref - 1U,
               is_forced ? ConnectionEnd::kEvicted : ConnectionEnd::kTimeout);
    }
    if (over_total()) { return {{}, DropReason::kConnectionLimit, false}; }
    const bool is_tcp = request.tuple.tuple.protocol == kProtocolTcp;
    if (const DropReason reason = over_limit(request.opener_port, is_tcp);
        reason != DropReason::kNone) {
        return {{}, reason, false};
    }
    const std::uint32_t index = allocate(worker);
    if (index == capacity_) { return {{}, DropReason::kConnectionLimit, false}; }
    begin(records_[index], request, hash, frame, now_ns);
    link(bucket, index, hash);
    add_count(arena_->workers[worker].live, 1, false);
    return {{index, records_[index].generation}, DropReason::kNone, true};
}

void ConnectionTable::count_live(PortIndex opener, std::uint32_t delta) noexcept {
    if (is_counted(opener)) { add_count(arena_->ports[opener.value].live, delta, shared_); }
}

void ConnectionTable::set_half_open(Connection& record, bool half_open) noexcept {
    if (half_open == ((record.flags & kConnHalfOpen) != 0)) { return; }
    store_relaxed(record.flags, static_cast<std::uint8_t>(record.flags ^ kConnHalfOpen));
    if (!is_counted(record.opener_port)) { return; }
    add_count(arena_->ports[record.opener_port.value].half_open, half_open ? 1U : ~0U, shared_);
    const auto index = static_cast<std::uint32_t>(&record - records_);
    if (half_open) {
        append_half_open(record.opener_port, index);
    } else {
        remove_half_open(record.opener_port, index);
    }
}

void ConnectionTable::listen(unsigned worker, ConnectionEndListener listener,
                             void* context) noexcept {
    closed_[worker].listener = listener;
    closed_[worker].context = context;
}

void ConnectionTable::report(unsigned worker, Connection& record, ConnectionEnd why) noexcept {
    record.logged = 0;
    const ClosedQueue& own = closed_[worker];
    if (own.listener == nullptr) { return; }
    own.listener(own.context, record, why,
                 opened_ns_[static_cast<std::size_t>(&record - records_)]);
}

void ConnectionTable::retire(unsigned worker, ConnectionBucket& bucket, std::uint32_t index,
                             ConnectionEnd why) noexcept {
    Connection& record = records_[index];
    if (record.logged != 0) [[unlikely]] { report(worker, record, why); }
    unlink(bucket, index);
    set_half_open(record, false);
    if (!is_closed(record.state)) { count_live(record.opener_port, ~0U); }
    store_relaxed(record.generation, generation_after(record.generation));
    store_relaxed(record.state, ConnectionState::kClosed);
    add_count(arena_->workers[worker].live, ~0U, false);
    release(worker, index);
}

Connection* ConnectionTable::get(ConnectionHandle handle) noexcept {
    if (handle.index >= capacity_) { return nullptr; }
    Connection* record = &records_[handle.index];
    return load_relaxed(record->generation) == handle.generation && handle.generation != 0
               ? record
               : nullptr;
}

ConnectionSide ConnectionTable::side_of(ConnectionHandle handle,
                                        const TupleOfFrame& tuple) const noexcept {
    SLUICE_ASSERT(handle.index < capacity_);
    const bool opener_is_a = (load_relaxed(records_[handle.index].flags) & kConnOpenerIsA) != 0;
    return opener_is_a == tuple.from_a ? ConnectionSide::kOpener : ConnectionSide::kResponder;
}

bool ConnectionTable::snapshot(ConnectionHandle handle, Connection& out) noexcept {
    Connection* record = get(handle);
    if (record == nullptr) { return false; }
    const ByteLock lock(record->lock, shared_);
    if (record->generation != handle.generation) { return false; }
    const std::size_t head = offsetof(Connection, lock);  // The lock isn't the record's own.
    const std::size_t tail = offsetof(Connection, state);
    std::memcpy(static_cast<void*>(&out), record, head);
    std::memcpy(reinterpret_cast<std::byte*>(&out) + tail,
                reinterpret_cast<const std::byte*>(record) + tail, sizeof out - tail);
    out.lock = 0;
    return true;
}

ConnectionHandle ConnectionTable::rejudge(ConnectionHandle handle,
                                          const RejudgeRequest& request) noexcept {
    Connection* record = get(handle);
    if (record == nullptr) { return handle; }
    const RecordLock lock(record->lock, shared_);
    if (record->generation != handle.generation) { return handle; }
    record->opener_rule = request.opener_rule;
    record->responder_rule = request.responder_rule;
    store_relaxed(record->judged_generation, request.judged_generation);
    const bool begins_alg = request.alg && (record->flags & kConnAlg) == 0;
    const unsigned kept =
        record->flags & ~unsigned{kConnOpenerStateful | kConnResponderStateful | kConnAlg};
    const unsigned flags = kept | when(request.alg, kConnAlg) |
                           stateful_flags(request.opener_stateful, request.responder_stateful);
    if (begins_alg) {  // Nobody knows what it has sent before.
        for (TcpPeer& peer : record->peer) { peer.flags |= kTcpPeerData; }
    }
    if (flags == record->flags) { return handle; }
    store_relaxed(record->flags, static_cast<std::uint8_t>(flags));
    store_relaxed(record->generation, generation_after(record->generation));
    return {handle.index, record->generation};
}

ConnectionHandle ConnectionTable::redirect(ConnectionHandle handle) noexcept {
    Connection* record = get(handle);
    if (record == nullptr) { return handle; }
    const RecordLock lock(record->lock, shared_);
    if (record->generation != handle.generation) { return handle; }
    record->redirected = 1;
    store_relaxed(record->generation, generation_after(record->generation));
    return {handle.index, record->generation};
}

bool ConnectionTable::run_locked(ConnectionHandle handle, void (*change)(void* argument),
                                 void* argument) noexcept {
    Connection* record = get(handle);
    if (record == nullptr) { return false; }
    const RecordLock lock(record->lock, shared_);
    if (record->generation != handle.generation) { return false; }
    change(argument);
    return true;
}

void ConnectionTable::account(ConnectionHandle handle, std::uint64_t packets,
                              std::uint64_t bytes) noexcept {
    Connection* record = get(handle);
    if (record == nullptr) { return; }
    const RecordLock lock(record->lock, shared_);
    if (record->generation != handle.generation) { return; }
    record->packets += packets;
    record->bytes = (record->bytes + bytes) & kConnectionBytesMask;
}

void ConnectionTable::configure(const ConnectionTimeouts& timeouts,
                                const ConnectionLimits& limits) noexcept {
    for (std::size_t i = 0; i < kConnectionStateCount; ++i) {
        store_relaxed(timeout_ns_[i], timeout_of(timeouts, static_cast<ConnectionState>(i)));
    }
    store_relaxed(limits_.per_port, limits.per_port);
    store_relaxed(limits_.half_open_per_port, limits.half_open_per_port);
    store_relaxed(limits_.total, limits.total);
    store_relaxed(limits_.grace_ns, limits.grace_ns);
}

std::uint32_t ConnectionTable::size() const noexcept {
    std::uint32_t sum = 0;
    for (unsigned i = 0; i < worker_count_; ++i) { sum += load_relaxed(arena_->workers[i].live); }
    return sum;
}

std::uint32_t ConnectionTable::size_of_port(PortIndex opener) const noexcept {
    return is_counted(opener) ? load_relaxed(arena_->ports[opener.value].live) : 0;
}

std::uint32_t ConnectionTable::half_open_of_port(PortIndex opener) const noexcept {
    return is_counted(opener) ? load_relaxed(arena_->ports[opener.value].half_open) : 0;
}

std::uint64_t ConnectionTable::early_drops() const noexcept {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < worker_count_; ++i) {
        sum += load_relaxed(arena_->workers[i].early_drops);
    }
    return sum;
}

bool ConnectionTable::is_related(ConnectionHandle handle) const noexcept {
    if (handle.index >= capacity_) { return false; }
    const Connection& record = records_[handle.index];
    return load_relaxed(record.generation) == handle.generation &&
           (load_relaxed(record.flags) & kConnRelated) != 0;
}

std::uint32_t ConnectionTable::used_count() const noexcept { return load_relaxed(arena_->used); }

}  // namespace sluice
