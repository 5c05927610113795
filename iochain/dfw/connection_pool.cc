// SPDX-License-Identifier: Apache-2.0
// Free records of the connection table: each worker keeps some, last in first out; more come in
// batches from a shared list and, when that is empty, from records never used before. Nothing is
// touched before it is needed.
#include <algorithm>

#include "iochain/dfw/connection_arena.h"

namespace sluice {

void ConnectionTable::refill(unsigned worker) noexcept {
    ConnectionWorker& own = arena_->workers[worker];
    const ByteLock lock(arena_->free_lock, shared_);
    while (own.free_count < batch_count_ && arena_->free_head != 0) {
        const std::uint32_t index = arena_->free_head - 1U;
        arena_->free_head = links_[index].next;
        own.free[own.free_count++] = index;
    }
    if (own.free_count != 0) { return; }
    const std::uint32_t first = arena_->used;
    const std::uint32_t count = std::min(batch_count_, ready_count() - first);
    // Backwards, so that they are handed out in order.
    for (std::uint32_t i = 0; i < count; ++i) { own.free[i] = first + count - 1U - i; }
    own.free_count = count;
    store_relaxed(arena_->used, first + count);
}

void ConnectionTable::spill(unsigned worker) noexcept {
    ConnectionWorker& own = arena_->workers[worker];
    const ByteLock lock(arena_->free_lock, shared_);
    for (std::uint32_t i = 0; i < batch_count_; ++i) {
        const std::uint32_t index = own.free[--own.free_count];
        links_[index].next = arena_->free_head;
        arena_->free_head = index + 1U;
    }
}

std::uint32_t ConnectionTable::allocate(unsigned worker) noexcept {
    ConnectionWorker& own = arena_->workers[worker];
    if (own.free_count == 0) { refill(worker); }
    if (own.free_count == 0) { return capacity_; }
    const std::uint32_t index = own.free[--own.free_count];
    if (own.free_count > 0) {  // The next one's lines.
        const std::uint32_t next_index = own.free[own.free_count - 1U];
        const Connection& next = records_[next_index];
        __builtin_prefetch(&links_[next_index], 1);
        __builtin_prefetch(&next.tuple, 1);
        __builtin_prefetch(&next.lock, 1);
    }
    return index;
}

bool ConnectionTable::needs_room(unsigned worker) const noexcept {
    const bool has_none = arena_->workers[worker].free_count == 0 &&
                          used_count() >= ready_count() && load_relaxed(arena_->free_head) == 0;
    return has_none || over_total();
}

void ConnectionTable::release(unsigned worker, std::uint32_t index) noexcept {
    ConnectionWorker& own = arena_->workers[worker];
    if (own.free_count == 2U * batch_count_) { spill(worker); }
    own.free[own.free_count++] = index;
}

}  // namespace sluice
