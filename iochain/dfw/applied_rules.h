// SPDX-License-Identifier: Apache-2.0
// AppliedRules: the rules of a RuleTable that apply to some vNICs, renumbered without gaps, so that
// the cost of a decision follows their number and not the host's. The first match is the lowest bit
// of the AND of the four lanes' rows, block of 4 096 rules by block; policies of several blocks
// first ask which of them may match. Built on the compile helper; immutable then: workers read.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "iochain/dfw/rule_table.h"

namespace sluice::iochain {

class AppliedRules {
public:
    /// @param applied  ascending indices into the table, which must live as long
    AppliedRules(const RuleTable& table, std::span<const std::uint32_t> applied);

    /// The first rule that matches in this direction, as an index into the table; the default,
    /// its size(), if none does.
    /// @param places  of the query, as the table gave them
    [[nodiscard]] std::uint32_t judge(Direction direction, const FlowQuery& query,
                                      const Places& places) const noexcept;
    [[nodiscard]] std::uint32_t judge(Direction direction, const FlowQuery& query) const noexcept {
        return judge(direction, query, table_.locate(query));
    }

    /// Calls visit(rule) for the rules that match, in order, until it returns true. Not for
    /// workers.
    void for_each_match(Direction direction, const FlowQuery& query,
                        const std::function<bool(std::uint32_t)>& visit) const;

    /// What stands for these rules in this direction: the same for both if they are the same.
    [[nodiscard]] const void* policy(Direction direction) const noexcept {
        return &sides_[is_symmetric_ ? 0 : static_cast<std::size_t>(direction)];
    }

private:
    using Atoms = std::array<LaneAtoms, kLaneCount>;

    /// A lane of a block: what it asks of a packet.
    struct BlockLane {
        BlockRows rows;
        BlockBits flips;
        bool asks = false;  // Some rule does not match everything.
    };
    struct Block {
        std::array<BlockLane, kLaneCount> lanes;
        std::array<BlockBits, 2> allowed;  // By Direction.
    };

    [[nodiscard]] Block compile(std::span<const std::uint32_t> rules, std::uint32_t scale) const;
    void compile_overview();
    [[nodiscard]] std::uint64_t candidates(const Block& block, Direction direction,
                                           const Atoms& atoms) const noexcept;
    template <typename Visit>
    [[nodiscard]] bool walk(std::uint32_t number, Direction direction, const Atoms& atoms,
                            const FlowQuery& query, Visit&& visit) const noexcept;
    template <typename Visit>
    void walk(Direction direction, const FlowQuery& query, const Places& places,
              Visit&& visit) const noexcept;

    const RuleTable& table_;
    std::vector<std::uint32_t> rules_;  // Indices into the table.
    std::vector<Block> blocks_;
    // Of several blocks: the rules of a block, all together, are one word of this one.
    std::vector<Block> overview_;
    bool is_symmetric_ = true;  // All rules apply in both directions.
    std::array<std::byte, 2> sides_{};
};

}  // namespace sluice::iochain
