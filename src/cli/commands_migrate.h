// SPDX-License-Identifier: Apache-2.0
// Commands of a VM's move to another host, for the list of all commands. One thread.
#pragma once

#include <vector>

#include "command.h"

namespace sluice::cli {

[[nodiscard]] std::vector<Command> migrate_commands();

}  // namespace sluice::cli
