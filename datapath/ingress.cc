// SPDX-License-Identifier: Apache-2.0
// Ingress: one burst from a port to its end, in stages over the whole burst so that memory latency
// is paid once a burst:
//   admit (parse, size, hash; buckets prefetched) -> candidates (entries prefetched) -> resolve
//   (program, in order of arrival) -> connection step -> VLAN steps and endings, in order of
//   arrival.
#include <rte_mbuf.h>

#include <algorithm>

#include "datapath/checksum.h"
#include "datapath/parse.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kTagBytes = 4;

// Of the largest frame that becomes of this one. Out of line: inlined it costs the tracked path of
// process_burst 6 % (its registers).
[[gnu::cold, gnu::noinline]] std::uint32_t size_on_wire(const rte_mbuf& frame) noexcept {
    if ((frame.ol_flags & RTE_MBUF_F_TX_TCP_SEG) == 0) { return frame.pkt_len; }
    const std::uint64_t segment = frame.l2_len + frame.l3_len + frame.l4_len + frame.tso_segsz;
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(frame.pkt_len, segment));
}

// Why a frame goes no further than its port; kNone if it does.
DropReason admit(WorkerContext& context, const PortConfig& in, Packet& packet) noexcept {
    ParsedFrame& frame = packet.frame;
    if (!in.is_enabled) { return DropReason::kPortDisabled; }
    if (packet.mbuf->ol_flags != 0 && frame.frame_class != FrameClass::kBad) {
        convert_offload(*packet.mbuf, frame);
    }
    if (frame.frame_class == FrameClass::kBad) { return frame.reason; }
    const std::uint32_t size_max = in.frame_size_max + (frame.key.has(kKeyTagged) ? kTagBytes : 0U);
    if (frame.frame_size > size_max && size_on_wire(*packet.mbuf) > size_max) [[unlikely]] {
        return DropReason::kOversizeFrame;
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

bool is_alive(WorkerContext& context, ConnectionHandle handle) noexcept {
    const Connection* record = context.connections.get(handle);
    return record != nullptr &&
           context.now_ns < __atomic_load_n(&record->expires_ns, __ATOMIC_RELAXED);
}

// A program that holds only while there is no connection (or none tracked) is checked against the
// connections; one that tracks a connection needs it alive: what opens the next one is decided in
// order of arrival, like all that opens one.
bool wants_decision(WorkerContext& context, const Packet& packet, const FlowState& state) noexcept {
    if (state.program.tracked) [[likely]] { return !is_alive(context, state.program.connection); }
    if ((state.program.flags & kProgramRecheck) == 0) { return false; }
    if (state.program.domain == kNoDomain) { return false; }
    const DomainId domain = context.snapshot->domains[state.program.domain].id;
    return context.connections.find(tuple_of(packet.frame.key, domain), context.now_ns).is_set();
}

// Fragments leave the burst's flow work here: they are decided one by one.
bool resolve(WorkerContext& context, Packet& packet) noexcept {
    if (packet.frame.fragment) [[unlikely]] {
        const DropReason reason = resolve_fragment(context, packet);
        if (reason != DropReason::kNone) { drop(context, packet.mbuf, reason); }
        return reason == DropReason::kNone;
    }
    if (packet.frame.frame_class == FrameClass::kInspect) {
        return !teaches(packet.frame.inspect_kind) || inspect_source(context, packet);
    }
    packet.index = context.options.flow_cache
                       ? context.flows.find(packet.frame.key, packet.hash, packet.candidate)
                       : kNoFlow;
    if (packet.index != kNoFlow) {
        FlowState& state = context.flows.entry(packet.index).state;
        if (still_holds(context, packet.frame.key, state) &&
            !wants_decision(context, packet, state)) [[likely]] {
            packet.flow = &state;
            state.last_used_ms = context.now_ms;
            return true;
        }
    }
    context.counters.flow_misses.add(1);
    decide_packet(context, packet);
    packet.flow->last_used_ms = context.now_ms;
    return true;
}

TrackWork track_work(const Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    return TrackWork{&packet.frame, program.connection, program.side, TrackResult::kPass,
                     DropReason::kNone};
}

// The connection ended since the program was made: decide again, a few times at most. A packet
// before this one may have replaced the program, or forgotten it.
[[gnu::noinline]] TrackWork track_again(WorkerContext& context, Packet& packet) noexcept {
    TrackWork work;
    for (std::uint32_t tries = 0; tries < kRecheckMax; ++tries) {
        if (context.options.flow_cache) {
            packet.index = context.flows.find(packet.frame.key, packet.hash, kNoFlow);
        }
        decide_packet(context, packet);
        packet.flow->last_used_ms = context.now_ms;
        if (!packet.flow->program.tracked) { return TrackWork{}; }
        work = track_work(packet);
        context.connections.track({&work, 1}, context.now_ns);
        if (work.result != TrackResult::kStale) { return work; }
    }
    work.result = TrackResult::kDrop;
    work.reason = DropReason::kTcpNoConnection;
    return work;
}

[[gnu::noinline]] void count_uncached(WorkerContext& context, Packet& packet) noexcept {
    account(context, packet.frame.key.port, packet.scratch.program, packet.rule_from,
            packet.rule_to, 1, packet.frame.frame_size);
    keep_binding(context, packet.frame.key, context.now_ms);
}

void count_carried(WorkerContext& context, Packet& packet) noexcept {
    FlowState& state = *packet.flow;
    if (packet.flow == &packet.scratch) [[unlikely]] { return count_uncached(context, packet); }
    ++state.packets;
    state.bytes += packet.frame.frame_size;
    if (context.flows.is_forgotten(packet.index)) [[unlikely]] { fold(context, packet.index); }
}

// The connection step refused this packet: charged to the firewall that tracks it.
[[gnu::noinline]] void drop_untracked(WorkerContext& context, Packet& packet,
                                      DropReason reason) noexcept {
    const Program& program = packet.flow->program;
    constexpr std::uint16_t kUpToDfw = (1U << (kSlotDfw + 1U)) - 1U;
    const bool at_source = (program.decided_from >> kSlotDfw & 1U) != 0;
    const PortIndex port = at_source ? packet.frame.key.port : program.output;
    const auto slots = static_cast<std::uint16_t>(program.decided_from & kUpToDfw);
    count_slots(context, packet.frame.key.port, Direction::kFromVm, slots, 1);
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
    const PortIndex port =
        program.drop_direction == Direction::kFromVm ? packet.frame.key.port : program.output;
    // First, because the answer may push other frames out, and drop some.
    if (program.reason == DropReason::kDfwReject) { answer_rejected(context, packet); }
    if (port != kNoPort) {
        if (context.capture.set != nullptr) { context.capture.judged = program.decided_to; }
        count_slot_drop(context, port, program.drop_direction, program.drop_slot);
    }
    drop(context, packet.mbuf, program.reason);
}

[[gnu::noinline]] void end_copies(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    const std::size_t copies = replicate(context, packet, program, program.output);
    if (program.ending == Ending::kMirrored && program.output != kNoPort) {
        if (!run_vlan_steps(*packet.mbuf, program)) {
            return drop_towards(context, packet.mbuf, program.output, DropReason::kNoBuffer);
        }
        return output(context, packet.mbuf, program.output);
    }
    if (copies > 0) { return consume(context, packet.mbuf); }
    drop(context, packet.mbuf,
         program.ending == Ending::kReplicate ? DropReason::kNoDestination
                                              : DropReason::kUnknownUnicast);
}

[[gnu::always_inline]] inline void finish(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    count_carried(context, packet);
    if (program.ending == Ending::kOutput) [[likely]] {
        if (program.step_count > 0 && !run_vlan_steps(*packet.mbuf, program)) {
            return drop_towards(context, packet.mbuf, program.output, DropReason::kNoBuffer);
        }
        return output(context, packet.mbuf, program.output);
    }
    if (program.ending == Ending::kDrop) { return end_drop(context, packet); }
    end_copies(context, packet);
}

// What teaches has been through its source's chain already, in resolve().
[[gnu::noinline]] void end_inspected(WorkerContext& context, Packet& packet) noexcept {
    const bool has_left = teaches(packet.frame.inspect_kind) && !packet.frame.fragment;
    if (has_left || inspect_source(context, packet)) { inspect_packet(context, packet); }
}

// Frames that passed admit(), in order of arrival; the flows among them with their connection work.
struct Burst {
    std::array<Packet*, kBurstMax> packets;
    std::array<TrackWork, kBurstMax> work;
    std::array<std::uint8_t, kBurstMax> work_of;  // Index into `work` by packet, kNoWork if none.
    std::size_t count = 0;
    std::size_t work_count = 0;
    static constexpr std::uint8_t kNoWork = 0xff;
};

void admit_burst(WorkerContext& context, const PortConfig& in, PortIndex ingress,
                 std::span<rte_mbuf*> frames, Burst& burst) noexcept {
    std::uint64_t bytes = 0;
    if (context.capture.set != nullptr) [[unlikely]] { capture_received(context, ingress, frames); }
    for (std::size_t i = 0; i < frames.size(); ++i) {
        Packet& packet = context.burst[i];
        packet.mbuf = frames[i];
        packet.mbuf->port = ingress.value;
        packet.is_related = false;
        bytes += packet.mbuf->pkt_len;
        parse_mbuf(*packet.mbuf, ingress, packet.frame);
        const DropReason reason = admit(context, in, packet);
        if (reason != DropReason::kNone) {
            drop(context, packet.mbuf, reason);
            continue;
        }
        if (!context.snapshot->reads_dscp) { packet.frame.key.dscp = 0; }
        burst.packets[burst.count++] = &packet;
    }
    PortCounters& counters = context.ports[ingress.value];
    counters.rx_packets.add(frames.size());
    counters.rx_bytes.add(bytes);
    context.counters.received.add(frames.size());
}

// A loop of its own: by now parse's stores have reached the cache, and the hashes of the burst
// overlap.
void hash_burst(WorkerContext& context, Burst& burst) noexcept {
    for (std::size_t i = 0; i < burst.count; ++i) {
        Packet& packet = *burst.packets[i];
        packet.hash = context.flows.hash(packet.frame.key);
        packet.mbuf->hash.rss = static_cast<std::uint32_t>(packet.hash);
        context.flows.prefetch_bucket(packet.hash);
    }
}

void resolve_burst(WorkerContext& context, Burst& burst) noexcept {
    for (std::size_t i = 0; i < burst.count; ++i) {
        Packet& packet = *burst.packets[i];
        packet.candidate =
            context.options.flow_cache ? context.flows.candidate(packet.hash) : kNoFlow;
    }
    const std::uint64_t misses = context.counters.flow_misses.get();
    std::uint64_t looked_up = 0;
    for (std::size_t i = 0; i < burst.count; ++i) {
        Packet& packet = *burst.packets[i];
        burst.work_of[i] = Burst::kNoWork;
        if (!resolve(context, packet)) {
            burst.packets[i] = nullptr;
            continue;
        }
        if (packet.frame.fragment || packet.frame.frame_class == FrameClass::kInspect) { continue; }
        ++looked_up;
        if (!packet.flow->program.tracked) { continue; }
        burst.work_of[i] = static_cast<std::uint8_t>(burst.work_count);
        burst.work[burst.work_count++] = track_work(packet);
    }
    context.counters.flow_hits.add(looked_up - (context.counters.flow_misses.get() - misses));
}

template <bool kCaptured>
void finish_burst(WorkerContext& context, Burst& burst) noexcept {
    for (std::size_t i = 0; i < burst.count; ++i) {
        if (burst.packets[i] == nullptr) { continue; }  // A fragment that was dropped.
        Packet& packet = *burst.packets[i];
        if (packet.frame.frame_class == FrameClass::kInspect) {
            end_inspected(context, packet);
            continue;
        }
        if (burst.work_of[i] != Burst::kNoWork) {
            TrackWork work = burst.work[burst.work_of[i]];
            if (work.result == TrackResult::kStale) [[unlikely]] {
                work = track_again(context, packet);
            }
            if (work.result == TrackResult::kDrop) [[unlikely]] {
                drop_untracked(context, packet, work.reason);
                continue;
            }
        }
        if constexpr (kCaptured) { capture_program(context, packet); }
        finish(context, packet);
    }
}

}  // namespace

void process_burst(WorkerContext& context, PortIndex ingress,
                   std::span<rte_mbuf*> frames) noexcept {
    const PortConfig* in = context.snapshot->port(ingress);
    Burst burst;
    admit_burst(context, *in, ingress, frames, burst);
    hash_burst(context, burst);
    resolve_burst(context, burst);
    context.connections.track({burst.work.data(), burst.work_count}, context.now_ns);
    if (context.capture.set != nullptr) [[unlikely]] {
        finish_burst<true>(context, burst);
    } else {
        finish_burst<false>(context, burst);
    }
    context.flows.end_burst();
}

}  // namespace sluice::datapath
