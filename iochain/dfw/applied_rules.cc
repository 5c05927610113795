// SPDX-License-Identifier: Apache-2.0
// AppliedRules: see applied_rules.h. judge() on workers, for the first packet of a flow; the rest
// on the compile helper.
#include "iochain/dfw/applied_rules.h"

#include <algorithm>
#include <bit>

namespace sluice::iochain {
namespace {

constexpr std::array<Lane, kLaneCount> kLanes = {Lane::kDestination, Lane::kSource, Lane::kService,
                                                 Lane::kSourcePort};
constexpr unsigned kRowsMax = 40;
constexpr int kWordsAlone = 3;  // More of a chunk are worked on together.

unsigned take_lowest(std::uint64_t& bits) noexcept {
    const auto position = static_cast<unsigned>(std::countr_zero(bits));
    bits &= bits - 1;
    return position;
}

/// The rows of a packet's atoms in one lane. Beyond kRowsMax they are put together.
class PacketRows {
public:
    /// Finds the rows; they are not read yet.
    void find(const BlockRows& rows, const LaneAtoms& atoms) noexcept {
        count_ = 0;
        is_together_ = false;
        atoms.for_each([&](std::uint32_t atom) {
            bool is_named = false;
            found_[count_] = rows.find(atom, is_named);
            count_ +=
                is_named ? 1U : 0U;  // No branch: which groups a rule names is anybody's guess.
            if (count_ > kRowsMax) [[unlikely]] { put_together(); }
        });
    }
    /// Reads their summaries. Words that may have a rule that matches.
    [[nodiscard]] std::uint64_t read(const BlockBits& flips) noexcept {
        flips_ = &flips;
        std::uint64_t summary = flips.summary;
        for (unsigned i = 0; i < count_; ++i) {
            summary |= found_[i]->summary;
            __builtin_prefetch(found_[i]->words);
        }
        return is_together_ ? ~0ULL : summary;
    }
    /// ANDs the rules that match with 16 words.
    void restrict_chunk(Chunk& chunk, unsigned number) const noexcept {
        Chunk named;
        const unsigned first = number * kChunkWords;
        for (unsigned i = 0; i < named.vectors.size(); ++i) {
            named.vectors[i] = is_together_ ? Chunk::load(&together_[first], i) : Chunk::Vector{};
        }
        for (unsigned i = 0; i < count_; ++i) { found_[i]->add_to(named, number); }
        for (unsigned i = 0; i < named.vectors.size(); ++i) {
            chunk.vectors[i] &= named.vectors[i] ^ Chunk::load(&flips_->words[first], i);
        }
    }
    [[nodiscard]] std::uint64_t word(unsigned index) const noexcept {
        std::uint64_t bits = is_together_ ? together_[index] : 0;
        for (unsigned i = 0; i < count_; ++i) { bits |= found_[i]->word(index); }
        return bits ^ flips_->words[index];
    }

private:
    void put_together() noexcept {
        if (!is_together_) { together_.fill(0); }
        is_together_ = true;
        for (unsigned i = 0; i < count_; ++i) {
            for (unsigned index = 0; index < 64; ++index) {
                together_[index] |= found_[i]->word(index);
            }
        }
        count_ = 0;
    }

    const BlockBits* flips_;
    unsigned count_;
    bool is_together_;
    std::array<const BlockRow*, kRowsMax + 1> found_;
    std::array<std::uint64_t, 64> together_;
};

}  // namespace

AppliedRules::AppliedRules(const RuleTable& table, std::span<const std::uint32_t> applied)
    : table_(table), rules_(applied.begin(), applied.end()) {
    for (std::size_t first = 0; first < rules_.size(); first += kBlockRules) {
        const std::size_t count = std::min<std::size_t>(kBlockRules, rules_.size() - first);
        blocks_.push_back(compile(std::span(rules_).subspan(first, count), 1));
    }
    if (blocks_.size() > 1) { overview_.push_back(compile(rules_, 64)); }
    for (const std::uint32_t rule : rules_) {
        is_symmetric_ = is_symmetric_ && table.applies(rule, Direction::kFromVm) &&
                        table.applies(rule, Direction::kToVm);
    }
}

// With `scale` 64, every 4 096 rules are taken for one, whose word is its block's.
AppliedRules::Block AppliedRules::compile(std::span<const std::uint32_t> rules,
                                          std::uint32_t scale) const {
    const auto bit_of = [&](std::size_t i) {
        return static_cast<std::uint32_t>(i / (scale == 1 ? 1U : kBlockRules)) * scale;
    };
    Block block;
    std::vector<BlockMember> members;
    for (const Lane lane : kLanes) {
        BlockLane& out = block.lanes[static_cast<std::size_t>(lane)];
        members.clear();
        for (std::size_t i = 0; i < rules.size(); ++i) {
            const auto atoms = table_.atoms(lane, rules[i]);
            for (const std::uint32_t atom : atoms) { members.push_back({atom, bit_of(i)}); }
            const bool is_flipped = table_.is_flipped(lane, rules[i]);
            if (is_flipped) { out.flips.set(bit_of(i)); }
            out.asks = out.asks || !atoms.empty() || !is_flipped;
        }
        std::sort(members.begin(), members.end());
        out.rows = BlockRows(table_.atom_count(lane), members);
    }
    for (const Direction direction : {Direction::kFromVm, Direction::kToVm}) {
        for (std::size_t i = 0; i < rules.size(); ++i) {
            if (!table_.applies(rules[i], direction)) { continue; }
            block.allowed[static_cast<std::size_t>(direction)].set(bit_of(i));
        }
    }
    return block;
}

std::uint64_t AppliedRules::candidates(const Block& block, Direction direction,
                                       const Atoms& atoms) const noexcept {
    std::uint64_t summary = block.allowed[static_cast<std::size_t>(direction)].summary;
    for (std::size_t i = 0; i < kLaneCount && summary != 0; ++i) {
        const BlockLane& lane = block.lanes[i];
        if (!lane.asks) { continue; }
        std::uint64_t named = lane.flips.summary;
        atoms[i].for_each([&](std::uint32_t atom) {
            bool is_named = false;
            const BlockRow* row = lane.rows.find(atom, is_named);
            named |= is_named ? row->summary : 0;
        });
        summary &= named;
    }
    return summary;
}

// Calls visit(rule) for the rules of a block that match, in order, until it returns true; so does
// this then.
template <typename Visit>
bool AppliedRules::walk(std::uint32_t number, Direction direction, const Atoms& atoms,
                        const FlowQuery& query, Visit&& visit) const noexcept {
    const Block& block = blocks_[number];
    const BlockBits& allowed = block.allowed[static_cast<std::size_t>(direction)];
    std::array<PacketRows, kLaneCount> rows;
    std::array<const BlockBits*, kLaneCount> flips;
    unsigned count = 0;
    for (std::size_t i = 0; i < kLaneCount; ++i) {  // All lanes wait for memory together.
        const BlockLane& lane = block.lanes[i];
        if (!lane.asks) { continue; }
        rows[count].find(lane.rows, atoms[i]);
        flips[count++] = &lane.flips;
    }
    std::uint64_t summary = allowed.summary;
    for (unsigned i = 0; i < count; ++i) { summary &= rows[i].read(*flips[i]); }
    const auto visit_word = [&](unsigned index, std::uint64_t word) {
        while (word != 0) {
            const std::uint32_t rule =
                rules_[number * kBlockRules + index * 64U + take_lowest(word)];
            if (table_.confirm(rule, query) && visit(rule)) { return true; }
        }
        return false;
    };
    while (summary != 0) {
        const auto index = static_cast<unsigned>(std::countr_zero(summary));
        const unsigned chunk_number = index / kChunkWords;
        const std::uint64_t in_chunk = summary & 0xffffULL << chunk_number * kChunkWords;
        if (std::popcount(in_chunk) <= kWordsAlone) {
            std::uint64_t word = allowed.words[index];
            for (unsigned i = 0; i < count; ++i) { word &= rows[i].word(index); }
            if (visit_word(index, word)) { return true; }
            summary &= summary - 1;
            continue;
        }
        Chunk chunk;
        for (unsigned i = 0; i < chunk.vectors.size(); ++i) {
            chunk.vectors[i] = Chunk::load(&allowed.words[chunk_number * kChunkWords], i);
        }
        for (unsigned i = 0; i < count; ++i) { rows[i].restrict_chunk(chunk, chunk_number); }
        for (unsigned i = 0; i < kChunkWords; ++i) {
            if (chunk.word(i) == 0) { continue; }
            if (visit_word(chunk_number * kChunkWords + i, chunk.word(i))) { return true; }
        }
        summary &= ~in_chunk;
    }
    return false;
}

template <typename Visit>
void AppliedRules::walk(Direction direction, const FlowQuery& query, const Places& places,
                        Visit&& visit) const noexcept {
    if (blocks_.empty()) { return; }
    const Atoms atoms = table_.atoms_at(places, query.family, query.holders);
    std::uint64_t left = overview_.empty() ? 1 : candidates(overview_[0], direction, atoms);
    while (left != 0) {
        if (walk(take_lowest(left), direction, atoms, query, visit)) { return; }
    }
}

std::uint32_t AppliedRules::judge(Direction direction, const FlowQuery& query,
                                  const Places& places) const noexcept {
    std::uint32_t first = table_.size();
    walk(direction, query, places, [&](std::uint32_t rule) {
        first = rule;
        return true;
    });
    return first;
}

void AppliedRules::for_each_match(Direction direction, const FlowQuery& query,
                                  const std::function<bool(std::uint32_t)>& visit) const {
    walk(direction, query, table_.locate(query), visit);
}

}  // namespace sluice::iochain
