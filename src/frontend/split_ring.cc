// SPDX-License-Identifier: Apache-2.0
// SplitRing: memory order and notification rules of virtio 1.1 §2.6.7 to §2.6.14.
#include "split_ring.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cstring>

namespace sluice::frontend {
namespace {

constexpr int kRecheckMs = 20;  // A device that forgets to call costs this much and is counted.

[[nodiscard]] std::uint64_t user_address(const void* pointer) {
    return reinterpret_cast<std::uint64_t>(pointer);
}

}  // namespace

std::size_t SplitRing::memory_bytes(unsigned size) {
    return sizeof(Descriptor) * size + avail_ring_bytes(size) + used_ring_bytes(size) +
           std::size_t{3} * 4096;
}

Status SplitRing::create(GuestMemory& memory, std::size_t region, unsigned size) {
    if (size < 2 || size > 32768 || (size & (size - 1)) != 0) {
        return Error{Errc::kInvalid,
                     "queue size " + std::to_string(size) + " is not a power of two in 2..32768",
                     ""};
    }
    size_ = size;
    descriptors_ = reinterpret_cast<Descriptor*>(
        memory.allocate(region, sizeof(Descriptor) * size, 4096).host);
    avail_ = reinterpret_cast<AvailRing*>(memory.allocate(region, avail_ring_bytes(size)).host);
    used_ = reinterpret_cast<UsedRing*>(memory.allocate(region, used_ring_bytes(size), 4096).host);
    kick_.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    call_.reset(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!kick_.valid() || !call_.valid()) { return io_error("eventfd"); }
    return Ok{};
}

void SplitRing::clear() {
    std::fill_n(descriptors_, size_, Descriptor{});
    std::memset(static_cast<void*>(avail_), 0, avail_ring_bytes(size_));
    std::memset(static_cast<void*>(used_), 0, used_ring_bytes(size_));
    next_avail_ = 0;
    last_used_ = 0;
}

VringAddress SplitRing::addresses(unsigned vring) const {
    return {vring, 0, user_address(descriptors_), user_address(used_), user_address(avail_), 0};
}

bool SplitRing::kick_wanted(std::uint16_t old_index) const {
    if (!event_idx_) {
        return (std::atomic_ref(used_->flags).load(std::memory_order_relaxed) & kUsedNoNotify) == 0;
    }
    const std::uint16_t event = std::atomic_ref(avail_event()).load(std::memory_order_relaxed);
    const auto behind_event = static_cast<std::uint16_t>(next_avail_ - event - 1);
    return behind_event < static_cast<std::uint16_t>(next_avail_ - old_index);
}

void SplitRing::publish() {
    const std::uint16_t old_index = avail_->index;
    std::atomic_ref(avail_->index).store(next_avail_, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (kick_wanted(old_index)) {
        force_kick();
    } else {
        ++counters_.kicks_saved;
    }
}

void SplitRing::force_kick() {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(kick_.get(), &one, sizeof one);
    ++counters_.kicks;
}

void SplitRing::arm() {
    if (event_idx_) {
        std::atomic_ref(used_event()).store(last_used_, std::memory_order_relaxed);
    } else {
        std::atomic_ref(avail_->flags).store(0, std::memory_order_relaxed);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);
}

void SplitRing::disarm() {
    if (event_idx_) {
        std::atomic_ref(used_event())
            .store(static_cast<std::uint16_t>(last_used_ + 0x8000U), std::memory_order_relaxed);
    } else {
        std::atomic_ref(avail_->flags).store(kAvailNoInterrupt, std::memory_order_relaxed);
    }
}

bool SplitRing::wait(Deadline deadline, int watched) {
    if (pending() > 0) { return true; }
    arm();
    while (pending() == 0) {
        pollfd fds[2] = {{call_.get(), POLLIN, 0}, {watched, POLLRDHUP, 0}};
        const int ready = ::poll(fds, 2, left_ms(deadline, kRecheckMs));
        if (ready == 0 && pending() > 0) {
            ++counters_.missed_calls;
        } else if ((fds[0].revents & POLLIN) != 0) {
            std::uint64_t count = 0;
            counters_.calls += ::read(call_.get(), &count, sizeof count) == sizeof count ? 1U : 0U;
        }
        const bool gone = (fds[1].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
        if (gone || Clock::now() >= deadline) { break; }
    }
    disarm();
    return pending() > 0;
}

}  // namespace sluice::frontend
