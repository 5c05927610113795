// SPDX-License-Identifier: Apache-2.0
// ConnectionTable::Timer: how long a connection lives after a packet, and how seldom that is
// written down. Private to slot 2; workers.
#pragma once

#include <cstdint>

#include "sluice/iochain/connection_table.h"

namespace sluice {

inline constexpr std::uint64_t kTimerSlackMaxNs = 1'000'000'000;

/// A connection dies no earlier than `timeout_ns` after its last packet and no later than
/// timeout_ns + slack: expires_ns is written with the slack on top, and again only once that has
/// been used up. The slack is a sixteenth of the timeout, 1 s at most.
struct ConnectionTable::Timer {
    std::uint64_t timeout_ns = 0;

    [[nodiscard]] std::uint64_t slack_ns() const noexcept {
        const std::uint64_t share = timeout_ns / 16U;
        return share < kTimerSlackMaxNs ? share : kTimerSlackMaxNs;
    }
    [[nodiscard]] std::uint64_t target_ns(std::uint64_t now_ns) const noexcept {
        return now_ns + timeout_ns + slack_ns();
    }

    /// True if `expires_ns` must be written: the slack is used up, or the timeout was shortened
    /// meanwhile (wraps to huge).
    [[nodiscard]] static bool is_due(std::uint64_t target_ns, std::uint64_t expires_ns,
                                     std::uint64_t slack_ns) noexcept {
        return target_ns - expires_ns >= slack_ns && target_ns != expires_ns;
    }
};

inline ConnectionTable::Timer ConnectionTable::timer_of(ConnectionState state) const noexcept {
    return {__atomic_load_n(&timeout_ns_[static_cast<std::size_t>(state)], __ATOMIC_RELAXED)};
}

}  // namespace sluice
