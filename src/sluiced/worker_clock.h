// SPDX-License-Identifier: Apache-2.0
// The clock of workers, for control: what connections and learned rows are held against when they
// are listed. Any thread.
#pragma once

#include <cstdint>
#include <ctime>

namespace sluice::daemon {

/// Monotonic time in nanoseconds, as workers pass it to poll_once().
[[nodiscard]] inline std::uint64_t worker_now_ns() noexcept {
    timespec time{};
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
           static_cast<std::uint64_t>(time.tv_nsec);
}

}  // namespace sluice::daemon
