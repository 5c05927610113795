// SPDX-License-Identifier: Apache-2.0
// PollClock: the monotonic time of each poll for the price of the cycle counter that the worker
// reads anyway (a call of clock_gettime is some 100 cycles, every poll). The counter is compared
// with the clock once a millisecond. Never goes back: where the counter ran ahead, time stands
// still until the clock has caught up, some nanoseconds. Thread: its worker.
#pragma once

#include <algorithm>
#include <cstdint>

namespace sluice::datapath {

class PollClock {
public:
    /// @param tsc_hz  of the cycle counter, about: a part in a hundred does no harm
    explicit PollClock(std::uint64_t tsc_hz) noexcept
        : cycles_max_(tsc_hz / 1000U),
          ns_per_cycle_(
              static_cast<std::uint64_t>(1e9 * 4294967296.0 / static_cast<double>(tsc_hz))) {}

    /// Monotonic nanoseconds at `tsc`, which never goes back by itself.
    /// @param read_clock  returns the clock's nanoseconds now; asked once a millisecond
    template <typename ReadClock>
    [[nodiscard]] std::uint64_t at(std::uint64_t tsc, ReadClock&& read_clock) noexcept {
        std::uint64_t cycles = tsc - base_tsc_;
        if (cycles > cycles_max_) [[unlikely]] {  // Also at first, and if the counter was set back.
            base_tsc_ = tsc;
            base_ns_ = read_clock();
            cycles = 0;
        }
        last_ns_ = std::max(last_ns_, base_ns_ + (cycles * ns_per_cycle_ >> 32U));
        return last_ns_;
    }

private:
    std::uint64_t cycles_max_;    // Between two looks at the clock.
    std::uint64_t ns_per_cycle_;  // Times 2^32.
    std::uint64_t base_tsc_ = 0;
    std::uint64_t base_ns_ = 0;
    std::uint64_t last_ns_ = 0;
};

}  // namespace sluice::datapath
