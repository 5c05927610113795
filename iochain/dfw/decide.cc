// SPDX-License-Identifier: Apache-2.0
// Slot 2's verdicts. decide(): the first packet of a flow, and each flow again when the policy
// changes; a reply is judged by the key of the packet that opened its connection (table in
// README.md). inspect(): frames that are conversations with the switch pass here (slot 1 judges
// them), ICMP errors only with the connection they quote. Workers.
#include <cstring>

#include "iochain/dfw/program.h"
#include "iochain/slot_entry.h"

namespace sluice::iochain {
namespace {

DropReason conclude(const RuleOutcome& outcome, Decision& decision) noexcept {
    decision.rule = outcome.id;
    decision.stateful = outcome.stateful;
    decision.tcp_strict = outcome.tcp_strict;
    decision.log = outcome.log;
    decision.alg = outcome.alg;
    if (outcome.allow) { return DropReason::kNone; }
    return outcome.reject ? DropReason::kDfwReject : DropReason::kDfwDeny;
}

Direction opposite(Direction direction) noexcept {
    return direction == Direction::kFromVm ? Direction::kToVm : Direction::kFromVm;
}

/// True if the packet answers on a side of the connection that a stateful rule let through.
bool is_stateful_reply(const DecideInput& input) noexcept {
    const ConnectionView* connection = input.connection;
    if (connection == nullptr || connection->side != ConnectionSide::kResponder) { return false; }
    // From the VM, a reply comes from the responder; to the VM, it goes to the opener.
    return input.direction == Direction::kFromVm ? connection->responder_stateful
                                                 : connection->opener_stateful;
}

/// The stateful rule that let the opener's packet through on this side still does.
DropReason conclude_again(const DecideInput& input, Decision& decision) noexcept {
    decision.rule = input.direction == Direction::kFromVm ? input.connection->responder_rule
                                                          : input.connection->opener_rule;
    decision.stateful = true;
    return DropReason::kNone;
}

/// The rule that lets the parent of an announced connection through on this side, if it asks for an
/// ALG; nullptr: the packet is judged like any other.
const RuleOutcome* announcing_rule(const DfwProgram& dfw, const DecideInput& input,
                                   IpFamily family) noexcept {
    const FlowKey* parent = input.connection != nullptr ? input.connection->parent_key : nullptr;
    if (parent == nullptr) { return nullptr; }
    const bool same_way =
        std::memcmp(parent->source_ip, input.key.source_ip, sizeof parent->source_ip) == 0;
    const AddressHolders& holders = input.bindings.holders;
    const RuleOutcome& outcome =
        same_way ? dfw.judge(*parent, family, input.direction, holders)
                 : dfw.judge(*parent, family, opposite(input.direction), holders.turned());
    return outcome.allow && outcome.alg != model::Alg::kNone ? &outcome : nullptr;
}

}  // namespace

DropReason decide_dfw(const SlotProgram& program, const DecideInput& input,
                      Decision& decision) noexcept {
    if (!input.key.is_ip()) { return DropReason::kNone; }
    const auto& dfw = static_cast<const DfwProgram&>(program);
    const IpFamily family = input.key.family();
    if (const RuleOutcome* announcing = announcing_rule(dfw, input, family)) [[unlikely]] {
        return conclude(*announcing, decision);
    }
    if (is_stateful_reply(input)) {
        if (input.connection->is_current) { return conclude_again(input, decision); }
        const RuleOutcome& opening =
            dfw.judge(input.connection->opener_key, family, opposite(input.direction),
                      input.bindings.holders.turned());
        if (opening.stateful) { return conclude(opening, decision); }
    }
    return conclude(
        dfw.judge(input.key, family, input.direction, input.bindings.holders, input.judgement),
        decision);
}

void foresee_dfw(const SlotProgram& program, std::span<const FlowKey* const> keys,
                 std::span<Judgement> out) noexcept {
    static_cast<const DfwProgram&>(program).foresee(keys, out);
}

DropReason inspect_dfw(const SlotProgram& program, const InspectInput& input,
                       Decision& decision) noexcept {
    if (input.frame.inspect_kind != InspectKind::kIcmpError || input.related) {
        return DropReason::kNone;
    }
    const FlowKey& key = input.frame.key;
    const auto& dfw = static_cast<const DfwProgram&>(program);
    const RuleOutcome& outcome =
        dfw.judge(key, key.family(), input.direction, input.bindings.holders);
    if (outcome.stateful || !outcome.allow) { return DropReason::kIcmpNoConnection; }
    return conclude(outcome, decision);
}

}  // namespace sluice::iochain
