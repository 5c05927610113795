// SPDX-License-Identifier: Apache-2.0
// Capture: copies of a port's frames, with how they ended, for `sluice capture`. What is captured
// is a CaptureSet, immutable, published beside the snapshot; while there is none a worker pays a
// test a burst. The hooks below stand on the frame's way (ingress, inspect, replicate, output);
// each does nothing without a set. They copy into the worker's CaptureRing, never into packet
// buffers, so that a capture can't starve traffic, and don't touch the books. Thread: a worker;
// sets are made by control.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "datapath/capture_ring.h"
#include "sluice/base/limits.h"

struct rte_mbuf;

namespace sluice::datapath {

struct Packet;
struct WorkerContext;

/// Says which frames a capture wants. Immutable.
class CaptureFilter {
public:
    CaptureFilter() = default;
    CaptureFilter(const CaptureFilter&) = delete;
    CaptureFilter& operator=(const CaptureFilter&) = delete;
    virtual ~CaptureFilter() = default;
    /// @param data  the frame from its Ethernet header on, at least min(frame_size,
    /// kCaptureFilterBytes) bytes of it. Bounded time, any worker.
    [[nodiscard]] virtual bool matches(std::span<const std::uint8_t> data,
                                       std::uint32_t frame_size) const noexcept = 0;
};

/// One capture. Without a slot: frames as they entered by the port, and as they left by it or were
/// dropped on their way to it. With a slot: frames that this slot of the port judged, as it saw
/// them.
struct Capture {
    PortIndex port = kNoPort;  ///< kNoPort: this place of the set is free.
    bool from_vm = true;       ///< Frames that entered by the port.
    bool to_vm = true;         ///< Frames on their way out by it.
    std::uint8_t slot = kNoSlot;
    std::uint32_t snap_size = kCaptureSnapMax;    ///< Bytes kept of a frame.
    std::shared_ptr<const CaptureFilter> filter;  ///< Null: everything.
};

/// What workers capture. Immutable once published.
class CaptureSet {
public:
    CaptureSet(const std::array<Capture, kCaptureMax>& captures,
               std::vector<std::shared_ptr<CaptureRing>> rings);

    /// Bit a capture that wants frames of `port` going `direction`: whole ports, or (`by_slot`)
    /// single slots of it.
    [[nodiscard]] std::uint8_t wanted(PortIndex port, Direction direction,
                                      bool by_slot) const noexcept {
        return port.value < kPortMax
                   ? wanted_[by_slot ? 1 : 0][static_cast<std::size_t>(direction)][port.value]
                   : std::uint8_t{0};
    }
    [[nodiscard]] const Capture& capture(unsigned index) const noexcept { return captures_[index]; }
    [[nodiscard]] CaptureRing& ring(unsigned worker) const noexcept { return *rings_[worker]; }

private:
    std::array<Capture, kCaptureMax> captures_;
    std::vector<std::shared_ptr<CaptureRing>> rings_;  // By worker.
    std::array<std::array<std::array<std::uint8_t, kPortMax>, 2>, 2> wanted_{};
};

/// A worker's part: the set of the running poll, and what the slot that just dropped a frame said.
struct CaptureState {
    const CaptureSet* set = nullptr;  ///< Null: nobody captures.
    CaptureRing* ring = nullptr;
    PortIndex drop_port = kNoPort;
    Direction drop_direction = Direction::kFromVm;
    std::uint8_t drop_slot = kNoSlot;
    std::uint16_t judged = 0;  ///< Slots of the destination that judged the frame before.
};

// Hooks: call them only while WorkerContext::capture.set is set.

/// Frames came in by `ingress`, untouched yet. Remembers each frame's record in hash.fdir.hi.
void capture_received(WorkerContext& context, PortIndex ingress,
                      std::span<rte_mbuf*> frames) noexcept;
/// Slots of one vNIC judged a frame that is as it came in. `passed`: they let it through; else
/// capture_dropped() follows.
void capture_judged(WorkerContext& context, const rte_mbuf& frame, PortIndex port,
                    Direction direction, std::uint16_t judged, bool passed) noexcept;
/// The same for what a packet's program says of both vNICs, just before it runs.
void capture_program(WorkerContext& context, const Packet& packet) noexcept;
/// A slot drops a frame: who it is, for the capture_dropped() that follows.
void capture_drop_slot(WorkerContext& context, PortIndex port, Direction direction,
                       std::uint8_t slot) noexcept;
/// The frame is dropped: its record says so, and the destination sees it if one of its slots did
/// it.
void capture_dropped(WorkerContext& context, const rte_mbuf& frame, DropReason reason) noexcept;
/// A frame, or its copy, does not reach `egress`, whose slots `judged` it before.
void capture_lost(WorkerContext& context, const rte_mbuf& frame, PortIndex egress,
                  DropReason reason, std::uint8_t slot = kNoSlot,
                  std::uint16_t judged = 0) noexcept;
/// Frames left by `egress`.
void capture_sent(WorkerContext& context, PortIndex egress, std::span<rte_mbuf*> frames) noexcept;
/// The frame ends here otherwise; its buffer may become another one.
void capture_ended(WorkerContext& context, const rte_mbuf& frame) noexcept;

}  // namespace sluice::datapath
