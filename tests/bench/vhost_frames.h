// SPDX-License-Identifier: Apache-2.0
// Frames that vhost_bench floods, from 02:...:01, 10.0.0.1 to 02:...:02, 10.0.0.2: ports make the
// flows. Pure functions.
#pragma once

#include <cstddef>
#include <vector>

#include "src/frontend/flood.h"

namespace sluice::bench {

/// UDP, 60 bytes, which is 64 on the wire.
[[nodiscard]] std::vector<frontend::FloodFrame> small_frames(std::size_t flows);
/// TCP segments of 60 kB as a guest's stack hands them to a device that cuts them into 1448 bytes:
/// with the sum of the pseudo header left out, too, which nobody looks at on the way.
[[nodiscard]] std::vector<frontend::FloodFrame> large_frames(std::size_t flows);

}  // namespace sluice::bench
