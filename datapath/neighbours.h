// SPDX-License-Identifier: Apache-2.0
// Neighbours: which MAC has an address that frames must be handed to, for routers (in a domain) and
// VTEPs (on the underlay). What is known is in the learned table (LearnedKind::kNeighbour), for all
// workers; the questions that a worker asks, and the frames that wait for them, are its own.
//
//   state        frames  until
//   kAsking      held    an answer (resume), or kNeighbourProbeCount questions (dropped)
//   kRefreshing  none    the same of a row that is in use and grows old
//   kUnreachable none    kNeighbourUnreachableMs: frames are dropped at once
//
// A row that was found in the last third of its time is asked for again (RFC 1122 §2.3.2.1); the
// cached flows are made to look once before, so that theirs counts. How to ask is the owner's: the
// functions of its NeighbourQuestion. Thread: the worker that owns it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"
#include "sluice/net/address.h"

struct rte_mbuf;

namespace sluice::datapath {

struct WorkerContext;

/// Who wants to know which address, and how it asks.
struct NeighbourQuestion {
    DomainId domain;           ///< Where `ip` is: a domain, or VtepConfig::underlay.
    IpAddr ip;                 //
    std::uint16_t index = 0;   ///< Of that domain in Snapshot::domains, or of the VTEP.
    bool is_underlay = false;  ///< `index` is of Snapshot::vteps. No guest chooses the address:
                               ///< it may use room that is kept for such.
    /// Sends one question. To the known MAC if there still is one (find_neighbour()), else to all.
    void (*ask)(WorkerContext&, const NeighbourQuestion&) noexcept = nullptr;
    /// The address is known: takes a frame that waited.
    void (*resume)(WorkerContext&, const NeighbourQuestion&, rte_mbuf*) noexcept = nullptr;
    /// Nobody answered: may tell the frame's sender; the frame is dropped behind it. Null: nothing.
    void (*give_up)(WorkerContext&, const NeighbourQuestion&, rte_mbuf&) noexcept = nullptr;
};

/// The questions of one worker. The functions below are what others call.
class NeighbourQueue {
public:
    NeighbourQueue();
    /// Frees what is held, uncounted.
    ~NeighbourQueue();
    NeighbourQueue(const NeighbourQueue&) = delete;
    NeighbourQueue& operator=(const NeighbourQueue&) = delete;

    void hold(WorkerContext& context, const NeighbourQuestion& question, rte_mbuf* frame) noexcept;
    void want(WorkerContext& context, const NeighbourQuestion& question) noexcept;
    void doubt(WorkerContext& context, DomainId domain, const IpAddr& ip) noexcept;
    [[nodiscard]] bool is_asking(DomainId domain, const IpAddr& ip) const noexcept;
    void note_answer(DomainId domain, const IpAddr& ip) noexcept;
    std::uint32_t look(WorkerContext& context) noexcept;

    /// Who uses a row is to touch it, if nobody has since then.
    [[nodiscard]] std::uint64_t watched_since() const noexcept { return watch_ns_; }
    /// Frames that wait.
    [[nodiscard]] std::uint32_t held_count() const noexcept { return held_count_; }
    /// Buffers of those that entered by one port.
    [[nodiscard]] std::uint32_t held_buffers(PortIndex port) const noexcept {
        return port_buffers_[slot_of(port)];
    }
    /// Addresses that are being asked for, or were in vain a moment ago.
    [[nodiscard]] std::uint32_t size() const noexcept { return size_; }

private:
    enum class State : std::uint8_t { kFree, kAsking, kRefreshing, kUnreachable };
    struct Entry;
    struct Kept;

    [[nodiscard]] Entry* find(const NeighbourQuestion& question) noexcept;
    template <typename Visit>
    void for_each_of(DomainId domain, const IpAddr& ip, Visit&& visit) const noexcept;
    [[nodiscard]] Entry* open(WorkerContext& context, const NeighbourQuestion& question,
                              PortIndex asker) noexcept;
    [[nodiscard]] bool make_room(const NeighbourQuestion& question, PortIndex asker) noexcept;
    template <typename Condition>
    bool evict(Condition&& condition) noexcept;
    void close(Entry& entry) noexcept;
    void ask(WorkerContext& context, Entry& entry) noexcept;
    void refresh(WorkerContext& context, const NeighbourQuestion& question) noexcept;
    std::uint32_t resume(WorkerContext& context, Entry& entry) noexcept;
    void give_up(WorkerContext& context, Entry& entry) noexcept;
    void drop_held(WorkerContext& context, Entry& entry) noexcept;
    [[nodiscard]] static std::size_t slot_of(PortIndex port) noexcept {
        return port.value < kPortMax ? port.value : kPortMax;
    }
    [[nodiscard]] bool has_room(const WorkerContext& context, const rte_mbuf& frame) const noexcept;
    void release(const Entry& entry) noexcept;
    void prune(WorkerContext& context) noexcept;
    void note_rows(const WorkerContext& context) noexcept;
    std::uint32_t resume_answered(WorkerContext& context) noexcept;
    void serve_due(WorkerContext& context) noexcept;
    void serve(WorkerContext& context, Entry& entry) noexcept;
    void keep(const NeighbourQuestion& question, std::uint64_t now_ns) noexcept;
    void look_at_kept(WorkerContext& context) noexcept;
    /// False: it is gone.
    [[nodiscard]] bool check_kept(WorkerContext& context, Kept& kept, bool& is_news) noexcept;

    std::unique_ptr<Entry[]> entries_;
    std::array<std::uint32_t, kNeighbourWaitMax> tags_{};  // Hash of each entry, 0 = free.
    std::vector<Kept> kept_;                               // Never more than was reserved.
    std::vector<std::uint8_t> port_counts_;                // Entries by the asker's PortIndex.
    std::vector<std::uint32_t> port_buffers_;              // Held ones, by slot_of() the ingress.
    std::uint32_t size_ = 0;
    std::uint32_t tenant_size_ = 0;  // Of them, not of the underlay.
    std::uint32_t held_count_ = 0;
    std::uint32_t held_buffers_ = 0;
    std::uint32_t epoch_ = 0;       // learned.epoch() of the last look.
    std::uint32_t generation_ = 0;  // Snapshot of the last look.
    std::uint64_t due_ns_ = 0;      // The earliest of the entries'.
    std::uint64_t keep_ns_ = 0;     // Next look at `kept_`.
    std::uint64_t watch_ns_ = 0;    // Flows were last made to look at their neighbours.
    bool is_answered_ = false;      // Some entry is.
};

/// Takes a frame that must wait for `question.ip`, asks if nobody does yet. It is held, or dropped:
/// kNeighbourQueueFull, kNeighbourUnreachable (nobody answered a moment ago).
void hold_for_neighbour(WorkerContext& context, const NeighbourQuestion& question,
                        rte_mbuf* frame) noexcept;
/// The same without a frame: nothing happens if the address is known or being asked for.
void want_neighbour(WorkerContext& context, const NeighbourQuestion& question) noexcept;
/// The MAC of `ip`, if it is known. Notes that it is in use.
[[nodiscard]] std::optional<MacAddr> find_neighbour(const WorkerContext& context, DomainId domain,
                                                    const IpAddr& ip) noexcept;
/// True if this worker is asking for it: an answer is welcome.
[[nodiscard]] bool is_asked_for(const WorkerContext& context, DomainId domain,
                                const IpAddr& ip) noexcept;
/// `mac` answered for `ip` at `where`. Who waits goes on with the next look_at_neighbours(), of
/// whichever worker. The caller has checked that it may be believed.
void learn_neighbour(WorkerContext& context, DomainId domain, const IpAddr& ip, const MacAddr& mac,
                     PortIndex where) noexcept;
/// Doubts a known row (another MAC claims the address): asks whoever this worker asked before.
void doubt_neighbour(WorkerContext& context, DomainId domain, const IpAddr& ip) noexcept;
/// Once a poll: resumes what is resolved, asks again, gives up, forgets what the snapshot dropped.
/// Returns how many frames went on.
std::uint32_t look_at_neighbours(WorkerContext& context) noexcept;

}  // namespace sluice::datapath
