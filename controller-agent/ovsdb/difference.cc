// SPDX-License-Identifier: Apache-2.0
// Symmetric differences of sets and maps: one walk over both, since keys ascend in both.
#include <cstddef>

#include "controller-agent/ovsdb/value.h"

namespace sluice::ovsdb {

namespace {

void copy_entry(Datum& to, const Datum& from, std::size_t i) {
    to.keys.push_back(from.keys[i]);
    if (to.is_map) { to.values.push_back(i < from.values.size() ? from.values[i] : Atom{}); }
}

bool has_same_value(const Datum& a, std::size_t i, const Datum& b, std::size_t j) {
    return i < a.values.size() && j < b.values.size() && a.values[i] == b.values[j];
}

// Entries of one, and of maps the second's entry where both have a key with different values: that
// is what applying a difference does, and finding one.
Datum symmetric(const Datum& first, const Datum& second, bool is_map) {
    Datum made;
    made.is_map = is_map;
    made.keys.reserve(first.keys.size() + second.keys.size());
    if (is_map) { made.values.reserve(made.keys.capacity()); }
    std::size_t i = 0;
    std::size_t j = 0;
    while (i < first.keys.size() && j < second.keys.size()) {
        if (first.keys[i] < second.keys[j]) {
            copy_entry(made, first, i++);
        } else if (second.keys[j] < first.keys[i]) {
            copy_entry(made, second, j++);
        } else {
            if (is_map && !has_same_value(first, i, second, j)) { copy_entry(made, second, j); }
            ++i;
            ++j;
        }
    }
    while (i < first.keys.size()) { copy_entry(made, first, i++); }
    while (j < second.keys.size()) { copy_entry(made, second, j++); }
    return made;
}

Datum combined(const Datum& first, const Datum& second, ColumnType type) {
    Datum made = type.is_scalar ? second : symmetric(first, second, type.is_map);
    made.is_map = type.is_map;
    return made;
}

}  // namespace

Datum apply_difference(const Datum& old, const Datum& change, ColumnType type) {
    return combined(old, change, type);
}

Datum difference(const Datum& old, const Datum& now, ColumnType type) {
    return combined(old, now, type);
}

}  // namespace sluice::ovsdb
