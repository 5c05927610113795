// SPDX-License-Identifier: Apache-2.0
// Trace: see trace.h. Here is what surrounds the composition: parse before it, the slots' steps.
#include "datapath/trace.h"

#include <algorithm>
#include <bit>

#include "datapath/parse.h"
#include "datapath/parse_layers.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {

void Trace::add_slots(PortIndex port, Direction direction, const Decision& decision,
                      std::span<const RuleId> acl) noexcept {
    for (std::size_t i = 0; i < kSlotCount; ++i) {
        const std::size_t slot = direction == Direction::kFromVm ? i : kSlotCount - 1 - i;
        if ((decision.decided >> slot & 1U) == 0) { continue; }
        if (slot == kSlotDvfilter) {
            for (const RuleId rule : acl) {
                TraceStep& step = add(TraceWhat::kRule);
                step.port = port;
                step.slot = static_cast<std::uint8_t>(slot);
                step.direction = direction;
                step.rule = rule;
            }
        }
        TraceStep& step = add(TraceWhat::kSlot);
        step.port = port;
        step.slot = static_cast<std::uint8_t>(slot);
        step.direction = direction;
        if (slot == kSlotDfw) {
            step.rule = decision.rule;
            step.is_stateful = decision.stateful;
        }
        if (decision.verdict == Verdict::kDrop && decision.slot == slot) {
            step.reason = decision.reason;
        }
    }
}

// Each receiver of a flooded frame, as replicate() would ask it.
void Trace::add_copies(const WorkerContext& context, const FlowKey& key, const Program& program,
                       const Domain& domain, DecideInput receiver) noexcept {
    const bool is_group = program.ending == Ending::kReplicate;
    const bool is_flooded = (program.flags & kProgramFlood) != 0;
    const auto& receivers =
        is_group ? domain.members : (is_flooded ? domain.flood : domain.promiscuous);
    TraceStep& all = add(TraceWhat::kFlood);
    const auto add_output = [this](PortIndex port) {
        add(TraceWhat::kOutput).port = port;
        ++reached;
    };
    for (const PortIndex port : receivers) {
        if (port == key.port || port == program.output) { continue; }
        if (++all.argument > kTraceCopyMax) { continue; }
        AclTrail acl;
        receiver.acl = &acl;
        const Decision decision = decide(*context.snapshot->port(port)->chain, receiver);
        add_slots(port, Direction::kToVm, decision, acl.all());
        if (decision.verdict == Verdict::kPass) { add_output(port); }
    }
    const PortConfig* in = context.snapshot->port(key.port);
    if (is_group && in != nullptr && !in->is_uplink) {
        const PortIndex out = way_out(context, program.domain, key.port, key);
        if (out != kNoPort) { add_output(out); }
    }
}

void Trace::add_ending(const WorkerContext& context, const Packet& packet, const Domain& domain,
                       DecideInput receiver) noexcept {
    const Program& program = packet.aside->state.program;
    reason = program.reason;
    if (program.ending == Ending::kRouter || program.ending == Ending::kWait) {
        add(program.ending == Ending::kRouter ? TraceWhat::kRouter : TraceWhat::kWait);
        ++reached;
        return;
    }
    if (program.ending == Ending::kDrop) {
        if (program.drop_slot == kNoSlot) { add(TraceWhat::kDrop).reason = reason; }
        return;
    }
    const Steps& changes = program.steps;
    if (changes.dscp != 0) {
        add(TraceWhat::kSetDscp).argument = static_cast<std::uint16_t>(changes.dscp - 1U);
    }
    if (changes.vlan == Steps::kVlanPop) {
        add(TraceWhat::kVlanPop);
    } else if (changes.vlan != 0) {
        add(TraceWhat::kVlanPush).argument = changes.vlan & 0xfffU;
    }
    if (changes.remote != 0) {
        tunnel.remote = changes.remote;
        tunnel.key_policy = program.key_policy & kKeyPolicyMask;
        tunnel.vni = changes.rewrite != 0 ? context.rewrites.row(changes.rewrite).vni : domain.vni;
        add(TraceWhat::kEncapsulate).port = program.output;
    }
    if (program.output != kNoPort) {
        add(TraceWhat::kOutput).port = program.output;
        ++reached;
    }
    if (program.ending != Ending::kOutput) {
        add_copies(context, packet.frame.key, program, domain, receiver);
    }
}

// What ConnectionTable::open() would say: by its own rule for TCP, the window after a start left
// out, and by the limits, at which a half-open connection of the vNIC's own gives way.
DropReason reason_not_to_open(const WorkerContext& context, const OpenRequest& request,
                              const ParsedFrame& frame) noexcept {
    const bool is_tcp = request.tuple.tuple.protocol == kProtocolTcp;
    constexpr unsigned kJudged = kTcpSyn | kTcpAck | kTcpFin | kTcpRst;
    const bool is_syn = (frame.tcp_flags & kJudged) == kTcpSyn;
    const bool may_join = !request.tcp_strict && (frame.tcp_flags & kJudged) == kTcpAck;
    if (is_tcp && !is_syn && !may_join) { return DropReason::kTcpNoConnection; }
    const ConnectionLimits& limits = context.snapshot->limits;
    const ConnectionTable& table = context.connections;
    const PortIndex opener = request.opener_port;
    const std::uint32_t half_open = table.half_open_of_port(opener);
    const std::uint32_t gives_way = half_open > 0 ? 1U : 0U;
    const auto is_full = [gives_way](std::uint32_t limit, std::uint32_t count) {
        return limit != 0 && count - gives_way >= limit;
    };
    if (is_full(limits.total, table.size()) ||
        is_full(limits.per_port, table.size_of_port(opener))) {
        return DropReason::kConnectionLimit;
    }
    const bool is_flooded = is_tcp && is_full(limits.half_open_per_port, half_open);
    return is_flooded ? DropReason::kHalfOpenLimit : DropReason::kNone;
}

namespace {

// Which learned row slot 1 may have trusted.
void name_binding(const WorkerContext& context, const FlowKey& key, Trace& trace) noexcept {
    const TraceStep* entered =
        std::find_if(trace.steps.begin(), trace.steps.begin() + trace.count,
                     [](const TraceStep& step) { return step.what == TraceWhat::kDomain; });
    if (!key.is_ip() || entered == trace.steps.begin() + trace.count ||
        entered->argument == kNoDomain) {
        return;
    }
    const DomainId domain = context.snapshot->domains[entered->argument].id;
    const auto row =
        context.learned.find(LearnedKey::binding(domain, key.port, key.source()), context.now_ns);
    if (!row) { return; }
    for (TraceStep& step : trace.steps) {
        if (step.what != TraceWhat::kSlot || step.slot != kSlotSwsec ||
            step.direction != Direction::kFromVm) {
            continue;
        }
        step.is_bound = true;
        step.source = row->source;
    }
}

}  // namespace

// As steps.cc does to a frame in a buffer; there is room for a tag.
void TraceCommand::run_steps(const WorkerContext& context, const Packet& packet) noexcept {
    const Steps& steps = packet.aside->state.program.steps;
    if (steps.rewrite != 0) {
        write_hop(frame_.data(), packet.frame, context.rewrites.row(steps.rewrite));
    }
    if (steps.vlan == Steps::kVlanPop) {
        frame_.erase(frame_.begin() + 12, frame_.begin() + 12 + kTagSize);
    } else if (steps.vlan != 0) {
        const std::uint8_t tag[kTagSize] = {0x81, 0,
                                            static_cast<std::uint8_t>(steps.vlan >> 8U & 0xfU),
                                            static_cast<std::uint8_t>(steps.vlan)};
        frame_.insert(frame_.begin() + 12, tag, tag + kTagSize);
    }
}

bool TraceCommand::step(WorkerContext& context) noexcept {
    const PortConfig* in = context.snapshot->port(ingress_);
    trace.is_gone = in == nullptr;
    if (trace.is_gone) { return true; }
    Packet packet;
    PacketAside aside;
    packet.aside = &aside;
    aside.foreseen_in = ~std::uint64_t{0};  // No burst's.
    const auto size = static_cast<std::uint16_t>(frame_.size());
    parse_frame(frame_.data(), size, size, ingress_, packet.frame);
    packet.frame.l4_checksum = L4Checksum::kGood;
    if (!context.snapshot->reads_dscp) { packet.frame.key.dscp = 0; }
    if (tunnel_.remote != 0) {
        packet.frame.key.tunnel = tunnel_word(tunnel_.vni, tunnel_.key_policy);
        packet.frame.key.vlan = tunnel_.remote;
        TraceStep& entered = trace.add(TraceWhat::kDecapsulate);
        entered.port = ingress_;
        entered.argument = tunnel_.remote;
    }
    trace.is_inspected = packet.frame.frame_class == FrameClass::kInspect;
    if (trace.is_inspected) { return true; }
    trace.reason = in->is_enabled ? packet.frame.reason : DropReason::kPortDisabled;
    if (trace.reason != DropReason::kNone) {
        trace.add(TraceWhat::kDrop).reason = trace.reason;
        return true;
    }
    trace_packet(context, packet, trace);
    if (trace.reason == DropReason::kNone) { run_steps(context, packet); }
    name_binding(context, packet.frame.key, trace);
    return true;
}

}  // namespace sluice::datapath
