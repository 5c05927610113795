// SPDX-License-Identifier: Apache-2.0
// FairShare: see fair_share.h.
#include "datapath/fair_share.h"

#include <algorithm>

namespace sluice::datapath {

void FairShare::start_window(std::uint64_t tsc) noexcept {
    const bool follows = tsc - begun_ < 2 * window_cycles_;  // Else nothing happened in between.
    hungry_before_ = follows && !was_idle_ ? hungry_ : 0;
    window_ += follows ? 1 : 2;
    begun_ = tsc;
    hungry_ = 0;
    was_idle_ = false;
    if (plain_frames_ > 0) { plain_cost_ = plain_cycles_ / plain_frames_; }
    plain_cycles_ = plain_frames_ = 0;
}

bool FairShare::has_had_share(const PortShare& port) const noexcept {
    const std::uint32_t others =
        hungry_before_ - std::min<std::uint32_t>(hungry_before_, port.was_hungry);
    return others > 0 && port.spent >= window_cycles_ / (others + 1U);
}

void FairShare::begin(PortIndex port, std::uint64_t tsc) noexcept {
    if (tsc - begun_ >= window_cycles_) [[unlikely]] { start_window(tsc); }
    PortShare& share = ports_[port.value];
    if (share.window != window_) {
        share.was_hungry = share.window + 1 == window_ && share.is_hungry;
        share.is_hungry = false;
        share.spent = 0;
        share.window = window_;
    }
    is_used_up_ = has_had_share(share);
}

void FairShare::end(PortIndex port, std::uint64_t cycles, std::uint32_t frames, std::uint32_t slow,
                    bool was_full) noexcept {
    PortShare& share = ports_[port.value];
    if (was_full && !share.is_hungry) {
        share.is_hungry = true;
        ++hungry_;
    }
    if (slow == 0) {
        plain_cycles_ += cycles;
        plain_frames_ += frames;
        return;
    }
    const std::uint64_t plain = plain_cost_ * (frames - slow);
    share.spent += cycles - std::min(cycles, plain);
}

}  // namespace sluice::datapath
