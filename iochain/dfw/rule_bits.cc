// SPDX-License-Identifier: Apache-2.0
// Building of BlockRows. Compile helper only.
#include "iochain/dfw/rule_bits.h"

#include <cstddef>

namespace sluice::iochain {
namespace {

constexpr std::size_t kDenseWords = 24;  // From here on a row keeps all its words.

}  // namespace

BlockRows::BlockRows(std::uint32_t atom_count, const std::vector<BlockMember>& members)
    : places_((atom_count + 63U) / 64U) {
    std::vector<std::uint64_t> words;  // Of the row being made.
    std::uint64_t summary = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
        const auto [atom, rule] = members[i];
        const std::uint64_t bit = 1ULL << rule / 64U;
        if ((summary & bit) == 0) { words.push_back(0); }
        summary |= bit;
        words.back() |= 1ULL << rule % 64U;
        const bool is_last = i + 1 == members.size() || members[i + 1].atom != atom;
        if (!is_last) { continue; }
        places_[atom / 64U].named |= 1ULL << atom % 64U;
        add(summary, words);
        words.clear();
        summary = 0;
    }
    finish();
}

void BlockRows::add(std::uint64_t summary, const std::vector<std::uint64_t>& words) {
    if (words.size() == 1) {
        rows_.push_back({summary, summary, nullptr, words.front()});
        return;
    }
    const bool is_dense = words.size() >= kDenseWords;
    rows_.push_back({summary, is_dense ? ~0ULL : summary, nullptr, 0});
    if (!is_dense) {
        words_.insert(words_.end(), words.begin(), words.end());
        return;
    }
    for (unsigned i = 0; i < 64; ++i) {
        words_.push_back((summary >> i & 1U) != 0 ? words[rank(summary, i)] : 0);
    }
}

/// Rows get their places, now that nothing moves any more.
void BlockRows::finish() {
    rows_.push_back({0, 0, nullptr, 0});
    words_.push_back(0);
    rows_.shrink_to_fit();
    words_.shrink_to_fit();
    const std::uint64_t* next = words_.data();
    for (BlockRow& row : rows_) {
        const int count = std::popcount(row.stored);
        row.words = count > 1 ? next : &row.only_word;
        if (count > 1) { next += count; }
    }
    std::uint64_t rows = 0;
    for (Place& place : places_) {
        place.rows = rows;
        rows += static_cast<std::uint64_t>(std::popcount(place.named));
    }
}

}  // namespace sluice::iochain
