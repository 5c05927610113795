// SPDX-License-Identifier: Apache-2.0
// Dataplane: see dataplane.h.
#include "datapath/dataplane.h"

#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <new>
#include <stdexcept>

#include "sluice/base/assert.h"

namespace sluice::datapath {
namespace {

rte_rcu_qsbr* make_rcu(unsigned worker_count) {
    const std::size_t size = rte_rcu_qsbr_get_memsize(worker_count);
    auto* rcu = static_cast<rte_rcu_qsbr*>(rte_zmalloc("sluice_rcu", size, RTE_CACHE_LINE_SIZE));
    if (rcu == nullptr || rte_rcu_qsbr_init(rcu, worker_count) != 0) { throw std::bad_alloc(); }
    for (unsigned i = 0; i < worker_count; ++i) { rte_rcu_qsbr_thread_register(rcu, i); }
    return rcu;
}

std::unique_ptr<const Snapshot> empty_snapshot(unsigned worker_count) {
    auto snapshot = std::make_unique<Snapshot>();
    snapshot->worker_ports.resize(worker_count);
    return snapshot;
}

std::shared_ptr<Arena> own_arena(const DataplaneOptions& options) {
    ArenaOptions of_process;
    of_process.connection_capacity = options.connection_capacity;
    of_process.learned_capacity = options.learned_capacity;
    of_process.seed = options.seed;
    return std::make_shared<Arena>(of_process);
}

}  // namespace

Dataplane::Dataplane(const DataplaneOptions& options)
    : arena_(options.arena ? options.arena : own_arena(options)),
      connection_index_(ConnectionTable::index_bytes(arena_->options().connection_capacity)),
      connections_(std::make_unique<ConnectionTable>(
          ConnectionMemory{connection_index_.get(), arena_->connections().get()},
          arena_->options().connection_capacity, options.worker_count, arena_->seed())),
      learned_index_(LearnedTable::index_bytes(arena_->options().learned_capacity)),
      learned_(std::make_unique<LearnedTable>(
          LearnedMemory{learned_index_.get(), arena_->learned().get()},
          arena_->options().learned_capacity, options.worker_count, arena_->seed())),
      fleet_arena_(LearnedTable::arena_bytes(options.fleet_capacity)),
      fleet_(std::make_unique<LearnedTable>(fleet_arena_.get(), options.fleet_capacity,
                                            options.worker_count + 1U, options.seed)),
      pins_(arena_->pins().get(), arena_->options().connection_capacity),
      associations_(options.worker_count),
      current_(empty_snapshot(options.worker_count)),
      published_(current_.get()),
      rcu_(make_rcu(options.worker_count)) {
    for (unsigned i = 0; i < options.worker_count; ++i) {
        WorkerOptions worker;
        worker.index = i;
        worker.worker_count = options.worker_count;
        worker.pool = options.pool;
        worker.connections = connections_.get();
        worker.learned = learned_.get();
        worker.fleet = fleet_.get();
        worker.reach = &reach_;
        worker.pins = &pins_;
        worker.services = &services_;
        worker.service_networks = &service_networks_;
        worker.associations = &associations_;
        worker.flow_capacity = options.flow_capacity;
        worker.flow_cache = options.flow_cache;
        worker.seed = options.seed + i;
        worker.share_cycles = options.share_cycles;
        worker.cycles = options.cycles;
        workers_.push_back(std::make_unique<Worker>(worker));
        wake_fds_.push_back(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
        if (wake_fds_.back() < 0) { throw std::runtime_error("worker: no eventfd"); }
    }
    make_rings(options.worker_count);
}

void Dataplane::make_rings(unsigned count) {
    static std::atomic<unsigned> made{
        0};  // Names are the process's, and it may have several dataplanes.
    for (unsigned from = 0; from < count; ++from) {
        for (unsigned to = 0; to < count; ++to) {
            if (from == to) { continue; }
            const std::string name = "sluice_frames_" + std::to_string(made.fetch_add(1));
            rte_ring* ring = rte_ring_create(name.c_str(), kWorkerQueueFrames, SOCKET_ID_ANY,
                                             RING_F_SP_ENQ | RING_F_SC_DEQ);
            if (ring == nullptr) { throw std::bad_alloc(); }
            queues_.push_back(std::make_unique<HandoverQueue>());
            queues_.back()->ring = ring;
            workers_[from]->context().to_worker[to] = queues_.back().get();
            workers_[to]->context().from_worker[from] = queues_.back().get();
        }
    }
}

Dataplane::~Dataplane() {
    for (const auto& queue : queues_) { rte_ring_free(queue->ring); }
    for (const int fd : wake_fds_) { close(fd); }
    rte_free(rcu_);
}

std::uint64_t Dataplane::publish(std::unique_ptr<const Snapshot> next) {
    SLUICE_ASSERT(next->worker_ports.size() == workers_.size());
    connections_->configure(next->timeouts, next->limits);
    keep_pins(*next);
    published_.store(next.get(), std::memory_order_release);
    const std::uint64_t token = rte_rcu_qsbr_start(rcu_);
    retired_.push_back(Retired{std::move(current_), nullptr, token});
    current_ = std::move(next);
    for (unsigned i = 0; i < worker_count(); ++i) { wake(i); }
    return token;
}

std::uint64_t Dataplane::publish_captures(std::unique_ptr<const CaptureSet> next) {
    capturing_.store(next.get(), std::memory_order_release);
    const std::uint64_t token = rte_rcu_qsbr_start(rcu_);
    retired_.push_back(Retired{nullptr, std::move(captures_), token});
    captures_ = std::move(next);
    return token;
}

bool Dataplane::is_settled(std::uint64_t token) const noexcept {
    return rte_rcu_qsbr_check(rcu_, token, false) == 1;
}

std::uint64_t Dataplane::start_grace() const noexcept { return rte_rcu_qsbr_start(rcu_); }

Dataplane::Snapshots Dataplane::take_reclaimable() {
    Snapshots doomed;
    while (!retired_.empty() && is_settled(retired_.front().token)) {
        doomed.push_back(std::move(retired_.front().snapshot));
        retired_.pop_front();
    }
    return doomed;
}

void Dataplane::reclaim() { take_reclaimable().clear(); }

void Dataplane::note_fleet_change() noexcept {
    learned_->note_change();
    for (unsigned i = 0; i < worker_count(); ++i) { wake(i); }
}

bool Dataplane::submit(unsigned worker, WorkerCommand& command) noexcept {
    const bool queued = workers_[worker]->submit(command);
    wake(worker);
    return queued;
}

std::size_t Dataplane::poll_once(unsigned worker, std::uint64_t now_ns) noexcept {
    const std::size_t moved =
        workers_[worker]->poll_once(*published_.load(std::memory_order_acquire),
                                    capturing_.load(std::memory_order_acquire), now_ns);
    rte_rcu_qsbr_quiescent(rcu_, worker);
    return moved;
}

void Dataplane::finish(unsigned worker) noexcept {
    workers_[worker]->finish(*published_.load(std::memory_order_acquire));
    rte_rcu_qsbr_quiescent(rcu_, worker);
}

void Dataplane::set_online(unsigned worker, bool is_online) noexcept {
    if (is_online) {
        rte_rcu_qsbr_thread_online(rcu_, worker);
    } else {
        rte_rcu_qsbr_thread_offline(rcu_, worker);
    }
}

void Dataplane::synchronize() const noexcept {
    const std::uint64_t token = rte_rcu_qsbr_start(rcu_);
    rte_rcu_qsbr_check(rcu_, token, true);
}

void Dataplane::wake(unsigned worker) const noexcept {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written =
        write(wake_fds_[worker], &one, sizeof one);  // Full means awake already.
}

}  // namespace sluice::datapath
