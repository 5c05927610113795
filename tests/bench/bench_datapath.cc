// SPDX-License-Identifier: Apache-2.0
// Cycles a packet (of the TSC) of each stage of the datapath and of the whole, at few and at many
// flows.
//     bin/bench_datapath
// prints the table, medians of several runs; every option of Google Benchmark works. The benchmarks
// are in the other bench_*.cc of this folder, a stage a file.
#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "tests/bench/bench_meter.h"
#include "tests/packet/eal.h"

int main(int argc, char** argv) {
    std::vector<char*> arguments(argv, argv + argc);
    std::vector<std::string> defaults = {"--benchmark_repetitions=3",
                                         "--benchmark_report_aggregates_only=true",
                                         "--benchmark_min_time=0.2"};
    for (std::string& option : defaults) {
        arguments.insert(arguments.begin() + 1, option.data());
    }  // What the caller gives comes later and wins.
    int count = static_cast<int>(arguments.size());
    const sluice::test::Eal eal;
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) { return 1; }
    benchmark::RunSpecifiedBenchmarks();
    sluice::test::kept_rig.reset();
    return 0;
}
