// SPDX-License-Identifier: Apache-2.0
// Fragmented: fragments on their way past the flow table. Each is decided by its key, which the
// fragment stage completed with the head's ports. The connection step sees the datagram once, when
// its last piece has come: no connection exists until a fragmented first datagram is complete, and
// nothing that was dropped in pieces counts.
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

// A piece that can't belong to a connection, nor to a datagram that opens one.
bool is_stray(const Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    return !program.connection.is_set() && packet.frame.key.protocol == 6 &&
           packet.frame.l4_offset != 0 &&
           (packet.frame.tcp_flags & (kTcpSyn | kTcpAck | kTcpRst | kTcpFin)) != kTcpSyn;
}

DropReason track_whole(WorkerContext& context, Packet& packet) noexcept {
    ParsedFrame whole;
    if (!context.fragments.whole(packet.aside->fragment.datagram, whole)) {
        return DropReason::kFragmentNoHead;
    }
    const Program& program = packet.flow->program;
    const TrackOutcome outcome =
        context.connections.track(whole, program.connection, program.side, context.now_ns);
    if (outcome.result == TrackResult::kPassLast) { end_flows(context, packet); }
    if (outcome.result <= TrackResult::kPassReadFirst) { return DropReason::kNone; }
    return outcome.result == TrackResult::kDrop ? outcome.reason : DropReason::kTcpNoConnection;
}

}  // namespace

DropReason resolve_fragment(WorkerContext& context, Packet& packet) noexcept {
    packet.aside->fragment = context.fragments.complete(packet.frame, context.now_ns);
    if (packet.aside->fragment.reason != DropReason::kNone) {
        return packet.aside->fragment.reason;
    }
    if (packet.frame.frame_class == FrameClass::kInspect) { return DropReason::kNone; }
    packet.index = kNoFlow;
    decide_packet(context, packet);
    const Program& program = packet.flow->program;
    if (program.ending == Ending::kDrop) {
        context.fragments.refuse(packet.aside->fragment.datagram);
        return DropReason::kNone;  // Dropped at its end, where the program says.
    }
    if (!program.tracked) { return DropReason::kNone; }
    DropReason reason = DropReason::kNone;
    if (packet.aside->fragment.complete) {
        reason = track_whole(context, packet);
    } else if (is_stray(packet)) {
        reason = DropReason::kTcpNoConnection;
    }
    if (reason != DropReason::kNone) { context.fragments.refuse(packet.aside->fragment.datagram); }
    return reason;
}

}  // namespace sluice::datapath
