// SPDX-License-Identifier: Apache-2.0
// Building of AtomClasses: sets are found again by a 128-bit hash of their sorted atoms. Compile
// helper only.
#include "iochain/dfw/atom_classes.h"

#include <algorithm>

#include "iochain/fingerprint.h"

namespace sluice::iochain {
namespace {

// Longer lists are not copied into the classes of prefixes inside: memory stays linear.
constexpr std::size_t kCopiedMax = 24;

}  // namespace

std::uint32_t AtomClassBuilder::join(std::uint32_t outer, std::span<const std::uint32_t> own) {
    if (own.empty()) { return outer; }
    if (outer == kNoAtoms && own.size() == 1) { return own.front(); }
    list_.clear();
    const bool is_copied = copy_list(outer);
    if (!is_copied) { list_.clear(); }
    list_.insert(list_.end(), own.begin(), own.end());
    std::sort(list_.begin(), list_.end());
    list_.erase(std::unique(list_.begin(), list_.end()), list_.end());
    if (is_copied && list_.size() == 1) { return list_.front(); }
    return listed(is_copied ? kNoAtoms : outer);
}

/// Appends a class's atoms to list_; false if they are too many.
bool AtomClassBuilder::copy_list(std::uint32_t code) {
    while (code != kNoAtoms) {
        if ((code & AtomClasses::kListed) == 0) {
            list_.push_back(code);
            break;
        }
        const std::uint32_t* list = &classes_.lists_[code & ~AtomClasses::kListed];
        if (list_.size() + list[1] > kCopiedMax) { return false; }
        list_.insert(list_.end(), list + 2, list + 2 + list[1]);
        code = list[0];
    }
    return list_.size() <= kCopiedMax;
}

std::uint32_t AtomClassBuilder::listed(std::uint32_t rest) {
    Fingerprint print;
    print.add(rest);
    for (const std::uint32_t atom : list_) { print.add(atom); }
    auto& lists = classes_.lists_;
    const auto next = static_cast<std::uint32_t>(lists.size()) | AtomClasses::kListed;
    const auto [at, is_new] = by_content_.try_emplace(print.value(), next);
    if (is_new) {
        lists.push_back(rest);
        lists.push_back(static_cast<std::uint32_t>(list_.size()));
        lists.insert(lists.end(), list_.begin(), list_.end());
    }
    return at->second;
}

}  // namespace sluice::iochain
