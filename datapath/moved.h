// SPDX-License-Identifier: Apache-2.0
// Moved: vNICs whose VM has gone to another host by live migration (ADR 50). Such a MAC keeps a row
// in its domain's static table, without a port, marked here: what still comes for it is sent on to
// where it is now, even if it came from the fabric. Pure, first packets only.
#pragma once

#include "datapath/snapshot.h"
#include "sluice/iochain/flow_key.h"

namespace sluice::datapath {

/// Bit of MacTable::Row::remote. With no other bit: the place is in the VLAN, by the uplinks.
inline constexpr std::uint16_t kMovedRow = 0x8000;
static_assert(kRemoteVtepMax < kMovedRow);

/// Remote VTEP of a static row without a port; 0: none.
[[nodiscard]] constexpr std::uint16_t remote_of(const MacTable::Row& row) noexcept {
    return row.remote & static_cast<std::uint16_t>(~kMovedRow);
}

[[nodiscard]] inline bool is_moved(const MacTable::Row& row) noexcept {
    return row.port == kNoPort && (row.remote & kMovedRow) != 0;
}

/// True if `key`, a frame from the fabric, is a straggler that goes back there: to a MAC that has
/// moved, or an answer of such a one, which learned from a straggler that its peer is here. Never
/// to where it comes from: two hosts that each take the other for the place would pass it to and
/// fro.
/// @param to  remote VTEP that it would go to; 0: none
[[nodiscard]] inline bool is_hairpin(const Domain& domain, const FlowKey& key,
                                     std::uint16_t to) noexcept {
    const MacTable::Row* row = domain.macs.row(key.destination_mac);
    const bool is_straggler = row != nullptr && is_moved(*row);
    if (key.tunnel == 0) { return is_straggler && domain.vni == 0; }
    if (to == 0 || to == key.vlan) { return false; }
    if (is_straggler) { return true; }
    const MacTable::Row* sender = domain.macs.row(key.source_mac);
    return sender != nullptr && is_moved(*sender) && remote_of(*sender) == key.vlan;
}

}  // namespace sluice::datapath
