// SPDX-License-Identifier: Apache-2.0
// RangeMap: from a value to the number of the range that holds it, as a static B-tree. A node is a
// cache line or two of keys, all compared at once; a leaf has the numbers beside its keys: 400 000
// ranges take five steps and no branch that depends on the value. The way to the leaf and the look
// into it are two calls, so that several searches wait for memory together. Built on the compile
// helper, then immutable: any thread reads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "iochain/dfw/bulk_vector.h"

namespace sluice::iochain {

/// Ascending keys that are compared at once. Key: an unsigned integer type of 4 or 16 bytes.
template <typename Key>
struct KeyNode {
    static constexpr std::size_t kCount = 16;
    std::array<Key, kCount> keys;

    void set(std::size_t i, Key key) noexcept { keys[i] = key; }
    /// How many keys are not greater.
    [[nodiscard]] unsigned rank(Key value) const noexcept {
        unsigned count = 0;
        for (const Key key : keys) { count += key <= value ? 1U : 0U; }
        return count;
    }
};

/// In halves, and signed: as vector instructions compare.
template <typename Key>
requires(sizeof(Key) == 16) struct KeyNode<Key> {
    static constexpr std::size_t kCount = 8;
    std::array<std::int64_t, kCount> high, low;

    static std::int64_t half(std::uint64_t bits) noexcept {
        return static_cast<std::int64_t>(bits ^ 1ULL << 63U);
    }
    void set(std::size_t i, Key key) noexcept {
        high[i] = half(static_cast<std::uint64_t>(key >> 64U));
        low[i] = half(static_cast<std::uint64_t>(key));
    }
    [[nodiscard]] unsigned rank(Key value) const noexcept {
        const std::int64_t value_high = half(static_cast<std::uint64_t>(value >> 64U));
        const std::int64_t value_low = half(static_cast<std::uint64_t>(value));
        std::int64_t count = 0;
        for (std::size_t i = 0; i < kCount; ++i) {
            const std::int64_t is_below = value_high > high[i] ? 1 : 0;
            const std::int64_t is_level = value_high == high[i] ? 1 : 0;
            const std::int64_t is_greater = low[i] > value_low ? 1 : 0;
            count += is_below | (is_level & ~is_greater);
        }
        return static_cast<unsigned>(count);
    }
};

template <typename Key>
class RangeMap {
    static constexpr std::size_t kNodeKeys = KeyNode<Key>::kCount;
    static constexpr std::size_t kFanOut = kNodeKeys + 1;
    static constexpr Key kPad = static_cast<Key>(~Key{0});  // Counts for no value but itself.

    using Node = KeyNode<Key>;

public:
    /// A few neighbouring ranges.
    struct alignas(64) Leaf {
        Node starts;
        std::array<std::uint32_t, kNodeKeys> numbers;

        /// @param value  that it was found for
        [[nodiscard]] std::uint32_t find(Key value) const noexcept {
            return numbers[starts.rank(value) - 1U];
        }
    };

    RangeMap() = default;

    /// @param starts  ascending, without doubles; the first is 0
    /// @param numbers  of the range from each start to the next
    RangeMap(const std::vector<Key>& starts, const std::vector<std::uint32_t>& numbers) {
        std::vector<Key> least;  // Of all that is below each node of the newest level.
        for (std::size_t first = 0; first < starts.size(); first += kNodeKeys) {
            least.push_back(starts[first]);
            Leaf& leaf = leaves_.emplace_back();
            for (std::size_t i = 0; i < kNodeKeys; ++i) {
                const bool is_there = first + i < starts.size();
                leaf.starts.set(i, is_there ? starts[first + i] : kPad);
                leaf.numbers[i] = is_there ? numbers[first + i] : numbers.back();
            }
        }
        std::vector<std::vector<Node>> levels;
        while (least.size() > 1) { levels.push_back(level_above(least)); }
        for (auto level = levels.rbegin(); level != levels.rend(); ++level) {
            levels_[level_count_++] = static_cast<std::uint32_t>(nodes_.size());
            nodes_.insert(nodes_.end(), level->begin(), level->end());
        }
        levels_[level_count_] = static_cast<std::uint32_t>(nodes_.size());
    }

    [[nodiscard]] bool is_empty() const noexcept { return leaves_.empty(); }

    /// Where to look; the leaf is on its way into the cache. Not to be asked of an empty map.
    [[nodiscard]] const Leaf* leaf_of(Key value) const noexcept {
        std::size_t at = 0;
        for (unsigned i = 0; i < level_count_; ++i) {
            at = at * kFanOut + nodes_[levels_[i] + at].rank(value);
            const bool is_last = i + 1 == level_count_;
            const std::size_t below = is_last ? leaves_.size() : levels_[i + 2] - levels_[i + 1];
            at = std::min(at, below - 1);  // The greatest key of all counts pads.
        }
        const Leaf* leaf = &leaves_[at];
        for (std::size_t byte = 0; byte < sizeof(Leaf); byte += 64) {
            __builtin_prefetch(reinterpret_cast<const std::byte*>(leaf) + byte);
        }
        return leaf;
    }

private:
    /// A node tells kFanOut nodes below apart by the least keys of all but the first of them.
    static std::vector<Node> level_above(std::vector<Key>& least) {
        std::vector<Node> nodes;
        std::vector<Key> own_least;
        for (std::size_t first = 0; first < least.size(); first += kFanOut) {
            own_least.push_back(least[first]);
            Node& node = nodes.emplace_back();
            for (std::size_t i = 0; i < kNodeKeys; ++i) {
                node.set(i, first + i + 1 < least.size() ? least[first + i + 1] : kPad);
            }
        }
        least = std::move(own_least);
        return nodes;
    }

    BulkVector<Leaf> leaves_;
    BulkVector<Node> nodes_;                  // Level by level, the root first.
    std::array<std::uint32_t, 17> levels_{};  // First node of each, one more at the end.
    unsigned level_count_ = 0;
};

}  // namespace sluice::iochain
