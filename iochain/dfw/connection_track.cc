// SPDX-License-Identifier: Apache-2.0
// The connection step: the first thing a cached program runs, on the worker that polls the sender.
// Established TCP data takes the inlined path here; everything else of TCP is
// tcp_tracker.
#include "iochain/dfw/connection_arena.h"
#include "iochain/dfw/connection_timer.h"
#include "iochain/dfw/tcp_tracker.h"

namespace sluice {
namespace {

constexpr std::uint8_t kPlainMask = kTcpSyn | kTcpFin | kTcpRst | kTcpAck;
constexpr std::uint8_t kUnusualMask = kConnSynNoted | kConnLiberal | kConnAlg;

// Plain data or acknowledgement, in the window of an established connection. False: the slow half
// judges it.
[[gnu::always_inline]] inline bool track_established(Connection& record, const ParsedFrame& frame,
                                                     unsigned from) noexcept {
    if (record.state != ConnectionState::kTcpEstablished || (record.flags & kUnusualMask) != 0) {
        return false;
    }
    if ((frame.tcp_flags & kPlainMask) != kTcpAck || !has_tcp_header(frame)) { return false; }
    const TcpSegment segment = tcp_segment_of(frame);
    TcpPeer& sender = record.peer[from];
    TcpPeer& receiver = record.peer[from ^ 1U];
    const std::uint32_t end = segment.sequence + segment.data_size;
    if (!in_window(sender, receiver, segment.sequence, end, segment.ack)) { return false; }
    if (may_hold_sack(frame)) [[unlikely]] { return false; }
    advance(sender, receiver, segment, end);
    return true;
}

constexpr bool is_one_way(ConnectionState state) noexcept {
    return state == ConnectionState::kUdpOneWay || state == ConnectionState::kIcmpOneWay ||
           state == ConnectionState::kOtherOneWay;
}

// The opener's SYN in a closed connection: it counts again if it passes.
bool begins_anew(const ParsedFrame& frame, ConnectionSide side) noexcept {
    return side == ConnectionSide::kOpener &&
           (frame.tcp_flags & (kTcpSyn | kTcpAck | kTcpRst)) == kTcpSyn;
}

// A segment whose payload the connection's ALG wants to see.
bool is_for_alg(const Connection& record, const ParsedFrame& frame) noexcept {
    return (record.flags & kConnAlg) != 0 && has_tcp_header(frame) &&
           frame.l4_size > frame.tcp_header_size && (frame.tcp_flags & (kTcpSyn | kTcpRst)) == 0;
}

bool begins_stream(const TcpPeer& sender, const ParsedFrame& frame) noexcept {
    return (sender.flags & kTcpPeerData) == 0 && tcp_segment_of(frame).sequence == sender.end;
}

// True for a datagram of a live connection whose state and timer stay as they are: nothing is
// written, so no lock is needed. The generation is read last: what was read before it is of the
// handle's connection, because a record's generation grows before anything else of it is rewritten.
template <typename TimerOf>
bool changes_nothing(const Connection& record, ConnectionHandle handle, ConnectionSide side,
                     std::uint64_t now_ns, const TimerOf& timer_of) noexcept {
    const ConnectionState state = load_relaxed(record.state);
    if (state <= ConnectionState::kTcpClose) { return false; }
    if ((load_relaxed(record.flags) & kConnAlg) != 0) { return false; }
    if (side == ConnectionSide::kResponder && is_one_way(state)) { return false; }
    const std::uint64_t expires_ns = load_relaxed(record.expires_ns);
    const auto timer = timer_of(state);
    if (now_ns >= expires_ns ||
        timer.is_due(timer.target_ns(now_ns), expires_ns, timer.slack_ns())) {
        return false;
    }
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    return load_relaxed(record.generation) == handle.generation;
}

}  // namespace

TrackOutcome ConnectionTable::track_tcp_slowly(Connection& record, const ParsedFrame& frame,
                                               ConnectionSide side, std::uint64_t now_ns) noexcept {
    const ConnectionState before = record.state;
    if (is_closed(before) && begins_anew(frame, side)) {
        // It needs room like any new one: open() makes it, or says why not.
        if (over_limit(record.opener_port, true) != DropReason::kNone) {
            store_relaxed(record.expires_ns, 0);
            return {TrackResult::kStale};
        }
    }
    const bool is_read = is_for_alg(record, frame);
    const bool is_first = is_read && begins_stream(record.peer[static_cast<unsigned>(side)], frame);
    const TcpOutcome outcome = track_tcp(record, frame, side);
    if (outcome.stale) {
        store_relaxed(record.expires_ns, 0);  // Dead for every handle; open() or sweep() frees it.
        return {TrackResult::kStale, outcome.reason};
    }
    if (record.state != before) {
        set_half_open(record, is_half_open(record.state));
        if (is_closed(record.state) != is_closed(before)) {
            count_live(record.opener_port, is_closed(before) ? 1U : ~0U);
        }
        store_relaxed(record.expires_ns, timer_of(record.state).target_ns(now_ns));
    } else if (outcome.refresh) {
        const Timer timer = timer_of(record.state);
        const std::uint64_t target = timer.target_ns(now_ns);
        if (Timer::is_due(target, record.expires_ns, timer.slack_ns())) {
            store_relaxed(record.expires_ns, target);
        }
    }
    if (outcome.reason != DropReason::kNone) { return {TrackResult::kDrop, outcome.reason}; }
    if (is_closed(record.state)) {
        return {is_closed(before) ? TrackResult::kPass : TrackResult::kPassLast};
    }
    if (!is_read) { return {}; }
    TcpPeer& sender = record.peer[static_cast<unsigned>(side)];
    sender.flags |= kTcpPeerData;
    return {is_first ? TrackResult::kPassReadFirst : TrackResult::kPassRead};
}

[[gnu::always_inline]] inline void ConnectionTable::track_datagram(Connection& record,
                                                                   ConnectionSide side,
                                                                   std::uint64_t now_ns) noexcept {
    const bool answered = side == ConnectionSide::kResponder && is_one_way(record.state);
    if (answered) {
        store_relaxed(record.state,
                      static_cast<ConnectionState>(static_cast<unsigned>(record.state) + 1U));
    }
    const Timer timer = timer_of(record.state);
    const std::uint64_t target = timer.target_ns(now_ns);
    if (answered || Timer::is_due(target, record.expires_ns, timer.slack_ns())) {
        store_relaxed(record.expires_ns, target);
    }
}

TrackOutcome ConnectionTable::track(const ParsedFrame& frame, ConnectionHandle handle,
                                    ConnectionSide side, std::uint64_t now_ns) noexcept {
    if (handle.index >= capacity_) [[unlikely]] { return {TrackResult::kStale}; }
    Connection& record = records_[handle.index];
    if (shared_ && changes_nothing(record, handle, side, now_ns,
                                   [this](ConnectionState state) { return timer_of(state); })) {
        return {};
    }
    const RecordLock lock(record.lock, shared_);
    if (record.generation != handle.generation || now_ns >= record.expires_ns) [[unlikely]] {
        return {TrackResult::kStale};
    }
    if (record.state > ConnectionState::kTcpClose) {
        track_datagram(record, side, now_ns);
        return {(record.flags & kConnAlg) == 0 ? TrackResult::kPass : TrackResult::kPassRead};
    }
    if (!track_established(record, frame, static_cast<unsigned>(side))) [[unlikely]] {
        return track_tcp_slowly(record, frame, side, now_ns);
    }
    const Timer timer = timer_of(ConnectionState::kTcpEstablished);
    const std::uint64_t target = timer.target_ns(now_ns);
    if (Timer::is_due(target, record.expires_ns, timer.slack_ns())) {
        store_relaxed(record.expires_ns, target);
    }
    return {};
}

}  // namespace sluice
