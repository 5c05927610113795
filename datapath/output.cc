// SPDX-License-Identifier: Apache-2.0
// Output: the end of every frame. Frames wait in a buffer a port until the end of the turn, so that
// a guest is handed full bursts; frames for a port that another worker polls go there through a
// ring (handover.h). Drops are charged to frame->port, the ingress. The egress port travels in
// hash.fdir.hi, the choice of receive queue in hash.rss.
#include <rte_mbuf.h>

#include <algorithm>
#include <array>

#include "datapath/limits.h"
#include "datapath/offload.h"
#include "datapath/refused.h"
#include "datapath/segment.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {
namespace {

void count_sent(WorkerContext& context, PortIndex egress, std::uint64_t frames,
                std::uint64_t bytes) noexcept {
    PortCounters& counters = context.ports[egress.value];
    counters.tx_packets.add(frames);
    counters.tx_bytes.add(bytes);
    context.counters.sent.add(frames);
}

// What is true of all frames of a burst.
struct BurstFacts {
    std::uint64_t bytes = 0;
    bool owes = false;       // Some owe an offload.
    bool is_simple = false;  // Each is one buffer of `pool` that nobody else holds.
};

// One look at each frame's header line.
BurstFacts facts_of(std::span<rte_mbuf* const> frames, const rte_mempool* pool) noexcept {
    BurstFacts facts;
    std::uint64_t flags = 0;
    bool odd = false;
    for (const rte_mbuf* frame : frames) {
        facts.bytes += frame->pkt_len;
        flags |= frame->ol_flags;
        odd |= frame->nb_segs != 1 || rte_mbuf_refcnt_read(frame) != 1 || frame->pool != pool;
    }
    facts.owes = (flags & (RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_TCP_SEG)) != 0;
    facts.is_simple = !odd && (flags & (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)) == 0;
    return facts;
}

// Gives frames back that were sent. A simple one is as the pool wants it: one segment, no next.
void free_sent(WorkerContext& context, std::span<rte_mbuf*> frames, bool is_simple) noexcept {
    if (is_simple) {
        rte_mempool_put_bulk(context.options.pool, reinterpret_cast<void**>(frames.data()),
                             static_cast<unsigned>(frames.size()));
    } else {
        rte_pktmbuf_free_bulk(frames.data(), static_cast<unsigned>(frames.size()));
    }
}

// Hands frames that owe nothing to an open device. What it does not take is dropped.
void send_finished(WorkerContext& context, PortIndex egress, Port& device,
                   std::span<rte_mbuf*> frames, const BurstFacts& facts) noexcept {
    const std::uint16_t sent = device.send(frames);
    if (sent == frames.size()) [[likely]] {
        count_sent(context, egress, sent, facts.bytes);
    } else {
        count_sent(context, egress, sent, facts_of(frames.first(sent), nullptr).bytes);
    }
    if (context.capture.set != nullptr) [[unlikely]] {
        capture_sent(context, egress, frames.first(sent));
    }
    free_sent(context, frames.first(sent), facts.is_simple);
    if (sent == frames.size()) [[likely]] { return; }
    note_refused(context.options.index, egress, frames.size() - sent);
    for (rte_mbuf* frame : frames.subspan(sent)) {
        drop_towards(context, frame, egress, DropReason::kTxQueueFull);
    }
}

void send_frames(WorkerContext& context, PortIndex egress, Port& device,
                 std::span<rte_mbuf*> frames) noexcept {
    if (frames.empty()) { return; }
    send_finished(context, egress, device, frames, facts_of(frames, context.options.pool));
}

// Finishes what each of `frames` owes, and sends them burst by burst.
void send_made(WorkerContext& context, PortIndex egress, Port& device,
               std::span<rte_mbuf*> frames) noexcept {
    std::size_t kept = 0;
    for (rte_mbuf* frame : frames) {
        const DropReason reason = finish_checksum(*frame, device);
        if (reason == DropReason::kNone) {
            frames[kept++] = frame;
        } else {
            drop_towards(context, frame, egress, reason);
        }
    }
    for (std::size_t at = 0; at < kept; at += kBurstMax) {
        send_frames(context, egress, device,
                    frames.subspan(at, std::min<std::size_t>(kBurstMax, kept - at)));
    }
}

// Segments `first` to `first` + `count`. False: no buffers; nothing happened.
bool send_segments(WorkerContext& context, PortIndex egress, Port& device, const rte_mbuf& frame,
                   std::size_t first, std::size_t count) noexcept {
    std::array<rte_mbuf*, kCutSegmentMax> segments;
    const SegmentSum sum = takes_checksum(frame, device) ? SegmentSum::kPartial : SegmentSum::kFull;
    if (!segment(frame, *context.options.pool, first, sum, {segments.data(), count})) {
        return false;
    }
    context.counters.created.add(count);
    send_made(context, egress, device, {segments.data(), count});
    return true;
}

// One frame at a time: its segments are on their way before the next one takes buffers.
void send_cut(WorkerContext& context, PortIndex egress, Port& device, rte_mbuf* frame) noexcept {
    const std::size_t count = segment_count(*frame);
    if (count == 0 || count > kCutSegmentMax) {
        return drop_towards(context, frame, egress, DropReason::kOffloadMissing);
    }
    if (count == 1) {
        forget_segmentation(*frame);
        return send_made(context, egress, device, {&frame, 1});
    }
    const PortIndex ingress{frame->port};
    const bool in_pieces =
        count > kCutAtOnce && context.large.current == ingress && !context.large.has(ingress);
    const std::size_t now = in_pieces ? kCutAtOnce : count;
    if (!send_segments(context, egress, device, *frame, 0, now)) {
        return drop_towards(context, frame, egress, DropReason::kNoBuffer);
    }
    if (!in_pieces) { return consume(context, frame); }
    context.large.keep(ingress, {frame, context.snapshot->port(ingress)->device.get(), &device,
                                 egress, static_cast<std::uint16_t>(now)});
}

// Frames keep their order: those before one that is cut leave before it.
[[gnu::noinline]] void send_owing(WorkerContext& context, PortIndex egress, Port& device,
                                  TxBuffer& buffer) noexcept {
    std::uint16_t kept = 0;
    for (std::uint16_t i = 0; i < buffer.count; ++i) {
        rte_mbuf* frame = buffer.frames[i];
        const bool owes = owes_offload(*frame);
        if (owes && wants_segments(*frame, device)) [[unlikely]] {
            send_frames(context, egress, device, {buffer.frames.data(), kept});
            kept = 0;
            send_cut(context, egress, device, frame);
            continue;
        }
        const DropReason reason = owes ? finish_checksum(*frame, device) : DropReason::kNone;
        if (reason == DropReason::kNone) [[likely]] {
            buffer.frames[kept++] = frame;
        } else {
            drop_towards(context, frame, egress, reason);
        }
    }
    send_frames(context, egress, device, {buffer.frames.data(), kept});
}

void send_open(WorkerContext& context, PortIndex egress, Port& device, TxBuffer& buffer) noexcept {
    const std::span<rte_mbuf*> frames(buffer.frames.data(), buffer.count);
    const BurstFacts facts = facts_of(frames, context.options.pool);
    if (facts.owes) { return send_owing(context, egress, device, buffer); }
    send_finished(context, egress, device, frames, facts);
}

void buffer_for_port(WorkerContext& context, rte_mbuf* frame, PortIndex egress) noexcept {
    TxBuffer& buffer = context.tx[egress.value];
    if (!buffer.is_listed) {
        buffer.is_listed = true;
        context.tx_dirty.push_back(egress);  // Reserved for every port: never allocates.
    }
    context.last_output = {egress, &buffer};
    output(context, frame, egress);
}

}  // namespace

void send_waiting(WorkerContext& context, PortIndex egress) noexcept {
    TxBuffer& buffer = context.tx[egress.value];
    if (buffer.count == 0) { return; }
    const PortConfig* port = context.snapshot->port(egress);
    if (port != nullptr && port->is_enabled && port->device->is_up()) [[likely]] {
        if (port->vtep != kNoVtep) [[unlikely]] {
            send_tunnelled(context, egress, {buffer.frames.data(), buffer.count});
        } else {
            send_open(context, egress, *port->device, buffer);
        }
    } else {
        for (std::uint16_t i = 0; i < buffer.count; ++i) {
            drop_towards(context, buffer.frames[i], egress, DropReason::kPortDown);
        }
    }
    buffer.count = 0;
}

void cut_further(WorkerContext& context, PortIndex ingress) noexcept {
    LargeFrame& large = context.large.of(ingress);
    const PortConfig* port = context.snapshot->port(large.egress);  // Worker has checked it.
    const std::size_t count = segment_count(*large.frame);
    const std::size_t now = std::min(kCutAtOnce, count - large.next);
    const PortIndex egress = large.egress;
    DropReason reason = DropReason::kNone;
    if (!port->is_enabled || !port->device->is_up()) {
        reason = DropReason::kPortDown;
    } else if (!send_segments(context, egress, *port->device, *large.frame, large.next, now)) {
        reason = DropReason::kNoBuffer;
    } else if (large.next + now < count) {
        large.next = static_cast<std::uint16_t>(large.next + now);
        return;
    }
    rte_mbuf* frame = context.large.take(ingress).frame;
    if (reason != DropReason::kNone) { return drop_towards(context, frame, egress, reason); }
    consume(context, frame);
}

void output_by(WorkerContext& context, rte_mbuf* frame, PortIndex egress) noexcept {
    const PortConfig* port = context.snapshot->port(egress);
    if (port == nullptr) {
        drop(context, frame, DropReason::kPortDown);
        return;
    }
    if (port->worker == context.options.index) [[likely]] {
        buffer_for_port(context, frame, egress);
        return;
    }
    set_egress(*frame, egress.value);
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
    if (context.capture.set != nullptr) { capture_dropped(context, *frame, reason); }
    count_drop(context, PortIndex{frame->port}, reason);
    rte_pktmbuf_free(frame);
}

void drop_towards(WorkerContext& context, rte_mbuf* frame, PortIndex egress,
                  DropReason reason) noexcept {
    if (context.capture.set != nullptr) { capture_lost(context, *frame, egress, reason); }
    drop(context, frame, reason);
}

void consume(WorkerContext& context, rte_mbuf* frame) noexcept {
    if (context.capture.set != nullptr) { capture_ended(context, *frame); }
    context.counters.consumed.add(1);
    rte_pktmbuf_free(frame);
}

// What leaves by a VTEP's port is put behind, by its uplink; errors go back to who sent.
void flush_output(WorkerContext& context) noexcept {
    for (std::size_t i = 0; i < context.tx_dirty.size(); ++i) {
        const PortIndex egress = context.tx_dirty[i];
        context.tx[egress.value].is_listed = false;
        context.last_output = {};
        send_waiting(context, egress);
    }
    context.tx_dirty.clear();
    context.last_output = {};
    for (unsigned worker = 0; worker < context.options.worker_count; ++worker) {
        send_handover(context, worker);
    }
}

}  // namespace sluice::datapath
