// SPDX-License-Identifier: Apache-2.0
// bench_datapath, the whole: a poll of the worker, from a port that makes frames to one that throws
// them away, at 1 to 8 M flows. `floor` is what the ports cost: subtract it from `program`.
#include <rte_mbuf.h>

#include <array>

#include "tests/bench/bench_meter.h"
#include "tests/bench/bench_switch.h"

namespace sluice::test {
namespace {

void floor(benchmark::State& state) {
    BenchPort port(bench_pool(), static_cast<std::uint32_t>(state.range(0)));
    std::array<rte_mbuf*, kBurstMax> frames;
    const Meter meter(state);
    for (auto _ : state) {
        const auto got = port.receive(frames);
        rte_pktmbuf_free_bulk(frames.data(), got.frame_count);
    }
}
BENCHMARK(floor)->Arg(1 << 10);

// A poll of the worker with a burst of 32. Arguments: flows; 1 with slots 0-2 on both vNICs, 0
// without rules.
void program(benchmark::State& state) {
    BenchSwitch& bench =
        rig_of<BenchSwitch>(static_cast<std::uint32_t>(state.range(0)), state.range(1) != 0);
    const std::uint64_t dropped = bench.counters().dropped.get();
    const std::uint64_t missed = bench.counters().flow_misses.get();
    {
        const Meter meter(state);
        for (auto _ : state) { bench.poll(); }
    }
    if (bench.counters().dropped.get() != dropped) { state.SkipWithError("frames were dropped"); }
    state.counters["misses"] = static_cast<double>(bench.counters().flow_misses.get() - missed);
}
void sizes(benchmark::internal::Benchmark* benchmark) {
    for (const std::int64_t flows : {1 << 0, 1 << 10, 1 << 17, 1 << 20, 1 << 23}) {
        benchmark->Args({flows, 0})->Args({flows, 1});
    }
}
BENCHMARK(program)->Apply(sizes);

}  // namespace
}  // namespace sluice::test
