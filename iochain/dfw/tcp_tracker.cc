// SPDX-License-Identifier: Apache-2.0
// The slow half of TCP tracking: every segment that isn't plain data in an established connection.
// One function a state; CONNECTIONS.md has the table. Called by ConnectionTable::track() and open()
// on a worker that holds the record's byte lock.
#include "iochain/dfw/tcp_tracker.h"

#include <algorithm>

namespace sluice {
namespace {

constexpr TcpOutcome kPass{};
constexpr TcpOutcome kPassRefresh{.reason = DropReason::kNone, .refresh = true, .stale = false};
constexpr TcpOutcome kBadState{.reason = DropReason::kTcpState, .refresh = false, .stale = false};
constexpr TcpOutcome kBadWindow{.reason = DropReason::kTcpWindow, .refresh = false, .stale = false};
constexpr TcpOutcome kBeginsAnother{.reason = DropReason::kNone, .refresh = false, .stale = true};

// One segment on its way: who sent it, who gets it.
struct Step {
    Connection& record;
    const ParsedFrame& frame;
    const TcpSegment& segment;
    TcpPeer& sender;
    TcpPeer& receiver;
    bool from_opener;

    [[nodiscard]] bool is(TcpFlag flag) const noexcept { return segment.has(flag); }
    [[nodiscard]] bool is_syn_ack() const noexcept { return is(kTcpSyn) && is(kTcpAck); }
};

constexpr unsigned when(bool on, TcpPeerFlag flag) noexcept { return on ? unsigned{flag} : 0U; }
bool has(const TcpPeer& peer, TcpPeerFlag flag) noexcept { return (peer.flags & flag) != 0; }
void add(TcpPeer& peer, unsigned flags) noexcept {
    peer.flags = static_cast<std::uint8_t>(peer.flags | flags);
}
bool has(const Connection& record, ConnectionFlag flag) noexcept {
    return (record.flags & flag) != 0;
}

void set_flag(Connection& record, ConnectionFlag flag, bool on) noexcept {
    const auto next = static_cast<std::uint8_t>(on ? record.flags | flag : record.flags & ~flag);
    __atomic_store_n(&record.flags, next,
                     __ATOMIC_RELAXED);  // side_of() reads it without the lock.
}
void set_state(Connection& record, ConnectionState state) noexcept {
    __atomic_store(&record.state, &state, __ATOMIC_RELAXED);
}

// A SYN's window is never scaled (RFC 7323 §2.2); kept in scaled units, rounded up.
void set_syn_window(TcpPeer& peer, std::uint16_t window) noexcept {
    const std::uint32_t unit = 1U << peer.scale;
    const std::uint32_t units = (window + unit - 1U) >> peer.scale;
    peer.max_window = static_cast<std::uint16_t>(std::max(units, 1U));
}

// What a SYN or SYN/ACK says of its sender.
void offer(TcpPeer& peer, const Step& step) noexcept {
    const TcpOffer offered = tcp_offer_of(step.frame);
    peer = TcpPeer{};
    peer.end = step.segment.end();
    peer.max_end = step.segment.sequence + 1U;
    peer.scale = offered.shift;
    peer.flags = static_cast<std::uint8_t>(when(offered.scales, kTcpPeerScales) |
                                           when(offered.permits_sack, kTcpPeerSack) |
                                           when(step.segment.data_size > 0, kTcpPeerData));
    set_syn_window(peer, step.segment.window);
}

// Windows are scaled only if both sides offered it (RFC 7323 §2.2).
void agree_on_scale(TcpPeer& x, TcpPeer& y) noexcept {
    if (has(x, kTcpPeerScales) && has(y, kTcpPeerScales)) { return; }
    for (TcpPeer* peer : {&x, &y}) {
        peer->max_window = static_cast<std::uint16_t>(std::min(window_bytes(*peer), 65535U));
        peer->scale = 0;
    }
}

std::uint8_t fold(std::uint32_t sequence) noexcept {
    const std::uint32_t half = sequence ^ (sequence >> 16U);
    return static_cast<std::uint8_t>(half ^ (half >> 8U));
}

// A SYN into a live connection passes: a living receiver challenges it, a reborn one answers it
// (RFC 5961 §4). Its sequence number is remembered in eight bits, so that the answer can be told
// from an old duplicate.
TcpOutcome note_syn(const Step& step) noexcept {
    step.record.syn_check = fold(step.segment.sequence);
    set_flag(step.record, kConnSynNoted, true);
    return kPass;
}

bool answers_noted_syn(const Step& step) noexcept {
    return has(step.record, kConnSynNoted) && !step.from_opener && step.is(kTcpAck) &&
           fold(step.segment.ack - 1U) == step.record.syn_check;
}

// The opener's SYN, first or again: both peers begin anew.
TcpOutcome start(const Step& step) noexcept {
    offer(step.record.peer[0], step);
    step.record.peer[1] = TcpPeer{};
    set_flag(step.record, kConnSynNoted, false);
    set_flag(step.record, kConnLiberal, false);
    set_state(step.record, ConnectionState::kTcpSynSent);
    return kPassRefresh;
}

// The responder's SYN/ACK, whose acknowledgement was checked.
TcpOutcome accept_syn_ack(const Step& step) noexcept {
    TcpPeer& opener = step.receiver;
    TcpPeer& responder = step.sender;
    offer(responder, step);
    agree_on_scale(opener, responder);
    add(responder, kTcpPeerAckedSyn | kTcpPeerSynAck);
    responder.max_ack = step.segment.ack;
    responder.max_end = responder.end + window_bytes(opener);  // Early data may follow (RFC 7413).
    opener.max_end = step.segment.ack + std::max<std::uint32_t>(step.segment.window, 1U);
    set_state(step.record, ConnectionState::kTcpSynReceived);
    return kPassRefresh;
}

// The responder answered a SYN that we took for a duplicate: it had lost the connection, so the
// opener's SYN counts.
TcpOutcome accept_reborn(const Step& step) noexcept {
    TcpPeer& opener = step.receiver;
    opener.end = step.segment.ack;
    opener.max_ack = 0;
    opener.flags &= kTcpPeerScales | kTcpPeerSack;
    set_flag(step.record, kConnSynNoted, false);
    return accept_syn_ack(step);
}

TcpOutcome close_now(const Step& step) noexcept {
    set_state(step.record, ConnectionState::kTcpClose);
    return kPassRefresh;
}

// True if `ack` acknowledges the SYN of a peer that has sent nothing but a SYN (with data,
// perhaps).
bool acks_syn(const TcpPeer& peer, std::uint32_t ack) noexcept {
    return !sequence_after(peer.max_end, ack) && !sequence_after(ack, peer.end);
}

// State from what each side acknowledged and whether it has sent FIN (RFC 9293 §3.6).
ConnectionState settled(const Connection& record) noexcept {
    const TcpPeer& x = record.peer[0];
    const TcpPeer& y = record.peer[1];
    if (!has(x, kTcpPeerAckedSyn) || !has(y, kTcpPeerAckedSyn)) {
        return ConnectionState::kTcpSynReceived;
    }
    const unsigned fins = unsigned{has(x, kTcpPeerFin)} + unsigned{has(y, kTcpPeerFin)};
    const unsigned acked = unsigned{has(x, kTcpPeerFinAcked)} + unsigned{has(y, kTcpPeerFinAcked)};
    if (fins == 0) { return ConnectionState::kTcpEstablished; }
    if (fins == 1) {
        return acked == 0 ? ConnectionState::kTcpFinWait : ConnectionState::kTcpCloseWait;
    }
    return acked == 2 ? ConnectionState::kTcpTimeWait : ConnectionState::kTcpLastAck;
}

// A SACK block of what was never sent is as wrong as an acknowledgement of it.
bool sack_fits(const Step& step) noexcept {
    if (!has(step.sender, kTcpPeerSack) || !has(step.receiver, kTcpPeerSack)) { return true; }
    return !sequence_after(highest_acknowledged(step.frame, step.segment.ack), step.receiver.end);
}

bool fits(const Step& step, std::uint32_t end) noexcept {
    if (has(step.record, kConnLiberal)) { return true; }
    return in_window(step.sender, step.receiver, step.segment.sequence, end, step.segment.ack) &&
           sack_fits(step);
}

// Window, then bookkeeping, for a segment with ACK and without SYN and RST.
TcpOutcome pass_segment(const Step& step) noexcept {
    const std::uint32_t end = step.segment.end();
    if (!fits(step, end)) { return kBadWindow; }
    const bool handshake_done = has(step.receiver, kTcpPeerAckedSyn);
    if (!handshake_done && sequence_after(end, step.sender.end)) {
        add(step.sender, kTcpPeerEarlyData);
    }
    if (!has(step.sender, kTcpPeerAckedSyn)) { step.sender.max_ack = step.segment.ack; }
    advance(step.sender, step.receiver, step.segment, end);
    if (sequence_after(step.segment.ack, step.receiver.end)) {
        step.receiver.end = step.segment.ack;
    }  // Liberal only.
    add(step.sender, kTcpPeerAckedSyn | when(step.is(kTcpFin), kTcpPeerFin));
    if (has(step.receiver, kTcpPeerFin) && step.segment.ack == step.receiver.end) {
        add(step.receiver, kTcpPeerFinAcked);
    }
    if (step.from_opener) {
        set_flag(step.record, kConnSynNoted, false);
    }  // It lives: that SYN wasn't its own.
    return kPassRefresh;
}

// RFC 5961 §3.2: only the exact next sequence number resets. What is merely in the window passes,
// so that the receiver can challenge it, and leaves the state alone, unless the connection is
// closing anyway.
TcpOutcome on_reset(const Step& step) noexcept {
    const TcpSegment& segment = step.segment;
    if (answers_noted_syn(step)) { return close_now(step); }
    const bool acked = has(step.receiver, kTcpPeerAckedSyn);
    const std::uint32_t next = acked ? step.receiver.max_ack : step.sender.end;
    const bool checks_ack =
        segment.has(kTcpAck) && segment.ack != 0 && !has(step.record, kConnLiberal);
    if (checks_ack && !in_window(step.sender, step.receiver, next, step.sender.end, segment.ack)) {
        return kBadWindow;
    }
    if (segment.sequence == next || segment.sequence == step.sender.end) { return close_now(step); }
    if (sequence_after(next, segment.sequence) ||
        sequence_after(segment.sequence, step.sender.max_end)) {
        return kBadWindow;
    }
    return step.record.state > ConnectionState::kTcpEstablished ? close_now(step) : kPass;
}

// A SYN/ACK where none is due: a duplicate, or the answer to a noted SYN.
TcpOutcome on_late_syn_ack(const Step& step) noexcept {
    if (has(step.sender, kTcpPeerSynAck) && fits(step, step.segment.end())) { return kPass; }
    return answers_noted_syn(step) ? accept_reborn(step) : kBadState;
}

TcpOutcome in_syn_sent(const Step& step) noexcept {
    const TcpSegment& segment = step.segment;
    if (step.from_opener) {
        if (step.is(kTcpRst)) {
            return segment.sequence == step.sender.end ? close_now(step) : kPass;
        }
        return step.is(kTcpSyn) && !step.is(kTcpAck) ? start(step) : kBadState;
    }
    const bool acks = step.is(kTcpAck) && acks_syn(step.receiver, segment.ack);
    if (step.is(kTcpRst)) { return acks ? close_now(step) : kBadState; }
    if (step.is_syn_ack()) { return acks ? accept_syn_ack(step) : kBadState; }
    if (step.is(kTcpSyn)) {  // Simultaneous open (RFC 9293 §3.5 figure 7).
        offer(step.sender, step);
        agree_on_scale(step.sender, step.receiver);
        set_state(step.record, ConnectionState::kTcpSynSent2);
        return kPassRefresh;
    }
    // A challenge from an older incarnation: the opener must see it to reset that one (RFC 9293
    // §3.5.1).
    return step.is(kTcpAck) && !step.is(kTcpFin) && segment.data_size == 0 ? kPass : kBadState;
}

TcpOutcome in_syn_sent2(const Step& step) noexcept {
    const TcpSegment& segment = step.segment;
    const bool acks = step.is(kTcpAck) && acks_syn(step.receiver, segment.ack);
    if (step.is(kTcpRst)) {
        return acks || segment.sequence == step.sender.end ? close_now(step) : kBadState;
    }
    const std::uint32_t first = segment.sequence + (step.is(kTcpSyn) ? 1U : 0U);
    if (first != step.sender.max_end || step.is(kTcpFin)) { return kBadState; }
    if (!step.is(kTcpAck)) { return step.is(kTcpSyn) ? kPassRefresh : kBadState; }
    if (!acks) { return kBadState; }
    add(step.sender, kTcpPeerAckedSyn | when(step.is(kTcpSyn), kTcpPeerSynAck));
    step.sender.max_ack = segment.ack;
    const std::uint32_t window = std::uint32_t{segment.window}
                                 << (step.is(kTcpSyn) ? 0U : step.sender.scale);
    step.receiver.max_end = segment.ack + std::max(window, 1U);
    set_state(step.record, settled(step.record));
    return kPassRefresh;
}

// True if `ack` acknowledges the receiver's SYN: exactly, unless it sent early data.
bool completes_handshake(const Step& step) noexcept {
    return step.segment.ack == step.receiver.end || has(step.receiver, kTcpPeerEarlyData);
}

TcpOutcome syn_ack_in_syn_received(const Step& step) noexcept {
    if (answers_noted_syn(step)) { return accept_reborn(step); }
    if (has(step.sender, kTcpPeerAckedSyn)) {
        if (step.segment.ack != step.sender.max_ack) { return kBadState; }
        if (step.from_opener || has(step.receiver, kTcpPeerAckedSyn)) { return kPass; }
        return accept_syn_ack(step);  // Again, perhaps with another sequence number: SYN cookies.
    }
    if (step.segment.ack != step.receiver.end ||
        sequence_after(step.segment.end(), step.sender.end)) {
        return kBadState;
    }
    add(step.sender, kTcpPeerAckedSyn | kTcpPeerSynAck);
    step.sender.max_ack = step.segment.ack;
    step.receiver.max_end = step.segment.ack + std::max<std::uint32_t>(step.segment.window, 1U);
    set_state(step.record, settled(step.record));
    return kPassRefresh;
}

TcpOutcome in_syn_received(const Step& step) noexcept {
    if (step.is(kTcpRst)) { return on_reset(step); }
    if (step.is_syn_ack()) { return syn_ack_in_syn_received(step); }
    if (step.is(kTcpSyn)) {
        const bool again = step.segment.end() == step.sender.end;
        if (step.from_opener) { return again ? kPass : note_syn(step); }
        return again && has(step.receiver, kTcpPeerSynAck) ? kPass : kBadState;
    }
    if (!step.is(kTcpAck)) { return kBadState; }
    if (!has(step.sender, kTcpPeerAckedSyn) && !completes_handshake(step)) { return kBadState; }
    const TcpOutcome outcome = pass_segment(step);
    if (outcome.reason == DropReason::kNone) { set_state(step.record, settled(step.record)); }
    return outcome;
}

// Established, FIN_WAIT, CLOSE_WAIT, LAST_ACK.
TcpOutcome in_synchronized(const Step& step) noexcept {
    if (step.is(kTcpRst)) { return on_reset(step); }
    if (step.is_syn_ack()) { return on_late_syn_ack(step); }
    if (step.is(kTcpSyn)) { return step.from_opener ? note_syn(step) : kBadState; }
    if (!step.is(kTcpAck)) { return kBadState; }
    const TcpOutcome outcome = pass_segment(step);
    if (outcome.reason == DropReason::kNone) { set_state(step.record, settled(step.record)); }
    return outcome;
}

TcpOutcome in_time_wait(const Step& step) noexcept {
    if (step.is(kTcpRst)) { return on_reset(step); }
    if (step.is_syn_ack()) { return on_late_syn_ack(step); }
    if (step.is(kTcpSyn)) {  // RFC 6191: beyond all that it used before, it begins anew.
        const bool beyond = !sequence_after(step.sender.end, step.segment.sequence);
        if (step.from_opener) { return beyond ? start(step) : note_syn(step); }
        return beyond ? kBeginsAnother : kBadState;
    }
    if (!step.is(kTcpAck)) { return kBadState; }
    TcpOutcome outcome = pass_segment(step);
    outcome.refresh =
        outcome.refresh && step.is(kTcpFin);  // RFC 9293 §3.10.7.4: a FIN again restarts 2 MSL.
    return outcome;
}

// Reset. Stragglers in the window pass until the timer, which nothing prolongs, runs out.
TcpOutcome in_close(const Step& step) noexcept {
    if (step.is(kTcpSyn) && !step.is(kTcpAck) && !step.is(kTcpRst)) {
        return step.from_opener ? start(step) : kBeginsAnother;
    }
    if (step.is(kTcpSyn) || step.record.peer[1].max_window == 0) { return kBadState; }
    TcpOutcome outcome = kBadState;
    if (step.is(kTcpRst)) {
        outcome = on_reset(step);
    } else if (step.is(kTcpAck)) {
        outcome = pass_segment(step);
    }
    outcome.refresh = false;
    return outcome;
}

// A later fragment: its head, which carried the header, was judged. Its bytes count as sent, within
// the window.
TcpOutcome on_fragment(Connection& record, TcpPeer& sender, std::uint32_t size) noexcept {
    if (record.state < ConnectionState::kTcpEstablished) { return kBadState; }
    const std::uint32_t end = sender.end + size;
    if (!sequence_after(end, sender.max_end)) {
        sender.end = end;
    } else if (sequence_after(sender.max_end, sender.end)) {
        sender.end = sender.max_end;
    }
    return kPass;
}

void begin_midstream(Connection& record, const TcpSegment& segment) noexcept {
    TcpPeer& opener = record.peer[0];
    TcpPeer& responder = record.peer[1];
    opener.end = opener.max_end = segment.end();
    opener.max_ack = segment.ack;
    opener.max_window = std::max<std::uint16_t>(segment.window, 1);
    opener.flags = kTcpPeerAckedSyn | kTcpPeerData;
    responder.end = responder.max_end = segment.ack;
    responder.max_ack = segment.sequence;
    responder.max_window = 1;
    responder.flags = kTcpPeerAckedSyn | kTcpPeerData;
    set_flag(record, kConnLiberal, true);
    set_state(record, ConnectionState::kTcpEstablished);
}

}  // namespace

void begin_tcp(Connection& record, const ParsedFrame& frame) noexcept {
    const TcpSegment segment = tcp_segment_of(frame);
    if (segment.has(kTcpSyn) && !segment.has(kTcpAck)) {
        start(Step{record, frame, segment, record.peer[0], record.peer[1], true});
    } else {
        begin_midstream(record, segment);
    }
}

TcpOutcome track_tcp(Connection& record, const ParsedFrame& frame, ConnectionSide side) noexcept {
    const auto from = static_cast<unsigned>(side);
    TcpPeer& sender = record.peer[from];
    if (!has_tcp_header(frame)) { return on_fragment(record, sender, frame.l4_size); }
    const TcpSegment segment = tcp_segment_of(frame);
    const Step step{
        record, frame, segment, sender, record.peer[from ^ 1U], side == ConnectionSide::kOpener};
    switch (record.state) {
        case ConnectionState::kTcpSynSent: return in_syn_sent(step);
        case ConnectionState::kTcpSynSent2: return in_syn_sent2(step);
        case ConnectionState::kTcpSynReceived: return in_syn_received(step);
        case ConnectionState::kTcpTimeWait: return in_time_wait(step);
        case ConnectionState::kTcpClose: return in_close(step);
        default: return in_synchronized(step);
    }
}

}  // namespace sluice
