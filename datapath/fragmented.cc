// SPDX-License-Identifier: Apache-2.0
// Fragmented: fragments on their way past the flow table. Each is decided by its key, which the
// fragment stage completed with the head's ports; those that came before their head follow it. The
// connection step sees the datagram once, when its last piece has come: no connection exists until
// a fragmented first datagram is complete, and nothing that was dropped in pieces counts. DHCP and
// ICMP errors are gathered, and inspected once for all their pieces. Called by ingress.cc; worker.
#include <rte_mbuf.h>

#include "datapath/parse.h"
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

// kNone: packet.flow says how the frame ends. A program that drops does that at its end.
DropReason decide_fragment(WorkerContext& context, Packet& packet) noexcept {
    packet.index = kNoFlow;
    decide_packet(context, packet);
    const Program& program = packet.flow->program;
    if (program.ending == Ending::kDrop || !program.tracked) { return DropReason::kNone; }
    if (packet.aside->fragment.complete) { return track_whole(context, packet); }
    return is_stray(packet) ? DropReason::kTcpNoConnection : DropReason::kNone;
}

// Decides a fragment whose key is complete and takes it to its end. False: it was dropped, and so
// is the rest of its datagram.
bool pass_fragment(WorkerContext& context, Packet& packet) noexcept {
    const FragmentHandle datagram = packet.aside->fragment.datagram;
    const DropReason reason = decide_fragment(context, packet);
    const bool passes = reason == DropReason::kNone && packet.flow->program.ending != Ending::kDrop;
    if (reason != DropReason::kNone) {
        drop(context, packet.mbuf, reason);
    } else {
        finish_packet(context, packet);
    }
    if (!passes) { context.fragments.refuse(datagram); }
    return passes;
}

// As ingress.cc read it when it came.
void read_held(const WorkerContext& context, rte_mbuf& frame, Packet& packet) noexcept {
    packet.mbuf = &frame;
    parse_uncommon(frame, PortIndex{frame.port}, packet.frame);
    if (!context.snapshot->reads_dscp) { packet.frame.key.dscp = 0; }
}

// The pieces that came before their head, now that it has passed.
void pass_held(WorkerContext& context, FragmentHandle datagram) noexcept {
    PacketAside aside;
    Packet packet;
    packet.aside = &aside;
    while (rte_mbuf* frame = context.fragments.next_held(datagram)) {
        read_held(context, *frame, packet);
        aside.fragment = {FragmentFate::kGoesOn, DropReason::kNone, false, datagram};
        context.fragments.complete(datagram, packet.frame);
        pass_fragment(context, packet);
    }
}

// What slots 0 and 1 of the source say of the head of a conversation: kNone if they need to see
// the rest. They can't find it well-formed, so that they don't find it malformed either.
Decision judge_head(WorkerContext& context, const Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    const PortConfig& in = *context.snapshot->port(key.port);
    const std::uint16_t domain = ingress_domain(in, key);
    if (domain == kNoDomain) { return {}; }  // Said of the whole.
    const BindingView bindings = view_bindings(context, domain, key);
    Decision decision = inspect(*in.chain, packet.frame, Direction::kFromVm, nullptr, true,
                                context.now_ns, bindings);
    if (decision.reason == DropReason::kBadDhcp) { decision.verdict = Verdict::kPass; }
    return decision;
}

// True if the head of a conversation is wrong whatever follows: dropped, and its datagram with it.
bool drop_head(WorkerContext& context, Packet& packet) noexcept {
    const Decision decision = judge_head(context, packet);
    if (decision.verdict == Verdict::kPass) { return false; }
    const PortIndex port = packet.frame.key.port;
    context.fragments.condemn(packet.frame, DropReason::kFragmentNoHead, context.now_ns);
    count_slots(context, port, Direction::kFromVm, decision.decided, 1);
    count_slot_drop(context, port, Direction::kFromVm, decision.slot);
    drop(context, packet.mbuf, decision.reason);
    return true;
}

// Judges a gathered datagram once, then takes its pieces to their end, one by one: each is
// forwarded by what the whole is.
void pass_gathered(WorkerContext& context, FragmentHandle datagram, PortIndex port) noexcept {
    PacketAside aside;
    Packet packet;
    packet.aside = &aside;
    const DropReason reason = context.fragments.gather(datagram, port, packet.frame);
    if (!context.snapshot->reads_dscp) { packet.frame.key.dscp = 0; }
    packet.mbuf = context.fragments.next_held(datagram);
    if (reason != DropReason::kNone) {
        drop(context, packet.mbuf, reason);
    } else if (inspect_source(context, packet)) {
        do {
            inspect_packet(context, packet);
            packet.mbuf = context.fragments.next_held(datagram);
        } while (packet.mbuf != nullptr);
    }
    context.fragments.end(datagram);
}

}  // namespace

void run_fragment(WorkerContext& context, Packet& packet) noexcept {
    const bool is_conversation = packet.frame.frame_class == FrameClass::kInspect;
    if (is_conversation && drop_head(context, packet)) { return; }
    FragmentResult& result = packet.aside->fragment;
    result = context.fragments.offer(*packet.mbuf, packet.frame, context.now_ns);
    switch (result.fate) {
        case FragmentFate::kDropped: return drop(context, packet.mbuf, result.reason);
        case FragmentFate::kHeld: return;
        case FragmentFate::kGathered:
            return pass_gathered(context, result.datagram, packet.frame.key.port);
        case FragmentFate::kGoesOn:
            if (pass_fragment(context, packet)) { pass_held(context, result.datagram); }
            if (result.complete) { context.fragments.end(result.datagram); }
    }
}

void drop_held_fragment(void* context, rte_mbuf& frame, DropReason reason) noexcept {
    drop(*static_cast<WorkerContext*>(context), &frame, reason);
}

}  // namespace sluice::datapath
