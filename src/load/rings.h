// SPDX-License-Identifier: Apache-2.0
// SendRing and ReceiveRing: a front-end's two virtqueues as the load uses them. What they are for
// is few cache lines between the cores: the used index is read once a turn, the available index
// written once a batch, heads are written once before the run and never again, buffers go back in
// the order they came, descriptors are written only where a slot gets another frame. The loop's
// thread.
//
// Relies on a device that uses buffers in order, as vhost implementations do; is_in_order() tells.
#pragma once

#include <cstdint>

#include "rx_queue.h"
#include "tx_queue.h"

namespace sluice::load {

/// Frames to the switch.
class SendRing {
public:
    /// Takes the whole ring; nothing may be in flight.
    explicit SendRing(frontend::TxQueue& queue) : ring_(&queue.ring()) {
        queue.lend();
        for (unsigned i = 0; i < ring_->size(); ++i) {
            ring_->avail().entries[i] = static_cast<std::uint16_t>(i);
        }
    }

    /// Looks at the used index: frames handed over that the switch has not used yet. Kicks it if it
    /// sleeps on them.
    unsigned outstanding() {
        const unsigned count = ring_->outstanding();
        if (count != 0 && ring_->is_kick_wanted()) { ring_->force_kick(); }
        return count;
    }
    /// Slot that the next-but-`ahead` frame goes out by.
    [[nodiscard]] unsigned slot(unsigned ahead = 0) const {
        return (ring_->next_avail() + ahead) & ring_->mask();
    }
    void set(unsigned slot, std::uint64_t address, std::uint32_t length) {
        ring_->descriptors()[slot] = {address, length, 0, 0};
    }
    /// Tells the processor that the descriptors of the next `count` frames will be written.
    void prepare(unsigned count) {
        for (unsigned i = 0; i < count; i += 4) {
            __builtin_prefetch(&ring_->descriptors()[slot(i)], 1);
        }
    }
    /// Hands over the next `count` frames.
    void publish(unsigned count) {
        ring_->put_same(count);
        ring_->publish_quietly();
        handed_over_ += count;
    }
    [[nodiscard]] unsigned size() const { return ring_->size(); }
    /// Frames handed over since the start, and of these used by the switch.
    [[nodiscard]] std::uint64_t handed_over() const { return handed_over_; }
    [[nodiscard]] std::uint64_t used() const { return handed_over_ - ring_->outstanding(); }

private:
    frontend::SplitRing* ring_;
    std::uint64_t handed_over_ = 0;
};

/// Frames from the switch.
class ReceiveRing {
public:
    explicit ReceiveRing(frontend::RxQueue& queue) : queue_(&queue), ring_(&queue.ring()) {}

    /// Looks at the used index: buffers that came and were not given back yet.
    [[nodiscard]] unsigned pending() const { return ring_->pending(); }
    /// The `index`-th of these.
    [[nodiscard]] const frontend::UsedElement& used(unsigned index) const {
        return ring_->used().entries[(ring_->last_used() + index) & ring_->mask()];
    }
    [[nodiscard]] const std::uint8_t* buffer(std::uint32_t id) const {
        return queue_->buffer(id).host;
    }
    /// Gives the oldest `count` back to the switch.
    void recycle(unsigned count) {
        ring_->skip(count);
        ring_->put_same(count);
        ring_->publish_quietly();
        received_ += count;
    }
    [[nodiscard]] unsigned size() const { return ring_->size(); }
    [[nodiscard]] std::size_t buffer_bytes() const { return queue_->buffer_bytes(); }
    /// Buffers received since the start.
    [[nodiscard]] std::uint64_t received() const { return received_; }
    /// True if every element of the used ring that was ever written names its own slot's buffer.
    [[nodiscard]] bool is_in_order() const {
        const std::uint64_t count = received_ < size() ? received_ : size();
        for (std::uint64_t i = 0; i < count; ++i) {
            const auto slot = (ring_->last_used() - 1 - i) & ring_->mask();
            if (ring_->used().entries[slot].id != slot) { return false; }
        }
        return true;
    }

private:
    frontend::RxQueue* queue_;
    frontend::SplitRing* ring_;
    std::uint64_t received_ = 0;
};

}  // namespace sluice::load
