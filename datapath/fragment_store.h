// SPDX-License-Identifier: Apache-2.0
// FragmentStore: the frames of a worker that wait for the head of their datagram, or for the rest
// of it. A fixed pool of places; a list a datagram in order of offset, a queue a port in order of
// arrival. Belongs to FragmentTable, which says what waits and what becomes of it. Thread: the
// worker that owns it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"

struct rte_mbuf;

namespace sluice::datapath {

/// What may wait at once. Buffers are counted, because they are what runs out.
struct FragmentStoreLimits {
    std::uint16_t buffers = kFragmentHeldBuffers;  ///< Of the worker, at most 65534.
    std::uint16_t buffers_per_port = kFragmentHeldPerPortBuffers;
    std::uint32_t bytes = kFragmentHeldBytes;  ///< Of frames, of the worker.
    std::uint32_t bytes_per_port = kFragmentHeldPerPortBytes;
};

/// A frame that waits.
struct HeldFragment {
    rte_mbuf* frame = nullptr;
    std::uint16_t begin = 0;         ///< Fragment offset in bytes.
    std::uint16_t payload_at = 0;    ///< Where its part of the datagram lies in the frame.
    std::uint16_t payload_size = 0;  ///< Bytes of that.
};

/// The frames of one datagram; kept by its entry in the table.
struct HeldList {
    std::uint16_t first = 0xffff;
    [[nodiscard]] bool is_empty() const noexcept { return first == 0xffff; }
};

class FragmentStore {
public:
    explicit FragmentStore(const FragmentStoreLimits& limits);

    /// True if `frame` fits into what the port, and the worker, may hold.
    [[nodiscard]] bool has_room(PortIndex port, const rte_mbuf& frame) const noexcept;
    /// Takes a frame, for which there is room, into `list`. `owner` is what oldest_owner() answers.
    void hold(HeldList& list, std::uint16_t owner, PortIndex port,
              const HeldFragment& held) noexcept;
    /// Gives back the frame with the lowest offset; null if the list is empty.
    [[nodiscard]] rte_mbuf* take(HeldList& list) noexcept;
    /// Owner of the frame of `port` that has waited longest; 0xffff if none waits.
    [[nodiscard]] std::uint16_t oldest_owner(PortIndex port) const noexcept;
    /// Calls visit(const HeldFragment&) in order of offset.
    template <typename Visit>
    void for_each(const HeldList& list, Visit&& visit) const noexcept {
        for (std::uint16_t at = list.first; at != kNone; at = places_[at].next) {
            visit(places_[at].held);
        }
    }
    /// Frames that wait.
    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }
    /// Buffers of those of one port.
    [[nodiscard]] std::uint32_t held_buffers(PortIndex port) const noexcept {
        return ports_[slot_of(port)].buffers;
    }

private:
    static constexpr std::uint16_t kNone = 0xffff;
    struct Place {
        HeldFragment held;
        std::uint16_t owner = kNone;
        std::uint16_t next = kNone;                  // Of the datagram; chains free places, too.
        std::uint16_t older = kNone, newer = kNone;  // Of the port.
        PortIndex port = kNoPort;
    };
    struct Use {
        std::uint32_t bytes = 0;
        std::uint16_t buffers = 0;
        std::uint16_t oldest = kNone, newest = kNone;
    };

    [[nodiscard]] static std::size_t slot_of(PortIndex port) noexcept {
        return port.value < kPortMax ? port.value : kPortMax;
    }
    void unlink_from_port(std::uint16_t at) noexcept;

    FragmentStoreLimits limits_;
    std::unique_ptr<Place[]> places_;
    std::uint16_t free_ = kNone;
    std::uint32_t size_ = 0;
    Use all_;
    std::array<Use, kPortMax + 1> ports_;  // The last one serves every index past kPortMax.
};

}  // namespace sluice::datapath
