// SPDX-License-Identifier: Apache-2.0
// Sets of rules as bits, one a rule, in evaluation order, for a block of up to 4 096 rules: 64
// words and a summary that says which of them are not empty. BlockBits keeps every word; BlockRows
// keeps many sparse rows, one an atom, and stores only what is not empty, found by popcount. Built
// on the compile helper, then immutable: any thread reads.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "iochain/dfw/bulk_vector.h"
#include "sluice/base/ids.h"

namespace sluice::iochain {

inline constexpr std::uint32_t kRuleBitsMax = 1U << kRuleSlotBits;
inline constexpr std::uint32_t kBlockRules = 64U * 64U;

/// Set bits below `position`.
[[nodiscard]] inline unsigned rank(std::uint64_t bits, unsigned position) noexcept {
    return static_cast<unsigned>(std::popcount(bits & ((1ULL << position) - 1U)));
}

/// One bit a rule of a block, all words kept.
struct BlockBits {
    std::uint64_t summary = 0;
    std::array<std::uint64_t, 64> words{};

    void set(std::uint32_t rule) noexcept {
        words[rule / 64U] |= 1ULL << rule % 64U;
        summary |= 1ULL << rule / 64U;
    }
};

inline constexpr unsigned kChunkWords = 16;

/// Words of a block that are worked on together: as vectors, or one by one.
struct Chunk {
    using Vector = std::uint64_t __attribute__((vector_size(32)));
    std::array<Vector, kChunkWords / 4> vectors;

    [[nodiscard]] std::uint64_t& word(unsigned i) noexcept { return words()[i]; }
    /// @param from  kChunkWords words
    [[nodiscard]] static Vector load(const std::uint64_t* from, unsigned i) noexcept {
        Vector out;
        __builtin_memcpy(&out, from + std::size_t{4} * i, sizeof out);
        return out;
    }

private:
    [[nodiscard]] std::uint64_t* words() noexcept {
        return reinterpret_cast<std::uint64_t*>(vectors.data());
    }
};

/// The rules of a block that name one atom.
struct alignas(32) BlockRow {
    std::uint64_t summary;       // Words that are not empty.
    std::uint64_t stored;        // Words that are there: those, or all.
    const std::uint64_t* words;  // What follows may be read, too.
    std::uint64_t only_word;     // Where `words` points if there is but one.

    [[nodiscard]] std::uint64_t word(unsigned index) const noexcept {
        const std::uint64_t bits = words[rank(stored, index)];  // Read in any case: no branch.
        return (stored >> index & 1U) != 0 ? bits : 0;
    }
    /// ORs words 16 `number` to 16 `number` + 15 into `out`.
    void add_to(Chunk& out, unsigned number) const noexcept {
        const unsigned first = number * kChunkWords;
        const std::uint64_t* word = words + rank(stored, first);
        if (stored == ~0ULL) {
            for (unsigned i = 0; i < out.vectors.size(); ++i) {
                out.vectors[i] |= Chunk::load(word, i);
            }
            return;
        }
        for (std::uint64_t left = stored >> first & 0xffffU; left != 0; left &= left - 1) {
            out.word(static_cast<unsigned>(std::countr_zero(left))) |= *word++;
        }
    }
};

/// A rule of a block that names an atom. Sorts by atom, then rule.
struct BlockMember {
    std::uint32_t atom;
    std::uint32_t rule;
    auto operator<=>(const BlockMember&) const noexcept = default;
};

/// The rows of a block in one lane. Takes 16 bytes for 64 atoms of the host, and for an atom that a
/// rule of the block names 32 bytes, and 8 more for each word if they are several.
class BlockRows {
public:
    BlockRows() = default;
    /// @param atom_count  of the host; members' atoms are below
    /// @param members  sorted; doubles are harmless
    BlockRows(std::uint32_t atom_count, const std::vector<BlockMember>& members);
    BlockRows(BlockRows&&) noexcept = default;
    BlockRows& operator=(BlockRows&&) noexcept = default;
    BlockRows(const BlockRows&) = delete;  // Rows point into words_.
    BlockRows& operator=(const BlockRows&) = delete;
    ~BlockRows() = default;

    void prefetch(std::uint32_t atom) const noexcept { __builtin_prefetch(&places_[atom / 64U]); }
    /// The row of an atom, on its way into the cache, if a rule names it; else any row.
    [[nodiscard]] const BlockRow* find(std::uint32_t atom, bool& is_named) const noexcept {
        const Place& place = places_[atom / 64U];
        is_named = (place.named >> atom % 64U & 1U) != 0;
        const BlockRow* row = &rows_[place.rows + rank(place.named, atom % 64U)];
        __builtin_prefetch(row);
        return row;
    }

private:
    struct Place {
        std::uint64_t named = 0;  // Bit an atom.
        std::uint64_t rows = 0;   // Of the atoms before.
    };
    void add(std::uint64_t summary, const std::vector<std::uint64_t>& words);
    void finish();

    BulkVector<Place> places_;
    BulkVector<BlockRow> rows_;  // And one more.
    BulkVector<std::uint64_t> words_;
};

}  // namespace sluice::iochain
