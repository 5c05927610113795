// SPDX-License-Identifier: Apache-2.0
// What every program of Google Benchmarks in process does: options of its own before the caller's,
// an EAL, the run. Main thread.
#pragma once

#include <benchmark/benchmark.h>

#include <string>
#include <vector>

#include "tests/packet/eal.h"

namespace sluice::test {

/// Runs all benchmarks that the command line asks for, then `finish`, while the EAL is still there.
/// @param defaults  options; what the caller gives comes later and wins
/// @return the exit status
template <typename Finish>
int run_benchmarks(int argc, char** argv, std::vector<std::string> defaults, Finish&& finish) {
    std::vector<char*> arguments(argv, argv + argc);
    for (std::string& option : defaults) { arguments.insert(arguments.begin() + 1, option.data()); }
    int count = static_cast<int>(arguments.size());
    const Eal eal;
    benchmark::Initialize(&count, arguments.data());
    if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) { return 1; }
    benchmark::RunSpecifiedBenchmarks();
    finish();
    return 0;
}

}  // namespace sluice::test
