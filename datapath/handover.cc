// SPDX-License-Identifier: Apache-2.0
// Handover: see handover.h. The egress port travels in the frame (set_egress()).
#include "datapath/handover.h"

#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_prefetch.h>
#include <rte_ring.h>

#include <algorithm>
#include <array>

#include "datapath/limits.h"
#include "datapath/stages.h"
#include "datapath/tunnel_mark.h"
#include "sluice/base/assert.h"

namespace sluice::datapath {
namespace {

// Places that a turn may take, of `free` of `all`.
std::uint64_t room_of(std::uint64_t free, std::uint64_t all) noexcept {
    return free > all / 2 ? free : free / kHandoverTurnShare;
}

// Frames from the front that the queue has room for.
unsigned count_admitted(const WorkerContext& context, const HandoverQueue& queue,
                        const TxBuffer& buffer, std::uint64_t& buffers) noexcept {
    const std::uint64_t buffers_max =
        context.options.pool->size / context.options.worker_count / kHandoverPoolShare;
    const std::uint64_t used =
        std::min(queue.buffers_put.get() - queue.buffers_taken.get(), buffers_max);
    const std::uint64_t buffer_room = room_of(buffers_max - used, buffers_max);
    const std::uint64_t frame_room = room_of(rte_ring_free_count(queue.ring), kWorkerQueueFrames);
    unsigned count = 0;
    while (count < buffer.count && count < frame_room &&
           buffers + buffer.frames[count]->nb_segs <= buffer_room) {
        buffers += buffer.frames[count++]->nb_segs;
    }
    return count;
}

}  // namespace

void send_handover(WorkerContext& context, unsigned worker) noexcept {
    TxBuffer& buffer = context.handover[worker];
    if (buffer.count == 0) { return; }
    HandoverQueue& queue = *context.to_worker[worker];
    std::uint64_t buffers = 0;
    const unsigned admitted = count_admitted(context, queue, buffer, buffers);
    queue.buffers_put.add(buffers);  // First: the taker may be quick.
    const unsigned queued = rte_ring_sp_enqueue_bulk(
        queue.ring, reinterpret_cast<void**>(buffer.frames.data()), admitted, nullptr);
    SLUICE_ASSERT(queued == admitted);
    context.counters.handed_over.add(queued);
    for (unsigned i = queued; i < buffer.count; ++i) {
        const PortIndex egress{egress_of(*buffer.frames[i])};
        drop_towards(context, buffer.frames[i], egress, DropReason::kWorkerQueueFull);
    }
    buffer.count = 0;
}

std::uint32_t take_handed_over(WorkerContext& context, HandoverQueue& queue,
                               std::uint32_t frames_max, std::uint64_t& bytes) noexcept {
    std::array<rte_mbuf*, kBurstMax> frames;
    const unsigned count = rte_ring_sc_dequeue_burst(
        queue.ring, reinterpret_cast<void**>(frames.data()), frames_max, nullptr);
    if (count == 0) { return 0; }
    std::uint64_t buffers = 0;
    for (unsigned i = 0; i < count; ++i) { rte_prefetch0(frames[i]); }
    for (unsigned i = 0; i < count; ++i) {
        buffers += frames[i]->nb_segs;
        bytes += frames[i]->pkt_len;
    }
    queue.buffers_taken.add(buffers);
    for (unsigned i = 0; i < count; ++i) {
        const PortIndex egress{egress_of(*frames[i])};
        const PortConfig* port = context.snapshot->port(egress);
        // The port may have gone, or moved to another worker, while the frame was on its way.
        if (port == nullptr || port->worker != context.options.index) {
            drop(context, frames[i], DropReason::kPortDown);
        } else {
            output_by(context, frames[i], egress);
        }
    }
    context.counters.taken_over.add(count);
    return count;
}

}  // namespace sluice::datapath
