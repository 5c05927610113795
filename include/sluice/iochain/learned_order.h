// SPDX-License-Identifier: Apache-2.0
// Whose claim to an address comes first: the order behind LearnedTable::holder(), for listings on
// the control thread, which work on copies of rows. Implemented by slot 1 (iochain/swsec). Pure,
// any thread.
#pragma once

#include "sluice/iochain/learned_table.h"

namespace sluice {

/// True if binding `a` comes before binding `b` of the same address and domain: a lease before
/// first use, then the older. Never both ways.
[[nodiscard]] bool comes_before(const LearnedRow& a, const LearnedRow& b) noexcept;

}  // namespace sluice
