// SPDX-License-Identifier: Apache-2.0
// Template: flows whose packets can't share one program. Packets of one key differ in TCP flags, so
// that what slot 0 says by them is never cached: the flow table has a template, and for each packet
// slot 0 of both vNICs is asked again with its flags. The packet gets a program of its own:
// dropped, marked otherwise, or what the template stands for. Nothing else of the chains is asked.
// A logged connection's flows are templates, too: their packets are accounted for one by one, so
// that its last line has them all. Called by ingress.cc before the connection step, which must not
// see what slot 0 drops.
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

bool decides(std::uint16_t slots) noexcept { return (slots >> kSlotDvfilter & 1U) != 0; }

Decision ask_slot(const WorkerContext& context, Packet& packet, PortIndex port,
                  Direction direction) noexcept {
    const FlowKey& key = packet.frame.key;
    const DomainId domain = context.snapshot->domains[packet.flow->program.domain].id;
    DecideInput input{key, direction, nullptr, {&context.learned, domain, context.now_ns}, nullptr};
    input.tcp_flags = packet.frame.tcp_flags;
    input.acl = &packet.aside->acl;
    return decide_acl(*context.snapshot->port(port)->chain, input);
}

// As the first packet's composition would have it: nobody behind the slot was asked.
void set_drop(Program& program, const Decision& decision, Direction direction) noexcept {
    program.ending = Ending::kDrop;
    program.reason = decision.reason;
    program.drop_slot = decision.slot;
    program.drop_direction = direction;
    program.flags = kProgramHitsByPacket;
    program.tracked = false;
    program.step_count = 0;
    if (direction == Direction::kToVm) { return; }
    program.output = kNoPort;
    program.decided_from = decision.decided;
    program.decided_to = 0;
}

// The program that the template stands for, without its marks.
Program unfold(const Program& shared) noexcept {
    Program own = shared;
    own.flags = static_cast<std::uint8_t>(own.flags & ~kProgramTemplate);
    own.step_count = 0;
    for (std::uint8_t i = 0; i < shared.step_count; ++i) {
        const Step& step = shared.steps[i];
        if (step.kind == StepKind::kConnection) {
            own.tracked = true;
        } else {
            own.steps[own.step_count++] = step;
        }
    }
    return own;
}

// False: slot 0 drops the packet, and `own` says so.
bool judge(WorkerContext& context, Packet& packet, Program& own) noexcept {
    AclTrail& trail = packet.aside->acl;
    std::uint8_t from_mark = kNoDscp, to_mark = kNoDscp;
    trail.clear();
    if (decides(own.decided_from)) {
        const Decision from = ask_slot(context, packet, packet.frame.key.port, Direction::kFromVm);
        if (from.verdict == Verdict::kDrop) { set_drop(own, from, Direction::kFromVm); }
        from_mark = from.set_dscp;
    }
    trail.end_source();
    if (decides(own.decided_to) && own.output != kNoPort) {
        const Decision to = ask_slot(context, packet, own.output, Direction::kToVm);
        if (to.verdict == Verdict::kDrop) { set_drop(own, to, Direction::kToVm); }
        to_mark = to.set_dscp;
    }
    if (own.ending != Ending::kDrop) { set_marks(own, packet.frame.key, from_mark, to_mark); }
    return own.drop_slot != kSlotDvfilter;
}

}  // namespace

Program template_of(const Program& program) noexcept {
    Program shared = program;
    set_marks(shared, FlowKey{}, kNoDscp, kNoDscp);
    shared.flags |= kProgramTemplate;
    if (program.tracked) { shared.steps[shared.step_count++] = Step{StepKind::kConnection, 0, 0}; }
    shared.tracked = false;
    return shared;
}

// The packet is accounted for by itself; in the flow's own figures it counts as folded already.
void run_template(WorkerContext& context, Packet& packet) noexcept {
    FlowState& shared = *packet.flow;
    FlowCold& cold = context.flows.cold(packet.index);
    PacketAside& aside = *packet.aside;
    const std::uint32_t size = packet.frame.frame_size;
    shared.last_used_ms = context.now_ms;
    shared.packets += 1;
    shared.bytes += size;
    cold.folded_packets += 1;
    cold.folded_bytes += size;
    if ((shared.program.flags & kProgramLearnedFrom) != 0) {
        touch_source(context, packet.frame.key, context.now_ms);
    }
    Program own = unfold(shared.program);
    bool passes = true;
    if (has_acl(own)) { passes = judge(context, packet, own); }
    aside.state = FlowState{};
    aside.state.program = own;
    aside.rule_from = passes ? cold.rule_from : RuleId{};
    aside.rule_to = passes ? cold.rule_to : RuleId{};
    packet.flow = &aside.state;
}

}  // namespace sluice::datapath
