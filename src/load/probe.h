// SPDX-License-Identifier: Apache-2.0
// Probe: the first part of every run without connections: both ends announce themselves and a frame
// is sent now and then, until one arrives. The loop's thread.
#pragma once

#include "frame_set.h"
#include "turns.h"

namespace sluice::load {

/// Sends `frame` from a until one is seen at b; on return nothing is with the switch. kIo after the
/// start timeout.
[[nodiscard]] Status probe(Ends& ends, Turns& turns, const Options& options, Prepared frame);

}  // namespace sluice::load
