// SPDX-License-Identifier: Apache-2.0
// AtomClasses: the sets of atoms that values have, each set once. An atom is a small number for
// what rules name (an address expression, a service range). Addresses that are in the same groups
// are of one class, so that a million members of a set share a few bytes. A class of one atom is
// its code; others have a list, and what would make lists long is left with the class of the
// enclosing prefix. Built on the compile helper, then immutable: any thread reads.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "iochain/dfw/bulk_vector.h"

namespace sluice::iochain {

/// Code of the class without atoms.
inline constexpr std::uint32_t kNoAtoms = 0xffffffffU;

class AtomClasses {
public:
    /// Calls visit(atom) for every atom of a class. An atom may come twice.
    template <typename Visit>
    void for_each(std::uint32_t code, Visit&& visit) const noexcept {
        while (code != kNoAtoms) {
            if ((code & kListed) == 0) { return visit(code); }
            const std::uint32_t* list = &lists_[code & ~kListed];
            for (std::uint32_t i = 0; i < list[1]; ++i) { visit(list[2 + i]); }
            code = list[0];
        }
    }
    void prefetch(std::uint32_t code) const noexcept {
        if (code != kNoAtoms && (code & kListed) != 0) {
            __builtin_prefetch(&lists_[code & ~kListed]);
        }
    }

private:
    friend class AtomClassBuilder;
    static constexpr std::uint32_t kListed = 0x80000000U;
    // Of each class: another class that is part of it (kNoAtoms as a rule), a count, atoms.
    BulkVector<std::uint32_t> lists_;
};

/// Gives equal sets equal codes. Compile time only.
class AtomClassBuilder {
public:
    /// The class with the atoms of class `outer` and `own`.
    [[nodiscard]] std::uint32_t join(std::uint32_t outer, std::span<const std::uint32_t> own);
    [[nodiscard]] AtomClasses take() { return std::move(classes_); }

private:
    struct Hash {
        std::size_t operator()(const std::array<std::uint64_t, 2>& print) const noexcept {
            return print[0];
        }
    };
    [[nodiscard]] bool copy_list(std::uint32_t code);
    [[nodiscard]] std::uint32_t listed(std::uint32_t rest);

    std::vector<std::uint32_t> list_;  // The atoms being joined.
    std::unordered_map<std::array<std::uint64_t, 2>, std::uint32_t, Hash> by_content_;
    AtomClasses classes_;
};

}  // namespace sluice::iochain
