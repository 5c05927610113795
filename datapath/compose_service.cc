// SPDX-License-Identifier: Apache-2.0
// The services' part of a composition (composer.h): slots 4 to 12 of both vNICs are asked once a
// connection, by the packet that opens it; from then on its pins say where its packets go, and
// those that come back go on from there. docs/adr/0039-a-connection-is-pinned-to-its-services.md.
// Worker.
#include "datapath/composer.h"
#include "datapath/parse_layers.h"
#include "datapath/reply_key.h"
#include "datapath/service_choice.h"

namespace sluice::datapath {
namespace {

bool is_icmp(const FlowKey& key) noexcept {
    return key.protocol == kProtocolIcmp || key.protocol == kProtocolIcmpv6;
}

}  // namespace

bool Composer::has_services(const PortConfig& port) const noexcept {
    const auto& slots = port.chain->slots;
    return std::any_of(slots.begin() + kServiceSlotMin, slots.begin() + kServiceSlotMax + 1,
                       [](const auto& slot) { return slot != nullptr; });
}

// Who answers only ever is not asked, nor is what a service itself sends.
void Composer::ask_for_services() noexcept {
    choices.count = 0;
    asks_services = context.snapshot->service_rules.size() > 1 && may_track && !has_connection &&
                    tuple.may_open && returned_by == kNoService && in.leg_of == kNoService;
}

// Whether a connection is needed that no firewall asks for: its packets are redirected, or those
// that answer would be, if nobody knew that they answer.
bool Composer::wants_pins(const PortConfig* out) noexcept {
    if (is_redirected || choices.count > 0) { return true; }
    if (context.snapshot->service_rules.size() <= 1 || !may_track) { return false; }
    if (has_connection) {
        // Once that one between others has ended, this packet may open its own.
        if (!is_party) { program.flags |= kProgramTransient; }
        return is_party && (has_services(in) || (out != nullptr && has_services(*out)));
    }
    return asks_services && answer_is_redirected(out);
}

bool Composer::answer_is_redirected(const PortConfig* out) noexcept {
    if (is_icmp(key)) { return false; }
    ServiceChoices answered;
    const FlowKey answer = reply_key(key, program.output);
    const auto ask = [&](const PortConfig& port, Direction direction) {
        if (!has_services(port)) { return true; }
        DecideInput asked = input(direction);
        DecideInput turned{answer, direction};
        turned.bindings = asked.bindings;
        turned.bindings.holders = holders.turned();
        turned.services = &answered;
        return decide(*port.chain, turned).verdict == Verdict::kPass;
    };
    const bool passes =
        (out == nullptr || ask(*out, Direction::kFromVm)) && ask(in, Direction::kToVm);
    return passes && answered.count > 0;
}

// The connection of the packet has been found or opened: on it goes by its services.
void Composer::redirect() noexcept {
    if (!program.tracked) { return; }
    if (trace != nullptr) { return trace_services(); }
    if (!program.connection.is_set()) { return; }
    if (has_opened) {
        is_redirected = pin_services(context, program.connection, choices);
        if (is_redirected) {
            ServicePins& pins = context.pins.of(program.connection);
            pins.is_sealed = is_covered(key, program);
            pins.seal();
        }
    } else if (!has_connection) {  // Another worker's packet was first.
        const Connection* record = context.connections.get(program.connection);
        is_redirected = record != nullptr && record->redirected != 0;
    }
    if (!is_redirected) { return; }
    if (is_anybody) { context.pins.of(program.connection).responder = key.port; }
    // Which of them work is asked at the end: what the connection step drops pins nothing anew.
    if (hop_behind(context, program.connection, program.side, kNoService) == nullptr) { return; }
    program.ending = Ending::kRedirect;
    judged_from = program.decided_from;
    judged_to = program.decided_to;
    if (keep_slots_between(context, program, kNoService)) { return; }
    rule_to = RuleId{};
    packet.aside->acl.keep_source();
}

// It comes from a service: on to the next one, or to where it goes. Connection, learning and the
// sender's rules had their turn before.
void Composer::resume(const Decision& from, const Decision& to) noexcept {
    program.flags |= kProgramReturned;
    if (key.has(kKeyTagged)) { program.flags |= kProgramEnteredTagged; }
    if (!from.stateful && !to.stateful) { program.flags |= kProgramHitsByPacket; }
    const bool goes_on =
        hop_behind(context, program.connection, program.side, returned_by) != nullptr;
    program.ending = goes_on ? Ending::kRedirect : Ending::kResume;
    judged_from = program.decided_from;
    judged_to = program.decided_to;
    const bool arrives = keep_slots_between(context, program, returned_by);
    rule_from = RuleId{};
    if (!arrives || to.rule == from.rule) { rule_to = RuleId{}; }
    packet.aside->acl.drop_source();
    if (!arrives) { packet.aside->acl.keep_source(); }
}

void Composer::refuse_return() noexcept {
    set_drop(DropReason::kServiceReturn);
    program.flags = kProgramReturned | kProgramTransient;
}

// A connection that a service's leg opened with the addresses of this packet's sender: what was on
// its way through the service when its own connection was flushed.
bool Composer::is_usurped(const Connection& record) const noexcept {
    if (returned_by != kNoService || in.leg_of != kNoService) { return false; }
    const PortConfig* opener = context.snapshot->port(record.opener_port);
    return program.side == ConnectionSide::kOpener && opener != nullptr &&
           opener->leg_of != kNoService;
}

void Composer::forget_usurper() noexcept {
    close_connection();
    has_connection = is_party = is_redirected = is_logged = false;
}

// What would happen: as if each service gave the packet back.
void Composer::trace_services() noexcept {
    const auto add = [&](std::uint16_t instance, std::uint16_t rule, std::uint8_t slot,
                         bool is_receivers) {
        TraceStep& step = trace->add(TraceWhat::kRedirect);
        step.port = is_receivers ? program.output : key.port;
        step.direction = is_receivers ? Direction::kToVm : Direction::kFromVm;
        step.slot = slot;
        step.argument = instance;
        step.detail = rule;
    };
    if (has_connection) {
        const bool by_opener = program.side == ConnectionSide::kOpener;
        const ServiceHop* hop = hop_behind(context, program.connection, program.side, kNoService);
        while (hop != nullptr) {
            add(hop->instance, hop->rule, hop->slot, hop->of_receiver == by_opener);
            hop = hop_behind(context, program.connection, program.side, hop->instance);
        }
        return;
    }
    const std::uint64_t hash = service_hash(tuple.tuple);
    for (std::uint8_t i = 0; i < choices.count; ++i) {
        const ServiceChoice& choice = choices.items[i];
        const ServiceRuleConfig& rule = context.snapshot->service_rules[choice.rule];
        const std::uint16_t instance = pick_instance(rule, context.services, hash, context.now_ns);
        add(instance, choice.rule, choice.slot, choice.of_receiver);
        if (instance == kNoService && rule.on_failure == model::OnFailure::kClosed) {
            trace->steps[trace->count - 1].reason = DropReason::kServiceDown;
            return set_drop(DropReason::kServiceDown);
        }
    }
}

}  // namespace sluice::datapath
