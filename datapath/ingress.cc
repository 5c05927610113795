// SPDX-License-Identifier: Apache-2.0
// Ingress: one burst from a port to its end. Three short loops over the burst wait for memory
// together, then each packet runs to its end in order of arrival:
//   admit (parse, size) -> hash (buckets prefetched) -> match (entries prefetched, keys compared,
//   connections prefetched) -> run (program, connection step, VLAN steps, ending).
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "datapath/beacon.h"
#include "datapath/checksum.h"
#include "datapath/icmp_error.h"
#include "datapath/nsh_header.h"
#include "datapath/parse.h"
#include "datapath/parse_plain.h"
#include "datapath/segment.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"
#include "datapath/tunnel_mark.h"
#include "sluice/iochain/expectation_table.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kTagBytes = 4;

// A vNIC whose frames cross tunnels may have a larger MTU than those carry: it is told. Elsewhere
// the switch's MTU is the wire's, as for any bridge.
DropReason refuse_size(WorkerContext& context, const PortConfig& in,
                       const Packet& packet) noexcept {
    const std::uint16_t domain = ingress_domain(in, packet.frame.key);
    if (in.is_uplink || domain == kNoDomain || context.snapshot->domains[domain].vni == 0) {
        return DropReason::kOversizeFrame;
    }
    const FlowKey& key = packet.frame.key;
    const auto mtu = static_cast<std::uint16_t>(in.frame_size_max - RTE_ETHER_HDR_LEN);
    tell_sender(context, *packet.mbuf, packet.frame,
                {IcmpErrorKind::kTooBig, key.destination_mac, key.destination(), mtu});
    return DropReason::kTooBig;
}

// Why a frame goes no further than its port; kNone if it does. Not asked for what is plain.
[[gnu::noinline]] DropReason admit(WorkerContext& context, const PortConfig& in,
                                   Packet& packet) noexcept {
    ParsedFrame& frame = packet.frame;
    if (!in.is_enabled) { return DropReason::kPortDisabled; }
    if (packet.mbuf->ol_flags != 0 && frame.frame_class != FrameClass::kBad) {
        convert_offload(*packet.mbuf, frame);
    }
    if (frame.frame_class == FrameClass::kBad) { return frame.reason; }
    std::uint32_t size_max = in.frame_size_max + (frame.key.has(kKeyTagged) ? kTagBytes : 0U);
    if (in.vtep != kNoVtep && frame.key.ethertype.host() == kEtherNsh) { size_max += kNshEnvelope; }
    if (frame.frame_size > size_max && size_on_wire(*packet.mbuf) > size_max) {
        return refuse_size(context, in, packet);
    }
    if (in.has_group_limits && frame.key.destination_mac.is_group()) {
        const DropReason reason = meter_group_frame(
            *in.chain, frame, context.chains[frame.key.port.value], context.now_ns);
        if (reason != DropReason::kNone) {
            count_slots(context, frame.key.port, Direction::kFromVm, 1U << kSlotSwsec, 1);
            count_slot_drop(context, frame.key.port, Direction::kFromVm, kSlotSwsec);
            return reason;
        }
    }
    return DropReason::kNone;
}

// A malformed fragment takes its datagram with it.
[[gnu::noinline]] void refuse(WorkerContext& context, const Packet& packet,
                              DropReason reason) noexcept {
    if (packet.frame.fragment && packet.frame.frame_class == FrameClass::kBad) {
        context.fragments.condemn(packet.frame, DropReason::kBadFragment, context.now_ns);
    }
    drop(context, packet.mbuf, reason);
}

// Parses one frame. True if it is plain: nothing is left to admit() but what the port says.
[[gnu::always_inline]] inline bool parse_packet(Packet& packet, PortIndex ingress) noexcept {
    const rte_mbuf& mbuf = *packet.mbuf;
    const auto* data = rte_pktmbuf_mtod(&mbuf, const std::uint8_t*);
    if (!plain::parse_plain(data, mbuf.data_len, mbuf.pkt_len, ingress, packet.frame))
        [[unlikely]] {
        parse_uncommon(mbuf, ingress, packet.frame);
        return false;
    }
    if (mbuf.ol_flags != 0 || (packet.frame.tcp_flags & kTcpOpensOrCloses) != 0) [[unlikely]] {
        judge_checksum(mbuf, packet.frame);
        return false;
    }
    packet.frame.l4_checksum = L4Checksum::kUnknown;
    return true;
}

// What is true of a port's whole burst.
struct Admission {
    const PortConfig& in;
    PortIndex ingress;
    bool is_free;  // The port itself refuses nothing.
    bool reads_dscp;

    Admission(const Snapshot& snapshot, PortIndex index) noexcept
        : in(*snapshot.port(index)),
          ingress(index),
          is_free(in.is_enabled && !in.has_group_limits),
          reads_dscp(snapshot.reads_dscp) {}
};

// Parses one frame and says whether it may go on.
// @param tunnel  null: it came by no tunnel
[[gnu::always_inline]] inline bool admit_frame(WorkerContext& context, const Admission& by,
                                               const TunnelEntry* tunnel, rte_mbuf* mbuf,
                                               Packet& packet) noexcept {
    packet.mbuf = mbuf;
    packet.is_related = false;
    const bool is_plain = parse_packet(packet, by.ingress);
    FlowKey& key = packet.frame.key;
    if (tunnel != nullptr) {
        key.tunnel = tunnel->tunnel;
        key.vlan = tunnel->remote;
    }
    if (!is_plain || !by.is_free || mbuf->pkt_len > by.in.frame_size_max) [[unlikely]] {
        const DropReason reason = admit(context, by.in, packet);
        if (reason != DropReason::kNone) {
            refuse(context, packet, reason);
            return false;
        }
    }
    if (key.dscp != 0 && !by.reads_dscp) { key.dscp = 0; }
    return true;
}

void count_received(WorkerContext& context, PortIndex ingress, std::uint64_t frames,
                    std::uint64_t bytes) noexcept {
    PortCounters& counters = context.ports[ingress.value];
    counters.rx_packets.add(frames);
    counters.rx_bytes.add(bytes);
}

// A frame that came by a tunnel: as if it had entered by the VTEP's port.
bool admit_inner(WorkerContext& context, const TunnelEntry& tunnel, rte_mbuf* mbuf,
                 Packet& packet) noexcept {
    if (context.capture.set != nullptr) [[unlikely]] {
        capture_received(context, tunnel.port, {&mbuf, 1});
    }
    count_received(context, tunnel.port, 1, mbuf->pkt_len);
    return admit_frame(context, {*context.snapshot, tunnel.port}, &tunnel, mbuf, packet);
}

// admit_burst() for an uplink with VTEPs.
[[gnu::noinline]] std::size_t admit_underlay(WorkerContext& context, const Admission& by,
                                             std::span<rte_mbuf*> frames) noexcept {
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    for (rte_mbuf* mbuf : frames) {
        mbuf->port = by.ingress.value;
        bytes += mbuf->pkt_len;
        TunnelEntry tunnel;
        bool goes_on = false;
        switch (receive_tunnelled(context, by.ingress, mbuf, tunnel)) {
            case Received::kEnded: break;
            case Received::kTunnelled:
                goes_on = admit_inner(context, tunnel, mbuf, context.burst[count]);
                break;
            case Received::kPlain:
                goes_on = admit_frame(context, by, nullptr, mbuf, context.burst[count]);
                break;
        }
        if (goes_on) { ++count; }
    }
    count_received(context, by.ingress, frames.size(), bytes);
    return count;
}

// Fills context.burst with the frames that may go on, in order of arrival; returns how many.
std::size_t admit_burst(WorkerContext& context, PortIndex ingress,
                        std::span<rte_mbuf*> frames) noexcept {
    if (context.capture.set != nullptr) [[unlikely]] { capture_received(context, ingress, frames); }
    context.counters.received.add(frames.size());
    const Admission by(*context.snapshot, ingress);
    if (by.in.has_vteps) [[unlikely]] { return admit_underlay(context, by, frames); }
    std::uint64_t bytes = 0;
    std::size_t count = 0;
    for (rte_mbuf* mbuf : frames) {
        mbuf->port = ingress.value;
        bytes += mbuf->pkt_len;
        if (admit_frame(context, by, nullptr, mbuf, context.burst[count])) { ++count; }
    }
    count_received(context, ingress, frames.size(), bytes);
    return count;
}

// A loop of its own: by now parse's stores have reached the cache, and the hashes of the burst
// overlap.
void hash_burst(WorkerContext& context, std::span<Packet> burst) noexcept {
    for (Packet& packet : burst) {
        packet.hash = context.flows.hash(packet.frame.key);
        packet.mbuf->hash.rss = static_cast<std::uint32_t>(packet.hash);
        context.flows.prefetch_bucket(packet.hash);
    }
}

// The entry of each packet where its first candidate is the one, and that entry's connection on its
// way. follow() looks again for the others, in order: a packet before may have made theirs.
void match_burst(WorkerContext& context, std::span<Packet> burst) noexcept {
    for (Packet& packet : burst) { packet.index = context.flows.candidate(packet.hash); }
    bool is_new = false;
    for (Packet& packet : burst) {
        packet.flow = nullptr;
        if (!context.flows.matches(packet.index, packet.frame.key)) [[unlikely]] {
            foresee(context, packet);
            is_new = true;
            continue;
        }
        packet.flow = &context.flows.entry(packet.index).state;
        context.connections.prefetch(packet.flow->program.connection);
    }
    if (is_new) [[unlikely]] { foresee_rules(context, burst); }
}

// A program that holds only while there is no connection, nor one announced.
[[gnu::noinline]] bool has_connection(WorkerContext& context, const Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    if (program.domain == kNoDomain) { return false; }
    const DomainId domain = context.snapshot->domains[program.domain].tracking;
    const FlowKey& key = packet.frame.key;
    if (context.connections.find(tuple_of(key, domain), context.now_ns).is_set()) { return true; }
    ExpectationTable& expectations = context.connections.expectations();
    FlowKey parent_key;
    return !expectations.is_empty() && expectations.find(key, domain, context.now_ns, parent_key);
}

// An entry that match_burst() did not find, or that a packet before this one removed.
[[gnu::noinline]] bool find_again(WorkerContext& context, Packet& packet) noexcept {
    packet.index =
        context.options.flow_cache ? context.flows.find(packet.frame.key, packet.hash) : kNoFlow;
    if (packet.index == kNoFlow) { return false; }
    packet.flow = &context.flows.entry(packet.index).state;
    return true;
}

[[gnu::always_inline]] inline TrackOutcome track(WorkerContext& context,
                                                 const Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    return context.connections.track(packet.frame, program.connection, program.side,
                                     context.now_ns);
}

// Not after its time, nor once a packet has begun another one in its place: the sweep frees the
// record later.
bool lives(WorkerContext& context, ConnectionHandle handle) noexcept {
    const Connection* record = context.connections.get(handle);
    return record != nullptr &&
           context.now_ns < __atomic_load_n(&record->expires_ns, __ATOMIC_RELAXED);
}

// A program of what services return holds only as long as its connection. A template is judged as
// where the frame entered first.
[[gnu::noinline]] TrackOutcome ask_returned(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    if (!lives(context, program.connection)) { return TrackOutcome{TrackResult::kStale}; }
    if ((program.flags & kProgramTemplate) == 0) { return {}; }
    const FlowKey received = packet.frame.key;
    const auto entered =
        entered_key(context, received, program.domain, context.flows.cold(packet.index).sender());
    if (!entered) { return TrackOutcome{TrackResult::kStale}; }
    packet.frame.key = *entered;
    run_template(context, packet);
    packet.frame.key = received;
    return {};
}

// A program that hangs on more than its key: on TCP flags, on there being no connection.
[[gnu::noinline]] TrackOutcome ask(WorkerContext& context, Packet& packet) noexcept {
    const std::uint16_t flags = packet.flow->program.flags;
    if ((flags & kProgramReturned) != 0) { return ask_returned(context, packet); }
    if ((flags & kProgramTracks) != 0 && !has_connection(context, packet)) {
        return TrackOutcome{TrackResult::kStale};  // Before slot 0 is asked for nothing.
    }
    if ((flags & kProgramTemplate) != 0) { run_template(context, packet); }
    const Program& program = packet.flow->program;
    if (program.tracked) { return track(context, packet); }
    const bool rechecks = (program.flags & kProgramRecheck) != 0;
    return rechecks && has_connection(context, packet) ? TrackOutcome{TrackResult::kStale}
                                                       : TrackOutcome{};
}

// Follows the program that the table has, its connection step included. kStale: there is none that
// holds.
[[gnu::always_inline]] inline TrackOutcome follow(WorkerContext& context, Packet& packet) noexcept {
    constexpr TrackOutcome kUndecided{TrackResult::kStale};
    if (packet.flow == nullptr || context.flows.is_forgotten(packet.index)) [[unlikely]] {
        if (!find_again(context, packet)) { return kUndecided; }
    }
    FlowState& state = *packet.flow;
    if (!still_holds(context, packet.frame.key, state)) [[unlikely]] { return kUndecided; }
    if (state.program.tracked) [[likely]] { return track(context, packet); }
    constexpr std::uint16_t kAsks = kProgramRecheck | kProgramTemplate | kProgramReturned;
    return (state.program.flags & kAsks) != 0 ? ask(context, packet) : TrackOutcome{};
}

// Decides the packet and runs the connection step; a few times if the connection ends meanwhile.
[[gnu::noinline]] TrackOutcome decide(WorkerContext& context, Packet& packet) noexcept {
    context.counters.flow_misses.add(1);
    for (std::uint32_t tries = 0; tries <= kRecheckMax; ++tries) {
        decide_packet(context, packet);
        if (!packet.flow->program.tracked) { return TrackOutcome{}; }
        const TrackOutcome outcome = track(context, packet);
        if (outcome.result != TrackResult::kStale) { return outcome; }
    }
    return TrackOutcome{TrackResult::kDrop, DropReason::kTcpNoConnection};
}

[[gnu::noinline]] void count_uncached(WorkerContext& context, Packet& packet) noexcept {
    if (packet.flow->program.ending == Ending::kWait) { return; }  // When it is run again.
    account(context, source_port(context, packet), packet.aside->state.program,
            packet.aside->rule_from, packet.aside->rule_to, 1, packet.frame.frame_size);
    if (has_acl(packet.aside->state.program)) {
        count_acl(context, packet.aside->acl.all(), 1, packet.frame.frame_size);
    }
    keep_binding(context, packet.frame.key, context.now_ms);
}

[[gnu::always_inline]] inline void count_carried(WorkerContext& context, Packet& packet) noexcept {
    FlowState& state = *packet.flow;
    if (packet.flow == &packet.aside->state) [[unlikely]] {
        return count_uncached(context, packet);
    }
    ++state.packets;
    state.bytes += packet.frame.frame_size;
}

// Whether the packet's source is the side whose firewall wants the connection, as it was when the
// connection was opened.
bool is_tracked_at_source(WorkerContext& context, const Program& program) noexcept {
    if ((program.decided_from >> kSlotDfw & 1U) == 0) { return false; }
    Connection record;
    if (!context.connections.snapshot(program.connection, record)) { return true; }
    const bool by_opener = program.side == ConnectionSide::kOpener;
    return (record.flags & (by_opener ? kConnOpenerStateful : kConnResponderStateful)) != 0;
}

// The connection step refused this packet: charged to the firewall that tracks it.
[[gnu::noinline]] void drop_untracked(WorkerContext& context, Packet& packet,
                                      DropReason reason) noexcept {
    const Program& program = packet.flow->program;
    constexpr std::uint16_t kUpToDfw = (1U << (kSlotDfw + 1U)) - 1U;
    const bool at_source = is_tracked_at_source(context, program);
    const PortIndex port = at_source ? packet.frame.key.port : program.output;
    const auto slots = static_cast<std::uint16_t>(program.decided_from & kUpToDfw);
    count_slots(context, packet.frame.key.port, Direction::kFromVm, slots, 1);
    if (has_acl(program)) {
        const bool is_aside = packet.flow == &packet.aside->state;
        const AclTrail acl = is_aside ? packet.aside->acl : context.flows.acl(packet.index);
        count_acl(context, acl.of_source(), 1, packet.frame.frame_size);
    }
    if (context.capture.set != nullptr) {
        capture_judged(context, *packet.mbuf, packet.frame.key.port, Direction::kFromVm, slots,
                       true);
    }
    if (port != kNoPort) {  // Copies: nobody in particular.
        if (!at_source) { count_slots(context, port, Direction::kToVm, 1U << kSlotDfw, 1); }
        count_slot_drop(context, port, at_source ? Direction::kFromVm : Direction::kToVm, kSlotDfw);
    }
    drop(context, packet.mbuf, reason);
}

[[gnu::noinline]] void end_drop(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    const PortIndex port = program.drop_direction() == Direction::kFromVm
                               ? source_port(context, packet)
                               : program.output;
    // First, because the answer may push other frames out, and drop some.
    if (program.reason == DropReason::kDfwReject) { answer_rejected(context, packet); }
    if (program.reason == DropReason::kNoRoute) {
        answer_unroutable(context, packet, program.reason);
    }
    if (port != kNoPort) {
        if (context.capture.set != nullptr) { context.capture.judged = program.decided_to; }
        count_slot_drop(context, port, program.drop_direction(), program.drop_slot);
    }
    drop(context, packet.mbuf, program.reason);
}

// A step refused the packet.
[[gnu::noinline]] void end_unsent(WorkerContext& context, Packet& packet,
                                  DropReason reason) noexcept {
    if (reason != DropReason::kNoBuffer) { answer_unroutable(context, packet, reason); }
    drop_towards(context, packet.mbuf, packet.flow->program.output, reason);
}

[[gnu::always_inline]] inline void send(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    if (program.steps.any()) {
        const DropReason reason = run_steps(context, *packet.mbuf, packet.frame, program);
        if (reason != DropReason::kNone) [[unlikely]] {
            return end_unsent(context, packet, reason);
        }
    }
    output(context, packet.mbuf, program.output);
}

[[gnu::noinline]] void end_copies(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    mark_for_copies(*packet.mbuf, packet.frame, program);
    const std::size_t copies = replicate(context, packet, program, program.output);
    if (program.ending != Ending::kReplicate && program.output != kNoPort) {
        return send(context, packet);
    }
    if (copies > 0) { return consume(context, packet.mbuf); }
    drop(context, packet.mbuf, why_no_copy(context, packet, program));
}

[[gnu::noinline]] void end_otherwise(WorkerContext& context, Packet& packet) noexcept {
    switch (packet.flow->program.ending) {
        case Ending::kDrop: return end_drop(context, packet);
        case Ending::kRouter: return end_at_router(context, packet);
        case Ending::kWait: return wait_for_neighbour(context, packet);
        case Ending::kRedirect: return end_redirected(context, packet);
        case Ending::kResume: return end_resumed(context, packet);
        case Ending::kNsh: return end_nsh(context, packet);
        default: return end_copies(context, packet);
    }
}

[[gnu::always_inline]] inline void finish(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    count_carried(context, packet);
    if (program.ending == Ending::kOutput) [[likely]] { return send(context, packet); }
    end_otherwise(context, packet);
}

// True if the packet's port has had its share of the worker and the packet is of nothing that is
// known: neither a flow whose program is stale nor a connection.
[[gnu::noinline]] bool exceeds_share(WorkerContext& context, const Packet& packet) noexcept {
    if (packet.index != kNoFlow || !context.options.flow_cache) { return false; }
    const bool has_tuple = packet.aside->foreseen_in == context.burst_number;
    return !has_tuple || !context.connections.find(packet.aside->tuple, context.now_ns).is_set();
}

// What is left of a packet that has its program and whose connection step was unusual.
template <bool kCaptured>
[[gnu::noinline]] void conclude(WorkerContext& context, Packet& packet,
                                TrackOutcome outcome) noexcept {
    packet.flow->last_used_ms = context.now_ms;
    if (outcome.result == TrackResult::kDrop) {
        return drop_untracked(context, packet, outcome.reason);
    }
    if constexpr (kCaptured) { capture_program(context, packet); }
    const bool is_first = outcome.result == TrackResult::kPassReadFirst;
    if (is_first || outcome.result == TrackResult::kPassRead) {
        read_payload(context, packet, is_first);
    }
    finish(context, packet);
    if (outcome.result == TrackResult::kPassLast) { end_flows(context, packet); }
}

// The packet of a flow that is to be decided, is refused by the connection step or was the last of
// its connection.
template <bool kCaptured>
[[gnu::noinline]] void run_unusual(WorkerContext& context, Packet& packet,
                                   TrackOutcome outcome) noexcept {
    if (outcome.result == TrackResult::kStale) {
        if (take_beacon(context, packet)) { return; }
        if (context.share.is_used_up() && exceeds_share(context, packet)) {
            context.counters.flow_misses.add(1);
            return drop(context, packet.mbuf, DropReason::kFirstPacketShare);
        }
        outcome = decide(context, packet);
    }
    conclude<kCaptured>(context, packet, outcome);
}

template <bool kCaptured>
[[gnu::always_inline]] inline void run_flow(WorkerContext& context, Packet& packet) noexcept {
    const TrackOutcome outcome = follow(context, packet);
    if (outcome.result != TrackResult::kPass) [[unlikely]] {
        return run_unusual<kCaptured>(context, packet, outcome);
    }
    packet.flow->last_used_ms = context.now_ms;
    if constexpr (kCaptured) { capture_program(context, packet); }
    finish(context, packet);
}

// Fragments and conversations with the switch are decided one by one.
[[gnu::noinline]] void run_special(WorkerContext& context, Packet& packet) noexcept {
    if (context.share.is_used_up()) {
        return drop(context, packet.mbuf, DropReason::kFirstPacketShare);
    }
    if (packet.frame.fragment) { return run_fragment(context, packet); }
    if (inspect_source(context, packet)) { inspect_packet(context, packet); }
}

template <bool kCaptured>
void run_burst(WorkerContext& context, std::span<Packet> burst) noexcept {
    const std::uint64_t misses = context.counters.flow_misses.get();
    std::uint64_t looked_up = 0;
    for (Packet& packet : burst) {
        if (packet.frame.frame_class == FrameClass::kFlow && !packet.frame.fragment) [[likely]] {
            ++looked_up;
            run_flow<kCaptured>(context, packet);
        } else {
            run_special(context, packet);
        }
    }
    const std::uint64_t missed = context.counters.flow_misses.get() - misses;
    context.counters.flow_hits.add(looked_up - missed);
    context.slow_count = static_cast<std::uint32_t>(burst.size() - looked_up + missed);
}

}  // namespace

void finish_packet(WorkerContext& context, Packet& packet) noexcept {
    if (context.capture.set != nullptr) { capture_program(context, packet); }
    finish(context, packet);
}

void send_on(WorkerContext& context, Packet& packet, bool is_copied) noexcept {
    if (is_copied) { return end_copies(context, packet); }
    send(context, packet);
}

bool read_again(WorkerContext& context, Packet& packet) noexcept {
    const PortIndex ingress{packet.mbuf->port};
    const PortConfig* in = context.snapshot->port(ingress);
    if (in == nullptr || !in->is_enabled || in->worker != context.options.index) { return false; }
    parse_mbuf(*packet.mbuf, ingress, packet.frame);
    FlowKey& key = packet.frame.key;
    if (in->vtep != kNoVtep) {
        const TunnelMark mark = tunnel_mark(*packet.mbuf);
        key.tunnel = tunnel_word(mark.vni, mark.key_policy);
        key.vlan = mark.remote;
    }
    if (!context.snapshot->reads_dscp) { key.dscp = 0; }
    packet.hash = context.flows.hash(key);
    return packet.frame.frame_class == FrameClass::kFlow && !packet.frame.fragment;
}

namespace {

// From the lookup to the end, by itself.
[[gnu::noinline]] void run_alone(WorkerContext& context, Packet& packet) noexcept {
    TrackOutcome outcome = follow(context, packet);
    if (outcome.result == TrackResult::kStale) { outcome = decide(context, packet); }
    if (context.capture.set != nullptr) {
        conclude<true>(context, packet, outcome);
    } else {
        conclude<false>(context, packet, outcome);
    }
}

}  // namespace

void run_again(WorkerContext& context, rte_mbuf* frame) noexcept {
    PacketAside aside;
    Packet packet;
    packet.aside = &aside;
    packet.mbuf = frame;
    if (!read_again(context, packet)) { return drop(context, frame, DropReason::kPortDown); }
    run_alone(context, packet);
    context.flows.end_burst();
}

void run_returned(WorkerContext& context, rte_mbuf* frame, std::uint32_t tunnel) noexcept {
    PacketAside aside;
    Packet packet;
    packet.aside = &aside;
    packet.mbuf = frame;
    parse_mbuf(*frame, PortIndex{frame->port}, packet.frame);
    FlowKey& key = packet.frame.key;
    key.tunnel = tunnel;
    if (!context.snapshot->reads_dscp) { key.dscp = 0; }
    if (packet.frame.frame_class == FrameClass::kBad) {
        return drop(context, frame, packet.frame.reason);
    }
    if (packet.frame.frame_class != FrameClass::kFlow) {  // No service is sent those.
        return drop(context, frame, DropReason::kServiceReturn);
    }
    if (packet.frame.fragment) { return run_fragment(context, packet); }
    packet.hash = context.flows.hash(key);
    frame->hash.rss = static_cast<std::uint32_t>(packet.hash);
    context.counters.flow_hits.add(1);  // The burst takes its misses off.
    run_alone(context, packet);
}

void process_burst(WorkerContext& context, PortIndex ingress,
                   std::span<rte_mbuf*> frames) noexcept {
    const std::size_t count = admit_burst(context, ingress, frames);
    const std::span<Packet> burst(context.burst.data(), count);
    ++context.burst_number;
    hash_burst(context, burst);
    match_burst(context, burst);
    if (context.capture.set != nullptr) [[unlikely]] {
        run_burst<true>(context, burst);
    } else {
        run_burst<false>(context, burst);
    }
    context.flows.end_burst();
}

}  // namespace sluice::datapath
