// SPDX-License-Identifier: Apache-2.0
// RuleSet: the first of some rules that matches a flow, for slots that have no default rule
// (redirect, encrypt): a RuleTable of the host and the rules of it that apply to some vNICs. Made
// on the compile helper; immutable then: workers ask, for the first packet of a flow.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "iochain/dfw/applied_rules.h"
#include "iochain/dfw/flow_query.h"
#include "iochain/fingerprint.h"

namespace sluice::iochain {

/// What a slot's rule matches, as the table has it; both directions.
template <typename Rule>
[[nodiscard]] DfwRule matching(const Rule& rule) {
    DfwRule out;
    out.id = rule.id;
    out.source = rule.source;
    out.destination = rule.destination;
    out.services = rule.services;
    return out;
}

class RuleSet {
public:
    /// @param applied  ascending indices into the table
    RuleSet(std::shared_ptr<const RuleTable> table, std::span<const std::uint32_t> applied)
        : table_(std::move(table)), applied_(*table_, applied) {
        for (const std::uint32_t rule : applied) { print_.add(table_->fingerprint(rule)); }
        print_.add(applied.size());
    }

    /// Index of the first rule that matches; none() if none does.
    [[nodiscard]] std::uint32_t find(const FlowQuery& query, Direction direction) const noexcept {
        return applied_.judge(direction, query);
    }
    [[nodiscard]] std::uint32_t none() const noexcept { return table_->size(); }
    /// Of what the rules match, and in which order.
    [[nodiscard]] Fingerprint fingerprint() const noexcept { return print_; }

private:
    std::shared_ptr<const RuleTable> table_;
    AppliedRules applied_;
    Fingerprint print_;
};

/// One program for each distinct list of applied rules.
template <typename Program>
class ProgramsByRules {
public:
    /// @param make  called for a list that is new; gives a shared_ptr<const Program>
    template <typename Make>
    std::shared_ptr<const SlotProgram> of(std::span<const std::uint32_t> applied, Make&& make) {
        if (applied.empty()) { return nullptr; }
        Fingerprint print;
        for (const std::uint32_t rule : applied) { print.add(rule); }
        auto& program = programs_[print.value()];
        if (!program) { program = make(); }
        return program;
    }

private:
    std::map<std::array<std::uint64_t, 2>, std::shared_ptr<const Program>> programs_;
};

}  // namespace sluice::iochain
