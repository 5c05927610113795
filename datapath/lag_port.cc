// SPDX-License-Identifier: Apache-2.0
// LagPort: see lag_port.h.
#include "datapath/lag_port.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "sluice/base/assert.h"
#include "sluice/base/limits.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kSlowFrames = 64;  // Waiting, each way: members send three a second.

bool is_slow_protocol(const rte_mbuf& frame) noexcept {
    constexpr std::uint8_t kSlow[] = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x02};
    constexpr std::uint8_t kType[] = {0x88, 0x09};
    const auto* data = rte_pktmbuf_mtod(&frame, const std::uint8_t*);
    return frame.data_len >= 14 && std::memcmp(data, kSlow, sizeof kSlow) == 0 &&
           std::memcmp(data + 12, kType, sizeof kType) == 0;
}

std::uint64_t mixed(std::uint64_t value) noexcept {
    value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    value = (value ^ (value >> 27U)) * 0x94d049bb133111ebULL;
    return value ^ (value >> 31U);
}

void add(std::atomic<std::uint64_t>& counter, std::uint64_t count) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
}

std::uint64_t bytes_of(std::span<rte_mbuf* const> frames) noexcept {
    std::uint64_t bytes = 0;
    for (const rte_mbuf* frame : frames) { bytes += frame->pkt_len; }
    return bytes;
}

}  // namespace

LagPort::LagPort(Members members, rte_mempool* pool)
    : members_(std::move(members)), pool_(pool), received_(kSlowFrames), to_send_(kSlowFrames) {
    SLUICE_ASSERT(!members_.empty() && members_.size() <= kMemberMax);
}

// Each bucket has the member with the highest score (rendezvous hashing), so that the others keep
// theirs when one goes.
void LagPort::set_carriers(const std::vector<std::size_t>& members) noexcept {
    for (std::size_t bucket = 0; bucket < kBuckets && !members.empty(); ++bucket) {
        const auto best = std::max_element(
            members.begin(), members.end(), [bucket](std::size_t a, std::size_t b) {
                return mixed(a * kBuckets + bucket) < mixed(b * kBuckets + bucket);
            });
        carriers_[bucket].store(static_cast<std::uint8_t>(*best), std::memory_order_relaxed);
    }
    has_carriers_.store(!members.empty(), std::memory_order_relaxed);
}

void LagPort::send_posted() noexcept {
    SlowFrame posted;
    while (to_send_.pop(posted)) {
        if (posted.member >= members_.size()) { continue; }
        rte_mbuf* frame = rte_pktmbuf_alloc(pool_);
        if (frame == nullptr) { return; }  // Control says it again.
        char* room = rte_pktmbuf_append(frame, SlowFrame::kBytes);
        if (room != nullptr) {
            std::memcpy(room, posted.bytes.data(), SlowFrame::kBytes);
            static_cast<void>(members_[posted.member]->send({&frame, 1}));
        }
        rte_pktmbuf_free(frame);
    }
}

bool LagPort::take_slow(std::size_t member, rte_mbuf& frame) noexcept {
    if (!is_slow_protocol(frame)) [[likely]] { return false; }
    SlowFrame slow;
    slow.member = static_cast<std::uint16_t>(member);
    if (frame.data_len >= SlowFrame::kBytes) {
        std::memcpy(slow.bytes.data(), rte_pktmbuf_mtod(&frame, const std::uint8_t*),
                    SlowFrame::kBytes);
        received_.push(slow);
    }
    rte_pktmbuf_free(&frame);
    return true;
}

ReceiveResult LagPort::receive_from(std::size_t member, std::span<rte_mbuf*> frames) noexcept {
    ReceiveResult got = members_[member]->receive(frames);
    std::uint16_t kept = 0;
    for (rte_mbuf* frame : frames.first(got.frame_count)) {
        if (!take_slow(member, *frame)) { frames[kept++] = frame; }
    }
    got.frame_count = kept;
    add(figures_[member].rx_packets, kept);
    add(figures_[member].rx_bytes, bytes_of(frames.first(kept)));
    return got;
}

// The members take turns in being first, so that a busy one does not starve the others.
ReceiveResult LagPort::receive(std::span<rte_mbuf*> frames) noexcept {
    send_posted();
    ReceiveResult all;
    for (std::size_t i = 0; i < members_.size() && all.frame_count < frames.size(); ++i) {
        const std::size_t member = (next_ + i) % members_.size();
        const ReceiveResult got = receive_from(member, frames.subspan(all.frame_count));
        all.frame_count = static_cast<std::uint16_t>(all.frame_count + got.frame_count);
        all.broken_count = static_cast<std::uint16_t>(all.broken_count + got.broken_count);
    }
    next_ = (next_ + 1) % members_.size();
    return all;
}

std::uint16_t LagPort::send(std::span<rte_mbuf*> frames) noexcept {
    std::array<rte_mbuf*, kBurstMax> mine;
    std::array<rte_mbuf*, kBurstMax> refused;
    std::array<std::uint8_t, kBurstMax> carriers;
    SLUICE_ASSERT(frames.size() <= kBurstMax);
    std::array<rte_mbuf*, kBurstMax> given;
    std::copy(frames.begin(), frames.end(), given.begin());
    for (std::size_t i = 0; i < frames.size(); ++i) {
        const std::size_t bucket = mixed(given[i]->hash.rss) % kBuckets;
        carriers[i] = carriers_[bucket].load(std::memory_order_relaxed);
    }
    std::uint16_t sent = 0;
    std::size_t refused_count = 0;
    for (std::size_t member = 0; member < members_.size(); ++member) {
        std::size_t count = 0;
        for (std::size_t i = 0; i < frames.size(); ++i) {
            if (carriers[i] == member) { mine[count++] = given[i]; }
        }
        if (count == 0) { continue; }
        const std::uint16_t taken = members_[member]->send({mine.data(), count});
        add(figures_[member].tx_packets, taken);
        add(figures_[member].tx_bytes, bytes_of({mine.data(), taken}));
        for (std::size_t i = 0; i < count; ++i) {
            if (i < taken) {
                frames[sent++] = mine[i];
            } else {
                refused[refused_count++] = mine[i];
            }
        }
    }
    std::copy_n(refused.begin(), refused_count, frames.begin() + sent);
    return sent;
}

}  // namespace sluice::datapath
