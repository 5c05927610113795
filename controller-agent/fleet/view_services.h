// SPDX-License-Identifier: Apache-2.0
// Inside of rows: services of a fleet. Their legs are ports of some host; every other host reaches
// the instance behind that host's VTEP, over the instance's `vni`. Whoever commits writes down
// where legs are (table Member, scope "leg NAME": the VTEP's address and the host), because a host
// sees no ports but its own. Pure, any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/fleet/members.h"
#include "controller-agent/fleet/rows.h"

namespace sluice::fleet {

/// Scope of a leg's rows in table Member. No name has a space.
[[nodiscard]] inline std::string leg_scope(const std::string& port) { return "leg " + port; }

/// Adds where the legs are that a fleet's service chains name. A host without a VTEP has the empty
/// address.
void add_legs(const nlohmann::json& fleet_document, Members& members);

/// Turns instances of `document`'s service chains whose legs are elsewhere into remote ones. One
/// that can't be reached is left out of its rule, and a redirecting rule without an instance with
/// it, with a problem each.
void view_services(nlohmann::json& document, const PackedRows& rows,
                   std::vector<Problem>& problems);

}  // namespace sluice::fleet
