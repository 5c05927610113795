// SPDX-License-Identifier: Apache-2.0
// Dataplane: the workers of this process with what they share: the published snapshot and its
// reclamation (rte_rcu_qsbr), the rings between workers, the arenas of connections, of what is
// learned and of what controllers told. Control thread, except where said.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "datapath/arena.h"
#include "datapath/security_associations.h"
#include "datapath/worker.h"
#include "sluice/base/result.h"

struct rte_rcu_qsbr;

namespace sluice::datapath {

struct DataplaneOptions {
    unsigned worker_count = 1;
    rte_mempool* pool = nullptr;
    std::uint32_t flow_capacity = kFlowTableDefault;
    std::uint32_t connection_capacity = kConnectionCapacityDefault;
    std::uint32_t learned_capacity = kLearnedCapacityDefault;
    /// What outlives the process; it says the two capacities then. Null: nothing does.
    std::shared_ptr<Arena> arena;
    std::uint32_t fleet_capacity = kFleetRowMax;  ///< Memory is taken as rows come.
    bool flow_cache = true;
    std::uint64_t seed = 0;
    std::uint64_t share_cycles = 0;                ///< WorkerOptions::share_cycles.
    std::uint64_t (*cycles)() noexcept = nullptr;  ///< WorkerOptions::cycles.
};

/// What adopt() found.
struct AdoptReport {
    ConnectionAdoption connections;
    LearnedAdoption learned;
    std::uint64_t took_ns = 0;
};

class Dataplane {
public:
    explicit Dataplane(const DataplaneOptions& options);
    ~Dataplane();
    Dataplane(const Dataplane&) = delete;
    Dataplane& operator=(const Dataplane&) = delete;

    /// Workers not running: makes all tables anew from the records in the arena, whichever process
    /// wrote them last: at the start, and again when another process had the arena meanwhile. What
    /// does not check out is dropped. Ports, domains and rules in records mean what they meant: the
    /// names are the caller's (src/host/name_log.h).
    [[nodiscard]] Result<AdoptReport> adopt(std::uint64_t now_ns);
    /// The same, while the arena's owner still runs: takes memory and maps pages, so that adopt()
    /// need not. Changes nothing.
    void prepare_adoption();
    /// Gives the tables room in the arena ahead of use: each kArenaTendMs. An error, once: there is
    /// no more; what is beyond lives as long as the process.
    [[nodiscard]] Status tend_arena();
    [[nodiscard]] Arena& arena() noexcept { return *arena_; }
    [[nodiscard]] const Arena& arena() const noexcept { return *arena_; }

    /// Makes `next` what workers see from their next poll on. Returns a token for is_settled().
    [[nodiscard]] std::uint64_t publish(std::unique_ptr<const Snapshot> next);
    /// True when every worker has passed on from what was published before `token`.
    [[nodiscard]] bool is_settled(std::uint64_t token) const noexcept;
    /// Returns a token for is_settled(): true when every worker has let go of what it uses now.
    [[nodiscard]] std::uint64_t start_grace() const noexcept;
    using Snapshots = std::vector<std::unique_ptr<const Snapshot>>;
    /// Snapshots that no worker can see any more, for the caller to free on a thread that has time.
    [[nodiscard]] Snapshots take_reclaimable();
    /// Frees them here.
    void reclaim();
    [[nodiscard]] const Snapshot& snapshot() const noexcept { return *current_; }
    /// worker, on line: what it would see now. Good until its next quiescent state, which is behind
    /// its next poll_once().
    [[nodiscard]] const Snapshot& published() const noexcept {
        return *published_.load(std::memory_order_acquire);
    }

    /// Makes `next` what workers capture from their next poll on; null: nothing. Returns a token
    /// for is_settled().
    [[nodiscard]] std::uint64_t publish_captures(std::unique_ptr<const CaptureSet> next);

    /// Hands a command to a worker and wakes it. False if its queue is full.
    [[nodiscard]] bool submit(unsigned worker, WorkerCommand& command) noexcept;

    /// worker: a round, and a quiescent state behind it.
    std::size_t poll_once(unsigned worker, std::uint64_t now_ns) noexcept;
    /// worker: it ends: what it has received and not processed yet goes its way.
    void finish(unsigned worker) noexcept;
    /// worker: goes on line (its lookups hold snapshots) and off line (asleep or ended).
    void set_online(unsigned worker, bool is_online) noexcept;
    /// Any thread: waits until every worker passed a quiescent state; asleep ones count as passed.
    /// For librte_vhost's thread.
    void synchronize() const noexcept;

    /// eventfd that wakes a sleeping worker. Any thread writes, the worker reads.
    [[nodiscard]] int wake_fd(unsigned worker) const noexcept { return wake_fds_[worker]; }
    void wake(unsigned worker) const noexcept;

    [[nodiscard]] Worker& worker(unsigned index) noexcept { return *workers_[index]; }
    [[nodiscard]] const Worker& worker(unsigned index) const noexcept { return *workers_[index]; }
    [[nodiscard]] unsigned worker_count() const noexcept {
        return static_cast<unsigned>(workers_.size());
    }
    [[nodiscard]] ConnectionTable& connections() noexcept { return *connections_; }
    [[nodiscard]] LearnedTable& learned() noexcept { return *learned_; }
    [[nodiscard]] const LearnedTable& learned() const noexcept { return *learned_; }
    /// MACs and addresses elsewhere, as controllers tell them (fleet.cc): control writes beside
    /// workers that look, then calls note_fleet_change(). LearnedKey::mac() has value.remote, an
    /// index of Snapshot::remotes; LearnedKey::neighbour() has value.mac; neither has a port, or
    /// expires.
    [[nodiscard]] LearnedTable& fleet() noexcept { return *fleet_; }
    [[nodiscard]] const LearnedTable& fleet() const noexcept { return *fleet_; }
    /// Programs that hang on rows of fleet() are looked at again, frames that wait for an address
    /// go on.
    void note_fleet_change() noexcept;
    /// Whoever sets something there wakes the workers (wake()).
    [[nodiscard]] Reach& reach() noexcept { return reach_; }
    [[nodiscard]] const Reach& reach() const noexcept { return reach_; }
    [[nodiscard]] ServicePinTable& pins() noexcept { return pins_; }
    [[nodiscard]] ServiceStates& services() noexcept { return services_; }
    [[nodiscard]] const ServiceStates& services() const noexcept { return services_; }
    [[nodiscard]] SecurityAssociations& associations() noexcept { return associations_; }

private:
    struct Retired {
        std::unique_ptr<const Snapshot> snapshot;
        std::unique_ptr<const CaptureSet> captures;
        std::uint64_t token;
    };
    void make_rings(unsigned count);

    [[nodiscard]] std::uint32_t connection_records() noexcept;
    [[nodiscard]] std::uint32_t learned_records() noexcept;
    [[nodiscard]] Status tend_connections();
    [[nodiscard]] Status tend_learned();
    void keep_pins(const Snapshot& next);

    std::shared_ptr<Arena> arena_;
    LazyMemory connection_index_;
    std::unique_ptr<ConnectionTable> connections_;
    LazyMemory learned_index_;
    std::unique_ptr<LearnedTable> learned_;
    LazyMemory fleet_arena_;
    std::unique_ptr<LearnedTable> fleet_;
    Reach reach_;
    ServicePinTable pins_;
    bool keeps_pins_ = false;            // control. Some rule redirects, or did.
    bool has_more_connections_ = false;  // control. Than there is room for in the arena.
    bool has_more_learned_ = false;      // control. The same.
    ServiceStates services_;
    ServiceNetworks service_networks_;
    SecurityAssociations associations_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::unique_ptr<HandoverQueue>> queues_;  // Between workers.
    std::vector<int> wake_fds_;
    std::unique_ptr<const Snapshot> current_;            // control
    std::atomic<const Snapshot*> published_;             // control: w, worker: r
    std::unique_ptr<const CaptureSet> captures_;         // control
    std::atomic<const CaptureSet*> capturing_{nullptr};  // control: w, worker: r
    std::deque<Retired> retired_;
    rte_rcu_qsbr* rcu_;
};

}  // namespace sluice::datapath
