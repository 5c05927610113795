// SPDX-License-Identifier: Apache-2.0
// ConnectionTable: find, open, track and close connections in an arena that several workers share.
// Implemented by slot 2 (iochain/dfw). Threads: workers call everything; control calls for_each()
// and the counters. No allocation, no system call; a byte lock a bucket for insert and lookup, a
// byte lock an entry for tracking, spinning a few cycles at most.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "sluice/iochain/connection.h"
#include "sluice/iochain/frame.h"

namespace sluice {

/// Timeouts in nanoseconds, compiled from model::Timeouts.
struct ConnectionTimeouts {
    std::uint64_t tcp_syn_sent_ns, tcp_syn_received_ns, tcp_established_ns, tcp_fin_wait_ns,
        tcp_close_wait_ns, tcp_last_ack_ns, tcp_time_wait_ns, tcp_close_ns, udp_ns, udp_stream_ns,
        icmp_ns, other_ns;
};

/// Limits, compiled from model::DfwLimits. 0 = none (the arena's capacity still holds).
struct ConnectionLimits {
    std::uint32_t per_port = 0;
    std::uint32_t half_open_per_port = 0;
    std::uint32_t total = 0;
    std::uint64_t grace_ns = 0;  ///< After the first sweep(): TCP may begin in mid-stream anywhere.
};

/// Which way a packet goes within its connection.
enum class ConnectionSide : std::uint8_t { kOpener = 0, kResponder = 1 };

/// Tuple of a frame and which endpoint sent it. The same tuple for both directions; the table
/// hashes it with its own seed.
struct TupleOfFrame {
    ConnectionTuple tuple;
    bool from_a = false;     ///< The frame's sender is endpoint a.
    bool may_open = false;   ///< False for ICMP replies, which only ever answer, and for ICMP types
                             ///< that are no query.
    std::uint64_t hash = 0;  ///< Of ConnectionTable::prepare(); 0 = not prepared.
};

/// Builds the tuple of an IP frame. `key` must be IP. Protocols without ports get zero ports.
[[nodiscard]] TupleOfFrame tuple_of(const FlowKey& key, DomainId domain) noexcept;

/// What decide() concluded for a new connection.
struct OpenRequest {
    TupleOfFrame tuple;
    PortIndex opener_port = kNoPort, responder_port = kNoPort;
    RuleId opener_rule, responder_rule;
    bool opener_stateful = false, responder_stateful = false;
    bool tcp_strict = true;
    bool alg = false;      ///< Its payload is to be read (TrackResult::kPassRead).
    bool related = false;  ///< Another connection announced it.
    bool logged = false;   ///< Its end is to be reported (listen()).
    std::uint32_t judged_generation = 0;
};

/// What decide() concluded when policy changed under a live connection.
struct RejudgeRequest {
    RuleId opener_rule, responder_rule;
    bool opener_stateful = false, responder_stateful = false;
    std::uint32_t judged_generation = 0;
    bool alg = false;
};

struct OpenResult {
    ConnectionHandle handle;                ///< Set if it was opened or existed.
    DropReason reason = DropReason::kNone;  ///< Why not, if handle is not set.
    bool opened = false;                    ///< This call made it; false if it existed.
};

/// Outcome of the connection step for one packet.
enum class TrackResult : std::uint8_t {
    kPass,           ///< State and timer are updated.
    kPassLast,       ///< The same, and this packet closed the connection (is_closed()).
    kPassRead,       ///< The same, and its payload is for the connection's ALG (kConnAlg).
    kPassReadFirst,  ///< The same, and TCP: the first bytes that this side sends.
    kDrop,           ///< `reason` says why; state is unchanged or as the RFC wants.
    kStale,  ///< The handle's connection is closed or expired, or this packet begins another one:
             ///< decide again.
};

struct TrackOutcome {
    TrackResult result = TrackResult::kPass;
    DropReason reason = DropReason::kNone;  ///< Of kDrop.
};

/// Told of the end of each connection that was opened as `logged`, once: when it closed, or when
/// its record is freed, by the worker that found it. Locks are held: it only takes notes.
using ConnectionEndListener = void (*)(void* context, const Connection& record, ConnectionEnd why,
                                       std::uint64_t opened_ns);

/// What a table lives in, 4 KiB aligned, zero-filled or never touched.
struct ConnectionMemory {
    void* index = nullptr;    ///< ConnectionTable::index_bytes(): of this process.
    void* records = nullptr;  ///< ConnectionTable::record_bytes(): may come from another one.
};

/// What adopt() found in the records of another process.
struct ConnectionAdoption {
    std::uint32_t adopted = 0;
    std::uint32_t lenient = 0;  ///< Of these: a change was under way, windows are not checked.
    std::uint32_t expired = 0;  ///< Meanwhile.
    std::uint32_t damaged = 0;  ///< Dropped: the identity fails its check, the state makes no
                                ///< sense, or there are two of it.
};

struct ConnectionArena;   // Layout of the index: iochain/dfw/connection_arena.h.
struct ConnectionBucket;  // One cache line of it.
struct RecordLinks;       // A record's places in lists.
class ExpectationTable;   // Connections that others announced.
class ServicePinTable;    // Services that connections pass.

class ConnectionTable {
public:
    static constexpr unsigned kWorkerMax = 64;

    [[nodiscard]] static std::size_t index_bytes(std::uint32_t capacity) noexcept;
    [[nodiscard]] static constexpr std::size_t record_bytes(std::uint32_t capacity) noexcept {
        return (std::size_t{capacity} * sizeof(Connection) + 4095U) & ~std::size_t{4095U};
    }
    /// Both in one piece.
    [[nodiscard]] static std::size_t arena_bytes(std::uint32_t capacity) noexcept {
        return index_bytes(capacity) + record_bytes(capacity);
    }
    /// Lays an empty table out. Touches nothing. `capacity` is 1..kConnectionMax, `worker_count`
    /// 1..kWorkerMax. With one worker no lock is taken. Records that another process left are taken
    /// over by adopt(), under the same seed.
    ConnectionTable(const ConnectionMemory& memory, std::uint32_t capacity, unsigned worker_count,
                    std::uint64_t hash_seed);
    /// `arena`: arena_bytes(capacity).
    ConnectionTable(void* arena, std::uint32_t capacity, unsigned worker_count,
                    std::uint64_t hash_seed)
        : ConnectionTable({arena, static_cast<char*>(arena) + index_bytes(capacity)}, capacity,
                          worker_count, hash_seed) {}
    ~ConnectionTable();
    ConnectionTable(const ConnectionTable&) = delete;
    ConnectionTable& operator=(const ConnectionTable&) = delete;

    /// control, no worker runs: makes the index, counts and lists anew from what the first
    /// `record_count` records say (the rest is zero), whoever wrote them. What checks out goes on
    /// where it was, and is judged anew by its next packet; the rest is freed. May be called again.
    /// @param pins  rows of redirected connections; whose row is not whole, or where there are
    /// none, is dropped
    /// @param has_checks  false: records of schema 3, which have no identity_check; they get one
    ConnectionAdoption adopt(std::uint32_t record_count, std::uint64_t now_ns,
                             ServicePinTable* pins = nullptr, bool has_checks = true);
    /// control, no worker runs: takes the memory that adopt() of so many records will write, so
    /// that it need not.
    void prepare(std::uint32_t record_count) noexcept;
    /// control: records below `count` may be used; all, if it is never called. Never fewer than
    /// before.
    void set_ready(std::uint32_t count) noexcept;
    [[nodiscard]] std::uint32_t ready_count() const noexcept {
        return __atomic_load_n(&ready_count_, __ATOMIC_ACQUIRE);
    }

    /// Works out the hash of a tuple, so that find() and open() need not, and fetches the line of
    /// the index that they will look at.
    void prepare(TupleOfFrame& tuple) const noexcept;
    /// The live connection of `tuple`, or a handle that is not set. Expired ones are not found.
    [[nodiscard]] ConnectionHandle find(const TupleOfFrame& tuple, std::uint64_t now_ns) noexcept;
    /// Opens the connection that `frame` begins, or returns the one that another worker just
    /// opened. Does not track the frame: track() follows. TCP needs a SYN without ACK, FIN, RST (or
    /// anything but RST if !tcp_strict, or in the grace window). Verified checksum is the caller's.
    /// At a limit the oldest half-open connection of the opener's vNIC makes room, if it has one.
    [[nodiscard]] OpenResult open(unsigned worker, const OpenRequest& request,
                                  const ParsedFrame& frame, std::uint64_t now_ns) noexcept;
    /// Brings the line that track() works on into the cache. Any handle.
    void prefetch(ConnectionHandle handle) const noexcept {
        if (handle.index < capacity_) { __builtin_prefetch(&records_[handle.index].lock, 1); }
    }
    /// Runs the connection step for one packet: TCP state, window and timer, UDP and ICMP timers.
    /// @param side  the one that sent `frame`, as side_of() says
    TrackOutcome track(const ParsedFrame& frame, ConnectionHandle handle, ConnectionSide side,
                       std::uint64_t now_ns) noexcept;
    /// To be called for each TrackResult::kPassLast. The record stays for its timeout (TIME_WAIT,
    /// CLOSE), but the oldest of too many, and those that a full table needs, are freed before.
    void note_closed(unsigned worker, ConnectionHandle handle) noexcept;
    /// Closes it. A stale handle is ignored.
    void close(unsigned worker, ConnectionHandle handle,
               ConnectionEnd why = ConnectionEnd::kPolicy) noexcept;
    /// Which way a frame goes in the connection of `handle`.
    [[nodiscard]] ConnectionSide side_of(ConnectionHandle handle,
                                         const TupleOfFrame& tuple) const noexcept;

    /// The record behind a handle, nullptr if stale. It may be closed by another worker at any
    /// time: copy what you need.
    [[nodiscard]] Connection* get(ConnectionHandle handle) noexcept;
    /// A consistent copy of the record, taken under its lock. False if the handle is stale.
    [[nodiscard]] bool snapshot(ConnectionHandle handle, Connection& out) noexcept;
    /// Records what policy says of a live connection now. If that is other than before as to who
    /// passes statefully, replies are judged otherwise: all handles but the returned one are stale
    /// then, so that what was decided of them is decided anew. A stale handle is ignored, and
    /// returned.
    [[nodiscard]] ConnectionHandle rejudge(ConnectionHandle handle,
                                           const RejudgeRequest& request) noexcept;
    /// Says that the connection's row of ServicePins counts from now on. All handles but the
    /// returned one are stale then: nobody goes on who found it before. A stale handle is ignored,
    /// and returned.
    [[nodiscard]] ConnectionHandle redirect(ConnectionHandle handle) noexcept;
    /// Runs change(argument) under the record's lock. False: the handle is stale, nothing was run.
    bool run_locked(ConnectionHandle handle, void (*change)(void* argument),
                    void* argument) noexcept;
    /// Adds carried packets to the record, if it still lives.
    void account(ConnectionHandle handle, std::uint64_t packets, std::uint64_t bytes) noexcept;

    /// Looks at up to `budget` entries from where the last sweep ended, whichever worker ran it,
    /// and closes expired ones. Returns how many closed.
    std::uint32_t sweep(unsigned worker, std::uint32_t budget, std::uint64_t now_ns) noexcept;
    /// Closes every connection (port = kNoPort), or those of one vNIC, from `cursor` on, looking at
    /// up to `budget` entries; advances cursor, which reaches capacity() at the end. Returns how
    /// many were closed.
    std::uint32_t flush(unsigned worker, PortIndex port, std::uint32_t& cursor,
                        std::uint32_t budget) noexcept;

    /// Calls visit(const Connection& copy) for live entries of [first, first + count); for
    /// control-side listings. May see torn counters.
    template <typename Visit>
    void for_each(std::uint32_t first, std::uint32_t count, std::uint64_t now_ns,
                  Visit&& visit) const {
        const std::uint32_t used = used_count();
        Connection copy;
        for (std::uint32_t i = first; i < used && i - first < count; ++i) {
            if (copy_live(i, now_ns, copy)) { visit(static_cast<const Connection&>(copy)); }
        }
    }

    /// Before the worker runs.
    void listen(unsigned worker, ConnectionEndListener listener, void* context) noexcept;
    void configure(const ConnectionTimeouts& timeouts,
                   const ConnectionLimits& limits) noexcept;  ///< control; workers read relaxed
    [[nodiscard]] std::uint32_t size()
        const noexcept;  ///< Live connections, expired ones not yet swept included.
    [[nodiscard]] std::uint32_t capacity() const noexcept { return capacity_; }
    /// Those that `opener` opened and that are not closed: what its limit is about.
    [[nodiscard]] std::uint32_t size_of_port(PortIndex opener) const noexcept;
    [[nodiscard]] std::uint32_t half_open_of_port(PortIndex opener) const noexcept;
    /// Half-open connections that were closed because newer ones of their vNIC needed the room.
    [[nodiscard]] std::uint64_t early_drops() const noexcept;
    /// What connections with kConnAlg announced. Any worker.
    [[nodiscard]] ExpectationTable& expectations() noexcept { return *expectations_; }
    [[nodiscard]] const ExpectationTable& expectations() const noexcept { return *expectations_; }
    /// True if `handle` is a live connection with kConnRelated.
    [[nodiscard]] bool is_related(ConnectionHandle handle) const noexcept;
    /// Records that were ever in use: for_each() has nothing to show from there on.
    [[nodiscard]] std::uint32_t used_count() const noexcept;

private:
    struct Timer;        // A timeout and its slack.
    struct ClosedQueue;  // A worker's closed connections, in order of closing.
    class BucketLock;    // Holds the bucket of a hash.

    [[nodiscard]] std::uint64_t hash_of(const ConnectionTuple& tuple) const noexcept;
    [[nodiscard]] std::uint32_t check_of(const Connection& record,
                                         std::uint64_t hash) const noexcept;
    [[nodiscard]] std::uint64_t hash_for(const TupleOfFrame& tuple) const noexcept {
        return tuple.hash != 0 ? tuple.hash : hash_of(tuple.tuple);
    }
    [[nodiscard]] ConnectionBucket& bucket_of(std::uint64_t hash) const noexcept;
    [[nodiscard]] std::uint32_t lookup(const ConnectionBucket& bucket, const ConnectionTuple& tuple,
                                       std::uint64_t hash) const noexcept;
    [[nodiscard]] std::uint32_t bucket_count_in_use() const noexcept;
    [[nodiscard]] bool wants_growth() const noexcept;
    /// Takes one more bucket into use, if no other worker is at it. The caller holds no lock.
    void grow() noexcept;
    void split(std::uint32_t from, std::uint32_t to) noexcept;
    void link(ConnectionBucket& bucket, std::uint32_t index, std::uint64_t hash) noexcept;
    void unlink(ConnectionBucket& bucket, std::uint32_t index) noexcept;

    [[nodiscard]] std::uint32_t allocate(unsigned worker) noexcept;
    void release(unsigned worker, std::uint32_t index) noexcept;
    void refill(unsigned worker) noexcept;
    void spill(unsigned worker) noexcept;

    [[nodiscard]] DropReason over_limit(PortIndex opener, bool is_tcp) const noexcept;
    [[nodiscard]] bool over_total() const noexcept;
    /// True if the next open() can be served only by somebody's record.
    [[nodiscard]] bool needs_room(unsigned worker) const noexcept;
    /// Frees the oldest connection that this worker noted as closed. False if there is none.
    bool reclaim_closed(unsigned worker) noexcept;
    void prefetch_closed(const ClosedQueue& queue) const noexcept;
    /// Frees what can make room for a connection of `request`, if there is need. No lock is held.
    void make_room(unsigned worker, const OpenRequest& request) noexcept;
    /// Closes the oldest half-open connection that `opener` opened. False if there is none.
    bool drop_oldest_half_open(unsigned worker, PortIndex opener) noexcept;
    void append_half_open(PortIndex opener, std::uint32_t index) noexcept;
    void remove_half_open(PortIndex opener, std::uint32_t index) noexcept;
    [[nodiscard]] DropReason may_open(const OpenRequest& request, const ParsedFrame& frame,
                                      std::uint64_t now_ns) const noexcept;
    [[nodiscard]] bool in_grace(std::uint64_t now_ns) const noexcept;
    void begin(Connection& record, const OpenRequest& request, std::uint64_t hash,
               const ParsedFrame& frame, std::uint64_t now_ns) noexcept;
    /// Unlinks and frees a record. The caller holds the bucket's lock and the record's.
    void retire(unsigned worker, ConnectionBucket& bucket, std::uint32_t index,
                ConnectionEnd why = ConnectionEnd::kEvicted) noexcept;
    template <typename Condition>
    bool close_if(unsigned worker, std::uint32_t index, Condition&& condition,
                  ConnectionEnd why = ConnectionEnd::kEvicted) noexcept;
    /// Tells the worker's listener of a logged one. The caller holds the record's lock.
    void report(unsigned worker, Connection& record, ConnectionEnd why) noexcept;
    [[nodiscard]] bool copy_live(std::uint32_t index, std::uint64_t now_ns,
                                 Connection& out) const noexcept;
    void set_half_open(Connection& record, bool half_open) noexcept;
    void count_live(PortIndex opener, std::uint32_t delta) noexcept;
    class Adopter;
    void clear_index() noexcept;

    [[nodiscard]] Timer timer_of(ConnectionState state) const noexcept;
    [[nodiscard]] TrackOutcome track_tcp_slowly(Connection& record, const ParsedFrame& frame,
                                                ConnectionSide side, std::uint64_t now_ns) noexcept;
    void track_datagram(Connection& record, ConnectionSide side, std::uint64_t now_ns) noexcept;

    ConnectionArena* arena_;
    ConnectionBucket* buckets_;
    Connection* records_;
    RecordLinks* links_;  // By record.
    std::uint32_t capacity_;
    std::uint32_t ready_count_;  // control: rw; workers: ro, atomic
    std::uint32_t bucket_count_;
    std::uint32_t
        batch_count_;  // Free records that a worker exchanges with the shared list at once.
    unsigned worker_count_;
    bool shared_;                            // More than one worker: locks are taken.
    std::uint32_t closed_max_;               // Of one worker's queue.
    std::unique_ptr<ClosedQueue[]> closed_;  // By worker: rw by it alone.
    /// By record: when a logged one was opened. worker: rw under the record's lock. Untouched
    /// memory until there is one.
    std::unique_ptr<std::uint64_t[]> opened_ns_;
    std::uint64_t hash_keys_[8];
    std::uint64_t timeout_ns_[kConnectionStateCount];  // control: rw; worker: ro, relaxed
    ConnectionLimits limits_;                          // control: rw; worker: ro, relaxed
    std::uint64_t started_ns_ = 0;  // workers: rw, relaxed. The first sweep, 0 = not yet.
    std::unique_ptr<ExpectationTable> expectations_;
};

}  // namespace sluice
