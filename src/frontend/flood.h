// SPDX-License-Identifier: Apache-2.0
// Flood: load at a few cycles a packet. Frames are written to guest memory once; then the loop only
// moves ring indexes (and, with more frames than ring entries, one descriptor a frame) and never
// reads a frame. Several front-ends take part in one loop on the caller's thread, each sending,
// receiving or both, so that one core can drive two vNICs. Relies on a device that uses buffers in
// order, as vhost implementations do.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "front_end.h"

namespace sluice::frontend {

/// A frame that a flood sends again and again.
struct FloodFrame {
    std::vector<std::uint8_t> frame;
    NetHeader header;
};

/// One front-end's part. Without frames it only receives.
struct FloodPort {
    FrontEnd* front_end = nullptr;
    std::vector<FloodFrame> frames;
    std::uint64_t count_max = 0;  ///< Frames to send, 0 = no limit.
    std::uint64_t pps = 0;        ///< Pace, 0 = as fast as the device takes them.
    /// Not null: `timed_count` frames are offered at once, at that pace of offers, when those
    /// before have arrived at this receiver, and timed. Nothing else may arrive there.
    FrontEnd* timed_to = nullptr;
    unsigned timed_count = 1;
};

struct FloodOptions {
    double seconds = 1.0;
    unsigned burst = 64;        ///< Frames made available at once.
    bool read_lengths = false;  ///< Read used elements: exact frames and bytes with merged buffers,
                                ///< a few cycles more.
    bool measure_gap = false;   ///< Look at the clock whenever frames have come.
    Milliseconds drain{500};    ///< How long frames may be under way after the last send.
};

/// What one front-end did. Rates are over the sending time, drain excluded.
struct FloodResult {
    std::uint64_t sent = 0;    ///< Used by the device.
    std::uint64_t unsent = 0;  ///< Made available, still not used after the drain.
    std::uint64_t received =
        0;  ///< Frames; receive buffers unless read_lengths (equal if frames fit a buffer).
    std::uint64_t received_bytes = 0;  ///< Only with read_lengths; headers excluded.
    double seconds = 0;
    double sent_pps = 0;
    double received_pps = 0;
    double gap_ms = 0;    ///< With measure_gap: the longest time between two arrivals.
    double stall_ms = 0;  ///< And the longest that the loop itself did not look.
    /// Of a timed sender: from an offer to the arrival of its last frame, one an offer. Those
    /// during which the loop itself did not run are left out, and counted.
    std::vector<std::uint32_t> latencies_ns;
    std::uint64_t discarded = 0;
};

/// `count` variants of an IPv4 or IPv6 TCP/UDP frame, each another flow: source port counts up from
/// its own value, then the destination port; checksums are corrected (RFC 1624). Any other frame is
/// returned alone.
[[nodiscard]] std::vector<FloodFrame> vary_flows(const FloodFrame& frame, std::size_t count);

/// Runs until `seconds` have passed, every count_max is reached or `stop` is set. Results in the
/// order of `ports`. kInvalid if a front-end has frames in flight or its frames do not fit
/// Options::flood_bytes.
[[nodiscard]] Result<std::vector<FloodResult>> flood(std::span<const FloodPort> ports,
                                                     const FloodOptions& options,
                                                     const std::atomic<bool>& stop);

}  // namespace sluice::frontend
