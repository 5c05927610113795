// SPDX-License-Identifier: Apache-2.0
// Output: the end of every frame. Frames wait in a buffer a port until the end of the poll, so that
// a guest is handed full bursts; frames for a port that another worker polls go there through a
// ring. Drops are charged to frame->port, the ingress. The egress port travels in hash.fdir.hi, the
// choice of receive queue in hash.rss.
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "datapath/offload.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

// Frames that can't leave with the offload they carry are dropped here; the rest keep their order.
std::uint16_t finish_offloads(WorkerContext& context, TxBuffer& buffer,
                              const Port& device) noexcept {
    std::uint16_t kept = 0;
    for (std::uint16_t i = 0; i < buffer.count; ++i) {
        rte_mbuf* frame = buffer.frames[i];
        const DropReason reason = finish_offload(*frame, device);
        if (reason == DropReason::kNone) [[likely]] {
            buffer.frames[kept++] = frame;
        } else {
            drop(context, frame, reason);
        }
    }
    return kept;
}

void count_sent(WorkerContext& context, PortIndex egress, std::span<rte_mbuf*> frames) noexcept {
    std::uint64_t bytes = 0;
    for (const rte_mbuf* frame : frames) { bytes += frame->pkt_len; }
    PortCounters& counters = context.ports[egress.value];
    counters.tx_packets.add(frames.size());
    counters.tx_bytes.add(bytes);
    context.counters.sent.add(frames.size());
}

void send_buffer(WorkerContext& context, PortIndex egress) noexcept {
    TxBuffer& buffer = context.tx[egress.value];
    if (buffer.count == 0) { return; }
    const PortConfig* port = context.snapshot->port(egress);
    const bool is_up = port != nullptr && port->is_enabled && port->device->is_up();
    std::uint16_t sent = 0;
    if (is_up) {
        buffer.count = finish_offloads(context, buffer, *port->device);
        sent = buffer.count > 0 ? port->device->send({buffer.frames.data(), buffer.count})
                                : std::uint16_t{0};
    }
    if (sent > 0) {
        count_sent(context, egress, {buffer.frames.data(), sent});
        rte_pktmbuf_free_bulk(buffer.frames.data(), sent);
    }
    for (std::uint16_t i = sent; i < buffer.count; ++i) {
        drop(context, buffer.frames[i], is_up ? DropReason::kTxQueueFull : DropReason::kPortDown);
    }
    buffer.count = 0;
}

void buffer_for_port(WorkerContext& context, rte_mbuf* frame, PortIndex egress) noexcept {
    TxBuffer& buffer = context.tx[egress.value];
    if (!buffer.is_listed) {
        buffer.is_listed = true;
        context.tx_dirty.push_back(egress);  // Reserved for every port: never allocates.
    }
    buffer.frames[buffer.count++] = frame;
    if (buffer.count == kBurstMax) { send_buffer(context, egress); }
}

void send_handover(WorkerContext& context, unsigned worker) noexcept {
    TxBuffer& buffer = context.handover[worker];
    if (buffer.count == 0) { return; }
    auto* const objects = reinterpret_cast<void**>(buffer.frames.data());
    const unsigned queued =
        rte_ring_sp_enqueue_burst(context.to_worker[worker], objects, buffer.count, nullptr);
    context.counters.handed_over.add(queued);
    for (unsigned i = queued; i < buffer.count; ++i) {
        drop(context, buffer.frames[i], DropReason::kWorkerQueueFull);
    }
    buffer.count = 0;
}

}  // namespace

void output(WorkerContext& context, rte_mbuf* frame, PortIndex egress) noexcept {
    const PortConfig* port = context.snapshot->port(egress);
    if (port == nullptr) {
        drop(context, frame, DropReason::kPortDown);
        return;
    }
    if (port->worker == context.options.index) [[likely]] {
        buffer_for_port(context, frame, egress);
        return;
    }
    frame->hash.fdir.hi = egress.value;
    TxBuffer& buffer = context.handover[port->worker];
    buffer.frames[buffer.count++] = frame;
    if (buffer.count == kBurstMax) { send_handover(context, port->worker); }
}

void count_drop(WorkerContext& context, PortIndex ingress, DropReason reason,
                std::uint64_t count) noexcept {
    context.ports[ingress.value].drops[static_cast<std::size_t>(reason)].add(count);
    context.counters.dropped.add(count);
}

void drop(WorkerContext& context, rte_mbuf* frame, DropReason reason) noexcept {
    count_drop(context, PortIndex{frame->port}, reason);
    rte_pktmbuf_free(frame);
}

void consume(WorkerContext& context, rte_mbuf* frame) noexcept {
    context.counters.consumed.add(1);
    rte_pktmbuf_free(frame);
}

void flush_output(WorkerContext& context) noexcept {
    for (const PortIndex egress : context.tx_dirty) {
        context.tx[egress.value].is_listed = false;
        send_buffer(context, egress);
    }
    context.tx_dirty.clear();
    for (unsigned worker = 0; worker < context.options.worker_count; ++worker) {
        send_handover(context, worker);
    }
}

std::size_t take_handed_over(WorkerContext& context) noexcept {
    std::size_t total = 0;
    for (rte_ring* ring : context.from_worker) {
        if (ring == nullptr) { continue; }
        std::array<rte_mbuf*, kBurstMax> frames;
        const unsigned count = rte_ring_sc_dequeue_burst(
            ring, reinterpret_cast<void**>(frames.data()), kBurstMax, nullptr);
        context.counters.taken_over.add(count);
        for (unsigned i = 0; i < count; ++i) {
            const PortIndex egress{static_cast<std::uint16_t>(frames[i]->hash.fdir.hi)};
            const PortConfig* port = context.snapshot->port(egress);
            // The port may have gone, or moved to another worker, while the frame was on its way.
            if (port == nullptr || port->worker != context.options.index) {
                drop(context, frames[i], DropReason::kPortDown);
            } else {
                buffer_for_port(context, frames[i], egress);
            }
        }
        total += count;
    }
    return total;
}

}  // namespace sluice::datapath
