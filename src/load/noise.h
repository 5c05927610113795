// SPDX-License-Identifier: Apache-2.0
// Noise: how many cycles a cache line needs from one core to another and back. On shared machines
// it changes within seconds, and every vhost figure with it. Two threads, for as long as it is
// asked.
#pragma once

#include <span>

#include "report.h"
#include "sluice/base/result.h"

namespace sluice::load {

/// Plays ping-pong on one line between `cpus[0]` and `cpus[1]` for `seconds`: "round_trip_cycles"
/// (median), "p10", "p90", "samples", "tsc_hz". kIo if a core is not to be had.
[[nodiscard]] Result<Report> run_noise(std::span<const int> cpus, double seconds);

/// Binds the calling thread to `cpu`. kIo with the core's number.
[[nodiscard]] Status pin_to(int cpu);

}  // namespace sluice::load
