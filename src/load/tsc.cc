// SPDX-License-Identifier: Apache-2.0
// Rate of the time stamp counter, against the kernel's monotonic clock.
#include "tsc.h"

namespace sluice::load {
namespace {

using Clock = std::chrono::steady_clock;

double measure() {
    const auto from = Clock::now();
    const std::uint64_t from_tsc = tsc();
    auto to = from;
    while (to - from < std::chrono::milliseconds(20)) { to = Clock::now(); }
    const std::uint64_t to_tsc = tsc();
    return static_cast<double>(to_tsc - from_tsc) /
           std::chrono::duration<double>(to - from).count();
}

}  // namespace

double tsc_hz() {
    static const double rate = measure();
    return rate;
}

}  // namespace sluice::load
