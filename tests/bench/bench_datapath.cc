// SPDX-License-Identifier: Apache-2.0
// Cycles a packet (of the TSC) of each stage of the datapath and of the whole, at few and at many
// flows.
//     bin/bench_datapath
// prints the table, medians of several runs; every option of Google Benchmark works. The benchmarks
// are in the other bench_*.cc of this folder, a stage a file.
#include "tests/bench/bench_main.h"
#include "tests/bench/bench_meter.h"

int main(int argc, char** argv) {
    return sluice::test::run_benchmarks(
        argc, argv,
        {"--benchmark_repetitions=3", "--benchmark_report_aggregates_only=true",
         "--benchmark_min_time=0.2"},
        [] { sluice::test::kept_rig.reset(); });
}
