// SPDX-License-Identifier: Apache-2.0
// Every limit and time of the relay. Constants only, any thread.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::relay {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Messages.
inline constexpr std::uint32_t kPayloadBytesMax = 4096;
inline constexpr std::size_t kMessageFdMax = 8;  ///< vhost-user: one a memory region.
inline constexpr std::uint32_t kMemoryRegionMax =
    8;  ///< What librte_vhost and QEMU's baseline agree on.
inline constexpr std::uint32_t kVringSizeMax = 32768;  ///< Entries; virtio 1.1 section 2.6.
inline constexpr std::uint16_t kQueuePairMax = 16;     ///< Default of RelayPort::queue_pair_max.
inline constexpr std::uint16_t kQueuePairLimit = 128;  ///< VHOST_MAX_QUEUE_PAIRS of librte_vhost.

// Deadlines.
inline constexpr milliseconds kMessageTimeout{2000};  ///< A message once begun is whole after this.
inline constexpr milliseconds kWriteTimeout{2000};    ///< A peer takes a message within this.

// Looking for QEMU's socket (client mode).
inline constexpr milliseconds kQuickRetry{10};     ///< The socket exists, nobody listens yet.
inline constexpr milliseconds kQuickPeriod{1000};  ///< How long the quick retries last.
inline constexpr milliseconds kSlowRetry{
    1000};  ///< Safety net under inotify; also server mode's rebind.
inline constexpr milliseconds kReturnPause{5};     ///< Between two attaches of a peer that behaved.
inline constexpr milliseconds kBackoffFirst{100};  ///< After a refused message; doubles.
inline constexpr milliseconds kBackoffMax{5000};
inline constexpr milliseconds kBackoffForget{
    10000};                                       ///< A session this long starts the back-off anew.
inline constexpr milliseconds kAcceptPause{200};  ///< After a failed accept (no descriptors left).

// The library's side.
inline constexpr std::size_t kReplayMax = 3;  ///< Replays of one session within kReplayPeriod.
inline constexpr milliseconds kReplayPeriod{60000};

// Tables.
inline constexpr std::size_t kLinkMax = 1024;  ///< Ports of one relay.
inline constexpr std::size_t kGuardRegionMax =
    8192;  ///< kLinkMax ports, kMemoryRegionMax regions each.
inline constexpr std::size_t kGuardPortMax = 1024;
inline constexpr std::size_t kGuardFilesPerPort =
    16;  ///< Two memory tables: the one that goes and the one that comes.
inline constexpr std::size_t kLogLinesMax = 20;  ///< Of one port within kLogPeriod.
inline constexpr milliseconds kLogPeriod{10000};

}  // namespace sluice::relay
