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
    const Program& program = packet.flow->program;
    FlowKey key = packet.frame.key;
    const BindingView bindings = view_bindings(context, program.domain, key);
    if (direction == Direction::kToVm && program.steps.rewrite != 0) {  // As it leaves.
        const Rewrite& hop = context.rewrites.row(program.steps.rewrite);
        key.source_mac = hop.source;
        key.destination_mac = hop.destination;
    }
    DecideInput input{key, direction};
    input.bindings = bindings;
    input.tcp_flags = packet.frame.tcp_flags;
    input.acl = &packet.aside->acl;
    return decide_acl(*context.snapshot->port(port)->chain, input);
}

// As the first packet's composition would have it: nobody behind the slot was asked.
void set_drop(Program& program, const Decision& decision, Direction direction) noexcept {
    program.ending = Ending::kDrop;
    program.reason = decision.reason;
    program.flags =
        static_cast<std::uint16_t>(kProgramHitsByPacket | (program.flags & kProgramReturned));
    program.set_drop_slot(decision.slot, direction);
    program.tracked = false;
    program.steps = Steps{};
    if (direction == Direction::kToVm) { return; }
    program.output = kNoPort;
    program.decided_from = decision.decided;
    program.decided_to = 0;
}

// The program that the template stands for, without its marks.
Program unfold(const Program& shared) noexcept {
    Program own = shared;
    own.tracked = (shared.flags & kProgramTracks) != 0;
    own.flags = static_cast<std::uint16_t>(own.flags & ~(kProgramTemplate | kProgramTracks));
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

bool is_served(const Program& own) noexcept {
    return own.ending == Ending::kRedirect || (own.flags & kProgramReturned) != 0;
}

// The rest of the slots, and of their rules, is counted before the service, or behind it.
void keep_own_part(WorkerContext& context, Packet& packet, Program& own) noexcept {
    const bool is_back = (own.flags & kProgramReturned) != 0;
    const FlowKey& key = context.flows.entry(packet.index).key;
    const bool arrives =
        keep_slots_between(context, own, is_back ? instance_behind(context, key) : kNoService);
    if (is_back) { packet.aside->acl.drop_source(); }
    if (!arrives) { packet.aside->acl.keep_source(); }
}

}  // namespace

Program template_of(const Program& program) noexcept {
    Program shared = program;
    set_marks(shared, FlowKey{}, kNoDscp, kNoDscp);
    shared.flags |= kProgramTemplate;
    if (program.tracked) { shared.flags |= kProgramTracks; }
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
    if (is_served(own)) { keep_own_part(context, packet, own); }
    aside.sender = cold.sender();
    aside.state = FlowState{};
    aside.state.program = own;
    aside.rule_from = passes ? cold.rule_from : RuleId{};
    aside.rule_to = passes ? cold.rule_to : RuleId{};
    packet.flow = &aside.state;
}

}  // namespace sluice::datapath
