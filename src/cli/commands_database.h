// SPDX-License-Identifier: Apache-2.0
// What `--db` makes of apply, diff, export and status: the fleet's document in its database in
// place of a daemon's. One thread.
#pragma once

#include <nlohmann/json.hpp>

#include "cli.h"
#include "failure.h"
#include "invocation.h"
#include "table.h"

namespace sluice::cli {

[[nodiscard]] Outcome<nlohmann::json> apply_fleet(const Invocation& invocation,
                                                  const Streams& streams);
[[nodiscard]] Outcome<nlohmann::json> diff_fleet(const Invocation& invocation,
                                                 const Streams& streams);
[[nodiscard]] Outcome<nlohmann::json> export_fleet(const Invocation& invocation,
                                                   const Streams& streams);
[[nodiscard]] Outcome<nlohmann::json> fleet_status(const Invocation& invocation,
                                                   const Streams& streams);
void render_fleet_applied(const nlohmann::json& result, const View& view);
void render_fleet_document(const nlohmann::json& result, const View& view);
void render_fleet_status(const nlohmann::json& result, const View& view);

/// --timeout from now on.
[[nodiscard]] Database::Clock::time_point deadline_of(const Invocation& invocation);

/// Refuses options of apply that only a fleet has.
[[nodiscard]] Outcome<bool> prepare_apply(Invocation& invocation);

}  // namespace sluice::cli
