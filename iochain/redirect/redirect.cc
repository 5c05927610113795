// SPDX-License-Identifier: Apache-2.0
// Slots 4 to 12: which rule of the slot takes a connection that is being opened. Nothing is dropped
// here, and no other packet is asked: what was chosen is pinned to the connection
// (datapath/service_pins.cc). Compiled on the compile helper; decide on workers.
#include "sluice/iochain/redirect.h"

#include "iochain/dfw/rule_set.h"
#include "iochain/slot_entry.h"
#include "sluice/base/assert.h"

namespace sluice {
namespace iochain {
namespace {

/// What the program says of a rule of the table.
struct Outcome {
    std::uint16_t number = 0;
    bool redirects = false;
};
using Outcomes = std::shared_ptr<const std::vector<Outcome>>;

class RedirectProgram final : public SlotProgram {
public:
    RedirectProgram(std::uint8_t slot, std::shared_ptr<const RuleTable> table, Outcomes outcomes,
                    std::span<const std::uint32_t> applied)
        : slot_(slot), rules_(std::move(table), applied), outcomes_(std::move(outcomes)) {
        Fingerprint print = rules_.fingerprint();
        for (const std::uint32_t rule : applied) {
            const Outcome& outcome = (*outcomes_)[rule];
            print.add((std::uint64_t{outcome.number} << 1U) | (outcome.redirects ? 1U : 0U));
        }
        fingerprint_ = print.value();
    }

    /// nullptr: no rule takes it, or one that bypasses.
    [[nodiscard]] const Outcome* redirecting(const DecideInput& input) const noexcept {
        const FlowQuery query = query_of(input.key, input.key.family(), input.bindings.holders);
        const std::uint32_t rule = rules_.find(query, input.direction);
        if (rule == rules_.none()) { return nullptr; }
        const Outcome& outcome = (*outcomes_)[rule];
        return outcome.redirects ? &outcome : nullptr;
    }

    [[nodiscard]] std::uint8_t slot() const noexcept { return slot_; }
    [[nodiscard]] std::array<std::uint64_t, 2> fingerprint() const noexcept override {
        return fingerprint_;
    }
    [[nodiscard]] const char* state() const noexcept override { return "active"; }

private:
    std::uint8_t slot_;
    RuleSet rules_;
    Outcomes outcomes_;
    std::array<std::uint64_t, 2> fingerprint_{};
};

/// Who opened it says the direction of the packet that opens: out of the VM, or to it.
model::RuleDirection direction_of(model::Initiator initiator) noexcept {
    switch (initiator) {
        case model::Initiator::kBoth: return model::RuleDirection::kBoth;
        case model::Initiator::kIn: return model::RuleDirection::kIn;
        case model::Initiator::kOut: return model::RuleDirection::kOut;
    }
    return model::RuleDirection::kBoth;
}

DfwInput table_input(std::span<const RedirectRule> rules) {
    DfwInput input;
    for (const RedirectRule& rule : rules) {
        input.rules.push_back(matching(rule));
        input.rules.back().direction = direction_of(rule.initiator);
    }
    return input;
}

}  // namespace

DropReason decide_redirect(const SlotProgram& program, const DecideInput& input,
                           Decision&) noexcept {
    if (input.services == nullptr || !input.key.is_ip()) { return DropReason::kNone; }
    const auto& redirect = static_cast<const RedirectProgram&>(program);
    if (const Outcome* outcome = redirect.redirecting(input); outcome != nullptr) {
        const bool of_receiver = input.direction == Direction::kToVm;
        input.services->add({outcome->number, redirect.slot(), of_receiver});
    }
    return DropReason::kNone;
}

DropReason inspect_redirect(const SlotProgram&, const InspectInput&, Decision&) noexcept {
    return DropReason::kNone;
}

}  // namespace iochain

struct RedirectCompiler::State {
    std::uint8_t slot = 0;
    std::shared_ptr<const iochain::RuleTable> table;
    iochain::Outcomes outcomes;
    iochain::ProgramsByRules<iochain::RedirectProgram> programs;
};

RedirectCompiler::RedirectCompiler(std::uint8_t slot, std::span<const RedirectRule> rules)
    : state_(std::make_unique<State>()) {
    SLUICE_ASSERT(slot >= kServiceSlotMin && slot <= kServiceSlotMax);
    state_->slot = slot;
    auto outcomes = std::make_shared<std::vector<iochain::Outcome>>();
    for (const RedirectRule& rule : rules) {
        SLUICE_ASSERT(rule.number != 0 || !rule.redirects);
        outcomes->push_back({rule.number, rule.redirects});
    }
    state_->outcomes = std::move(outcomes);
    state_->table = std::make_shared<const iochain::RuleTable>(iochain::table_input(rules));
}
RedirectCompiler::~RedirectCompiler() = default;
RedirectCompiler::RedirectCompiler(RedirectCompiler&&) noexcept = default;
RedirectCompiler& RedirectCompiler::operator=(RedirectCompiler&&) noexcept = default;

std::shared_ptr<const SlotProgram> RedirectCompiler::compile(
    std::span<const std::uint32_t> applied) {
    return state_->programs.of(applied, [&] {
        return std::make_shared<const iochain::RedirectProgram>(state_->slot, state_->table,
                                                                state_->outcomes, applied);
    });
}

}  // namespace sluice
