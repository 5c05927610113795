// SPDX-License-Identifier: Apache-2.0
// DfwProgram: slot 2's policy for the vNICs that share one set of applied rules: the host's table
// and those rules. Made on the compile helper; immutable then: workers read.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "iochain/dfw/applied_rules.h"

namespace sluice::iochain {

class DfwProgram final : public SlotProgram {
public:
    /// @param applied  ascending indices into the table.
    DfwProgram(std::shared_ptr<const RuleTable> table, std::span<const std::uint32_t> applied);

    /// What the policy says to `key`, seen as going in `direction`.
    /// @param holders  of the addresses of `key`
    /// @param known  of this very key: read, and written if it was another policy's.
    /// @param family  of the packet (the opener's key of a connection carries none).
    [[nodiscard]] const RuleOutcome& judge(const FlowKey& key, IpFamily family, Direction direction,
                                           const AddressHolders& holders,
                                           Judgement* known = nullptr) const noexcept;

    /// Fills in what judge() will need to know of each key.
    void foresee(std::span<const FlowKey* const> keys, std::span<Judgement> out) const noexcept;

    [[nodiscard]] std::array<std::uint64_t, 2> fingerprint() const noexcept override {
        return fingerprint_;
    }
    [[nodiscard]] const char* state() const noexcept override { return "active"; }

private:
    std::shared_ptr<const RuleTable> table_;
    AppliedRules applied_;
    std::array<std::uint64_t, 2> fingerprint_{};
};

}  // namespace sluice::iochain
