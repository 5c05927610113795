// SPDX-License-Identifier: Apache-2.0
// DfwProgram and the compiler that hands them out. Compile helper; judge() on workers.
#include "iochain/dfw/program.h"

#include <map>
#include <utility>

#include "iochain/dfw/flow_query.h"
#include "iochain/fingerprint.h"
#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

namespace sluice {
namespace iochain {

DfwProgram::DfwProgram(std::shared_ptr<const RuleTable> table,
                       std::span<const std::uint32_t> applied)
    : table_(std::move(table)), applied_(*table_, applied) {
    Fingerprint print;
    for (const std::uint32_t rule : applied) {
        SLUICE_ASSERT(rule < table_->size());
        print.add(table_->fingerprint(rule));
    }
    print.add(applied.size());
    const RuleOutcome& otherwise = table_->default_outcome();
    print.add((std::uint64_t{otherwise.id.value} << 2U) | (otherwise.reject ? 2U : 0U) |
              (otherwise.allow ? 1U : 0U));
    fingerprint_ = print.value();
}

const RuleOutcome& DfwProgram::judge(const FlowKey& key, IpFamily family, Direction direction,
                                     const AddressHolders& holders,
                                     Judgement* known) const noexcept {
    const void* policy = applied_.policy(direction);
    if (known != nullptr && known->policy == policy) { return table_->outcome(known->rule); }
    const FlowQuery query = query_of(key, family, holders);
    const bool is_foreseen = known != nullptr && known->table == table_.get();
    const Places places = is_foreseen ? known->places : table_->locate(query);
    const std::uint32_t rule = applied_.judge(direction, query, places);
    if (known != nullptr) { *known = {policy, rule, table_.get(), places}; }
    return table_->outcome(rule);
}

void DfwProgram::foresee(std::span<const FlowKey* const> keys,
                         std::span<Judgement> out) const noexcept {
    std::array<RuleTable::Searches, kBurstMax> searches;
    for (std::size_t i = 0; i < keys.size(); ++i) {
        searches[i] = table_->begin(query_of(*keys[i], keys[i]->family(), {}));
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
        out[i] = {nullptr, 0, table_.get(), table_->finish(searches[i])};
    }
}

}  // namespace iochain

struct DfwCompiler::State {
    std::shared_ptr<const iochain::RuleTable> table;
    // By the list of applied rules itself, as a hash of indices.
    std::map<std::array<std::uint64_t, 2>, std::shared_ptr<const SlotProgram>> programs;
};

DfwCompiler::DfwCompiler(const DfwInput& input) : state_(std::make_unique<State>()) {
    state_->table = std::make_shared<const iochain::RuleTable>(input);
}
DfwCompiler::~DfwCompiler() = default;
DfwCompiler::DfwCompiler(DfwCompiler&&) noexcept = default;
DfwCompiler& DfwCompiler::operator=(DfwCompiler&&) noexcept = default;

std::shared_ptr<const SlotProgram> DfwCompiler::compile(std::span<const std::uint32_t> applied) {
    iochain::Fingerprint print;
    for (const std::uint32_t rule : applied) { print.add(rule); }
    auto& program = state_->programs[print.value()];
    if (!program) { program = std::make_shared<const iochain::DfwProgram>(state_->table, applied); }
    return program;
}

}  // namespace sluice
