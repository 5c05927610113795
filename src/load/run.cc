// SPDX-License-Identifier: Apache-2.0
// From options to the mode that they name.
#include "modes.h"
#include "noise.h"

namespace sluice::load {

Result<Report> run(const Options& options, const std::atomic<bool>& stop) {
    if (options.mode == Mode::kNoise) { return run_noise(options.cpus, options.seconds); }
    if (options.cpu >= 0) {
        if (auto pinned = pin_to(options.cpu); !pinned) { return pinned.error(); }
    }
    switch (options.mode) {
        case Mode::kFlood: return run_flood(options, stop);
        case Mode::kCrr: return run_crr(options, stop);
        case Mode::kLatency: return run_latency(options, stop);
        case Mode::kTso: return run_tso(options, stop);
        default: break;
    }
    return Error{Errc::kUnsupported, std::string(to_string(options.mode)) + " is no mode of a run",
                 ""};
}

}  // namespace sluice::load
