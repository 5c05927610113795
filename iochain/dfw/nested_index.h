// SPDX-License-Identifier: Apache-2.0
// NestedIndex: which of many prefixes hold a value. Prefixes are nested or disjoint, so they cut
// the values into pieces, at most two a prefix, within which all values are in the same prefixes.
// Each prefix carries an atom, each piece the class of its prefixes' atoms (atom_classes.h). Memory
// is linear in the prefixes, whatever their overlap. Built on the compile helper, then immutable:
// any thread reads.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "iochain/dfw/atom_classes.h"
#include "iochain/dfw/range_map.h"

namespace sluice::iochain {

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
        if (items.empty()) { return; }
        if (!std::is_sorted(items.begin(), items.end(), outer_first)) {
            std::sort(items.begin(), items.end(), outer_first);
        }
        Builder builder;
        builder.starts.reserve(2 * items.size() + 1);
        builder.classes_at.reserve(2 * items.size() + 1);
        builder.mark(0, kNoAtoms);
        for (std::size_t i = 0; i < items.size();) { i = builder.add(items, i); }
        builder.close_before(nullptr);
        pieces_ = RangeMap<Key>(builder.starts, builder.classes_at);
        classes_ = builder.classes.take();
    }

    /// A search that has begun: its answer is on its way into the cache.
    struct Search {
        const typename RangeMap<Key>::Leaf* leaf;
        Key value;
        /// Code of the class of the prefixes that hold the value.
        [[nodiscard]] std::uint32_t finish() const noexcept {
            return leaf == nullptr ? kNoAtoms : leaf->find(value);
        }
    };
    [[nodiscard]] Search begin(Key value) const noexcept {
        return {pieces_.is_empty() ? nullptr : pieces_.leaf_of(value), value};
    }
    [[nodiscard]] const AtomClasses& classes() const noexcept { return classes_; }

private:
    static bool outer_first(const Item& a, const Item& b) noexcept {
        if (a.first != b.first) { return a.first < b.first; }
        return a.last != b.last ? a.last > b.last : a.atom < b.atom;
    }

    struct Open {
        Key last;
        std::uint32_t code;
    };

    struct Builder {
        std::vector<Key> starts;
        std::vector<std::uint32_t> classes_at;
        AtomClassBuilder classes;
        std::vector<Open> open;  // Prefixes around the current place, outer first.
        std::vector<std::uint32_t> atoms;

        /// All items of one prefix, from number `i` on. Returns the first behind.
        std::size_t add(const std::vector<Item>& items, std::size_t i) {
            const Item& item = items[i];
            close_before(&item.first);
            atoms.clear();
            for (; i < items.size() && items[i].first == item.first && items[i].last == item.last;
                 ++i) {
                atoms.push_back(items[i].atom);
            }
            open.push_back({item.last, classes.join(innermost(), atoms)});
            mark(item.first, open.back().code);
            return i;
        }

        [[nodiscard]] std::uint32_t innermost() const {
            return open.empty() ? kNoAtoms : open.back().code;
        }

        /// Ends the open prefixes that lie wholly before `first` (all of them if null).
        void close_before(const Key* first) {
            while (!open.empty() && (first == nullptr || open.back().last < *first)) {
                const Key next = static_cast<Key>(open.back().last + 1U);
                open.pop_back();
                if (next != 0) { mark(next, innermost()); }
            }
        }

        /// From `start` on, values are of this class. Neighbours of one class are one piece.
        void mark(Key start, std::uint32_t code) {
            if (!starts.empty() && starts.back() == start) {
                starts.pop_back();
                classes_at.pop_back();
            }
            if (!starts.empty() && classes_at.back() == code) { return; }
            starts.push_back(start);
            classes_at.push_back(code);
        }
    };

    RangeMap<Key> pieces_;
    AtomClasses classes_;
};

}  // namespace sluice::iochain
