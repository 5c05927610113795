// SPDX-License-Identifier: Apache-2.0
// UplinkHealth: see uplink_health.h.
#include "src/sluiced/uplink_health.h"

namespace sluice::daemon {

bool UplinkHealth::note(std::string fault, std::uint64_t now_ms) {
    fault_ = std::move(fault);
    if (fault_.empty()) {
        if (state_ != State::kFailed) { return false; }
        state_ = State::kWaits;
        back_since_ms_ = now_ms;
        return false;
    }
    const bool has_failed = state_ == State::kUsed;
    if (state_ != State::kFresh) { state_ = State::kFailed; }
    return has_failed;
}

void UplinkHealth::settle(const FailbackRules& rules, bool other_is_used, bool other_failed,
                          std::uint64_t now_ms) {
    if (!fault_.empty() || state_ == State::kUsed) { return; }
    const bool has_held = rules.failback && now_ms - back_since_ms_ >= rules.hold_ms;
    const bool is_needed = !other_is_used || (!rules.failback && other_failed);
    if (state_ == State::kFresh || has_held || is_needed) { state_ = State::kUsed; }
}

std::string UplinkHealth::why(const FailbackRules& rules, std::uint64_t now_ms) const {
    if (state_ == State::kUsed) { return ""; }
    if (!fault_.empty()) { return fault_; }
    if (!rules.failback) { return "is back, and waits until another uplink fails"; }
    const std::uint64_t gone_ms = now_ms - back_since_ms_;
    const std::uint64_t left_s =
        gone_ms >= rules.hold_ms ? 0 : (rules.hold_ms - gone_ms + 999) / 1000;
    return "is back, and is used again in " + std::to_string(left_s) + " s";
}

}  // namespace sluice::daemon
