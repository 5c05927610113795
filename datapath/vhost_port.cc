// SPDX-License-Identifier: Apache-2.0
// VhostPort: see vhost_port.h. Ring numbers: pair p has the guest's receive ring 2p and its
// transmit ring 2p + 1.
#include "datapath/vhost_port.h"

#include <rte_mbuf.h>
#include <rte_vhost.h>

#include <algorithm>
#include <utility>

#include "datapath/vhost_call.h"
#include "datapath/vhost_callbacks.h"

namespace sluice::datapath {
namespace {

constexpr std::uint16_t rx_ring(unsigned pair) noexcept {
    return static_cast<std::uint16_t>(pair * 2U);
}
constexpr std::uint16_t tx_ring(unsigned pair) noexcept {
    return static_cast<std::uint16_t>(pair * 2U + 1U);
}

// Polls without a frame after which a ring that holds descriptors counts as broken.
constexpr std::uint16_t kStuckPolls = 256;
// Of sends to a guest's receive ring, one in so many looks how far ahead its index is: the library
// takes the ring's lock for that.
constexpr std::uint16_t kSendsPerLook = 16;

constexpr std::uint16_t kRingSizeMax = 32768;  // Virtio 1.1 §2.6.

std::uint16_t ring_size(int vid, std::uint16_t ring) noexcept {
    rte_vhost_vring rings{};
    return rte_vhost_get_vhost_vring(vid, ring, &rings) == 0 ? rings.size : kRingSizeMax;
}

}  // namespace

VhostPort::VhostPort(std::string path, rte_mempool* pool, VhostHooks hooks)
    : path_(std::move(path)), pool_(pool), hooks_(std::move(hooks)) {}

Result<std::shared_ptr<VhostPort>> VhostPort::open(const std::string& path, rte_mempool* pool,
                                                   VhostHooks hooks) {
    std::shared_ptr<VhostPort> port(new VhostPort(path, pool, std::move(hooks)));
    if (Status status = register_vhost(*port); !status) { return status.error(); }
    return port;
}

VhostPort::~VhostPort() { unregister_vhost(*this); }

void VhostPort::attached(int vid) {
    std::uint64_t features = 0;
    rte_vhost_get_negotiated_features(vid, &features);
    features_.store(features, std::memory_order_relaxed);
    if (hooks_.on_attached) { hooks_.on_attached(*this, vid); }
    epoch_.fetch_add(1, std::memory_order_release);
    vid_.store(vid, std::memory_order_release);
}

void VhostPort::detached() {
    vid_.store(-1, std::memory_order_release);
    pair_count_.store(0, std::memory_order_relaxed);
    enabled_rings_ = 0;
    epoch_.fetch_add(1, std::memory_order_release);
    if (hooks_.synchronize) { hooks_.synchronize(); }
    if (hooks_.on_detached) { hooks_.on_detached(*this); }
}

// The library holds the rings' locks here: none of its functions may be called.
void VhostPort::ring_changed(std::uint16_t ring, bool is_enabled) {
    if (ring >= kVhostQueuePairMax * 2U) { return; }
    const std::uint32_t bit = 1U << ring;
    enabled_rings_ = is_enabled ? enabled_rings_ | bit : enabled_rings_ & ~bit;
    unsigned pairs = 0;
    while (pairs < kVhostQueuePairMax && (enabled_rings_ >> rx_ring(pairs) & 3U) == 3U) { ++pairs; }
    pair_count_.store(pairs, std::memory_order_relaxed);
    epoch_.fetch_add(1, std::memory_order_release);
}

// Rings were set up anew: forget what was known of them.
void VhostPort::enter_epoch(int vid) noexcept {
    seen_epoch_ = epoch_.load(std::memory_order_acquire);
    broken_.store(0, std::memory_order_relaxed);
    for (unsigned pair = 0; pair < kVhostQueuePairMax; ++pair) {
        std::uint16_t used = 0;
        rings_[pair] = RingState{};
        rte_vhost_get_vring_base(vid, tx_ring(pair), &rings_[pair].next_avail, &used);
        rings_[pair].tx_size = ring_size(vid, tx_ring(pair));
        rings_[pair].rx_size = ring_size(vid, rx_ring(pair));
    }
    want_kicks(false);  // We poll.
}

void VhostPort::break_ring(std::uint16_t ring) noexcept {
    broken_.fetch_or(1U << ring, std::memory_order_relaxed);
}

// The library took descriptors that gave no frame (no room for a header, an address outside of the
// guest's memory...).
void VhostPort::count_broken(int vid, unsigned pair, std::uint16_t received,
                             ReceiveResult& result) noexcept {
    RingState& ring = rings_[pair];
    std::uint16_t avail = 0;
    std::uint16_t used = 0;
    if (rte_vhost_get_vring_base(vid, tx_ring(pair), &avail, &used) != 0) { return; }
    const auto taken = static_cast<std::uint16_t>(avail - ring.next_avail);
    ring.next_avail = avail;
    if (taken > received && taken <= 2U * kBurstMax) {
        result.broken_count = static_cast<std::uint16_t>(result.broken_count + taken - received);
    }
}

// Descriptors wait, buffers are there, and still no frame comes: the library stands before a chain
// that it can't walk. A frame that came since the last poll is one like any other.
std::uint16_t VhostPort::retry_stuck(int vid, unsigned pair, std::span<rte_mbuf*> frames,
                                     ReceiveResult& result) noexcept {
    RingState& ring = rings_[pair];
    if (++ring.empty_polls < kStuckPolls) { return 0; }
    ring.empty_polls = 0;
    if (rte_vhost_rx_queue_count(vid, tx_ring(pair)) == 0) {
        count_broken(vid, pair, 0, result);  // All were taken, and none gave a frame.
        return 0;
    }
    check_ahead(vid, pair, result);
    if (is_broken(tx_ring(pair))) { return 0; }
    if (rte_mempool_avail_count(pool_) < kBurstMax) { return 0; }
    const std::uint16_t next_avail = ring.next_avail;
    const std::uint16_t count = rte_vhost_dequeue_burst(vid, tx_ring(pair), pool_, frames.data(),
                                                        static_cast<std::uint16_t>(frames.size()));
    count_broken(vid, pair, count, result);
    if (count == 0 && ring.next_avail == next_avail) {
        break_ring(tx_ring(pair));
        ++result.broken_count;
    }
    return count;
}

std::uint16_t VhostPort::receive_queue(int vid, unsigned pair, std::span<rte_mbuf*> frames,
                                       ReceiveResult& result) noexcept {
    const std::uint16_t count = rte_vhost_dequeue_burst(vid, tx_ring(pair), pool_, frames.data(),
                                                        static_cast<std::uint16_t>(frames.size()));
    if (count == 0) { return retry_stuck(vid, pair, frames, result); }
    rings_[pair].empty_polls = 0;
    count_broken(vid, pair, count, result);
    if (count == frames.size()) { check_ahead(vid, pair, result); }
    return count;
}

// More is available than the ring can hold: the guest made its index jump, and the library would
// go through up to 65 535 entries that nobody wrote. Asked where a burst was full, so that it costs
// nothing a frame: a jump fills every burst, or gives no frame at all (retry_stuck).
void VhostPort::check_ahead(int vid, unsigned pair, ReceiveResult& result) noexcept {
    const auto waiting = static_cast<std::uint16_t>(rte_vhost_rx_queue_count(vid, tx_ring(pair)));
    if (waiting <= rings_[pair].tx_size) [[likely]] { return; }
    break_ring(tx_ring(pair));
    ++result.broken_count;
}

ReceiveResult VhostPort::receive(std::span<rte_mbuf*> frames) noexcept {
    ReceiveResult result;
    const int vid = vid_.load(std::memory_order_acquire);
    const unsigned pairs = pair_count_.load(std::memory_order_relaxed);
    if (vid < 0 || pairs == 0) { return result; }
    if (seen_epoch_ != epoch_.load(std::memory_order_relaxed)) [[unlikely]] { enter_epoch(vid); }
    for (unsigned i = 0; i < pairs && result.frame_count < frames.size();
         ++i) {  // Fair: another pair comes first each time.
        const unsigned pair = (next_pair_ + i) % pairs;
        if (is_broken(tx_ring(pair))) { continue; }
        const std::uint16_t count =
            receive_queue(vid, pair, frames.subspan(result.frame_count), result);
        result.frame_count = static_cast<std::uint16_t>(result.frame_count + count);
        if (take_blocked_call()) [[unlikely]] {
            break_ring(tx_ring(pair));
            tell_blocking(this);
        }
    }
    if (pairs > 1) { next_pair_ = (next_pair_ + 1U) % pairs; }
    return result;
}

std::uint16_t VhostPort::send(std::span<rte_mbuf*> frames) noexcept {
    const int vid = vid_.load(std::memory_order_acquire);
    const unsigned pairs = pair_count_.load(std::memory_order_relaxed);
    if (vid < 0 || pairs == 0) { return 0; }
    if (pairs == 1) [[likely]] { return send_ring(vid, 0, frames); }
    return send_spread(vid, pairs, frames);
}

std::uint16_t VhostPort::send_ring(int vid, unsigned pair, std::span<rte_mbuf*> frames) noexcept {
    const std::uint16_t ring = rx_ring(pair);
    if (broken_.load(std::memory_order_relaxed) != 0 && is_broken(ring)) [[unlikely]] { return 0; }
    RingState& state = rings_[pair];
    if (++state.sends % kSendsPerLook == 0 &&
        seen_epoch_ == epoch_.load(std::memory_order_relaxed) &&
        rte_vhost_avail_entries(vid, ring) > state.rx_size) [[unlikely]] {
        break_ring(ring);
        return 0;
    }
    const std::uint16_t sent = rte_vhost_enqueue_burst(vid, ring, frames.data(),
                                                       static_cast<std::uint16_t>(frames.size()));
    if (take_blocked_call()) [[unlikely]] {
        break_ring(ring);
        tell_blocking(this);
    }
    return sent;
}

// One flow keeps to one ring; taken frames are gathered in front, the rest behind.
std::uint16_t VhostPort::send_spread(int vid, unsigned pairs,
                                     std::span<rte_mbuf*> frames) noexcept {
    std::array<rte_mbuf*, kBurstMax> taken;
    std::array<rte_mbuf*, kBurstMax> refused;
    std::uint16_t taken_count = 0;
    std::uint16_t refused_count = 0;
    for (unsigned pair = 0; pair < pairs; ++pair) {
        std::array<rte_mbuf*, kBurstMax> mine;
        std::uint16_t count = 0;
        for (rte_mbuf* frame : frames) {
            if ((std::uint64_t{frame->hash.rss} * pairs >> 32U) == pair) { mine[count++] = frame; }
        }
        const std::uint16_t sent =
            count > 0 ? send_ring(vid, pair, std::span(mine).first(count)) : std::uint16_t{0};
        std::copy_n(mine.begin(), sent, taken.begin() + taken_count);
        std::copy(mine.begin() + sent, mine.begin() + count, refused.begin() + refused_count);
        taken_count = static_cast<std::uint16_t>(taken_count + sent);
        refused_count = static_cast<std::uint16_t>(refused_count + count - sent);
    }
    std::copy_n(taken.begin(), taken_count, frames.begin());
    std::copy_n(refused.begin(), refused_count, frames.begin() + taken_count);
    return taken_count;
}

std::size_t VhostPort::kick_fds(std::span<int> room) noexcept {
    const int vid = vid_.load(std::memory_order_acquire);
    const unsigned pairs = pair_count_.load(std::memory_order_relaxed);
    std::size_t count = 0;
    for (unsigned pair = 0; vid >= 0 && pair < pairs && count < room.size(); ++pair) {
        rte_vhost_vring ring{};
        if (rte_vhost_get_vhost_vring(vid, tx_ring(pair), &ring) == 0 && ring.kickfd >= 0) {
            room[count++] = ring.kickfd;
        }
    }
    return count;
}

void VhostPort::want_kicks(bool wanted) noexcept {
    const int vid = vid_.load(std::memory_order_acquire);
    const unsigned pairs = pair_count_.load(std::memory_order_relaxed);
    for (unsigned pair = 0; vid >= 0 && pair < pairs; ++pair) {
        rte_vhost_enable_guest_notification(vid, tx_ring(pair), wanted ? 1 : 0);
    }
}

}  // namespace sluice::datapath
