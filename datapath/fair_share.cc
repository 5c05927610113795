// SPDX-License-Identifier: Apache-2.0
// FairShare: see fair_share.h.
#include "datapath/fair_share.h"

#include <algorithm>

#include "datapath/limits.h"

namespace sluice::datapath {
namespace {

constexpr std::uint64_t kNever = UINT64_MAX;
constexpr std::uint64_t kMost = UINT32_MAX / 2;  // Cycles that 32 bits hold, twice.

// Few frames cost more each: where no more waited, their cost counts as if they had come with
// others.
constexpr std::uint32_t kCostFramesMin = 4;

// Large frames come in small bursts: 32 of 60 kB would be copied in, pushed out of the cache, and
// fetched again to be copied out; and a guest's receive ring has no room for them at once.
std::uint32_t frames_by_bytes(std::uint64_t bytes, std::uint32_t frames) noexcept {
    if (bytes <= std::uint64_t{frames} * (kBurstBytes / kBurstMax)) [[likely]] { return kBurstMax; }
    return static_cast<std::uint32_t>(
        std::clamp<std::uint64_t>(std::uint64_t{kBurstBytes} * frames / bytes, 1, kBurstMax));
}

}  // namespace

FairShare::FairShare(std::size_t source_count, std::uint64_t window_cycles)
    : window_cycles_(window_cycles),
      lead_(window_cycles / kShareRoundsPerWindow),
      limit_(window_cycles == 0 ? kNever : lead_),
      sources_(source_count) {}

void FairShare::set_floor(std::uint64_t floor) noexcept {
    floor_ = floor;
    limit_ = window_cycles_ == 0 ? kNever : floor + lead_;
}

// A turn is the round's part of a source; never so short that cheap frames would not fit.
void FairShare::set_turn() noexcept {
    const std::uint32_t active = std::max(active_, active_before_);
    turn_ = static_cast<std::uint32_t>(
        std::min(lead_ / std::clamp<std::uint32_t>(active, 1, kShareTurnsPerRoundMax), kMost));
    const bool is_short = active > 1 && (has_light_ || had_light_) && window_cycles_ != 0;
    free_cost_ = is_short ? turn_ / static_cast<std::uint32_t>(kBurstMax) : UINT32_MAX;
}

void FairShare::start_window(std::uint64_t tsc) noexcept {
    const bool follows = tsc - begun_ < 2 * window_cycles_;  // Else nothing happened in between.
    window_ += follows ? 1U
                       : static_cast<std::uint32_t>(
                             std::min<std::uint64_t>((tsc - begun_) / window_cycles_, 64));
    active_before_ = follows ? active_ : 0;
    had_light_ = follows && has_light_;
    total_before_ = follows ? total_ : 0;
    active_ = total_ = 0;
    has_light_ = false;
    begun_ = tsc;
    set_turn();
}

// The cost a frame sinks by an eighth a window: who alternates cheap and expensive frames can't
// have a long turn often enough for others to notice.
void FairShare::enter_window(Source& source) noexcept {
    for (std::uint32_t i = std::min(window_ - source.window, 64U); i > 0; --i) {
        source.cost -= (source.cost + 7U) / 8U;
    }
    // Nothing for a window, or little in it: less than an eighth of an equal part of all.
    const bool is_light = source.window + 1 != window_ ||
                          std::uint64_t{source.cycles} * 8U * active_before_ < total_before_;
    has_light_ = has_light_ || is_light;
    source.window = window_;
    source.cycles = 0;
    ++active_;
    set_turn();
}

bool FairShare::may_run_ahead(Source& source, bool is_shared) noexcept {
    is_used_up_ = is_shared && !source.is_held && source.spent <= limit_ + lead_;
    if (is_used_up_) { return true; }
    held_floor_ = std::min(held_floor_, source.spent);
    if (!is_shared) {
        ++waiting_;
    } else if (!source.is_held) {
        source.is_held = true;
        source.spent += lead_;
    }
    return false;
}

void FairShare::charge(Source& source, const Turn& turn) noexcept {
    if (source.is_held) [[unlikely]] {
        source.is_held = false;
        source.spent -= lead_;
    }
    const bool is_hungry = turn.frames >= source.frames_max;
    const std::uint64_t cycles = turn.is_shared ? turn.cycles / shared_turns_ : turn.cycles;
    source.spent = std::max(source.spent, floor_) + cycles;
    highest_ = std::max(highest_, source.spent);
    const auto counted = static_cast<std::uint32_t>(std::min(turn.cycles, kMost));
    source.cycles = std::min(source.cycles, UINT32_MAX - counted) + counted;
    total_ = std::min(total_, UINT32_MAX - counted) + counted;
    if (is_hungry) {
        next_floor_ = std::min(next_floor_, source.spent);
        if (!turn.is_shared) { ++waiting_; }
    }
    const std::uint32_t frames = is_hungry ? turn.frames : std::max(turn.frames, kCostFramesMin);
    if (turn.cycles > std::uint64_t{source.cost} * frames) [[unlikely]] {
        const std::uint32_t most = 2U * std::clamp(source.cost, kShareCostMin, kShareCostMax);
        source.cost =
            static_cast<std::uint32_t>(std::min<std::uint64_t>(turn.cycles / frames, most));
    }
}

std::uint32_t FairShare::frames_by_cost(const Source& source, bool is_shared) const noexcept {
    const bool is_short = is_shared && std::max(active_, active_before_) > 1;
    const std::uint32_t free_cost = is_short ? turn_ / std::uint32_t{kBurstMax} : free_cost_;
    if (source.cost <= free_cost) [[likely]] { return kBurstMax; }
    return std::clamp<std::uint32_t>(turn_ / source.cost, 1, kBurstMax);
}

void FairShare::end(std::size_t index, const Turn& turn, std::uint64_t tsc) noexcept {
    Source& source = sources_[index];
    source.is_busy = true;
    std::uint32_t frames = frames_by_bytes(turn.bytes, turn.frames);
    if (window_cycles_ != 0) {
        if (tsc - begun_ >= window_cycles_) [[unlikely]] { start_window(tsc); }
        if (source.window != window_) [[unlikely]] { enter_window(source); }
        // Who had no more waiting may take a whole round: else the end of a burst, that of one who
        // sends little, would wait for all others' turns.
        const bool is_hungry = turn.frames >= source.frames_max;
        charge(source, turn);
        const std::uint32_t fit = frames_by_cost(source, turn.is_shared);
        frames = std::min(frames, is_hungry ? fit : fit * kShareTurnsPerRoundMax);
    }
    source.frames_max = static_cast<std::uint8_t>(frames);
}

bool FairShare::end_round() noexcept {
    const bool has_slack = next_floor_ == kNever;
    const bool again = has_slack && held_floor_ != kNever;
    set_floor(has_slack ? highest_ : std::max(floor_, std::min(next_floor_, held_floor_)));
    shared_turns_ = std::clamp<std::uint32_t>(waiting_, 1, kShareWeightMax);
    waiting_ = 0;
    next_floor_ = held_floor_ = kNever;
    return again;
}

}  // namespace sluice::datapath
