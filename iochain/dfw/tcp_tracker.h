// SPDX-License-Identifier: Apache-2.0
// TCP half of the connection step: state and window of one connection, one segment at a time. The
// theory and the state table are in CONNECTIONS.md. Works on the record alone: no clock, no
// counters. Thread: a worker that holds the record's byte lock.
#pragma once

#include <cstdint>

#include "iochain/dfw/tcp_segment.h"
#include "sluice/iochain/connection.h"
#include "sluice/iochain/connection_table.h"

namespace sluice {

/// An acknowledgement may lag this far behind at least (netfilter's figure: a 64 KiB window and a
/// segment).
inline constexpr std::uint32_t kTcpAckLagMin = 66000;

/// What one segment did. A dropped segment changed nothing.
struct TcpOutcome {
    DropReason reason = DropReason::kNone;
    bool refresh = false;  ///< The timer starts again even if the state is the same.
    bool stale = false;  ///< It begins another connection from the other side: this record is dead.
};

/// Lays down the state of the connection that `frame` begins: a SYN, or any segment of a running
/// one (kConnLiberal).
/// @pre has_tcp_header(frame); record's flags but the TCP ones are set, its peers are zero
void begin_tcp(Connection& record, const ParsedFrame& frame) noexcept;

/// Judges one frame of the connection and moves it to its next state (RFC 9293 §3.10.7, RFC 5961,
/// RFC 7323 §2).
[[nodiscard]] TcpOutcome track_tcp(Connection& record, const ParsedFrame& frame,
                                   ConnectionSide side) noexcept;

[[nodiscard]] constexpr bool is_half_open(ConnectionState state) noexcept {
    return state >= ConnectionState::kTcpSynSent && state <= ConnectionState::kTcpSynReceived;
}

[[nodiscard]] inline std::uint32_t window_bytes(const TcpPeer& peer) noexcept {
    return std::uint32_t{peer.max_window} << peer.scale;
}

/// True if a segment from `sender` lies in the window both ways: data not beyond what the receiver
/// granted and not older than a window; acknowledgement not of what was never sent and not older
/// than a window (RFC 9293 §3.10.7.4, RFC 5961 §5.2).
[[nodiscard]] inline bool in_window(const TcpPeer& sender, const TcpPeer& receiver,
                                    std::uint32_t sequence, std::uint32_t end,
                                    std::uint32_t ack) noexcept {
    const std::uint32_t own_window = window_bytes(sender);
    const std::uint32_t ack_lag = own_window < kTcpAckLagMin ? kTcpAckLagMin : own_window;
    const std::int64_t room = sequence_distance(sequence, sender.max_end);
    const std::int64_t age = sequence_distance(sender.end, end) + window_bytes(receiver);
    const std::int64_t unsent = sequence_distance(ack, receiver.end);
    const std::int64_t old = ack_lag - unsent;
    return (room | age | unsent | old) >= 0;
}

/// Folds an accepted segment (no SYN, no RST) into both peers. Writes only what changes.
inline void advance(TcpPeer& sender, TcpPeer& receiver, const TcpSegment& segment,
                    std::uint32_t end) noexcept {
    if (sequence_after(end, sender.end)) { sender.end = end; }
    if (sequence_after(segment.ack, sender.max_ack)) { sender.max_ack = segment.ack; }
    if (segment.window > sender.max_window) { sender.max_window = segment.window; }
    const std::uint32_t window = std::uint32_t{segment.window} << sender.scale;
    const std::uint32_t limit =
        segment.ack + (window == 0 ? 1U : window);  // One byte probes a closed window.
    if (sequence_after(limit, receiver.max_end)) { receiver.max_end = limit; }
}

}  // namespace sluice
