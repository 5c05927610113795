// SPDX-License-Identifier: Apache-2.0
// sluice-load: see docs/sluice-load.md. Exit status: 0 after a valid run, 1 with one sentence on
// stderr after any other, 2 after a usage error.
#include <csignal>
#include <exception>
#include <iostream>

#include "modes.h"

namespace {

std::atomic<bool> stop_wanted{false};

void want_stop(int /*signal*/) { stop_wanted.store(true, std::memory_order_relaxed); }

int run(int argc, char** argv) {
    const auto parsed = sluice::load::parse(argc, argv, std::cout, std::cerr);
    if (!parsed.options) { return parsed.exit_status; }
    const auto report = sluice::load::run(*parsed.options, stop_wanted);
    if (!report) {
        std::cerr << "sluice-load: " << report.error().message << '\n';
        return 1;
    }
    if (parsed.options->json) {
        report.value().print_json(std::cout);
    } else {
        report.value().print_table(std::cout);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    try {
        std::signal(SIGINT, want_stop);
        std::signal(SIGTERM, want_stop);
        return run(argc, argv);
    } catch (const std::exception& error) {
        std::cerr << "sluice-load: unexpected failure: " << error.what() << '\n';
        return 1;
    }
}
