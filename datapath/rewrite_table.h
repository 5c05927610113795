// SPDX-License-Identifier: Apache-2.0
// RewriteTable: the pairs of MACs that routed flows of one worker leave with, so that a program
// names one by a number (Steps::rewrite). Rows stay until all are taken; then the worker removes
// the programs that name any, clears the table and begins anew. Thread: its worker.
#pragma once

#include <cstdint>
#include <memory>

#include "sluice/base/limits.h"
#include "sluice/net/address.h"

namespace sluice::datapath {

/// How a routed frame leaves.
struct Rewrite {
    MacAddr destination, source;
    std::uint32_t vni = 0;  ///< Of the domain that it leaves in; 0 = VLAN-backed.

    bool operator==(const Rewrite&) const = default;
};
static_assert(sizeof(Rewrite) == 16);

class RewriteTable {
public:
    RewriteTable();
    /// Number of a row, 1..kRewriteMax, new or not. 0: all were taken, until clear().
    [[nodiscard]] std::uint16_t acquire(const Rewrite& row) noexcept;
    [[nodiscard]] const Rewrite& row(std::uint16_t number) const noexcept { return rows_[number]; }
    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    /// True from the first row that found no room until clear().
    [[nodiscard]] bool is_closed() const noexcept { return is_closed_; }
    /// Forgets all rows. No program may name one any more.
    void clear() noexcept;

private:
    static constexpr std::uint32_t kIndexSize = 2U * (kRewriteMax + 1U);
    std::unique_ptr<Rewrite[]> rows_;         // From 1 on.
    std::unique_ptr<std::uint16_t[]> index_;  // Open addressing; 0 = free.
    std::uint32_t size_ = 0;
    bool is_closed_ = false;
};

}  // namespace sluice::datapath
