// SPDX-License-Identifier: Apache-2.0
// NestedIndex: which of many prefixes hold a value. Prefixes are nested or disjoint, so they form a
// tree; the value's innermost prefix is found by binary search over elementary intervals, the
// others are its ancestors. Memory is linear in the prefixes whatever their overlap (a list per
// elementary interval would not be), and a path is at most key width + 1 long. Each prefix carries
// atoms: small numbers for what named it (an expression, a service range). Built on the control
// thread, then immutable: any thread reads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

namespace sluice::iochain {

inline constexpr std::uint32_t kNoNode = 0xffffffffU;

/// The prefixes as a tree. A node's atoms lie in one run of `atoms_`.
class NestedTree {
public:
    /// Calls visit(atom) for the node and its ancestors.
    template <typename Visit>
    void for_each_atom(std::uint32_t node, Visit&& visit) const noexcept {
        for (; node != kNoNode; node = nodes_[node].parent) {
            const std::uint32_t end = nodes_[node + 1].atoms;
            for (std::uint32_t i = nodes_[node].atoms; i < end; ++i) { visit(atoms_[i]); }
        }
    }

private:
    template <typename Key>
    friend class NestedIndex;
    struct Node {
        std::uint32_t parent = kNoNode;
        std::uint32_t atoms =
            0;  // First of its run; the next node's first ends it (one node more at the end).
    };
    std::vector<Node> nodes_;
    std::vector<std::uint32_t> atoms_;
};

/// Key: an unsigned integer type.
template <typename Key>
class NestedIndex {
public:
    /// Values first..last, both included.
    struct Item {
        Key first;
        Key last;
        std::uint32_t atom;
    };

    NestedIndex() = default;

    /// Any order; any two items are nested, equal or disjoint.
    explicit NestedIndex(std::vector<Item> items) {
        if (!std::is_sorted(items.begin(), items.end(), outer_first)) {
            std::sort(items.begin(), items.end(), outer_first);
        }
        starts_.reserve(2 * items.size());
        node_at_.reserve(2 * items.size());
        std::vector<Open> open;
        for (const Item& item : items) { add(item, open); }
        close_before(open, nullptr);
        tree_.nodes_.push_back({kNoNode, static_cast<std::uint32_t>(tree_.atoms_.size())});
        starts_.shrink_to_fit();
        node_at_.shrink_to_fit();
    }

    /// Innermost node that holds `value`, or kNoNode.
    [[nodiscard]] std::uint32_t find(Key value) const noexcept {
        const Key* base = starts_.data();
        std::size_t count = starts_.size();
        if (count == 0 || value < *base) { return kNoNode; }
        while (count > 1) {  // Invariant: *base <= value. No branch on the comparison.
            const std::size_t half = count / 2;
            base = base[half] <= value ? base + half : base;
            count -= half;
        }
        return node_at_[static_cast<std::size_t>(base - starts_.data())];
    }
    [[nodiscard]] const NestedTree& tree() const noexcept { return tree_; }

private:
    struct Open {
        Key first, last;
        std::uint32_t node;
    };

    static bool outer_first(const Item& a, const Item& b) noexcept {
        if (a.first != b.first) { return a.first < b.first; }
        return a.last != b.last ? a.last > b.last : a.atom < b.atom;
    }

    void add(const Item& item, std::vector<Open>& open) {
        close_before(open, &item.first);
        const bool same =
            !open.empty() && open.back().first == item.first && open.back().last == item.last;
        if (!same) {
            const auto node = static_cast<std::uint32_t>(tree_.nodes_.size());
            tree_.nodes_.push_back({open.empty() ? kNoNode : open.back().node,
                                    static_cast<std::uint32_t>(tree_.atoms_.size())});
            open.push_back({item.first, item.last, node});
            mark(item.first, node);
        }
        tree_.atoms_.push_back(item.atom);
    }

    /// Ends the open prefixes that lie wholly before `first` (all of them if null).
    void close_before(std::vector<Open>& open, const Key* first) {
        while (!open.empty() && (first == nullptr || open.back().last < *first)) {
            const Key next = static_cast<Key>(open.back().last + 1U);
            open.pop_back();
            if (next != 0) { mark(next, open.empty() ? kNoNode : open.back().node); }
        }
    }

    /// From `start` on, `node` is the innermost.
    void mark(Key start, std::uint32_t node) {
        if (!starts_.empty() && starts_.back() == start) {
            node_at_.back() = node;
            return;
        }
        starts_.push_back(start);
        node_at_.push_back(node);
    }

    std::vector<Key> starts_;
    std::vector<std::uint32_t> node_at_;
    NestedTree tree_;
};

}  // namespace sluice::iochain
