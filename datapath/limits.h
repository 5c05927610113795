// SPDX-License-Identifier: Apache-2.0
// Limits of this room: how ports share a worker and its buffers. Those that users meet are in
// include/sluice/base/limits.h. Constants only, any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::datapath {

// Turns (fair_share.h). A window, kShareWindowMs, remembers which ports have traffic, and what
// their frames cost.
inline constexpr std::uint32_t kShareRoundsPerWindow =
    150;  ///< A round over the ports that have traffic takes about this part of a window, 7 us; a
          ///< port that is so far ahead of others that wait is passed over.
inline constexpr std::uint32_t kShareTurnsPerRoundMax =
    2;  ///< A turn is never made shorter than this part of a round: 32 cheap frames fit it.
inline constexpr std::uint32_t kShareCostMin =
    128;  ///< Cycles a frame; from there, or from what it was, a cost doubles at most a turn: an
          ///< interrupt in it is no cost of its frames.
inline constexpr std::uint32_t kShareWeightMax =
    64;  ///< An uplink weighs as much as the vNICs that wait, up to so many.
inline constexpr std::uint32_t kShareCostMax = 1U << 24U;  ///< Cycles a frame that count.
inline constexpr std::uint32_t kLargeFrameMin =
    24U * 1024U;  ///< Bytes of a frame that takes several turns, where turns are short
                  ///< (large_frame.h): 60 kB that are received and cut are 9 us.

inline constexpr std::size_t kCutSegmentMax =
    128;  ///< Segments of a frame that are cut here: 64 kB to 512 bytes each.
inline constexpr std::size_t kCutAtOnce =
    16;  ///< Of them in one turn, where turns are short: 2 us.

// Buffers: who fills a place pays.
inline constexpr std::uint32_t kHandoverPoolShare =
    4;  ///< One buffer of so many of a worker's share of the pool may be on its way to another one.
inline constexpr std::uint32_t kHandoverTurnShare =
    8;  ///< Of a queue that is half full, a turn takes one of so many places that are free: who
        ///< fills it meets its end, who sends little does not.
inline constexpr std::uint32_t kNeighbourHeldPortShare =
    2;  ///< Of the buffers that wait for neighbours (kNeighbourHeldPoolShare), one vNIC's: one of
        ///< so many.
inline constexpr std::uint32_t kPoolLowShare =
    16;  ///< With less than one of so many buffers free, vNICs of which some are kept wait.
inline constexpr std::uint32_t kPoolLowHeldMax =
    16;  ///< Buffers that a vNIC may have kept even then.

}  // namespace sluice::datapath
