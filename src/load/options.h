// SPDX-License-Identifier: Apache-2.0
// What the command line says. parse() checks everything that can be checked before a socket is
// opened. Main thread.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "frames.h"
#include "spec.h"

namespace sluice::load {

enum class Mode : std::uint8_t { kFlood, kCrr, kLatency, kTso, kNoise };
[[nodiscard]] const char* to_string(Mode mode);

struct Options {
    Mode mode = Mode::kFlood;
    Spec a, b;
    std::vector<Spec> service;  ///< Its legs: none or two.
    double seconds = 5;
    double warmup = 1;
    int cpu = -1;  ///< -1: wherever the kernel likes.
    bool json = false;
    double start_timeout = 10;
    bool mergeable = true;
    bool offloads = true;
    unsigned queue_size = 0;  ///< 0: the mode's own.
    std::uint16_t port = 0;   ///< First destination port.
    std::uint32_t ports = 1;  ///< How many.
    Checksum checksum = Checksum::kFull;

    // flood
    std::uint64_t flows = 1000;
    unsigned size = 64;  ///< Bytes on the wire, FCS included; 0 = IMIX.
    bool both = false;
    bool tcp = false;
    bool handshake = false;
    std::uint64_t pps = 0;
    bool gaps = false;
    // crr
    unsigned parallel = 256;
    // latency
    bool round_trip = false;
    // tso
    unsigned bytes = 60000;
    unsigned segment = 1448;
    // noise
    std::vector<int> cpus{0, 1};
};

/// Options, or the exit status if there is nothing to run: 0 after --help or --version (printed to
/// `out`), 2 after a usage error (one sentence to `err`).
struct Parsed {
    std::optional<Options> options;
    int exit_status = 0;
};
[[nodiscard]] Parsed parse(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace sluice::load
