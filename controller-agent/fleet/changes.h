// SPDX-License-Identifier: Apache-2.0
// What two states of a fleet's document differ in, object by object, and two editors' changes
// merged. Controller side (src/cli). Pure functions, any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/diff.h"
#include "controller-agent/fleet/items.h"

namespace sluice::fleet {

/// One object that differs.
struct FleetChange {
    agent::Change
        change;        ///< Kinds and names as agent::diff() has them, "host" for a fleet's host.
    std::string host;  ///< Of an uplink, VTEP or port.

    bool operator==(const FleetChange&) const = default;
};

/// Changes that turn `now` into `desired`, in the order of the document's nouns. A port that goes
/// to another host is one change; members of an address set are part of it.
[[nodiscard]] std::vector<FleetChange> changes_of(const Items& desired, const Items& now);

/// `[{"op", "kind", "name", "host", "fields"}]`, `host` and `fields` where there are any.
[[nodiscard]] nlohmann::json to_json_value(const std::vector<FleetChange>& changes);

/// `theirs` with what `mine` changed of `base`.
/// @return kState with a sentence if both changed one object, or the order of one list, differently
[[nodiscard]] Result<Items> merged(const Items& base, const Items& mine, const Items& theirs);

}  // namespace sluice::fleet
