// SPDX-License-Identifier: Apache-2.0
// Turns: what every loop of the load shares: when it ends, how its time was spent, whether the ends
// are still connected, whether someone wants it to stop. The loop's thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <optional>

#include "end.h"
#include "report.h"
#include "service.h"
#include "tsc.h"

namespace sluice::load {

/// Why a loop ended.
enum class Ended : std::uint8_t { kInTime, kGone, kStopped };

/// Cycles of a loop by what its turns found.
struct TurnCosts {
    std::uint64_t busy = 0;       ///< Turns that moved frames.
    std::uint64_t idle = 0;       ///< Turns that found nothing.
    std::uint64_t stalled = 0;    ///< Turns in which the thread did not run.
    std::uint64_t stall_max = 0;  ///< The longest of these.
    [[nodiscard]] double idle_share() const {
        const auto all = static_cast<double>(busy + idle);
        return all == 0 ? 0 : static_cast<double>(idle) / all;
    }
};

class Turns {
public:
    Turns(const Ends& ends, const std::atomic<bool>& stop) : ends_(&ends), stop_(&stop) {
        if (ends.legs.size() == 2) { service_.emplace(*ends.legs[0], *ends.legs[1]); }
    }

    /// Calls `turn(now)`, which says whether it moved anything, until `done(now)`;
    /// `stalled(cycles)` after a time in which the thread did not run.
    template <typename Turn, typename Done, typename Stalled>
    [[nodiscard]] Ended run(Turn&& turn, Done&& done, Stalled&& stalled) {
        const auto stall = static_cast<std::uint64_t>(kStallSeconds * tsc_hz());
        costs_ = {};
        std::uint64_t then = tsc();
        bool was_busy = true;
        for (std::uint32_t n = 1;; ++n) {
            const std::uint64_t now = tsc();
            const std::uint64_t cycles = now - then;
            if (cycles < stall) {
                (was_busy ? costs_.busy : costs_.idle) += cycles;
            } else {
                count_stall(cycles);
                stalled(cycles);
            }
            then = now;
            if (done(now)) { return Ended::kInTime; }
            was_busy = turn(now);
            if (service_) { was_busy = service_->turn() || was_busy; }
            if (!was_busy) { step_aside(); }
            if (n % kLookEvery == 0) {
                if (stop_->load(std::memory_order_relaxed)) { return Ended::kStopped; }
                if (!ends_->connected()) { return Ended::kGone; }
            }
        }
    }
    /// Of the last run().
    [[nodiscard]] const TurnCosts& costs() const { return costs_; }
    /// The error that belongs to a loop that did not end in time.
    [[nodiscard]] Error error(Ended ended) const {
        if (ended == Ended::kGone) { return ends_->gone(); }
        return Error{Errc::kState, "stopped by a signal", ""};
    }

private:
    static constexpr std::uint32_t kLookEvery = 1U << 14U;
    void count_stall(std::uint64_t cycles) {
        costs_.stalled += cycles;
        if (cycles > costs_.stall_max) { costs_.stall_max = cycles; }
    }

    const Ends* ends_;
    const std::atomic<bool>* stop_;
    std::optional<Service> service_;
    TurnCosts costs_;
};

[[nodiscard]] inline std::uint64_t cycles_of(double seconds) {
    return static_cast<std::uint64_t>(seconds * tsc_hz());
}
[[nodiscard]] inline double seconds_of(std::uint64_t cycles) {
    return static_cast<double>(cycles) / tsc_hz();
}

/// Says what a loop's time went to, of `seconds` measured.
inline void report_shares(Report& report, const TurnCosts& costs, double seconds) {
    report.set("load_idle_share", costs.idle_share(), "", 3);
    report.set("load_stalled_share", seconds_of(costs.stalled) / std::max(seconds, 1e-9), "", 4);
    report.set("load_stall_max_us", seconds_of(costs.stall_max) * 1e6, "us", 1);
}

}  // namespace sluice::load
