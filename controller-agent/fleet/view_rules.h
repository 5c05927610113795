// SPDX-License-Identifier: Apache-2.0
// Inside of rows: the rules of a host's view: what they name elsewhere becomes addresses, what
// applies to ports elsewhere is left out, what names nothing is told. Pure, any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/fleet/rows.h"

namespace sluice::fleet {

/// Rewrites `acls`, `dfw`, `groups`, `port_groups` and `address_sets` of a view whose ports and
/// port groups are the host's. `rows` give the members.
void view_rules(nlohmann::json& document, const PackedRows& rows, const std::string& host,
                std::vector<Problem>& problems);

}  // namespace sluice::fleet
