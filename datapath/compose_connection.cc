// SPDX-License-Identifier: Apache-2.0
// The connection's part of a composition (composer.h): finds the one that a first packet belongs
// to, judges it again, or opens it. Worker.
#include "datapath/checksum.h"
#include "datapath/composer.h"
#include "sluice/iochain/expectation_table.h"

namespace sluice::datapath {
namespace {

// A rule of either side wants the payload read.
bool wants_alg(const Decision& from, const Decision& to) noexcept {
    return from.alg != model::Alg::kNone || to.alg != model::Alg::kNone;
}

}  // namespace

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

// A frame with a connection's tuple that runs between other vNICs (a forged address) is tracked
// like the rest, but judged by its own key, and what is decided of it says nothing on the
// connection: else one vNIC's policy could end what another's allows.
void Composer::find_connection() noexcept {
    may_track = key.is_ip() && !key.destination_mac.is_group();
    if (!may_track) { return; }
    tuple = is_foreseen(context, packet) ? packet.aside->tuple : tuple_of(key, domain->tracking);
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
    is_redirected = is_party && record.redirected != 0;
    if (is_usurped(record)) { return forget_usurper(); }
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
        context.connections.expectations().find(key, domain->tracking, context.now_ns, parent_key);
    if (is_announced) { view.parent_key = &parent_key; }
}

// Uplinks and VTEPs lead to the same fabric: which one carries a packet may change any time.
bool Composer::is_same_place(PortIndex a, PortIndex b) const noexcept {
    if (a == b) { return true; }
    const PortConfig* one = context.snapshot->port(a);
    const PortConfig* other = context.snapshot->port(b);
    return one != nullptr && other != nullptr && one->is_uplink && other->is_uplink;
}

// Whether the frame goes from one side's vNIC to the other's. Who answers an unknown unicast is not
// recorded: it may be anybody but the owner of a MAC that the switch knows; what a router takes on
// was none.
bool Composer::runs_between(const Connection& record) noexcept {
    const bool by_opener = program.side == ConnectionSide::kOpener;
    const PortIndex sender = by_opener ? record.opener_port : record.responder_port;
    const PortIndex receiver = by_opener ? record.responder_port : record.opener_port;
    const bool is_sender = sender == kNoPort ? may_answer() : is_same_place(sender, key.port);
    if (!is_sender) { return false; }
    if (receiver == kNoPort) {
        return !path().is_routed && domain->macs.find(key.destination_mac) == kNoPort;
    }
    const Destination& to = path().to;
    is_direct = to.port != kNoPort && is_same_place(to.port, receiver);
    return is_direct || (!to.is_known && is_flooded(receiver));
}

void Composer::attach_connection(const Decision& from, const Decision& to) noexcept {
    if (has_connection) {
        if (!is_party) { program.flags |= kProgramForeign; }
        rejudge_connection(from, to);
    } else {
        open_connection(from, to);
    }
    program.tracked = program.ending != Ending::kDrop;
    if (choices.count > 0 || is_redirected) [[unlikely]] { redirect(); }
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
        const bool is_complete = packet.aside->fragment.complete;
        // Goes on, judged by the rules; opens nothing yet, lest it pass its services by.
        if (!is_complete && choices.count == 0) { return; }
        if (is_complete && !context.fragments.whole(packet.aside->fragment.datagram, whole)) {
            return refuse_open(DropReason::kFragmentNoHead, from);
        }
        if (is_complete) { opening = &whole; }
    }
    OpenRequest request;
    request.tuple = tuple;
    request.opener_port = key.port;
    request.responder_port = responder();
    request.opener_rule = from.rule;
    request.responder_rule = to.rule;
    request.opener_stateful = from.stateful;
    request.responder_stateful = to.stateful;
    request.tcp_strict = (from.stateful || to.stateful) && (!from.stateful || from.tcp_strict) &&
                         (!to.stateful || to.tcp_strict);
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
        !context.connections.expectations().take(key, domain->tracking, context.now_ns)) {
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
    program.set_drop_slot(static_cast<std::uint8_t>(kSlotDfw),
                          from.stateful ? Direction::kFromVm : Direction::kToVm);
    program.flags |= kProgramTransient;
    rule_from = RuleId{};
    rule_to = RuleId{};
}

void Composer::count_hit(RuleId rule) noexcept {
    if (rule.value != 0) { context.rules[rule_slot(rule)].hits.add(1); }
}

}  // namespace sluice::datapath
