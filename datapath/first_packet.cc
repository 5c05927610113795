// SPDX-License-Identifier: Apache-2.0
// First packet: composes a program from the source vNIC's chain, switching, the destination vNIC's
// chain and the connection. Also called for packets whose program is stale. With a connection,
// every decision judges it again by its opener's key, so a rule change ends what it no longer
// allows at the next packet, whichever direction that has.
#include "datapath/composer.h"
#include "sluice/base/assert.h"

namespace sluice::datapath {

void Composer::set_drop(DropReason reason) noexcept {
    program.ending = Ending::kDrop;
    program.reason = reason;
}

void Composer::note_slots(PortIndex port, Direction direction, const Decision& decision) noexcept {
    if (trace == nullptr) [[likely]] { return; }
    const AclTrail& acl = packet.aside->acl;
    const bool is_source = direction == Direction::kFromVm;
    trace->add_slots(port, direction, decision,
                     is_source ? acl.of_source() : acl.all().subspan(acl.of_source().size()));
}

// Returns false if the connection ended by it, so that the packet must be judged again without one.
bool Composer::set_chain_drop(const Decision& decision, Direction direction) noexcept {
    const bool by_firewall = decision.slot == kSlotDfw;
    // What one of several says who may answer does not end what another answers.
    const bool decides = !is_anybody || direction == Direction::kToVm;
    const bool is_back = returned_by != kNoService;
    if (by_firewall && is_party && decides && judged_by_opener(direction) && !is_back) {
        close_connection();
        if (trace != nullptr) { trace->add(TraceWhat::kAgain); }
        has_connection = is_party = is_redirected = is_logged = false;
        return false;
    }
    set_drop(decision.reason);
    program.set_drop_slot(decision.slot, direction);
    program.flags |= kProgramHitsByPacket;
    if (by_firewall) { (direction == Direction::kFromVm ? rule_from : rule_to) = decision.rule; }
    if (by_firewall && may_track) { program.flags |= kProgramRecheck; }
    if (by_flags && decision.slot == kSlotDvfilter) { program.flags |= kProgramTransient; }
    if (is_back) {
        program.flags |= kProgramReturned | kProgramTransient;
        keep_slots_between(context, program, returned_by);
        packet.aside->acl.drop_source();
    }
    const bool is_rejected = decision.reason == DropReason::kDfwReject;
    const FirewallEventKind kind =
        is_rejected ? FirewallEventKind::kReject : FirewallEventKind::kDrop;
    if (by_firewall) { log(kind, decision, direction); }
    return true;
}

void Composer::run() noexcept {
    const std::uint16_t index = ingress_domain(in, key);
    program.domain = index;
    if ((in.leg_of != kNoService || in.vtep != kNoVtep) && end_service_frame()) { return; }
    if (trace != nullptr) { trace->add(TraceWhat::kDomain).argument = index; }
    if (index == kNoDomain) {
        set_drop(DropReason::kVlanNotAllowed);
        return;
    }
    domain = &context.snapshot->domains[index];
    holders = find_both_holders();
    find_connection();
    is_stranger = returned_by != kNoService && !is_party;
    if (is_stranger) { return; }
    if (!compose()) {
        const bool composed = compose();  // Once more, without the connection that just ended.
        SLUICE_ASSERT(composed);
    }
    // A reply may have come this far by its connection only, and be dropped earlier, for another
    // reason, once that is gone.
    const bool is_reply = is_party && view.side == ConnectionSide::kResponder;
    if (is_reply && program.ending == Ending::kDrop) { program.flags |= kProgramTransient; }
    if (is_announced && !program.tracked) { program.flags |= kProgramTransient; }  // It may end.
    if (is_held_aside(holders, key.port, program.output)) { program.flags |= kProgramHeldAside; }
}

// As find_holders(), with the path that is asked for once.
AddressHolders Composer::find_both_holders() noexcept {
    if (!context.snapshot->follows_bindings) { return {}; }
    const bool is_routed = key.is_ip() && !key.destination_mac.is_group() && path().is_routed;
    if (!is_routed) { return find_holders(context, program.domain, key); }
    return {learned_holder(context, program.domain, key.source()),
            learned_holder(context, path().domain, key.destination())};
}

bool Composer::compose() noexcept {
    program.flags = 0;
    program.key_policy = 0;
    program.steps = Steps{};
    if (in.is_uplink && is_from_here()) { return true; }
    by_flags = false;
    packet.aside->acl.clear();
    ask_for_services();
    const Decision from = decide(*in.chain, input(Direction::kFromVm));
    packet.aside->acl.end_source();
    note_slots(key.port, Direction::kFromVm, from);
    by_flags = from.by_flags;
    program.decided_from = from.decided;
    program.decided_to = 0;
    program.output = kNoPort;
    if (from.verdict == Verdict::kDrop) { return set_chain_drop(from, Direction::kFromVm); }
    if (!learn() || !switch_frame()) { return true; }
    if (program.ending == Ending::kRouter || program.ending == Ending::kWait) {
        if (returned_by != kNoService) { program.flags |= kProgramReturned | kProgramTransient; }
        rule_from = from.rule;
        return true;
    }
    if (program.output == kNoPort) { return enter_copies(from); }
    return enter_destination(*context.snapshot->port(program.output), from);
}

// A frame of this host that the fabric sent back. Only frames from the uplink are asked.
bool Composer::is_from_here() noexcept {
    program.flags |= kProgramLearnedFrom;
    if (!is_reflected(context, program.domain, key.source_mac)) { return false; }
    set_drop(reflected(in));
    return true;
}

// False: no room for the source MAC, the program drops.
bool Composer::learn() noexcept {
    if (!is_foreign(in, *domain, key.source_mac) || returned_by != kNoService) { return true; }
    program.flags |= kProgramLearnedFrom;
    if (trace != nullptr) {
        trace->add(TraceWhat::kLearn).port = key.port;
        return true;
    }
    const DropReason reason = learn_source(context, in, program.domain, key);
    has_path_ = false;  // Asked for the holders, before the MAC was known to be here.
    if (reason == DropReason::kNone) { return true; }
    set_drop(reason);
    program.set_drop_slot(static_cast<std::uint8_t>(kSlotSwsec), Direction::kFromVm);
    return false;
}

// Finds where the frame goes. False: nowhere, the program drops.
bool Composer::switch_frame() noexcept {
    if (key.destination_mac.is_group()) {
        program.ending = Ending::kReplicate;
        if (is_reserved_group(key.destination_mac)) { set_drop(DropReason::kReservedMac); }
        return program.ending == Ending::kReplicate;
    }
    if (!forward()) { return program.ending != Ending::kDrop; }
    const Destination& to = path().to;
    if (!to.is_static) { program.flags |= kProgramLearnedTo; }
    if (!to.is_known) { program.flags |= kProgramFlood; }
    if (to.is_teamed) { program.flags |= kProgramTeamed; }
    program.steps.remote = to.remote;
    if (to.port == kNoPort && !to.is_teamed) {
        program.ending = Ending::kMirrored;
        const bool has_receiver = std::any_of(domain->flood.begin(), domain->flood.end(),
                                              [&](PortIndex port) { return port != key.port; });
        if (!has_receiver) { set_drop(DropReason::kUnknownUnicast); }
        return program.ending == Ending::kMirrored;
    }
    const DropReason reason = refusal(context, key, path());
    if (reason != DropReason::kNone) {
        set_drop(reason);
        return false;
    }
    program.output = to.port;
    if (trace != nullptr) {
        TraceStep& step = trace->add(to.is_known ? TraceWhat::kFound : TraceWhat::kUnknown);
        step.port = to.port;
        step.is_static = to.is_static;
        step.is_told = to.is_told;
        step.argument = to.remote;
    }
    const PortConfig& out = *context.snapshot->port(to.port);
    if (!out.is_enabled) { set_drop(DropReason::kPortDisabled); }
    if (out.leg_of != kNoService) { set_drop(DropReason::kServiceLegOnly); }
    return program.reason == DropReason::kNone;
}

// The router's part. False: there is nothing to switch.
bool Composer::forward() noexcept {
    if (path().is_routed) {
        program.flags |= kProgramRouted;
        if (trace != nullptr) { trace->add(TraceWhat::kRouted).argument = path().domain; }
    }
    switch (path().kind) {
        case PathKind::kForward: break;
        case PathKind::kDrop: set_drop(path().reason); return false;
        case PathKind::kRouter: program.ending = Ending::kRouter; return false;
        case PathKind::kWait:
            program.ending = Ending::kWait;
            program.flags |= kProgramTransient;
            return false;
    }
    if (!path().is_routed) { return true; }
    program.steps.rewrite = acquire_rewrite(context, path());
    if (program.steps.rewrite != 0) { return true; }
    set_drop(DropReason::kNeighbourQueueFull);
    program.flags |= kProgramTransient;
    return false;
}

// Every copy is judged at its own port. What answers a group has no connection; what answers an
// unknown unicast is a reply like any other, so that this frame opens one.
bool Composer::enter_copies(const Decision& from) noexcept {
    rule_from = from.rule;
    set_marks(program, key, from.set_dscp, kNoDscp);
    const bool leaves_clear = domain->vni == 0;
    program.key_policy =
        leaves_clear ? from.seal_required ? kSealRequired : std::uint8_t{0} : from.key_policy;
    if (may_track) {
        const Decision to = judge_receivers();
        if (to.by_flags) { program.flags |= kProgramTransient; }
        if (returned_by != kNoService) {
            resume(from, to);
            return true;
        }
        if (from.stateful || to.stateful || wants_pins(nullptr)) {
            attach_connection(from, to);
            return true;
        }
        if (is_party) { close_connection(); }
        program.flags |= kProgramRecheck;
    }
    program.flags |= kProgramHitsByPacket;
    return true;
}

// What the vNICs that unknown unicast reaches want of a connection, taken together.
Decision Composer::judge_receivers() noexcept {
    Decision all;
    bool hangs_on_flags = false;
    for (const PortIndex member : domain->flood) {
        if (member == key.port) { continue; }
        DecideInput receiver = input(Direction::kToVm);
        receiver.acl = nullptr;
        ServiceChoices wanted;
        if (asks_services) { receiver.services = &wanted; }
        const Decision one = decide(*context.snapshot->port(member)->chain, receiver);
        hangs_on_flags = hangs_on_flags || one.by_flags;
        if (one.verdict == Verdict::kDrop) { continue; }
        for (std::uint8_t i = 0; i < wanted.count; ++i) { choices.add(wanted.items[i]); }
        if (!one.stateful) { continue; }
        if (!all.stateful) { all = one; }
        all.tcp_strict = all.tcp_strict && one.tcp_strict;
    }
    all.by_flags = hangs_on_flags;
    return all;
}

// Slot 15 of the sender, once it is known where the packet leaves. False: it must not leave there
// in the clear, and is dropped.
bool Composer::set_seal(const PortConfig& out, const Decision& from) noexcept {
    if (in.vtep != kNoVtep && out.vtep != kNoVtep && !path().is_routed) [[unlikely]] {
        program.key_policy = sealed_with(key.tunnel);  // A straggler, sent on as it came.
        return true;
    }
    if (from.key_policy == 0) [[likely]] { return true; }
    if (out.vtep != kNoVtep) {
        program.key_policy = from.key_policy;
        return true;
    }
    if (!out.is_uplink) {
        program.flags |= kProgramLocal;
        return true;
    }
    if (!from.seal_required) { return true; }
    set_drop(DropReason::kPolicyClear);
    program.set_drop_slot(static_cast<std::uint8_t>(kSlotEncrypt), Direction::kFromVm);
    program.flags |= kProgramHitsByPacket;
    rule_from = from.rule;
    if (trace != nullptr) { trace->add(TraceWhat::kDrop).reason = program.reason; }
    return false;
}

bool Composer::enter_destination(const PortConfig& out, const Decision& from) noexcept {
    if (!set_seal(out, from)) { return true; }
    const Decision to = decide(*out.chain, input(Direction::kToVm));
    note_slots(program.output, Direction::kToVm, to);
    program.decided_to = to.decided;
    by_flags = by_flags || to.by_flags;
    if (to.verdict == Verdict::kDrop) { return set_chain_drop(to, Direction::kToVm); }
    rule_from = from.rule;
    rule_to = to.rule;
    set_ending(out);
    set_marks(program, key, from.set_dscp, to.set_dscp);
    if (returned_by != kNoService) {
        resume(from, to);
        return true;
    }
    if (from.stateful || to.stateful || wants_pins(&out)) {
        if (may_track) { attach_connection(from, to); }
        return true;
    }
    program.flags |= kProgramHitsByPacket;
    log_passage(FirewallEventKind::kPass, from, to);
    if (is_party) { close_connection(); }  // Nobody tracks it any more.
    if (may_track && (has_firewall(in) || has_firewall(out))) { program.flags |= kProgramRecheck; }
    return true;
}

void Composer::set_ending(const PortConfig& out) noexcept {
    program.ending = Ending::kOutput;
    const bool is_unknown = (program.flags & kProgramFlood) != 0;
    for (const PortIndex member : is_unknown ? domain->flood : domain->promiscuous) {
        if (member != key.port && member != program.output) { program.ending = Ending::kMirrored; }
    }
    const Domain& leaves_in = context.snapshot->domains[path().domain];
    program.steps.vlan = egress_vlan_step(out, leaves_in, key);
}

namespace {

bool drops(const Program& program) noexcept { return program.ending == Ending::kDrop; }

// A stale entry keeps its place if the new program belongs to the same list of its port. False: no
// room.
bool cache(WorkerContext& context, Packet& packet, const Composer& composed) noexcept {
    Program program = composed.is_template() ? template_of(composed.program) : composed.program;
    if (composed.is_template() &&
        composed.is_served()) {  // Each packet keeps its part (template.cc).
        program.decided_from = composed.judged_from;
        program.decided_to = composed.judged_to;
    }
    if (packet.index != kNoFlow) {
        const FlowState& old = context.flows.entry(packet.index).state;
        if (drops(old.program) != drops(composed.program)) {
            context.flows.remove(packet.index);
            packet.index = kNoFlow;
        }
    }
    if (packet.index == kNoFlow) {
        packet.index = context.flows.insert(packet.frame.key, packet.hash, program);
        if (packet.index == kNoFlow) { return false; }
    } else {
        fold(context, packet.index);
        context.flows.entry(packet.index).state.program = program;
    }
    FlowState& state = context.flows.entry(packet.index).state;
    state.set_stamp(context.stamp);
    context.flows.cold(packet.index).rule_from = composed.rule_from;
    context.flows.cold(packet.index).rule_to = composed.rule_to;
    if (composed.returned_by != kNoService) {
        context.flows.cold(packet.index).sender_value = composed.entry_port.value;
    }
    if (has_acl(program)) { context.flows.set_acl(packet.index, packet.aside->acl); }
    packet.flow = &state;
    return true;
}

}  // namespace

void trace_packet(WorkerContext& context, Packet& packet, Trace& trace) noexcept {
    Composer composer(context, packet, *context.snapshot->port(packet.frame.key.port));
    composer.trace = &trace;
    composer.run();
    if (composer.domain != nullptr) { return composer.note_ending(); }
    trace.reason = composer.program.reason;
    trace.add(TraceWhat::kDrop).reason = trace.reason;
}

namespace {

// What was composed becomes the packet's program, cached or not.
void keep(WorkerContext& context, Packet& packet, const PortConfig& in,
          const Composer& composer) noexcept {
    packet.flow = &packet.aside->state;
    const bool may_cache = context.options.flow_cache && !packet.frame.fragment;
    const bool is_cached = may_cache && (composer.program.flags & kProgramTransient) == 0 &&
                           cache(context, packet, composer);
    if (is_cached && !composer.is_template()) {
        if (composer.has_opened) { cache_reply(context, packet, in, composer.view); }
        return;
    }
    if (is_cached) {  // A template; the packet has a program of its own, as those after it.
        packet.flow->last_used_ms = context.now_ms;
        packet.flow = &packet.aside->state;
    } else if (packet.index != kNoFlow) {  // A transient verdict says nothing on the cached
                                           // program, but that one is stale.
        context.flows.remove(packet.index);
        packet.index = kNoFlow;
    }
    packet.aside->state = FlowState{};
    packet.aside->state.program = composer.program;
    packet.aside->rule_from = composer.rule_from;
    packet.aside->rule_to = composer.rule_to;
    packet.aside->sender = composer.entry_port;
}

// A frame from a service's leg. False: it returns for no connection, and is one of the leg's own.
bool decide_returned(WorkerContext& context, Packet& packet) noexcept {
    const Recalled recalled = recall(context, packet);
    if (recalled.kind == Recalled::Kind::kStranger) { return false; }
    const FlowKey received = packet.frame.key;
    packet.frame.key = recalled.key;
    packet.aside->judgement = Judgement{};
    Composer composer(context, packet, *context.snapshot->port(recalled.key.port));
    composer.returned_by = recalled.instance;
    composer.entry_port = recalled.key.port;
    if (recalled.kind == Recalled::Kind::kReturned) {
        composer.run();
    } else {
        composer.refuse_return();
    }
    packet.frame.key = received;
    if (composer.is_stranger) { return false; }
    keep(context, packet, composer.in, composer);
    return true;
}

}  // namespace

void decide_packet(WorkerContext& context, Packet& packet) noexcept {
    const PortConfig& in = *context.snapshot->port(packet.frame.key.port);
    const bool is_of_service =
        in.leg_of != kNoService || (in.vtep != kNoVtep && packet.frame.key.has(kKeyTagged));
    if (is_of_service && decide_returned(context, packet)) [[unlikely]] { return; }
    Composer composer(context, packet, in);
    composer.run();
    if (composer.program.reason == DropReason::kSpoofedIp) {
        const BindingClaims tried{{composer.key.source()}, 1, LearnedSource::kData};
        note_refused(context, composer.key, composer.domain->id, tried);
    }
    keep(context, packet, in, composer);
}

}  // namespace sluice::datapath
