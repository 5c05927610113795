// SPDX-License-Identifier: Apache-2.0
// Port: the switch side of a vNIC (or of anything that sends and receives frames). A worker calls
// the burst functions, once a burst each; control makes and retires ports. Frames are mbufs from
// the worker's pool.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "sluice/base/ids.h"

struct rte_mbuf;

namespace sluice::datapath {

/// What a receive burst brought beside frames.
struct ReceiveResult {
    std::uint16_t frame_count = 0;
    std::uint16_t broken_count =
        0;  ///< Descriptors that carried no frame (DropReason::kBadDescriptor).
};

/// On cache lines of its own: ports of several workers lie side by side on the heap, and each poll
/// writes to its port.
class alignas(64) Port {
public:
    Port() = default;
    Port(const Port&) = delete;
    Port& operator=(const Port&) = delete;
    virtual ~Port() = default;

    /// Takes up to frames.size() frames. The caller owns them. worker that polls the port.
    [[nodiscard]] virtual ReceiveResult receive(std::span<rte_mbuf*> frames) noexcept = 0;
    /// Sends frames in order; returns how many the peer took. Those come first in `frames`
    /// afterwards, the others behind them. All stay the caller's (they are copied). `m->hash.rss`
    /// chooses the queue. worker that polls the port.
    [[nodiscard]] virtual std::uint16_t send(std::span<rte_mbuf*> frames) noexcept = 0;
    /// True if a peer is there. Any thread.
    [[nodiscard]] virtual bool is_up() const noexcept = 0;
    /// Offloads the peer takes when it receives. Any thread.
    [[nodiscard]] virtual bool takes_partial_checksum() const noexcept { return false; }
    [[nodiscard]] virtual bool takes_tso4() const noexcept { return false; }
    [[nodiscard]] virtual bool takes_tso6() const noexcept { return false; }

    // Sleep. The worker that polls the port.
    /// Changes whenever kick_fds() would answer anew.
    [[nodiscard]] virtual std::uint32_t kick_epoch() const noexcept { return 0; }
    /// Eventfds that the peer writes when it offers frames; returns how many of `room` are filled.
    /// Never read or closed.
    [[nodiscard]] virtual std::size_t kick_fds(std::span<int> room) noexcept {
        (void)room;
        return 0;
    }
    /// Asks the peer for kicks (before sleep), or not to bother.
    virtual void want_kicks(bool wanted) noexcept { (void)wanted; }
};

}  // namespace sluice::datapath
