// SPDX-License-Identifier: Apache-2.0
// Stream: one direction of a flood, from one end's transmit ring to the other's receive ring. A
// turn takes back what arrived and hands over what fits, whole bursts if it can; frames are not
// touched, but for ARP that comes to a tunnel's end. The loop's thread.
//
// Nothing is lost here while the switch loses nothing: what is with the switch and what waits in
// the receive ring together never exceed the ring, because the transmit ring is looked at before
// the receive ring, and what a switch can hold in its hands is left free. Where frames go by a
// service they wait in other rings, too, and a stream hands over no more than came (close_loop()).
#pragma once

#include <cstdint>
#include <vector>

#include "end.h"
#include "frame_set.h"

namespace sluice::load {

/// What a stream counted between mark() and now.
struct StreamCounts {
    std::uint64_t sent = 0;      ///< Used by the switch.
    std::uint64_t received = 0;  ///< Frames given back.
    std::uint64_t bytes = 0;     ///< Of these, Ethernet without FCS.
    std::uint64_t gap_max = 0;   ///< Cycles.
};

class Stream {
public:
    /// From `from` to `to`. Without frames it only takes back. `reads_lengths`: frames differ.
    Stream(End& from, End& to, std::vector<Prepared> frames, bool reads_lengths);

    /// From now on no more is under way than the receive ring holds, wherever it is. What was
    /// handed over before has come or is lost.
    void close_loop(std::uint64_t now);
    /// One turn. `limit`: frames that may be handed over at most; `now`: tsc. True if anything
    /// moved.
    bool turn(std::uint64_t now, std::uint64_t limit);
    /// Starts counting.
    void mark(std::uint64_t now);
    [[nodiscard]] StreamCounts counts() const;
    /// The loop did not run for so many cycles: not a gap of the switch's, and if it finds the
    /// switch without frames now, that is no wonder.
    void forgive(std::uint64_t cycles) {
        moved_at_ += cycles;
        came_at_ += cycles;
        is_late_ = true;
    }

    [[nodiscard]] bool sends() const { return !frames_.empty(); }
    [[nodiscard]] std::uint64_t handed_over() const { return tx_->handed_over(); }
    [[nodiscard]] std::uint64_t received() const { return rx_->received() - answered_; }
    /// Nothing is under way: all used, and nothing came for kQuietSeconds.
    [[nodiscard]] bool is_quiet(std::uint64_t now);
    /// Turns that handed frames over, and of these, those that found the switch without any.
    [[nodiscard]] std::uint64_t giving_turns() const { return giving_turns_; }
    [[nodiscard]] std::uint64_t starved_turns() const { return starved_turns_; }

private:
    bool receive(std::uint64_t now);
    void read(unsigned count);
    bool send(std::uint64_t now, unsigned outstanding, std::uint64_t limit);
    [[nodiscard]] unsigned under_way(std::uint64_t now);
    void write(unsigned count);

    SendRing* tx_;
    ReceiveRing* rx_;
    End* to_;
    std::vector<Prepared> frames_;
    bool is_fixed_ = false;  // Every slot keeps its frame.
    bool reads_lengths_ = false;
    bool is_late_ = false;
    bool is_closed_ = false;
    unsigned under_way_max_ = 0;
    std::size_t cursor_ = 0;
    std::uint32_t header_bytes_ = 0;
    std::uint32_t frame_bytes_ = 0;
    unsigned last_pending_ = 0;
    std::uint64_t moved_at_ = 0;
    std::uint64_t stale_cycles_ = 0;
    std::uint64_t quiet_cycles_ = 0;
    std::uint64_t lost_cycles_ = 0;
    std::uint64_t bytes_ = 0;
    std::uint64_t lost_ = 0;      // Of a closed loop: given up,
    std::uint64_t came_at_ = 0;   // since nothing has come from then on.
    std::uint64_t answered_ = 0;  // Frames that were no part of the flood.
    std::uint64_t gap_max_ = 0;
    std::uint64_t giving_turns_ = 0;
    std::uint64_t starved_turns_ = 0;
    StreamCounts marked_;
};

}  // namespace sluice::load
