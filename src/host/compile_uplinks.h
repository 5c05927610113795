// SPDX-License-Identifier: Apache-2.0
// Compile uplinks: the uplinks of all switches, and how those and port groups share them out. Runs
// on the compile helper thread.
#pragma once

#include "src/host/compile.h"
#include "src/host/compile_switching.h"

namespace sluice::host {

/// Uplinks become ports, and ways out of the domains that there are.
[[nodiscard]] Status compile_uplinks(const Compilation& compilation, const UplinkSource& devices,
                                     Switching& switching);

/// Teams of switches go to their VLAN domains, those of port groups to their ports. After the
/// uplinks.
/// @param indices  by port, in the order of document.ports
void compile_teams(const Compilation& compilation, const std::vector<PortIndex>& indices);

}  // namespace sluice::host
