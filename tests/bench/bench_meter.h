// SPDX-License-Identifier: Apache-2.0
// What the benchmarks in process share: the meter that turns a loop into cycles a packet,
// and the rig that is kept from one benchmark to the next. Main thread.
#pragma once

#include <benchmark/benchmark.h>
#include <rte_cycles.h>

#include <cstdint>
#include <ctime>
#include <memory>
#include <tuple>

#include "sluice/base/limits.h"

namespace sluice::test {

inline constexpr std::uint64_t kBenchNow =
    1'000'000'000;  ///< Time of what does not need it to pass.

/// Times the loop of one benchmark; items are packets, or what stop() says. CPU time of this thread
/// in TSC cycles: what other processes take from the core does not count.
class Meter {
public:
    explicit Meter(benchmark::State& state) : state_(state), start_ns_(cpu_time_ns()) {}
    ~Meter() {
        if (!stopped_) { stop(static_cast<std::uint64_t>(state_.iterations()) * kBurstMax); }
    }
    Meter(const Meter&) = delete;
    Meter& operator=(const Meter&) = delete;

    /// Ends the measurement: `count` items were done.
    void stop(std::uint64_t count) {
        const double cycles =
            (cpu_time_ns() - start_ns_) * static_cast<double>(rte_get_tsc_hz()) / 1e9;
        state_.SetItemsProcessed(static_cast<std::int64_t>(count));
        state_.counters["cycles"] = count > 0 ? cycles / static_cast<double>(count) : 0;
        stopped_ = true;
    }

private:
    static double cpu_time_ns() {
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
    }
    benchmark::State& state_;
    double start_ns_;
    bool stopped_ = false;
};

/// Keeps one rig at a time; main() empties it before EAL ends.
inline std::shared_ptr<void> kept_rig;

/// The rig of these arguments, kept from the last call if that had the same: building one takes
/// longer than measuring it.
template <typename Rig, typename... Arguments>
Rig& rig_of(Arguments... arguments) {
    static std::tuple<Arguments...> made;
    static std::weak_ptr<Rig> last;
    std::shared_ptr<Rig> rig = last.lock();
    if (!rig || made != std::tuple(arguments...)) {
        rig.reset();
        kept_rig.reset();
        rig = std::make_shared<Rig>(arguments...);
        made = std::tuple(arguments...);
        last = rig;
        kept_rig = rig;
    }
    return *rig;
}

}  // namespace sluice::test
