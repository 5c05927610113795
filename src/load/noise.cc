// SPDX-License-Identifier: Apache-2.0
// Ping-pong between two cores. Each trip is timed by itself: the median is not moved by the trips
// in which a thread did not run.
#include "noise.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>
#include <vector>

#include "tsc.h"

namespace sluice::load {
namespace {

constexpr std::size_t kTripMax = std::size_t{4} << 20U;

struct alignas(64) Line {
    std::atomic<std::uint64_t> ping{0};
    std::atomic<std::uint64_t> pong{0};
};

// Answers every ping on the same line.
void answer(Line& line, const std::atomic<bool>& stop) {
    std::uint64_t seen = 0;
    while (!stop.load(std::memory_order_relaxed)) {
        const std::uint64_t ping = line.ping.load(std::memory_order_acquire);
        if (ping == seen) { continue; }
        seen = ping;
        line.pong.store(ping, std::memory_order_release);
    }
}

std::vector<std::uint32_t> trips(Line& line, double seconds) {
    std::vector<std::uint32_t> cycles;
    cycles.reserve(kTripMax);
    const std::uint64_t end = tsc() + static_cast<std::uint64_t>(seconds * tsc_hz());
    std::uint64_t from = tsc();
    for (std::uint64_t n = 1; from < end && cycles.size() < kTripMax; ++n) {
        line.ping.store(n, std::memory_order_release);
        bool came = false;
        for (int look = 0; !came; ++look) {
            came = line.pong.load(std::memory_order_acquire) == n;
            if (look % 4096 == 4095 && tsc() >= end) { break; }
        }
        const std::uint64_t to = tsc();
        if (came) { cycles.push_back(static_cast<std::uint32_t>(to - from)); }
        from = to;
    }
    return cycles;
}

double percentile(std::vector<std::uint32_t>& cycles, double share) {
    const auto at = static_cast<std::size_t>(share * static_cast<double>(cycles.size() - 1));
    std::nth_element(cycles.begin(), cycles.begin() + static_cast<std::ptrdiff_t>(at),
                     cycles.end());
    return cycles[at];
}

}  // namespace

Status pin_to(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(cpu), &set);
    const int error = ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
    if (error == 0) { return Ok{}; }
    return Error{Errc::kIo, "core " + std::to_string(cpu) + ": " + std::strerror(error),
                 std::to_string(cpu)};
}

Result<Report> run_noise(std::span<const int> cpus, double seconds) {
    Line line;
    std::atomic<bool> stop{false};
    std::atomic<int> state{0};  // 1: the other thread runs on its core, 2: it may not.
    const double hz = tsc_hz();
    std::thread other([&] {
        const bool pinned = pin_to(cpus[1]).ok();
        state = pinned ? 1 : 2;
        if (pinned) { answer(line, stop); }
    });
    const Status pinned = pin_to(cpus[0]);
    while (state == 0) { std::this_thread::yield(); }
    std::vector<std::uint32_t> cycles;
    if (pinned && state == 1) { cycles = trips(line, seconds); }
    stop = true;
    other.join();
    if (!pinned) { return pinned.error(); }
    if (cycles.size() < 10) {
        return Error{Errc::kIo, "core " + std::to_string(cpus[1]) + " did not answer", ""};
    }
    Report report("noise");
    report.set("round_trip_cycles", percentile(cycles, 0.5), "cycles", 0);
    report.set("p10", percentile(cycles, 0.1), "cycles", 0);
    report.set("p90", percentile(cycles, 0.9), "cycles", 0);
    report.set("samples", std::uint64_t{cycles.size()});
    report.set("tsc_hz", hz, "Hz", 0);
    return report;
}

}  // namespace sluice::load
