// SPDX-License-Identifier: Apache-2.0
// Sets of rules as bits, one a rule, in evaluation order: the first match is the lowest set bit of
// an AND. Three levels of 64 (64 * 64 * 64 rules): a `top` word says which summaries are not empty,
// a summary which words are not. DenseBits keeps every word; RowSet keeps many sparse rows and
// stores only what is not empty, found by popcount. Built on the control thread, then immutable:
// any thread reads.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>
#include <vector>

#include "sluice/base/ids.h"

namespace sluice::iochain {

inline constexpr std::uint32_t kRuleBitsMax = 64U * 64U * 64U;
static_assert(kRuleBitsMax == 1U << kRuleSlotBits);

/// One bit a rule, all words kept.
class DenseBits {
public:
    DenseBits() = default;
    explicit DenseBits(std::uint32_t rule_count)
        : summaries_(64), words_((rule_count + 63U) / 64U) {}

    void set(std::uint32_t rule) noexcept {
        words_[rule / 64U] |= 1ULL << rule % 64U;
        summaries_[rule / 4096U] |= 1ULL << rule / 64U % 64U;
        top_ |= 1ULL << rule / 4096U;
    }
    [[nodiscard]] bool test(std::uint32_t rule) const noexcept {
        return (words_[rule / 64U] >> rule % 64U & 1U) != 0;
    }
    [[nodiscard]] std::uint64_t top() const noexcept { return top_; }
    [[nodiscard]] std::uint64_t summary(unsigned index) const noexcept { return summaries_[index]; }
    [[nodiscard]] std::uint64_t word(unsigned index) const noexcept { return words_[index]; }

private:
    std::uint64_t top_ = 0;
    std::vector<std::uint64_t> summaries_;
    std::vector<std::uint64_t> words_;
};

/// Many sparse rows, one an atom. A row of one rule takes 40 bytes.
class RowSet {
public:
    RowSet() = default;

    /// @param members  (atom, rule) in ascending order of rule; duplicates are harmless. Atoms
    /// below `atom_count`.
    RowSet(std::uint32_t atom_count,
           const std::vector<std::pair<std::uint32_t, std::uint32_t>>& members)
        : rows_(atom_count) {
        std::vector<std::uint32_t> first(atom_count + 1U);
        for (const auto& [atom, rule] : members) { ++first[atom + 1U]; }
        for (std::uint32_t atom = 0; atom < atom_count; ++atom) { first[atom + 1U] += first[atom]; }
        std::vector<std::uint32_t> rules(members.size());
        std::vector<std::uint32_t> fill(first.begin(), first.end() - 1);
        for (const auto& [atom, rule] : members) { rules[fill[atom]++] = rule; }
        for (std::uint32_t atom = 0; atom < atom_count; ++atom) {
            rows_[atom].summaries = static_cast<std::uint32_t>(summaries_.size());
            for (std::uint32_t i = first[atom]; i < first[atom + 1U]; ++i) {
                append(rows_[atom], rules[i]);
            }
        }
    }

    [[nodiscard]] std::uint64_t top(std::uint32_t atom) const noexcept { return rows_[atom].top; }
    [[nodiscard]] std::uint64_t summary(std::uint32_t atom, unsigned s) const noexcept {
        const Row& row = rows_[atom];
        return (row.top >> s & 1U) != 0 ? summaries_[row.summaries + rank(row.top, s)].bits : 0;
    }
    /// @param s, w  summary index and word within it, 0..63.
    [[nodiscard]] std::uint64_t word(std::uint32_t atom, unsigned s, unsigned w) const noexcept {
        const Row& row = rows_[atom];
        if ((row.top >> s & 1U) == 0) { return 0; }
        const Summary& summary = summaries_[row.summaries + rank(row.top, s)];
        return (summary.bits >> w & 1U) != 0 ? words_[summary.words + rank(summary.bits, w)] : 0;
    }

private:
    struct Row {
        std::uint64_t top = 0;
        std::uint32_t summaries = 0;  // First of its run.
    };
    struct Summary {
        std::uint64_t bits = 0;
        std::uint32_t words = 0;  // First of its run.
    };

    static unsigned rank(std::uint64_t bits, unsigned position) noexcept {
        return static_cast<unsigned>(std::popcount(bits & ((1ULL << position) - 1U)));
    }

    /// Rules of one row come ascending, and row after row, so every run grows at its end.
    void append(Row& row, std::uint32_t rule) {
        const std::uint64_t top_bit = 1ULL << rule / 4096U;
        if ((row.top & top_bit) == 0) {
            row.top |= top_bit;
            summaries_.push_back({0, static_cast<std::uint32_t>(words_.size())});
        }
        const std::uint64_t word_bit = 1ULL << rule / 64U % 64U;
        if ((summaries_.back().bits & word_bit) == 0) {
            summaries_.back().bits |= word_bit;
            words_.push_back(0);
        }
        words_.back() |= 1ULL << rule % 64U;
    }

    std::vector<Row> rows_;
    std::vector<Summary> summaries_;
    std::vector<std::uint64_t> words_;
};

}  // namespace sluice::iochain
