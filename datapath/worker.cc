// SPDX-License-Identifier: Apache-2.0
// Worker: see worker.h.
#include "datapath/worker.h"

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_memory.h>
#include <rte_mempool.h>
#include <rte_ring.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "datapath/limits.h"
#include "datapath/stages.h"

namespace sluice::datapath {

namespace {

// What waits must leave buffers for what runs.
FragmentLimits fragment_limits(const WorkerOptions& options) {
    FragmentLimits limits;
    const std::uint32_t share = options.pool->size / options.worker_count / kFragmentHeldPoolShare;
    limits.held.buffers =
        static_cast<std::uint16_t>(std::min<std::uint32_t>(limits.held.buffers, share));
    return limits;
}

}  // namespace

WorkerContext::WorkerContext(const WorkerOptions& o)
    : options(o),
      flows(
          o.flow_capacity, kPortMax, o.seed,
          [](void* context, std::uint32_t index) {
              fold(*static_cast<WorkerContext*>(context), index);
          },
          this),
      fragments(fragment_limits(o), o.seed, drop_held_fragment, this),
      vtep_peers(o.seed),
      connections(*o.connections),
      learned(*o.learned),
      fleet(*o.fleet),
      reach(*o.reach),
      pins(*o.pins),
      services(*o.services),
      service_networks(*o.service_networks),
      service_health(o.seed),
      associations(*o.associations),
      service_counters(kServiceInstanceMax + 1),
      ports(kPortMax),
      rule_memory(sizeof(RuleCounters) << kRuleSlotBits),
      rules(static_cast<RuleCounters*>(rule_memory.get())),
      chains(kPortMax),
      changed_macs(kPortMax),
      firewall_events(kFirewallEventsWaiting),
      share(kPortMax + o.worker_count, o.share_cycles),
      held_rounds(kPortMax),
      tx(kPortMax),
      handover(o.worker_count),
      to_worker(o.worker_count),
      from_worker(o.worker_count) {
    tx_dirty.reserve(2 * kPortMax);  // Tunnels list ports again while they are flushed.
    for (std::size_t i = 0; i < burst.size(); ++i) { burst[i].aside = &aside[i]; }
    connections.listen(options.index, log_end, this);
}

Worker::Worker(const WorkerOptions& options) : context_(options), commands_(nullptr) {
    static std::atomic<unsigned> made{
        0};  // Names are the process's, and it may have several dataplanes.
    const std::string name = "sluice_cmd_" + std::to_string(made.fetch_add(1));
    commands_ = rte_ring_create(name.c_str(), kWorkerCommandMax * 2U, SOCKET_ID_ANY,
                                RING_F_SP_ENQ | RING_F_SC_DEQ);
    if (commands_ == nullptr) {
        throw std::runtime_error("worker: command ring: " + std::string(rte_strerror(rte_errno)));
    }
}

Worker::~Worker() {
    for (std::uint16_t i = 0; context_.large.count() > 0; ++i) {
        if (context_.large.has(PortIndex{i})) {
            rte_pktmbuf_free(context_.large.take(PortIndex{i}).frame);
        }
    }
    rte_ring_free(commands_);
}

bool Worker::submit(WorkerCommand& command) noexcept {
    return rte_ring_sp_enqueue(commands_, &command) == 0;
}

bool Worker::has_command() const noexcept {
    return running_ != nullptr || rte_ring_count(commands_) > 0;
}

void Worker::enter_snapshot(const Snapshot& snapshot) noexcept {
    context_.snapshot = &snapshot;
    if (generation_ == snapshot.generation) { return; }
    generation_ = snapshot.generation;
    if (context_.large.count() > 0) { drop_large(snapshot); }
    context_.fragments.configure(snapshot.fragment_timeouts);
    context_.fragments.flush_if([&](PortIndex index) {
        const PortConfig* port = snapshot.port(index);
        return port == nullptr || port->worker != context_.options.index;
    });
    for (const PortIndex index : snapshot.worker_ports[context_.options.index]) {
        context_.flows.set_quota(index, snapshot.port(index)->flow_quota);
    }
}

std::uint64_t Worker::cycles() const noexcept {
    return context_.options.cycles == nullptr ? rte_rdtsc() : context_.options.cycles();
}

// Buffers that nobody has: what caches hold counts as used.
void Worker::look_at_pool() noexcept {
    constexpr std::uint32_t kRounds = 64;
    if (++round_ % kRounds != 0) [[likely]] { return; }
    const rte_mempool& pool = *context_.options.pool;
    is_pool_low_ = rte_mempool_ops_get_count(&pool) < pool.size / kPoolLowShare;
}

// Whoever is ahead of others that wait is passed over; and while the pool is low, so is a vNIC of
// which frames are kept.
bool Worker::may_run(PortIndex index, const PortConfig& port) noexcept {
    bool may_run = context_.share.may_run(index.value, port.is_uplink);
    if (is_pool_low_ && !port.is_uplink) [[unlikely]] {
        const std::uint32_t held =
            context_.fragments.held_buffers(index) + context_.neighbours.held_buffers(index);
        may_run = may_run && held <= kPoolLowHeldMax;
    }
    if (!may_run) [[unlikely]] { context_.held_rounds[index.value].add(1); }
    return may_run;
}

// A large frame costs as much to receive as to send on, and more where it is cut: each is a turn of
// its own while others wait for turns.
bool Worker::is_kept(PortIndex index, const PortConfig& port,
                     std::span<rte_mbuf* const> frames) noexcept {
    const bool is_large = frames.size() == 1 && frames[0]->pkt_len >= kLargeFrameMin;
    if (!is_large || port.is_uplink || !context_.share.is_short()) [[likely]] { return false; }
    context_.large.keep(index, {.frame = frames[0], .source = port.device.get()});
    return true;
}

void Worker::go_on_with_large(PortIndex index) noexcept {
    if (context_.large.of(index).next > 0) { return cut_further(context_, index); }
    rte_mbuf* frame = context_.large.take(index).frame;
    context_.large.current = index;
    process_burst(context_, index, {&frame, 1});
    flush_output(context_);
    context_.large.current = kNoPort;
}

// Ports that are gone, or polled elsewhere now, are not those that they were.
bool Worker::can_go_on(PortIndex index, const Snapshot& snapshot) noexcept {
    const LargeFrame& large = context_.large.of(index);
    const auto is_same = [&](PortIndex number, const Port* device) {
        const PortConfig* port = snapshot.port(number);
        return port != nullptr && port->worker == context_.options.index &&
               port->device.get() == device;
    };
    return is_same(index, large.source) && (large.next == 0 || is_same(large.egress, large.target));
}

void Worker::drop_large(const Snapshot& snapshot) noexcept {
    for (std::uint16_t i = 0; context_.large.count() > 0 && i < kPortMax; ++i) {
        const PortIndex index{i};
        if (!context_.large.has(index) || can_go_on(index, snapshot)) { continue; }
        const LargeFrame large = context_.large.take(index);
        if (large.next > 0) {
            drop(context_, large.frame, DropReason::kPortDown);
        } else {
            count_dropped_at_once(index, DropReason::kPortDown, 1);
            rte_pktmbuf_free(large.frame);
        }
    }
}

void Worker::finish(const Snapshot& snapshot) noexcept {
    enter_snapshot(snapshot);
    context_.capture.set = nullptr;  // That of the last poll may be gone.
    for (std::uint16_t i = 0; context_.large.count() > 0 && i < kPortMax; ++i) {
        while (context_.large.has(PortIndex{i})) { go_on_with_large(PortIndex{i}); }
    }
}

// Received, and dropped at once: the books balance.
void Worker::count_dropped_at_once(PortIndex index, DropReason reason,
                                   std::uint64_t count) noexcept {
    context_.counters.received.add(count);
    context_.ports[index.value].rx_packets.add(count);
    count_drop(context_, index, reason, count);
}

std::uint16_t Worker::receive(PortIndex index, const PortConfig& port,
                              std::span<rte_mbuf*> frames) noexcept {
    const ReceiveResult got = port.device->receive(frames);
    if (got.broken_count > 0) {
        count_dropped_at_once(index, DropReason::kBadDescriptor, got.broken_count);
    }
    return got.frame_count;
}

// All that a burst causes is in its turn, up to the receivers' rings: other ports' turns would be
// added to these frames' way, and the cycles to others' shares. Whether it brings anything is not
// known before: who had nothing the last time is timed from the first frame on.
std::uint32_t Worker::take_turn(PortIndex index, const PortConfig& port) noexcept {
    FairShare& share = context_.share;
    std::array<rte_mbuf*, kBurstMax> frames;
    std::uint64_t begun = share.is_busy(index.value) ? cycles() : 0;
    const bool goes_on = context_.large.has(index);
    const std::uint16_t count =
        goes_on ? std::uint16_t{1}
                : receive(index, port, std::span(frames).first(share.frames_max(index.value)));
    if (count == 0) {
        share.note_empty(index.value);
        return 0;
    }
    if (begun == 0) { begun = cycles(); }
    PortCounters& counters = context_.ports[index.value];
    std::uint64_t bytes = kBurstBytes;  // Of a large one: they come one by one.
    if (goes_on) [[unlikely]] {
        go_on_with_large(index);
    } else if (!is_kept(index, port, std::span(frames).first(count))) [[likely]] {
        const std::uint64_t before = counters.rx_bytes.get();
        process_burst(context_, index, {frames.data(), count});
        flush_output(context_);
        bytes = counters.rx_bytes.get() - before;
    }
    const std::uint64_t ended = cycles();
    counters.cycles.add(ended - begun);
    share.end(index.value, {ended - begun, bytes, count, port.is_uplink}, ended);
    return count;
}

// What is everybody's has as many turns as vNICs wait.
std::size_t Worker::run_port(PortIndex index, const PortConfig& port) noexcept {
    std::size_t moved = 0;
    for (std::uint32_t turns = port.is_uplink ? context_.share.shared_turns() : 1; turns > 0;
         --turns) {
        if (!may_run(index, port)) { break; }
        const std::uint32_t asked = context_.share.frames_max(index.value);
        const std::uint32_t frames = take_turn(index, port);
        moved += frames;
        if (frames < asked) { break; }
    }
    return moved;
}

// Frames that another worker handed over: those of all of its ports.
std::size_t Worker::run_queue(unsigned from) noexcept {
    HandoverQueue* queue = context_.from_worker[from];
    if (queue == nullptr) { return 0; }
    FairShare& share = context_.share;
    const std::size_t source = kPortMax + from;
    std::size_t moved = 0;
    for (std::uint32_t turns = share.shared_turns(); turns > 0; --turns) {
        if (!share.may_run(source, true)) { break; }
        const std::uint32_t asked = share.frames_max(source);
        const std::uint64_t begun = cycles();
        std::uint64_t bytes = 0;
        const std::uint32_t frames = take_handed_over(context_, *queue, asked, bytes);
        if (frames == 0) {
            share.note_empty(source);
            break;
        }
        flush_output(context_);
        const std::uint64_t ended = cycles();
        share.end(source, {ended - begun, bytes, frames, true}, ended);
        moved += frames;
        if (frames < asked) { break; }
    }
    return moved;
}

std::size_t Worker::run_round() noexcept {
    std::size_t moved = 0;
    do {
        for (const PortIndex index : context_.snapshot->worker_ports[context_.options.index]) {
            moved += run_port(index, *context_.snapshot->port(index));
        }
        for (unsigned from = 0; from < context_.options.worker_count; ++from) {
            moved += run_queue(from);
        }
    } while (context_.share.end_round() && moved == 0);
    return moved;
}

void Worker::run_command() noexcept {
    if (running_ == nullptr) {
        void* next = nullptr;
        if (rte_ring_sc_dequeue(commands_, &next) != 0) { return; }
        running_ = static_cast<WorkerCommand*>(next);
    }
    if (!running_->step(context_)) { return; }
    WorkerCommand* done = running_;
    running_ = nullptr;
    done->finish();  // From here on it is control's again.
}

// A pass over the flows takes about four seconds, over the connections about sixteen: both notice
// expiry exactly when they are used, so that this only returns memory.
void Worker::age() noexcept {
    if (context_.now_ms == aged_ms_) { return; }
    aged_ms_ = context_.now_ms;
    context_.flows.sweep(context_.flows.high_water() / 4096U + 8U, context_.now_ms, kFlowIdleMs);
    context_.connections.sweep(context_.options.index, context_.connections.size() / 16384U + 8U,
                               context_.now_ns);
    context_.learned.sweep(context_.learned.size() / 1024U + 8U, context_.now_ns);
    if (context_.rewrites.is_closed()) { renew_rewrites(); }
}

// Meanwhile first packets that are routed find no row and are dropped: some milliseconds at most.
void Worker::renew_rewrites() noexcept {
    constexpr std::uint32_t kPiece = 65536;
    FlowTable& flows = context_.flows;
    const std::uint32_t end = std::min(renewed_ + kPiece, flows.high_water());
    for (; renewed_ < end; ++renewed_) {
        if (flows.is_live(renewed_) && flows.entry(renewed_).state.program.steps.rewrite != 0) {
            flows.remove(renewed_);
        }
    }
    flows.end_burst();
    if (renewed_ < flows.high_water()) { return; }
    renewed_ = 0;
    context_.rewrites.clear();
}

std::size_t Worker::poll_once(const Snapshot& snapshot, const CaptureSet* captures,
                              std::uint64_t now_ns) noexcept {
    context_.now_ns = now_ns;
    context_.now_ms = static_cast<std::uint32_t>(now_ns / 1000000U);
    context_.capture.set = captures;
    if (captures != nullptr) { context_.capture.ring = &captures->ring(context_.options.index); }
    context_.fragments.sweep(now_ns);
    enter_snapshot(snapshot);
    context_.learned.pass_time(now_ns);
    if (const std::uint32_t epoch = context_.reach.epoch(); epoch != reach_epoch_) {
        reach_epoch_ = epoch;
        context_.learned.note_change();
    }
    context_.refresh_stamp();
    look_at_pool();
    std::size_t moved = run_round();
    moved += look_at_neighbours(context_);
    context_.memberships.look(context_);
    context_.vtep_peers.look(context_);
    context_.service_health.look(context_);
    flush_output(context_);
    if (captures != nullptr) { context_.capture.ring->commit(); }
    run_command();
    age();
    return moved;
}

}  // namespace sluice::datapath
