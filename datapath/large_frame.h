// SPDX-License-Identifier: Apache-2.0
// LargeFrames: frames of a port that take several of its turns, since others wait for turns (ADR
// 0052): received in one, sent on in the next, and if many segments become of it, kCutAtOnce in
// each. A port has one at a time and receives nothing meanwhile. Thread: its worker.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"

struct rte_mbuf;

namespace sluice::datapath {

class Port;

struct LargeFrame {
    rte_mbuf* frame = nullptr;  ///< Null: the port has none.
    const Port* source =
        nullptr;  ///< Where it came from: the port's number may be another's later.
    const Port* target = nullptr;  ///< Being cut: where segments go,
    PortIndex egress = kNoPort;    ///< the number of that port,
    std::uint16_t next = 0;        ///< and the next segment. 0: received, and not looked at.
};

class LargeFrames {
public:
    LargeFrames() : frames_(kPortMax) {}

    [[nodiscard]] bool has(PortIndex port) const noexcept {
        return count_ > 0 && frames_[port.value].frame != nullptr;
    }
    [[nodiscard]] LargeFrame& of(PortIndex port) noexcept { return frames_[port.value]; }
    void keep(PortIndex port, const LargeFrame& frame) noexcept {
        frames_[port.value] = frame;
        ++count_;
    }
    /// The port's frame, which is the caller's now.
    [[nodiscard]] LargeFrame take(PortIndex port) noexcept {
        --count_;
        return std::exchange(frames_[port.value], {});
    }
    [[nodiscard]] std::uint32_t count() const noexcept { return count_; }
    /// Those that are being cut: received, and not consumed yet.
    [[nodiscard]] std::uint32_t held_count() const noexcept {
        std::uint32_t held = 0;
        for (std::size_t i = 0; count_ > 0 && i < frames_.size(); ++i) {
            held += frames_[i].next > 0 ? 1U : 0U;
        }
        return held;
    }

    /// Of whom a frame may be left in the middle: whose turn it is.
    PortIndex current = kNoPort;

private:
    std::vector<LargeFrame> frames_;  // By port.
    std::uint32_t count_ = 0;
};

}  // namespace sluice::datapath
