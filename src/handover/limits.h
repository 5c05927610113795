// SPDX-License-Identifier: Apache-2.0
// Every limit and time of the handover. Constants only, any thread.
#pragma once

#include <chrono>
#include <cstddef>

namespace sluice::handover {

// One message. A guest with 16 queue pairs has 32 rings of three descriptors, eight memory regions,
// its socket and a listener.
inline constexpr std::size_t kBodyBytesMax = std::size_t{128} << 10U;
inline constexpr std::size_t kDescriptorMax = 253;  ///< SCM_MAX_FD of Linux.

inline constexpr std::size_t kBinaryPathMax = 4095;

/// A new process that prepares itself may take so many times what it may take to be healthy.
inline constexpr unsigned kPreparationFactor = 10;
inline constexpr std::chrono::seconds kHealthyDefault{3};
inline constexpr std::chrono::seconds kHealthyMax{600};
/// QEMU ends a message that it has begun within this, or its port is handed over unattached.
inline constexpr std::chrono::milliseconds kQuietTimeout{100};
/// Guests are attached again within this, where a process comes back.
inline constexpr std::chrono::seconds kAttachTimeout{1};
/// A killed process lets go of its descriptors within this.
inline constexpr std::chrono::seconds kDeathTimeout{10};
/// The one who asked for the upgrade reads the answer within this.
inline constexpr std::chrono::seconds kAnswerTimeout{2};

}  // namespace sluice::handover
