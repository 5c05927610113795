// SPDX-License-Identifier: Apache-2.0
// RandomData: columns with few distinct keys, so that random ones have entries in common.
#pragma once

#include <map>
#include <random>
#include <string>
#include <utility>

#include "controller-agent/ovsdb/value.h"

namespace sluice::ovsdb::test {

class RandomData {
public:
    explicit RandomData(std::uint64_t seed) : random_(seed) {}

    std::size_t below(std::size_t bound) {
        return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_);
    }
    std::string word() {
        static const char* const kWords[] = {"a",  "b",   "ab", "",    "\"q\"",
                                             "\\", "ü\n", "{[", "long"};
        std::string made = kWords[below(9)];
        return made == "long" ? std::string(3 + below(60), 'x') : made;
    }
    Uuid uuid() {
        Uuid made;
        made.bytes[0] = static_cast<std::uint8_t>(below(8));
        made.bytes[15] = 1;
        return made;
    }
    /// kind: 0 text, 1 integer, 2 real, 3 boolean, 4 uuid.
    Atom atom(std::size_t kind) {
        switch (kind) {
            case 0: return word();
            case 1: return static_cast<std::int64_t>(below(12)) - 5;
            case 2: return static_cast<double>(below(8)) / 4.0;
            case 3: return below(2) == 1;
            default: return uuid();
        }
    }
    Datum set(std::size_t kind, std::size_t count_max) {
        return made(kind, 0, below(count_max + 1), false);
    }
    Datum map(std::size_t key_kind, std::size_t value_kind, std::size_t count_max) {
        return made(key_kind, value_kind, below(count_max + 1), true);
    }

private:
    Datum made(std::size_t key_kind, std::size_t value_kind, std::size_t count, bool is_map) {
        std::map<Atom, Atom> entries;
        for (std::size_t i = 0; i < count; ++i) {
            entries.insert_or_assign(atom(key_kind), atom(value_kind));
        }
        Datum datum;
        datum.is_map = is_map;
        for (auto& [key, value] : entries) {
            datum.keys.push_back(key);
            if (is_map) { datum.values.push_back(value); }
        }
        return datum;
    }

    std::mt19937_64 random_;
};

}  // namespace sluice::ovsdb::test
