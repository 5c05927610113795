// SPDX-License-Identifier: Apache-2.0
// RewriteTable: see rewrite_table.h.
#include "datapath/rewrite_table.h"

#include <algorithm>

namespace sluice::datapath {
namespace {

std::uint32_t hash_of(const Rewrite& row) noexcept {
    const std::uint64_t mixed = (row.destination.number() * 0x9e3779b97f4a7c15U) ^
                                ((row.source.number() + row.vni) * 0xc2b2ae3d27d4eb4fU);
    return static_cast<std::uint32_t>((mixed * 0x9e3779b97f4a7c15U) >> 40U);
}

}  // namespace

RewriteTable::RewriteTable()
    : rows_(std::make_unique<Rewrite[]>(kRewriteMax + 1U)),
      index_(std::make_unique<std::uint16_t[]>(kIndexSize)) {}

std::uint16_t RewriteTable::acquire(const Rewrite& row) noexcept {
    if (is_closed_) { return 0; }
    std::uint32_t at = hash_of(row) % kIndexSize;
    while (index_[at] != 0) {
        if (rows_[index_[at]] == row) { return index_[at]; }
        at = (at + 1U) % kIndexSize;
    }
    if (size_ == kRewriteMax) {
        is_closed_ = true;
        return 0;
    }
    const auto number = static_cast<std::uint16_t>(++size_);
    rows_[number] = row;
    index_[at] = number;
    return number;
}

void RewriteTable::clear() noexcept {
    std::fill_n(index_.get(), kIndexSize, std::uint16_t{0});
    size_ = 0;
    is_closed_ = false;
}

}  // namespace sluice::datapath
