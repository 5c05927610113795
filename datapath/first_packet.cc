// SPDX-License-Identifier: Apache-2.0
// First packet: composes a program from the source vNIC's chain, switching, the destination vNIC's
// chain and the connection. Also called for packets whose program is stale. With a connection,
// every decision judges it again by its opener's key, so a rule change ends what it no longer
// allows at the next packet, whichever direction that has.
#include <algorithm>

#include "datapath/checksum.h"
#include "datapath/stages.h"
#include "datapath/trace.h"
#include "sluice/base/assert.h"
#include "sluice/iochain/expectation_table.h"

namespace sluice::datapath {
namespace {

// A rule of either side wants the payload read.
bool wants_alg(const Decision& from, const Decision& to) noexcept {
    return from.alg != model::Alg::kNone || to.alg != model::Alg::kNone;
}

// One composition: the inputs and what comes of them.
struct Composer {
    Composer(WorkerContext& c, Packet& p, const PortConfig& port) noexcept
        : context(c), packet(p), in(port), key(p.frame.key) {
        if (is_foreseen(context, packet)) { judgement = packet.aside->judgement; }
    }

    WorkerContext& context;
    Packet& packet;
    const PortConfig& in;
    const FlowKey& key;
    const Domain* domain = nullptr;
    TupleOfFrame tuple;
    bool may_track = false;  // Unicast IP: the kinds of frame that connections are made of.
    bool has_connection = false;
    bool is_party = false;      // It runs between the two vNICs of the connection.
    bool is_direct = false;     // Its receiver is known to be the connection's other side.
    bool is_anybody = false;    // It answers an unknown unicast: its vNIC is one of several.
    bool is_announced = false;  // There is none, and another connection announced this one.
    FlowKey parent_key;         // Of that one; also of the connection's, if it was announced.
    Judgement judgement;        // Of the key. May begin with what was foreseen.
    AddressHolders holders;     // Of the key.
    ConnectionView view{};      // Meaningful if has_connection, or from has_opened on.
    Program program;
    bool has_opened = false;  // The connection is this packet's.
    RuleId rule_from, rule_to;
    bool by_flags = false;   // With other TCP flags it may be decided otherwise.
    Trace* trace = nullptr;  // Dry: nothing is changed but this.
    bool is_logged = false;  // Its connection is: its packets are accounted for one by one.

    void run() noexcept;
    /// Of a trace: how it ends.
    void note_ending() noexcept {
        packet.aside->state.program = program;
        trace->add_ending(context, packet, *domain, input(Direction::kToVm));
    }
    /// True if its packets can't share one program.
    [[nodiscard]] bool is_template() const noexcept {
        return by_flags || (is_logged && program.tracked);
    }

private:
    bool compose() noexcept;
    void find_connection() noexcept;
    [[gnu::noinline]] void find_announcement() noexcept;
    void set_drop(DropReason reason) noexcept;
    bool set_chain_drop(const Decision& decision, Direction direction) noexcept;
    [[nodiscard]] bool is_from_here() noexcept;
    [[nodiscard]] bool learn() noexcept;
    bool switch_frame() noexcept;
    bool enter_copies(const Decision& from) noexcept;
    [[nodiscard]] Decision judge_receivers() noexcept;
    bool enter_destination(const PortConfig& out, const Decision& from) noexcept;
    void set_ending(const PortConfig& out) noexcept;
    void attach_connection(const Decision& from, const Decision& to) noexcept;
    void rejudge_connection(const Decision& from, const Decision& to) noexcept;
    void open_connection(const Decision& from, const Decision& to) noexcept;
    void refuse_open(DropReason reason, const Decision& from) noexcept;
    void count_hit(RuleId rule) noexcept;
    void log(FirewallEventKind kind, const Decision& decision, Direction direction) noexcept;
    void log_passage(FirewallEventKind kind, const Decision& from, const Decision& to) noexcept;
    void close_connection() noexcept;
    void note_slots(PortIndex port, Direction direction, const Decision& decision) noexcept;
    [[nodiscard]] bool judged_by_opener(Direction direction) const noexcept;
    [[nodiscard]] bool runs_between(const Connection& record) noexcept;
    /// Of an unknown unicast: who received it, unless its MAC is one that the switch knows.
    [[nodiscard]] bool may_answer() const noexcept {
        return domain->macs.find(key.source_mac) == kNoPort &&
               (key.port == domain->uplink || is_flooded(key.port));
    }
    [[nodiscard]] bool is_flooded(PortIndex port) const noexcept {
        return std::find(domain->flood.begin(), domain->flood.end(), port) != domain->flood.end();
    }
    [[nodiscard]] PortIndex responder() const noexcept {
        const bool may_be_several =
            (program.flags & kProgramFlood) != 0 && program.ending == Ending::kMirrored;
        return may_be_several ? kNoPort : program.output;
    }
    /// What this packet, the opener's, was judged under. 0: not to be taken over by a reply, since
    /// many might receive it, or a third port's binding was followed.
    [[nodiscard]] std::uint32_t judged_by(PortIndex receiver) const noexcept {
        if (receiver == kNoPort || is_held_aside(holders, key.port, receiver)) { return 0; }
        return judged_under(context, key.port, receiver);
    }
    [[nodiscard]] bool has_firewall(const PortConfig& port) const noexcept {
        return port.chain->slots[kSlotDfw] != nullptr;
    }
    [[nodiscard]] DecideInput input(Direction direction) noexcept {
        return {key,
                direction,
                is_party || is_announced ? &view : nullptr,
                {&context.learned, domain->id, context.now_ns, &domain->owners, holders},
                &judgement,
                packet.frame.tcp_flags,
                &packet.aside->acl};
    }
};

void Composer::set_drop(DropReason reason) noexcept {
    program.ending = Ending::kDrop;
    program.reason = reason;
}

// Whether slot 2 judged this packet of a connection by the opener's key: then its verdict is one on
// the connection.
bool Composer::judged_by_opener(Direction direction) const noexcept {
    if (view.side == ConnectionSide::kOpener) { return true; }
    return direction == Direction::kFromVm ? view.responder_stateful : view.opener_stateful;
}

void Composer::close_connection() noexcept {
    if (trace != nullptr) { return; }
    context.connections.close(context.options.index, program.connection);
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
    if (by_firewall && is_party && decides && judged_by_opener(direction)) {
        close_connection();
        if (trace != nullptr) { trace->add(TraceWhat::kAgain); }
        has_connection = is_party = is_logged = false;
        return false;
    }
    set_drop(decision.reason);
    program.drop_slot = decision.slot;
    program.drop_direction = direction;
    program.flags |= kProgramHitsByPacket;
    if (by_firewall) { (direction == Direction::kFromVm ? rule_from : rule_to) = decision.rule; }
    if (by_firewall && may_track) { program.flags |= kProgramRecheck; }
    if (by_flags && decision.slot == kSlotDvfilter) { program.flags |= kProgramTransient; }
    const bool is_rejected = decision.reason == DropReason::kDfwReject;
    const FirewallEventKind kind =
        is_rejected ? FirewallEventKind::kReject : FirewallEventKind::kDrop;
    if (by_firewall) { log(kind, decision, direction); }
    return true;
}

// For rules with `log`: one record a packet that was decided, so one a connection, or a refused
// flow.
void Composer::log(FirewallEventKind kind, const Decision& decision, Direction direction) noexcept {
    if (!decision.log || trace != nullptr) [[likely]] { return; }
    FirewallEvent event = event_of(key, context.now_ns);
    event.rule = decision.rule;
    const bool is_known = direction == Direction::kToVm && program.output != kNoPort;
    event.port = is_known ? program.output : key.port;
    event.kind = kind;
    event.direction = direction;
    event.source_vnic = key.port;
    event.destination_vnic = program.output;
    if (program.output == kNoPort && !key.destination_mac.is_group()) {
        event.destination_vnic = find_destination(context, program.domain, key).port;
    }
    context.firewall_events.push(event);
}

// A rule that let it through on both sides speaks once.
void Composer::log_passage(FirewallEventKind kind, const Decision& from,
                           const Decision& to) noexcept {
    log(kind, from, Direction::kFromVm);
    if (to.rule != from.rule) { log(kind, to, Direction::kToVm); }
}

// A frame with a connection's tuple that runs between other vNICs (a forged address) is tracked
// like the rest, but judged by its own key, and what is decided of it says nothing on the
// connection: else one vNIC's policy could end what another's allows.
void Composer::find_connection() noexcept {
    may_track = key.is_ip() && !key.destination_mac.is_group();
    if (!may_track) { return; }
    tuple = is_foreseen(context, packet) ? packet.aside->tuple : tuple_of(key, domain->id);
    if (tuple.hash == 0) { context.connections.prepare(tuple); }
    program.connection = context.connections.find(tuple, context.now_ns);
    if (!program.connection.is_set()) {
        if (!context.connections.expectations().is_empty()) [[unlikely]] { find_announcement(); }
        return;
    }
    program.side = context.connections.side_of(program.connection, tuple);
    Connection record;
    has_connection = context.connections.snapshot(program.connection, record);
    if (!has_connection) { return; }
    fill_view(context, record, program.side, parent_key, view);
    is_logged = record.logged != 0;
    if (trace != nullptr) {
        trace->add(TraceWhat::kConnection);
        trace->connection = record;
        trace->by_opener = program.side == ConnectionSide::kOpener;
    }
    is_party = runs_between(record);
    // What the document says of both ends has not changed since it was asked; who answers an
    // unknown unicast was not.
    view.is_current = is_party && is_direct && record.responder_port != kNoPort &&
                      record.judged_generation ==
                          judged_under(context, record.opener_port, record.responder_port);
    view.opener_rule = record.opener_rule;
    view.responder_rule = record.responder_rule;
    is_anybody = program.side == ConnectionSide::kResponder && record.responder_port == kNoPort;
}

void Composer::find_announcement() noexcept {
    is_announced =
        context.connections.expectations().find(key, domain->id, context.now_ns, parent_key);
    if (is_announced) { view.parent_key = &parent_key; }
}

// Whether the frame goes from one side's vNIC to the other's. Who answers an unknown unicast is not
// recorded: it may be anybody but the owner of a MAC that the switch knows.
bool Composer::runs_between(const Connection& record) noexcept {
    const bool by_opener = program.side == ConnectionSide::kOpener;
    const PortIndex sender = by_opener ? record.opener_port : record.responder_port;
    const PortIndex receiver = by_opener ? record.responder_port : record.opener_port;
    const bool is_sender = sender == kNoPort ? may_answer() : sender == key.port;
    if (!is_sender) { return false; }
    if (receiver == kNoPort) { return domain->macs.find(key.destination_mac) == kNoPort; }
    const Destination to = find_destination(context, program.domain, key);
    is_direct = to.port == receiver;
    return is_direct || (!to.is_known && is_flooded(receiver));
}

void Composer::run() noexcept {
    const std::uint16_t index = ingress_domain(in, key);
    program.domain = index;
    if (trace != nullptr) { trace->add(TraceWhat::kDomain).argument = index; }
    if (index == kNoDomain) {
        set_drop(DropReason::kVlanNotAllowed);
        return;
    }
    domain = &context.snapshot->domains[index];
    holders = holders_of(context, index, key);
    find_connection();
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

bool Composer::compose() noexcept {
    program.flags = 0;
    program.step_count = 0;
    if (in.is_uplink && is_from_here()) { return true; }
    by_flags = false;
    packet.aside->acl.clear();
    const Decision from = decide(*in.chain, input(Direction::kFromVm));
    packet.aside->acl.end_source();
    note_slots(key.port, Direction::kFromVm, from);
    by_flags = from.by_flags;
    program.decided_from = from.decided;
    program.decided_to = 0;
    program.output = kNoPort;
    if (from.verdict == Verdict::kDrop) { return set_chain_drop(from, Direction::kFromVm); }
    if (!learn() || !switch_frame()) { return true; }
    if (program.output == kNoPort) { return enter_copies(from); }
    return enter_destination(*context.snapshot->port(program.output), from);
}

// A frame of this host that the fabric sent back. Only frames from the uplink are asked.
bool Composer::is_from_here() noexcept {
    program.flags |= kProgramLearnedFrom;
    if (!is_reflected(context, program.domain, key.source_mac)) { return false; }
    set_drop(DropReason::kReflected);
    return true;
}

// False: no room for the source MAC, the program drops.
bool Composer::learn() noexcept {
    if (!is_foreign(in, *domain, key.source_mac)) { return true; }
    program.flags |= kProgramLearnedFrom;
    if (trace != nullptr) {
        trace->add(TraceWhat::kLearn).port = key.port;
        return true;
    }
    const DropReason reason = learn_source(context, in, program.domain, key);
    if (reason == DropReason::kNone) { return true; }
    set_drop(reason);
    program.drop_slot = static_cast<std::uint8_t>(kSlotSwsec);
    program.drop_direction = Direction::kFromVm;
    return false;
}

// Finds where the frame goes. False: nowhere, the program drops.
bool Composer::switch_frame() noexcept {
    if (key.destination_mac.is_group()) {
        program.ending = Ending::kReplicate;
        if (is_reserved_group(key.destination_mac)) { set_drop(DropReason::kReservedMac); }
        return program.ending == Ending::kReplicate;
    }
    const Destination to = find_destination(context, program.domain, key);
    if (!to.is_static) { program.flags |= kProgramLearnedTo; }
    if (!to.is_known) { program.flags |= kProgramFlood; }
    if (to.port == kNoPort) {
        program.ending = Ending::kMirrored;
        const bool has_receiver = std::any_of(domain->flood.begin(), domain->flood.end(),
                                              [&](PortIndex port) { return port != key.port; });
        if (!has_receiver) { set_drop(DropReason::kUnknownUnicast); }
        return program.ending == Ending::kMirrored;
    }
    if (to.port == key.port) {
        set_drop(DropReason::kSamePort);
        return false;
    }
    program.output = to.port;
    if (trace != nullptr) {
        TraceStep& step = trace->add(to.is_known ? TraceWhat::kFound : TraceWhat::kUnknown);
        step.port = to.port;
        step.is_static = to.is_static;
    }
    if (!context.snapshot->port(to.port)->is_enabled) {
        set_drop(DropReason::kPortDisabled);
        return false;
    }
    return true;
}

// Every copy is judged at its own port. What answers a group has no connection; what answers an
// unknown unicast is a reply like any other, so that this frame opens one.
bool Composer::enter_copies(const Decision& from) noexcept {
    rule_from = from.rule;
    set_marks(program, key, from.set_dscp, kNoDscp);
    if (may_track) {
        const Decision to = judge_receivers();
        if (to.by_flags) { program.flags |= kProgramTransient; }
        if (from.stateful || to.stateful) {
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
        const Decision one = decide(*context.snapshot->port(member)->chain, receiver);
        hangs_on_flags = hangs_on_flags || one.by_flags;
        if (one.verdict == Verdict::kDrop || !one.stateful) { continue; }
        if (!all.stateful) { all = one; }
        all.tcp_strict = all.tcp_strict && one.tcp_strict;
    }
    all.by_flags = hangs_on_flags;
    return all;
}

bool Composer::enter_destination(const PortConfig& out, const Decision& from) noexcept {
    const Decision to = decide(*out.chain, input(Direction::kToVm));
    note_slots(program.output, Direction::kToVm, to);
    program.decided_to = to.decided;
    by_flags = by_flags || to.by_flags;
    if (to.verdict == Verdict::kDrop) { return set_chain_drop(to, Direction::kToVm); }
    rule_from = from.rule;
    rule_to = to.rule;
    set_ending(out);
    set_marks(program, key, from.set_dscp, to.set_dscp);
    if (from.stateful || to.stateful) {
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
    if (const auto step = egress_vlan_step(out, *domain, key)) {
        program.steps[program.step_count++] = *step;
    }
}

void Composer::attach_connection(const Decision& from, const Decision& to) noexcept {
    if (has_connection) {
        if (!is_party) { program.flags |= kProgramForeign; }
        rejudge_connection(from, to);
    } else {
        open_connection(from, to);
    }
    program.tracked = program.ending != Ending::kDrop;
}

// The rules that let a live connection through may be others than at its opening. Only the opener's
// packets say so: how a reply is judged depends on what is recorded here, and must not change it.
void Composer::rejudge_connection(const Decision& from, const Decision& to) noexcept {
    if (trace != nullptr || !is_party || program.side != ConnectionSide::kOpener) { return; }
    RejudgeRequest request;
    request.opener_rule = from.rule;
    request.responder_rule = to.rule;
    request.opener_stateful = from.stateful;
    request.responder_stateful = to.stateful;
    request.alg = wants_alg(from, to) && view.parent_key == nullptr;
    request.judged_generation = judged_by(responder());
    program.connection = context.connections.rejudge(program.connection, request);
}

void Composer::open_connection(const Decision& from, const Decision& to) noexcept {
    const ParsedFrame& frame = packet.frame;
    if (!tuple.may_open) {
        if (trace != nullptr) {
            trace->add(TraceWhat::kOpen).reason = DropReason::kIcmpNoConnection;
        }
        refuse_open(DropReason::kIcmpNoConnection, from);
        program.flags = static_cast<std::uint16_t>((program.flags & ~kProgramTransient) |
                                                   kProgramRecheck);  // The key alone says so.
        return;
    }
    if (frame.l4_checksum == L4Checksum::kUnknown && !l4_checksum_ok(*packet.mbuf, frame)) {
        return refuse_open(DropReason::kBadL4Checksum, from);
    }
    const ParsedFrame* opening = &frame;
    ParsedFrame whole;
    if (frame.fragment) {
        program.connection = ConnectionHandle{};
        if (!packet.aside->fragment.complete) {
            return;
        }  // Goes on, judged by the rules; opens nothing yet.
        if (!context.fragments.whole(packet.aside->fragment.datagram, whole)) {
            return refuse_open(DropReason::kFragmentNoHead, from);
        }
        opening = &whole;
    }
    OpenRequest request;
    request.tuple = tuple;
    request.opener_port = key.port;
    request.responder_port = responder();
    request.opener_rule = from.rule;
    request.responder_rule = to.rule;
    request.opener_stateful = from.stateful;
    request.responder_stateful = to.stateful;
    request.tcp_strict = (!from.stateful || from.tcp_strict) && (!to.stateful || to.tcp_strict);
    request.related = is_announced;
    request.alg = wants_alg(from, to) && !is_announced;
    request.logged = from.log || to.log;
    request.judged_generation = judged_by(responder());
    if (trace != nullptr) {
        const DropReason reason = reason_not_to_open(context, request, *opening);
        trace->add(TraceWhat::kOpen).reason = reason;
        if (reason != DropReason::kNone) { refuse_open(reason, from); }
        return;
    }
    const OpenResult opened =
        context.connections.open(context.options.index, request, *opening, context.now_ns);
    if (!opened.handle.is_set()) { return refuse_open(opened.reason, from); }
    if (is_announced && opened.opened &&
        !context.connections.expectations().take(key, domain->id, context.now_ns)) {
        context.connections.close(context.options.index, opened.handle);
        return refuse_open(DropReason::kDfwDeny, from);  // Another worker's packet was first.
    }
    program.connection = opened.handle;
    program.side = context.connections.side_of(opened.handle, tuple);
    count_hit(from.rule);
    if (to.rule != from.rule) { count_hit(to.rule); }
    has_opened = opened.opened;
    is_logged = request.logged;
    if (!opened.opened) { return; }
    view = ConnectionView{ConnectionSide::kResponder,
                          key,
                          from.stateful,
                          to.stateful,
                          true,
                          from.rule,
                          to.rule,
                          is_announced ? &parent_key : nullptr};
    log_passage(FirewallEventKind::kOpen, from, to);
}

// This packet can't open the connection that its key may have: charged to the firewall that asked
// for one.
void Composer::refuse_open(DropReason reason, const Decision& from) noexcept {
    set_drop(reason);
    program.drop_slot = static_cast<std::uint8_t>(kSlotDfw);
    program.drop_direction = from.stateful ? Direction::kFromVm : Direction::kToVm;
    program.flags |= kProgramTransient;
    rule_from = RuleId{};
    rule_to = RuleId{};
}

void Composer::count_hit(RuleId rule) noexcept {
    if (rule.value != 0) { context.rules[rule_slot(rule)].hits.add(1); }
}

bool drops(const Program& program) noexcept { return program.ending == Ending::kDrop; }

// A stale entry keeps its place if the new program belongs to the same list of its port. False: no
// room.
bool cache(WorkerContext& context, Packet& packet, const Composer& composed) noexcept {
    const Program program =
        composed.is_template() ? template_of(composed.program) : composed.program;
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

void decide_packet(WorkerContext& context, Packet& packet) noexcept {
    const PortConfig* in = context.snapshot->port(packet.frame.key.port);
    Composer composer(context, packet, *in);
    composer.run();
    if (composer.program.reason == DropReason::kSpoofedIp) {
        const BindingClaims tried{{composer.key.source()}, 1, LearnedSource::kData};
        note_refused(context, composer.key, composer.domain->id, tried);
    }
    packet.flow = &packet.aside->state;
    const bool may_cache = context.options.flow_cache && !packet.frame.fragment;
    const bool is_cached = may_cache && (composer.program.flags & kProgramTransient) == 0 &&
                           cache(context, packet, composer);
    if (is_cached && !composer.is_template()) {
        if (composer.has_opened) { cache_reply(context, packet, *in, composer.view); }
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
}

}  // namespace sluice::datapath
