// SPDX-License-Identifier: Apache-2.0
// SealQueue: frames of one VTEP that wait to be sealed together, whole and none too long. They go
// out, in order, when the queue is full, when another policy's frame comes, and at the end of the
// burst. On the stack of tunnel_send.cc.
#pragma once

#include <array>
#include <utility>

#include "datapath/esp.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {

class SealQueue {
public:
    SealQueue(WorkerContext& context, std::uint16_t vtep) noexcept
        : context_(context), vtep_(vtep) {}
    [[nodiscard]] WorkerContext& context() const noexcept { return context_; }
    [[nodiscard]] std::uint16_t vtep() const noexcept { return vtep_; }

    /// Owns the frame.
    void add(rte_mbuf* frame, const TunnelMark& mark) noexcept {
        if (count_ > 0 && mark.key_policy != policy_) { flush(); }
        policy_ = mark.key_policy;
        set_tunnel_mark(*frame, {mark.vni, mark.remote});
        frames_[count_++] = frame;
        if (count_ == frames_.size()) { flush(); }
    }
    void flush() noexcept {
        if (count_ == 0) { return; }
        std::array<DropReason, kBurstMax> reasons;
        const std::size_t count = std::exchange(count_, 0);
        seal_frames(context_, vtep_, policy_, {frames_.data(), count}, {reasons.data(), count});
        for (std::size_t i = 0; i < count; ++i) {
            if (reasons[i] == DropReason::kNone) [[likely]] {
                send_marked(context_, vtep_, frames_[i], tunnel_mark(*frames_[i]));
            } else {
                drop_unsealed(frames_[i], reasons[i]);
            }
        }
    }

private:
    // Charged to where it entered, and to its slot.
    void drop_unsealed(rte_mbuf* frame, DropReason reason) noexcept {
        const auto slot = static_cast<std::uint8_t>(kSlotEncrypt);
        count_slot_drop(context_, PortIndex{frame->port}, Direction::kFromVm, slot);
        drop_towards(context_, frame, context_.snapshot->vteps[vtep_].port, reason);
    }

    WorkerContext& context_;
    std::uint16_t vtep_;
    std::uint8_t policy_ = 0;
    std::size_t count_ = 0;
    std::array<rte_mbuf*, kBurstMax> frames_;
};

}  // namespace sluice::datapath
