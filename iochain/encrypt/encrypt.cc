// SPDX-License-Identifier: Apache-2.0
// Slot 15: under which key policy what leaves the VM for another host is sealed, and whether what
// came from another host came as its rule requires. A rule speaks of conversations: the packet's
// key and the key that answers it are looked for, the earlier rule counts, so that both ends say
// the same without a connection. Compiled on the compile helper; decide and inspect on workers.
#include "sluice/iochain/encrypt.h"

#include <algorithm>

#include "iochain/dfw/rule_set.h"
#include "iochain/slot_entry.h"
#include "sluice/base/assert.h"

namespace sluice {
namespace iochain {
namespace {

struct Outcome {
    std::uint8_t key_policy = 0;
    bool required = false;
};
using Outcomes = std::shared_ptr<const std::vector<Outcome>>;

class EncryptProgram final : public SlotProgram {
public:
    EncryptProgram(std::shared_ptr<const RuleTable> table, Outcomes outcomes,
                   std::span<const std::uint32_t> applied)
        : rules_(std::move(table), applied), outcomes_(std::move(outcomes)) {
        Fingerprint print = rules_.fingerprint();
        for (const std::uint32_t rule : applied) {
            const Outcome& outcome = (*outcomes_)[rule];
            print.add((std::uint64_t{outcome.key_policy} << 1U) | (outcome.required ? 1U : 0U));
        }
        fingerprint_ = print.value();
    }

    /// What the rules say of a conversation; clear if none does. `key` is IP.
    [[nodiscard]] Outcome judge(const FlowKey& key, const AddressHolders& holders) const noexcept {
        const std::uint32_t rule =
            std::min(rules_.find(query_of(key, key.family(), holders), Direction::kFromVm),
                     rules_.find(turned_query_of(key, holders), Direction::kFromVm));
        return rule == rules_.none() ? Outcome{} : (*outcomes_)[rule];
    }

    [[nodiscard]] std::array<std::uint64_t, 2> fingerprint() const noexcept override {
        return fingerprint_;
    }
    [[nodiscard]] const char* state() const noexcept override { return "active"; }

private:
    RuleSet rules_;
    Outcomes outcomes_;
    std::array<std::uint64_t, 2> fingerprint_{};
};

DfwInput table_input(std::span<const EncryptRule> rules) {
    DfwInput input;
    for (const EncryptRule& rule : rules) { input.rules.push_back(matching(rule)); }
    return input;
}

}  // namespace

DropReason decide_encrypt(const SlotProgram& program, const DecideInput& input,
                          Decision& decision) noexcept {
    if (!input.key.is_ip()) { return DropReason::kNone; }
    if (input.direction == Direction::kToVm && !input.is_from_fabric) { return DropReason::kNone; }
    const Outcome outcome =
        static_cast<const EncryptProgram&>(program).judge(input.key, input.bindings.holders);
    if (input.direction == Direction::kFromVm) {
        decision.key_policy = outcome.key_policy;
        decision.seal_required = outcome.required;
        return DropReason::kNone;
    }
    const bool is_refused = outcome.required && input.sealed_with != outcome.key_policy;
    return is_refused ? DropReason::kPolicyClear : DropReason::kNone;
}

// Conversations with the switch go in the clear, both ways, but for ICMP errors: these are sealed,
// and heard in the clear, too (slot 2 passes only those of a live connection).
DropReason inspect_encrypt(const SlotProgram& program, const InspectInput& input,
                           Decision& decision) noexcept {
    const FlowKey& key = input.frame.key;
    const bool is_error = input.frame.inspect_kind == InspectKind::kIcmpError;
    if (!is_error || input.direction == Direction::kToVm) { return DropReason::kNone; }
    const Outcome outcome =
        static_cast<const EncryptProgram&>(program).judge(key, input.bindings.holders);
    decision.key_policy = outcome.key_policy;
    decision.seal_required = outcome.required;
    return DropReason::kNone;
}

}  // namespace iochain

struct EncryptCompiler::State {
    std::shared_ptr<const iochain::RuleTable> table;
    iochain::Outcomes outcomes;
    iochain::ProgramsByRules<iochain::EncryptProgram> programs;
};

EncryptCompiler::EncryptCompiler(std::span<const EncryptRule> rules)
    : state_(std::make_unique<State>()) {
    auto outcomes = std::make_shared<std::vector<iochain::Outcome>>();
    for (const EncryptRule& rule : rules) {
        SLUICE_ASSERT(rule.key_policy <= kKeyPolicyMax);
        outcomes->push_back({rule.key_policy, rule.key_policy != 0 && rule.required});
    }
    state_->outcomes = std::move(outcomes);
    state_->table = std::make_shared<const iochain::RuleTable>(iochain::table_input(rules));
}
EncryptCompiler::~EncryptCompiler() = default;
EncryptCompiler::EncryptCompiler(EncryptCompiler&&) noexcept = default;
EncryptCompiler& EncryptCompiler::operator=(EncryptCompiler&&) noexcept = default;

std::shared_ptr<const SlotProgram> EncryptCompiler::compile(
    std::span<const std::uint32_t> applied) {
    return state_->programs.of(applied, [&] {
        return std::make_shared<const iochain::EncryptProgram>(state_->table, state_->outcomes,
                                                               applied);
    });
}

}  // namespace sluice
