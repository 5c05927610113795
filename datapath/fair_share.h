// SPDX-License-Identifier: Apache-2.0
// FairShare: while other ports of a worker wait, one port's first packets may take no more than its
// share of the worker's cycles. Cached flows and packets of live connections are never held to it,
// nor is anybody while the worker has slack: there is no fixed rate. ADR 0025 has the reasons.
//
// Time is cut into windows. A port is hungry in a window if a receive burst of it was full: more
// was waiting. What a port may spend in a window on slow packets (first ones, fragments,
// conversations with the switch) is the window divided by the ports that were hungry in the last
// one, itself counted; all of it if no other one was, or if the worker found nothing to do at some
// time. Thread: its worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "sluice/base/ids.h"

namespace sluice::datapath {

class FairShare {
public:
    /// @param window_cycles  length of a window; 0 = nobody is held to a share
    FairShare(std::size_t port_count, std::uint64_t window_cycles)
        : window_cycles_(window_cycles), ports_(port_count) {}

    /// A burst of `port` begins at `tsc`, a counter that never goes back.
    void begin(PortIndex port, std::uint64_t tsc) noexcept;
    /// True if the port of the running burst has had its share: what is slow is to be dropped.
    [[nodiscard]] bool is_used_up() const noexcept { return is_used_up_; }
    /// It took `cycles` for `frames` frames, `slow` of which no cached program carried.
    /// @param was_full  as many came as were asked for
    void end(PortIndex port, std::uint64_t cycles, std::uint32_t frames, std::uint32_t slow,
             bool was_full) noexcept;
    /// A poll of all ports found nothing: the worker has slack.
    void note_idle() noexcept { was_idle_ = true; }

private:
    struct PortShare {
        std::uint64_t window = 0;  ///< The last one that it had a burst in.
        std::uint64_t spent = 0;   ///< Cycles of that window, on slow packets.
        bool is_hungry = false;    ///< In that window.
        bool was_hungry = false;   ///< In the one before.
    };
    void start_window(std::uint64_t tsc) noexcept;
    [[nodiscard]] bool has_had_share(const PortShare& port) const noexcept;

    std::uint64_t window_cycles_;
    std::uint64_t begun_ = 0;          // TSC of the running window.
    std::uint64_t window_ = 1;         // Its number.
    std::uint32_t hungry_ = 0;         // Ports, so far.
    std::uint32_t hungry_before_ = 0;  // Ports, in the window before; 0 if there was slack.
    std::uint64_t plain_cycles_ = 0;   // Of bursts without slow packets, so far.
    std::uint64_t plain_frames_ = 0;
    std::uint64_t plain_cost_ = 0;  // Cycles of a frame that a cached program carries, lately.
    bool was_idle_ = false;
    bool is_used_up_ = false;
    std::vector<PortShare> ports_;
};

}  // namespace sluice::datapath
