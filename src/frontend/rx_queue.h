// SPDX-License-Identifier: Apache-2.0
// RxQueue: frames from the device to the guest. Posts writable buffers, merges the buffers of one
// frame (VIRTIO_NET_F_MRG_RXBUF), copies the frame out and posts them again in the order of use.
// Owner's thread.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "split_ring.h"
#include "tx_queue.h"

namespace sluice::frontend {

/// One frame as the guest gets it.
struct RxFrame {
    std::vector<std::uint8_t> frame;  ///< From the destination MAC on.
    NetHeader header;
    unsigned buffer_count = 1;
    bool broken = false;  ///< num_buffers, an id or a length makes no sense: a device bug.
};

struct RxShape {
    std::size_t buffer_bytes = 2048;  ///< Header included.
    Layout layout = Layout::kSingle;  ///< Of each posted buffer; kSplitHeader counts as kChained.
    unsigned posted_max =
        0;  ///< Buffers kept with the device, 0 = as many as fit (to test a slow guest).
};

class RxQueue {
public:
    [[nodiscard]] static std::size_t memory_bytes(unsigned size, const RxShape& shape);
    /// Rings go to region 0, buffers to the last region.
    [[nodiscard]] Status create(GuestMemory& memory, unsigned size, const RxShape& shape);
    /// Fresh rings with all buffers posted (not yet published).
    void start(bool event_idx, bool mergeable, std::size_t header_bytes);
    void publish() { ring_.publish(); }

    /// Takes one frame if one is there. Its buffers are posted again and published.
    [[nodiscard]] std::optional<RxFrame> take();
    /// Stops or resumes posting buffers again after a take (a guest that does not refill).
    void hold_buffers(bool hold);

    [[nodiscard]] SplitRing& ring() { return ring_; }
    [[nodiscard]] unsigned buffer_count() const { return buffer_count_; }
    [[nodiscard]] std::size_t buffer_bytes() const { return shape_.buffer_bytes; }
    /// True if all buffers are with the device in ring order, so that posting again needs no entry
    /// written.
    [[nodiscard]] bool ring_is_full() const { return posted_count_ == ring_.size(); }
    [[nodiscard]] GuestSpan buffer(unsigned index) const { return buffers_.at(index); }
    [[nodiscard]] const std::vector<GuestSpan>& buffers() const { return buffers_; }

private:
    void write_buffer(unsigned index);
    void append(RxFrame& out, UsedElement element, std::size_t skip_bytes);
    void give_back(std::uint32_t head);
    [[nodiscard]] std::optional<unsigned> index_of(std::uint32_t head) const;

    SplitRing ring_;
    RxShape shape_;
    std::vector<GuestSpan> buffers_;
    std::vector<GuestSpan> tables_;
    std::vector<std::uint16_t> held_;
    unsigned buffer_count_ = 0;  // Buffers that the ring can hold in this layout.
    unsigned posted_count_ = 0;  // Of these, the ones in use.
    std::size_t header_bytes_ = sizeof(NetHeader);
    bool mergeable_ = false;
    bool hold_ = false;
};

}  // namespace sluice::frontend
