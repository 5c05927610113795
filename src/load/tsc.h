// SPDX-License-Identifier: Apache-2.0
// The processor's time stamp counter, which everything here is timed with. Any thread.
#pragma once

#include <x86intrin.h>

#include <chrono>
#include <cstdint>

namespace sluice::load {

/// Cycles of the time stamp counter.
[[nodiscard]] inline std::uint64_t tsc() noexcept { return __rdtsc(); }

/// Counter's rate in Hz, measured over some 20 ms at the first call.
[[nodiscard]] double tsc_hz();

/// Steps aside for about a thousand cycles without touching memory, so that the other core keeps
/// its lines.
inline void step_aside() noexcept {
    for (int i = 0; i < 20; ++i) { _mm_pause(); }
}

}  // namespace sluice::load
