// SPDX-License-Identifier: Apache-2.0
// UplinkHealth: whether an uplink of a team is used: it fails at once with its link or its beacons,
// and is used again by the rules of failback. Pure: time comes in, faults come in. Control thread.
//
//   state     | fault        | no fault
//   fresh     | fresh        | used: nothing has been moved away from it
//   used      | failed       | used
//   failed    | failed       | waits
//   waits     | failed       | used: when no other uplink is used; with failback, after hold_ms
//             |              | without a fault; without, when another uplink fails
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace sluice::daemon {

struct FailbackRules {
    bool failback = true;
    std::uint64_t hold_ms = 10000;
};

class UplinkHealth {
public:
    /// First step of a look: `fault` is empty, or says why it can't be used.
    /// @return true if it has just failed
    bool note(std::string fault, std::uint64_t now_ms);
    /// Second step, when all uplinks of its switch were noted.
    /// @param other_is_used  some other uplink of the switch is
    /// @param other_failed  some other one has just failed
    void settle(const FailbackRules& rules, bool other_is_used, bool other_failed,
                std::uint64_t now_ms);

    [[nodiscard]] bool is_used() const noexcept { return state_ == State::kUsed; }
    /// Why it is not used; empty if it is.
    [[nodiscard]] std::string why(const FailbackRules& rules, std::uint64_t now_ms) const;

private:
    enum class State : std::uint8_t { kFresh, kUsed, kFailed, kWaits };
    State state_ = State::kFresh;
    std::string fault_;
    std::uint64_t back_since_ms_ = 0;
};

}  // namespace sluice::daemon
