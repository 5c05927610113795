// SPDX-License-Identifier: Apache-2.0
// SplitRing: the driver's side of one split virtqueue (virtio 1.1 §2.6): descriptors, publishing,
// kicks only when the device wants them, waiting on the call descriptor. Knows nothing of packets:
// TxQueue and RxQueue do. Owner's thread; the device works on the same memory at the same time, so
// indexes go through atomic_ref.
//
//   publish: entries and descriptors, then index (release); then a full fence, then read the
//   device's wish for a kick collect: index (acquire), then elements
#pragma once

#include <atomic>
#include <cstdint>

#include "guest_memory.h"
#include "virtio.h"

namespace sluice::frontend {

/// What this side saw and did, for tests that count notifications.
struct RingCounters {
    std::uint64_t kicks = 0;        ///< Eventfd writes.
    std::uint64_t kicks_saved = 0;  ///< Publishes after which the device wanted no kick.
    std::uint64_t calls = 0;        ///< Wake-ups by the call descriptor.
    std::uint64_t missed_calls =
        0;  ///< Used entries found by time out although a call was armed: a device bug.
};

class SplitRing {
public:
    /// Bytes of guest memory that `create` takes at most.
    [[nodiscard]] static std::size_t memory_bytes(unsigned size);
    /// Allocates rings and eventfds. `size`: entries, a power of two, 2..32768.
    [[nodiscard]] Status create(GuestMemory& memory, std::size_t region, unsigned size);
    /// Zeroes the rings: a driver that starts over. The device must be stopped.
    void clear();
    void set_event_idx(bool on) { event_idx_ = on; }

    [[nodiscard]] unsigned size() const { return size_; }
    [[nodiscard]] std::uint16_t mask() const { return static_cast<std::uint16_t>(size_ - 1); }
    [[nodiscard]] Descriptor* descriptors() { return descriptors_; }
    [[nodiscard]] AvailRing& avail() { return *avail_; }
    [[nodiscard]] UsedRing& used() { return *used_; }
    [[nodiscard]] VringAddress addresses(unsigned vring) const;
    [[nodiscard]] int kick_fd() const { return kick_.get(); }
    [[nodiscard]] int call_fd() const { return call_.get(); }

    /// Writes a head behind the published ones; the device sees it after publish().
    void put(std::uint16_t head) { avail_->entries[next_avail_++ & mask()] = head; }
    /// Makes `count` entries available whose slots already hold the right heads (flood).
    void put_same(unsigned count) { next_avail_ = static_cast<std::uint16_t>(next_avail_ + count); }
    /// Publishes what was put and kicks if the device asks for it.
    void publish();
    /// Publishes what was put: no fence, no look at the device's line, no kick. For load loops,
    /// which look for a wish for kicks on later turns (is_kick_wanted), so that a sleeping device
    /// is late and not forgotten. Without EVENT_IDX only.
    void publish_quietly() {
        std::atomic_ref(avail_->index).store(next_avail_, std::memory_order_release);
    }
    /// True if the device has not switched kicks off. Without EVENT_IDX only.
    [[nodiscard]] bool is_kick_wanted() const {
        return (std::atomic_ref(used_->flags).load(std::memory_order_relaxed) & kUsedNoNotify) == 0;
    }
    /// Kicks whatever the device wishes.
    void force_kick();

    [[nodiscard]] std::uint16_t used_index() const {
        return std::atomic_ref(used_->index).load(std::memory_order_acquire);
    }
    [[nodiscard]] std::uint16_t last_used() const { return last_used_; }
    [[nodiscard]] std::uint16_t next_avail() const { return next_avail_; }
    /// Used elements not yet taken; more than size() only if the device is broken.
    [[nodiscard]] unsigned pending() const {
        return static_cast<std::uint16_t>(used_index() - last_used_);
    }
    /// Published and not yet used by the device.
    [[nodiscard]] unsigned outstanding() const {
        return static_cast<std::uint16_t>(next_avail_ - used_index());
    }
    /// The oldest untaken element. Only if pending() > 0.
    [[nodiscard]] UsedElement take() { return used_->entries[last_used_++ & mask()]; }
    void skip(unsigned count) { last_used_ = static_cast<std::uint16_t>(last_used_ + count); }

    /// Waits until pending() > 0, `watched` (a socket) hangs up, or the deadline. True if something
    /// is pending.
    [[nodiscard]] bool wait(Deadline deadline, int watched);
    /// Tells the device not to call (polling).
    void disarm();
    [[nodiscard]] RingCounters counters() const { return counters_; }

private:
    void arm();
    [[nodiscard]] bool kick_wanted(std::uint16_t old_index) const;
    [[nodiscard]] std::uint16_t& used_event() { return avail_->entries[size_]; }
    [[nodiscard]] std::uint16_t& avail_event() const {
        return *reinterpret_cast<std::uint16_t*>(&used_->entries[size_]);
    }

    unsigned size_ = 0;
    bool event_idx_ = false;
    Descriptor* descriptors_ = nullptr;  // driver: rw, device: ro
    AvailRing* avail_ = nullptr;         // driver: rw, device: ro
    UsedRing* used_ = nullptr;           // driver: ro, device: rw
    std::uint16_t next_avail_ = 0;
    std::uint16_t last_used_ = 0;
    Fd kick_;
    Fd call_;
    RingCounters counters_;
};

}  // namespace sluice::frontend
