// SPDX-License-Identifier: Apache-2.0
// FairShare: whose turn it is on a worker. Its sources (ports, and the rings of other workers) take
// turns by cycles and not by frames: while several wait, each gets as many cycles as the others,
// whatever its frames cost. ADR 0052 has the reasons.
//
// Theory of operation. Each source has a clock, `spent`: the cycles that its turns took, all of
// them, until its frames lay in the receivers' rings. A source is hungry if a turn brought as many
// frames as were asked for: more was waiting. The floor is the clock of the hungry source that has
// had least. Whoever is further ahead of it than the lead is passed over until the others have
// caught up; what a turn costs is known behind it only, so that an expensive one is paid off then.
// Nobody saves up: a clock that fell behind is put to the floor. A round in which no source was
// hungry is slack: all clocks are put level, and whoever was passed over runs at once.
//
//   source            ahead by more than   until   what happens
//   vNIC              lead                 lead    not polled: its ring fills, it waits itself
//   shared (uplink,   lead                 level   what no program carries is dropped
//     other worker)     2 leads            level   not polled
//
// Turns are made short while some source takes little (an eighth of a part, or nothing for a
// window): it does not wait for its share, but for the turns of others. Turns of a shared source
// are, whenever others have traffic. A short one takes as many frames as cost half a round at the
// highest cost a frame that the source showed lately. Thread: its worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sluice/base/limits.h"

namespace sluice::datapath {

/// What a turn took.
struct Turn {
    std::uint64_t cycles = 0;
    std::uint64_t bytes = 0;
    std::uint32_t frames = 0;  ///< At least one.
    bool is_shared = false;    ///< Of a source that is everybody's.
};

class FairShare {
public:
    /// @param window_cycles  length of a window (kShareWindowMs); 0 = nobody is ever passed over
    FairShare(std::size_t source_count, std::uint64_t window_cycles);

    /// True if `source` may have a turn in this round. `is_shared`: everybody's, not one vNIC's.
    [[nodiscard]] bool may_run(std::size_t source, bool is_shared) noexcept {
        if (sources_[source].spent <= limit_) [[likely]] {
            is_used_up_ = false;
            return true;
        }
        return may_run_ahead(sources_[source], is_shared);
    }
    /// Frames that its turn may take, 1 to kBurstMax.
    [[nodiscard]] std::uint32_t frames_max(std::size_t source) const noexcept {
        return sources_[source].frames_max;
    }
    /// Its last turn brought frames.
    [[nodiscard]] bool is_busy(std::size_t source) const noexcept {
        return sources_[source].is_busy;
    }
    /// True while turns are made short, since somebody waits for others' turns.
    [[nodiscard]] bool is_short() const noexcept { return free_cost_ != UINT32_MAX; }
    /// It had nothing.
    void note_empty(std::size_t source) noexcept {
        if (sources_[source].is_busy) { sources_[source].is_busy = false; }
    }
    /// True if the source whose turn it is has had its share and can't wait itself: what is new is
    /// to be dropped.
    [[nodiscard]] bool is_used_up() const noexcept { return is_used_up_; }
    /// Turns of a shared source in a round: as many as vNICs wait.
    [[nodiscard]] std::uint32_t shared_turns() const noexcept { return shared_turns_; }
    /// Its turn is over, at `tsc`, a counter that never goes back.
    void end(std::size_t source, const Turn& turn, std::uint64_t tsc) noexcept;
    /// All had the chance of a turn. True if there was slack and somebody was passed over: who may
    /// run now.
    bool end_round() noexcept;

private:
    struct Source {
        std::uint64_t spent = 0;   ///< Its clock.
        std::uint32_t cost = 0;    ///< Cycles a frame, the highest lately.
        std::uint32_t window = 0;  ///< The last one that it had a turn in.
        std::uint8_t frames_max = kBurstMax;
        bool is_busy = false;
        bool is_held = false;  ///< A shared one, passed over until it is level: a lead is added.
        std::uint32_t cycles = 0;  ///< In that window.
    };

    [[nodiscard]] bool may_run_ahead(Source& source, bool is_shared) noexcept;
    void charge(Source& source, const Turn& turn) noexcept;
    void start_window(std::uint64_t tsc) noexcept;
    void enter_window(Source& source) noexcept;
    void set_turn() noexcept;
    void set_floor(std::uint64_t floor) noexcept;
    [[nodiscard]] std::uint32_t frames_by_cost(const Source& source, bool is_shared) const noexcept;

    const std::uint64_t window_cycles_;
    const std::uint64_t lead_;
    std::uint64_t floor_ = 0;
    std::uint64_t limit_;                    // Up to this clock a source simply runs.
    std::uint64_t next_floor_ = UINT64_MAX;  // Of the running round: of who ran and is hungry,
    std::uint64_t held_floor_ = UINT64_MAX;  // and of who was passed over.
    std::uint64_t highest_ = 0;              // Of all clocks.
    std::uint32_t turn_ = 0;                 // Cycles that a turn should take.
    std::uint32_t free_cost_ = UINT32_MAX;   // Up to this cost a frame a full burst fits a turn.
    std::uint32_t total_ = 0;                // Cycles of all turns, in this window so far.
    std::uint32_t total_before_ = 0;         // The same of the window before.
    std::uint64_t begun_ = 0;                // TSC of the running window.
    std::uint32_t window_ = 1;               // Its number.
    std::uint32_t active_ = 0;               // Sources with a turn, in this window so far.
    std::uint32_t active_before_ = 0;        // The same of the window before.
    std::uint32_t waiting_ = 0;              // vNICs that were hungry or passed over, this round.
    std::uint32_t shared_turns_ = 1;         // The same of the round before, as a weight.
    bool is_used_up_ = false;
    bool has_light_ = false;  // A source that takes little has had a turn in this window,
    bool had_light_ = false;  // or in the one before.
    std::vector<Source> sources_;
};

}  // namespace sluice::datapath
