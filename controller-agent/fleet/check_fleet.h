// SPDX-License-Identifier: Apache-2.0
// A fleet's document checked before it is committed, as its hosts would check it: what is
// everybody's once, what is a host's as that host. Controller side (src/cli). Pure, any thread.
#pragma once

#include <functional>
#include <nlohmann/json.hpp>

#include "controller-agent/fleet/rows.h"
#include "sluice/base/result.h"

namespace sluice::fleet {

/// @param document  normalised; `rows` are its packed rows
/// @param before  rows of the database: hosts whose part is as it was are not read; nullptr: all
///                hosts are
/// @param progress  called now and then with hosts done and hosts to do; may be empty
/// @return the first fault as one sentence that names the object, and the host if it is one's
[[nodiscard]] Status check_fleet(
    const nlohmann::json& document, const PackedRows& rows, const PackedRows* before,
    const std::function<void(std::size_t done, std::size_t all)>& progress = {});

}  // namespace sluice::fleet
