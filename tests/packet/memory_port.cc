// SPDX-License-Identifier: Apache-2.0
// MemoryPort: see memory_port.h.
#include "tests/packet/memory_port.h"

#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "sluice/base/assert.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kOffloads =
    RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6;

rte_mbuf* new_segment(rte_mempool& pool, const std::uint8_t* bytes, std::size_t size) {
    rte_mbuf* segment = rte_pktmbuf_alloc(&pool);
    SLUICE_ASSERT(segment != nullptr && size <= rte_pktmbuf_tailroom(segment));
    segment->data_len = static_cast<std::uint16_t>(size);
    segment->pkt_len = segment->data_len;
    if (size > 0) { std::memcpy(rte_pktmbuf_mtod(segment, void*), bytes, size); }
    return segment;
}

// Room of one segment, as librte_vhost fills it.
std::size_t segment_size(rte_mempool& pool) {
    return rte_pktmbuf_data_room_size(&pool) - std::size_t{RTE_PKTMBUF_HEADROOM};
}

rte_mbuf* to_mbuf(rte_mempool& pool, const QueuedFrame& frame) {
    const std::size_t size = frame.bytes.size();
    std::size_t cut = 0;
    rte_mbuf* head = nullptr;
    for (std::size_t at = 0; at < size || head == nullptr;) {
        const std::size_t most = std::min(segment_size(pool), size - at);
        const std::size_t take =
            cut < frame.cuts.size() ? std::min<std::size_t>(frame.cuts[cut++], most) : most;
        rte_mbuf* segment = new_segment(pool, frame.bytes.data() + at, take);
        if (head == nullptr) {
            head = segment;
        } else {
            SLUICE_ASSERT(rte_pktmbuf_chain(head, segment) == 0);
        }
        at += take;
    }
    head->ol_flags = frame.offload.ol_flags;
    head->tso_segsz = frame.offload.segment_size;
    return head;
}

SentFrame from_mbuf(const rte_mbuf& head) {
    SentFrame out;
    out.bytes.reserve(head.pkt_len);
    for (const rte_mbuf* segment = &head; segment != nullptr; segment = segment->next) {
        const auto* bytes = rte_pktmbuf_mtod(segment, const std::uint8_t*);
        out.bytes.insert(out.bytes.end(), bytes, bytes + segment->data_len);
    }
    SLUICE_ASSERT(out.bytes.size() == head.pkt_len);
    out.offload.ol_flags = head.ol_flags & kOffloads;
    if ((head.ol_flags & RTE_MBUF_F_TX_TCP_SEG) != 0) { out.offload.segment_size = head.tso_segsz; }
    return out;
}

}  // namespace

datapath::ReceiveResult MemoryPort::receive(std::span<rte_mbuf*> frames) noexcept {
    datapath::ReceiveResult result;
    result.broken_count = std::exchange(broken_count_, std::uint16_t{0});
    const std::size_t most = std::min(frames.size(), burst_max);
    while (result.frame_count < most && !queued_.empty()) {
        frames[result.frame_count++] = to_mbuf(pool_, queued_.front());
        queued_.pop_front();
    }
    TestCycles::now += result.frame_count * receive_cycles;
    return result;
}

std::uint16_t MemoryPort::send(std::span<rte_mbuf*> frames) noexcept {
    const std::size_t count = std::min(frames.size(), room);
    for (std::size_t i = 0; i < count; ++i) { sent_.push_back(from_mbuf(*frames[i])); }
    if (room != SIZE_MAX) { room -= count; }
    TestCycles::now += count * send_cycles;
    return static_cast<std::uint16_t>(count);
}

}  // namespace sluice::test
