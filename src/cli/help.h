// SPDX-License-Identifier: Apache-2.0
// Help texts that CLI11 does not write: the list of commands, and examples. Pure functions.
#pragma once

#include <string>

#include "command.h"

namespace sluice::cli {

/// `sluice --help`, or `sluice show --help` for the commands that begin with `prefix`.
[[nodiscard]] std::string overview_text(const std::string& prefix);
/// "Examples:" and a line each.
[[nodiscard]] std::string examples_text(const Command& command);

}  // namespace sluice::cli
