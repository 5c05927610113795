// SPDX-License-Identifier: Apache-2.0
// Capture: see capture.h. A frame that enters is copied before anything looks at it, and its record
// amended when its fate is known, within the same poll; a frame that leaves is copied as its port
// took it.
#include "datapath/capture.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "datapath/context.h"

namespace sluice::datapath {
namespace {

std::uint8_t bit(unsigned capture) noexcept { return static_cast<std::uint8_t>(1U << capture); }

template <typename Act>
void each_capture(std::uint8_t captures, Act&& act) noexcept {
    for (unsigned bits = captures; bits != 0; bits &= bits - 1U) {
        act(static_cast<unsigned>(std::countr_zero(bits)));
    }
}

// Of `captures` those whose filter wants the frame.
std::uint8_t filtered(const CaptureSet& set, const rte_mbuf& frame,
                      std::uint8_t captures) noexcept {
    std::uint8_t kept = 0;
    std::array<std::uint8_t, kCaptureFilterBytes> flat;
    each_capture(captures, [&](unsigned i) {
        const CaptureFilter* filter = set.capture(i).filter.get();
        const std::uint32_t size = std::min(frame.pkt_len, kCaptureFilterBytes);
        const auto* data =
            static_cast<const std::uint8_t*>(rte_pktmbuf_read(&frame, 0, size, flat.data()));
        if (filter == nullptr || filter->matches({data, size}, frame.pkt_len)) { kept |= bit(i); }
    });
    return kept;
}

// Of the captures of single slots those whose slot is in `judged`.
std::uint8_t by_slot(const CaptureSet& set, PortIndex port, Direction direction,
                     std::uint16_t judged) noexcept {
    std::uint8_t kept = 0;
    each_capture(set.wanted(port, direction, true), [&](unsigned i) {
        if ((judged >> set.capture(i).slot & 1U) != 0) { kept |= bit(i); }
    });
    return kept;
}

void copy_bytes(const rte_mbuf& frame, std::uint8_t* to, std::uint32_t size) noexcept {
    for (const rte_mbuf* segment = &frame; size > 0; segment = segment->next) {
        const std::uint32_t part = std::min<std::uint32_t>(size, segment->data_len);
        std::memcpy(to, rte_pktmbuf_mtod(segment, const void*), part);
        to += part;
        size -= part;
    }
}

// nullptr: nobody wants it, or there is no room.
CaptureRecord* record(WorkerContext& context, const rte_mbuf& frame, PortIndex port,
                      Direction direction, std::uint8_t captures) noexcept {
    if (captures == 0) { return nullptr; }
    const CaptureSet& set = *context.capture.set;
    captures = filtered(set, frame, captures);
    if (captures == 0) { return nullptr; }
    std::uint32_t size = 0;
    each_capture(captures, [&](unsigned i) { size = std::max(size, set.capture(i).snap_size); });
    size = std::min(size, frame.pkt_len);
    CaptureRecord* made = context.capture.ring->reserve(size);
    if (made == nullptr) {
        context.capture.ring->count_missed(captures);
        return nullptr;
    }
    made->frame_size = frame.pkt_len;
    made->port = port;
    made->direction = direction;
    made->captures = captures;
    made->time_ns = context.now_ns;
    copy_bytes(frame, made->bytes(), size);
    return made;
}

CaptureRecord* record_of(WorkerContext& context, const rte_mbuf& frame) noexcept {
    return context.capture.ring->amendable(frame.hash.fdir.hi, &frame);
}

}  // namespace

CaptureSet::CaptureSet(const std::array<Capture, kCaptureMax>& captures,
                       std::vector<std::shared_ptr<CaptureRing>> rings)
    : captures_(captures), rings_(std::move(rings)) {
    for (unsigned i = 0; i < kCaptureMax; ++i) {
        const Capture& each = captures_[i];
        if (each.port.value >= kPortMax) { continue; }
        auto& wanted = wanted_[each.slot == kNoSlot ? 0 : 1];
        if (each.from_vm) { wanted[0][each.port.value] |= bit(i); }
        if (each.to_vm) { wanted[1][each.port.value] |= bit(i); }
    }
}

void capture_received(WorkerContext& context, PortIndex ingress,
                      std::span<rte_mbuf*> frames) noexcept {
    const CaptureSet& set = *context.capture.set;
    const auto captures = static_cast<std::uint8_t>(set.wanted(ingress, Direction::kFromVm, false) |
                                                    set.wanted(ingress, Direction::kFromVm, true));
    if (captures == 0) { return; }
    for (rte_mbuf* frame : frames) {
        CaptureRecord* made = record(context, *frame, ingress, Direction::kFromVm, captures);
        if (made == nullptr) { continue; }
        made->frame = frame;
        frame->hash.fdir.hi = context.capture.ring->mark_of(*made);
    }
}

void capture_judged(WorkerContext& context, const rte_mbuf& frame, PortIndex port,
                    Direction direction, std::uint16_t judged, bool passed) noexcept {
    if (direction == Direction::kFromVm) {
        if (CaptureRecord* made = record_of(context, frame)) { made->judged |= judged; }
        return;
    }
    if (!passed) {
        context.capture.judged = judged;
        return;
    }
    const std::uint8_t captures = by_slot(*context.capture.set, port, Direction::kToVm, judged);
    if (CaptureRecord* made = record(context, frame, port, Direction::kToVm, captures)) {
        made->judged = judged;
    }
}

void capture_program(WorkerContext& context, const Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    const PortIndex ingress = packet.frame.key.port;
    const bool is_dropped = program.ending == Ending::kDrop;
    capture_judged(context, *packet.mbuf, ingress, Direction::kFromVm, program.decided_from, true);
    if (program.output == kNoPort) { return; }
    if (!is_dropped) {
        capture_judged(context, *packet.mbuf, program.output, Direction::kToVm, program.decided_to,
                       true);
    } else if (program.drop_slot == kNoSlot) {
        capture_lost(context, *packet.mbuf, program.output, program.reason);
    }
}

void capture_drop_slot(WorkerContext& context, PortIndex port, Direction direction,
                       std::uint8_t slot) noexcept {
    context.capture.drop_port = port;
    context.capture.drop_direction = direction;
    context.capture.drop_slot = slot;
}

void capture_dropped(WorkerContext& context, const rte_mbuf& frame, DropReason reason) noexcept {
    CaptureState& state = context.capture;
    if (CaptureRecord* made = record_of(context, frame)) {
        made->reason = reason;
        made->drop_slot = state.drop_slot;
        made->drop_port = state.drop_port;
        if (state.drop_slot != kNoSlot && state.drop_direction == Direction::kFromVm) {
            made->judged = static_cast<std::uint16_t>(made->judged | 1U << state.drop_slot);
        }
        made->frame = nullptr;
    }
    if (state.drop_slot != kNoSlot && state.drop_direction == Direction::kToVm) {
        capture_lost(context, frame, state.drop_port, reason, state.drop_slot, state.judged);
    }
    state.drop_port = kNoPort;
    state.drop_slot = kNoSlot;
    state.judged = 0;
}

void capture_lost(WorkerContext& context, const rte_mbuf& frame, PortIndex egress,
                  DropReason reason, std::uint8_t slot, std::uint16_t judged) noexcept {
    const CaptureSet& set = *context.capture.set;
    if (slot != kNoSlot) { judged = static_cast<std::uint16_t>(judged | 1U << slot); }
    const auto captures = static_cast<std::uint8_t>(set.wanted(egress, Direction::kToVm, false) |
                                                    by_slot(set, egress, Direction::kToVm, judged));
    CaptureRecord* made = record(context, frame, egress, Direction::kToVm, captures);
    if (made == nullptr) { return; }
    made->judged = judged;
    made->reason = reason;
    made->drop_slot = slot;
    made->drop_port = slot == kNoSlot ? kNoPort : egress;
}

void capture_sent(WorkerContext& context, PortIndex egress, std::span<rte_mbuf*> frames) noexcept {
    const std::uint8_t captures = context.capture.set->wanted(egress, Direction::kToVm, false);
    for (const rte_mbuf* frame : frames) {
        record(context, *frame, egress, Direction::kToVm, captures);
        capture_ended(context, *frame);
    }
}

void capture_ended(WorkerContext& context, const rte_mbuf& frame) noexcept {
    if (CaptureRecord* made = record_of(context, frame)) { made->frame = nullptr; }
}

}  // namespace sluice::datapath
