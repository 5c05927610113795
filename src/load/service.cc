// SPDX-License-Identifier: Apache-2.0
// Service: from leg to leg, at most two bursts a turn, so that the load's other rings wait no
// longer than for each other.
#include "service.h"

#include <algorithm>
#include <cstring>

namespace sluice::load {
namespace {

constexpr std::size_t kNumBuffersAt = 10;  // In the virtio header; 0 in one that is sent.

}  // namespace

bool Service::turn() {
    const bool came = carry(*legs_[0], *legs_[1]);
    return carry(*legs_[1], *legs_[0]) || came;
}

bool Service::carry(End& from, End& to) {
    SendRing& tx = to.tx();
    ReceiveRing& rx = from.rx();
    const unsigned room = tx.size() - tx.outstanding();
    const unsigned count = std::min({rx.pending(), room, 2 * kBurst});
    if (count == 0) { return false; }
    const frontend::GuestSpan area = to.frames();
    for (unsigned i = 0; i < count; ++i) {
        const frontend::UsedElement& used = rx.used(i);
        const unsigned slot = tx.slot(i);
        const std::size_t at = std::size_t{kRxBufferBytes} * slot;
        const std::size_t bytes = std::min<std::size_t>(used.length, kRxBufferBytes);
        std::memcpy(area.host + at, rx.buffer(used.id & (rx.size() - 1)), bytes);
        if (to.header_bytes() > kNumBuffersAt) {
            std::memset(area.host + at + kNumBuffersAt, 0, 2);
        }
        tx.set(slot, area.guest + at, static_cast<std::uint32_t>(bytes));
    }
    tx.publish(count);
    rx.recycle(count);
    return true;
}

}  // namespace sluice::load
