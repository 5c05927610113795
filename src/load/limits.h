// SPDX-License-Identifier: Apache-2.0
// Every limit of the load generator in one place. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sluice::load {

/// Frames are handed over and taken back in multiples of so many: a switch's burst.
inline constexpr unsigned kBurst = 32;
/// Frames that a switch may hold in its hands between the two rings.
inline constexpr unsigned kInHandMax = 2 * kBurst;
/// Bytes on the wire, FCS included.
inline constexpr unsigned kWireBytesMin = 64;
inline constexpr unsigned kWireBytesMax = 1518;
inline constexpr unsigned kFcsBytes = 4;
inline constexpr std::size_t kFlowCountMax = std::size_t{8} << 20U;
/// Memory for prepared frames; more is refused and not swapped.
inline constexpr std::size_t kFrameMemoryMax = std::size_t{4} << 30U;
inline constexpr std::size_t kIpCountMax = 65536;
inline constexpr std::uint32_t kVniMax = 0xffffff;  ///< RFC 7348 §5: 24 bits.
inline constexpr unsigned kQueueSizeMin = 256;
inline constexpr unsigned kQueueSizeMax = 32768;
/// Source ports: the first, and how many.
inline constexpr std::uint16_t kSourcePortFirst = 4096;
inline constexpr std::uint32_t kSourcePortCount = 61440;
inline constexpr unsigned kParallelMax = 4096;
/// A 5-tuple is not opened again before this.
inline constexpr double kTupleRestSeconds = 120;
inline constexpr double kRetrySeconds = 0.2;
inline constexpr unsigned kRetryMax = 10;
/// Share of busy turns that found the switch without work, above which the load was the bottleneck.
inline constexpr double kStarvedShareMax = 0.2;
/// Share of the load's time without anything to do, below which it may have been the bottleneck.
inline constexpr double kIdleShareMin = 0.02;
/// A turn of the load longer than this was not the load's: the thread did not run.
inline constexpr double kStallSeconds = 20e-6;
/// Between two parts of a run: as long as nothing has arrived for so long, all has arrived.
inline constexpr double kQuietSeconds = 2e-3;
inline constexpr double kDrainSeconds = 1.0;
/// A flood through a service: nothing came for so long, so what is under way is lost.
inline constexpr double kGivenUpSeconds = 0.5;
/// Sending every flow once before measuring may take so long.
inline constexpr double kWarmUpMax = 60;
/// Latency samples kept; a run that has more keeps the first.
inline constexpr std::size_t kSampleMax = std::size_t{32} << 20U;

}  // namespace sluice::load
