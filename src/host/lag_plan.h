// SPDX-License-Identifier: Apache-2.0
// LagPlan: which uplinks LACP joins to one link (`teaming.lacp` of a switch), and whose port stands
// for them. Pure; compile helper and control thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sluice/model/document.h"

namespace sluice::host {

/// One LAG.
struct LagPlan {
    std::string switch_name;           ///< Empty: no LAG.
    bool is_active = true;             ///< Speaks first.
    std::vector<std::string> members;  ///< In order; the port has the first one's name.
    MacAddr system;                    ///< Of this end.
    std::uint16_t key = 0;             ///< Tells the LAGs of a host apart.

    [[nodiscard]] bool is_lag() const noexcept { return !switch_name.empty(); }
    bool operator==(const LagPlan&) const = default;
};

/// The LAG that `uplink` is a member of, if any.
[[nodiscard]] LagPlan lag_of(const model::Document& document, const std::string& uplink);

/// Name of the port by which frames of `uplink` go: its own, or its LAG's.
[[nodiscard]] std::string port_of_uplink(const model::Document& document,
                                         const std::string& uplink);

}  // namespace sluice::host
