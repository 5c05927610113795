// SPDX-License-Identifier: Apache-2.0
// The half-open TCP connections of a vNIC, in the order in which they became so: a list through the
// arena, so that a SYN of a flood costs what any SYN does and finds the oldest at once. Called
// where a record's state changes, under its lock, by any worker.
#include "iochain/dfw/connection_arena.h"

namespace sluice {

void ConnectionTable::append_half_open(PortIndex opener, std::uint32_t index) noexcept {
    PortCount& port = arena_->ports[opener.value];
    const ByteLock lock(port.lock, shared_);
    links_[index].older = port.newest;
    links_[index].newer = 0;
    if (port.newest == 0) {
        store_relaxed(port.oldest, index + 1U);
    } else {
        links_[port.newest - 1U].newer = index + 1U;
    }
    port.newest = index + 1U;
}

void ConnectionTable::remove_half_open(PortIndex opener, std::uint32_t index) noexcept {
    PortCount& port = arena_->ports[opener.value];
    const ByteLock lock(port.lock, shared_);
    const RecordLinks link = links_[index];
    if (link.older == 0) {
        store_relaxed(port.oldest, link.newer);
    } else {
        links_[link.older - 1U].newer = link.newer;
    }
    if (link.newer == 0) {
        port.newest = link.older;
    } else {
        links_[link.newer - 1U].older = link.older;
    }
}

}  // namespace sluice
