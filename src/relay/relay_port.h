// SPDX-License-Identifier: Apache-2.0
// What the relay is told about a port and what it tells about it. Plain data, the control thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "relay/limits.h"
#include "relay/offer_book.h"
#include "relay/refusal.h"

namespace sluice::relay {

/// Who listens on the port's socket.
enum class SocketMode : std::uint8_t {
    kClient,  ///< QEMU listens, the relay connects. The default: a VM outlives the daemon.
    kServer,  ///< The relay listens, QEMU connects.
};

struct RelayPort {
    std::string name;
    std::string socket_path;  ///< Absolute; QEMU's side.
    SocketMode mode = SocketMode::kClient;
    std::string library_path;  ///< Absolute; librte_vhost listens there.
    std::uint16_t queue_pair_max =
        kQueuePairMax;            ///< 1..kQueuePairLimit; offered to QEMU, and checked.
    OfferBook* offers = nullptr;  ///< Outlives the relay. Null: what was offered is not kept.
    std::uint16_t guard =
        kGuardPortMax;  ///< Its number for guest_memory_guard.h; kGuardPortMax: not guarded.
};

struct RelayCounters {
    std::uint64_t attaches = 0;       ///< QEMU and the library both connected.
    std::uint64_t requests = 0;       ///< Messages relayed from QEMU.
    std::uint64_t replies = 0;        ///< Messages relayed to QEMU.
    std::uint64_t replays = 0;        ///< Handshakes replayed to the library.
    std::uint64_t peers_refused = 0;  ///< Second peers turned away (server mode).
    std::array<std::uint64_t, kRefuseReasonCount>
        refused{};  ///< Messages refused, by RefuseReason.
};

enum class RelayPhase : std::uint8_t {
    kWaiting,     ///< No QEMU yet (client: looked for; server: listened for).
    kAttached,    ///< QEMU and the library talk.
    kBackingOff,  ///< The last session was refused; the next comes after a pause.
    kDown,        ///< The relay cannot do its part: socket path taken, library absent.
};

/// Stable lower-case word of a phase.
[[nodiscard]] constexpr const char* to_string(RelayPhase phase) noexcept {
    switch (phase) {
        case RelayPhase::kWaiting: return "waiting";
        case RelayPhase::kAttached: return "attached";
        case RelayPhase::kBackingOff: return "backing_off";
        case RelayPhase::kDown: return "down";
    }
    return "down";
}

struct RelayState {
    RelayPhase phase = RelayPhase::kWaiting;
    std::string
        text;  ///< "waiting for /run/x.sock", "attached to pid 123 since 2026-01-02T03:04:05Z", ...
    int peer_pid = 0;  ///< QEMU, while attached.
    RelayCounters counters;
};

/// Called on the control thread whenever phase or text of a port changes. Must not call add or
/// remove.
using RelayObserver = std::function<void(const std::string& name, const RelayState& state)>;

}  // namespace sluice::relay
