// SPDX-License-Identifier: Apache-2.0
// Meter: cycles (of the TSC) an item of one Google Benchmark loop, from the CPU time of this
// thread: what other processes take from the core does not count.
#pragma once

#include <benchmark/benchmark.h>
#include <rte_cycles.h>

#include <cstdint>
#include <ctime>

namespace sluice::test {

class Meter {
public:
    explicit Meter(benchmark::State& state) : state_(state), start_ns_(cpu_time_ns()) {}
    Meter(const Meter&) = delete;
    Meter& operator=(const Meter&) = delete;

    /// Ends the measurement: `count` items were done.
    void stop(std::uint64_t count) {
        const double cycles =
            (cpu_time_ns() - start_ns_) * static_cast<double>(rte_get_tsc_hz()) / 1e9;
        state_.SetItemsProcessed(static_cast<std::int64_t>(count));
        state_.counters["cycles"] = count > 0 ? cycles / static_cast<double>(count) : 0;
    }

private:
    static double cpu_time_ns() {
        timespec now{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
        return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
    }
    benchmark::State& state_;
    double start_ns_;
};

}  // namespace sluice::test
