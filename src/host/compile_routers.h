// SPDX-License-Identifier: Apache-2.0
// Compile routers: interfaces and the domains that they join, connected and static routes. Runs on
// the compile helper thread.
#pragma once

#include "src/host/compile_switching.h"

namespace sluice::host {

/// Fills `next.routers`. After the ports: routers open domains that no port of this host is in.
/// @return by router, whether more than its routes changed; kLimit if there are too many domains
[[nodiscard]] Result<std::vector<bool>> compile_routers(const Compilation& compilation,
                                                        Switching& switching);

}  // namespace sluice::host
