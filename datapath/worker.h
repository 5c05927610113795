// SPDX-License-Identifier: Apache-2.0
// Worker: polls its ports, runs what control asks, ages its tables. poll_once(now) is the whole of
// it: the thread in thread.cc calls it in a loop; tests call it with a clock of their own.
#pragma once

#include <cstdint>
#include <span>

#include "datapath/command.h"
#include "datapath/context.h"

namespace sluice::datapath {

class Worker {
public:
    explicit Worker(const WorkerOptions& options);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// One round over ports, handed-over frames, commands and ageing. `snapshot` stays valid during
    /// the call, and so does `captures` (null: nobody captures).
    /// @return frames that were moved
    std::size_t poll_once(const Snapshot& snapshot, const CaptureSet* captures,
                          std::uint64_t now_ns) noexcept;

    /// control: hands a command over. False if kWorkerCommandMax wait already.
    [[nodiscard]] bool submit(WorkerCommand& command) noexcept;

    /// worker: true while a command wants further polls.
    [[nodiscard]] bool has_command() const noexcept;

    /// Worker, before it ends: large frames go the rest of their way.
    void finish(const Snapshot& snapshot) noexcept;

    [[nodiscard]] WorkerContext& context() noexcept { return context_; }
    [[nodiscard]] const WorkerContext& context() const noexcept { return context_; }

private:
    void enter_snapshot(const Snapshot& snapshot) noexcept;
    std::size_t run_round() noexcept;
    std::size_t run_port(PortIndex index, const PortConfig& port) noexcept;
    std::uint32_t take_turn(PortIndex index, const PortConfig& port) noexcept;
    [[nodiscard]] std::uint16_t receive(PortIndex index, const PortConfig& port,
                                        std::span<rte_mbuf*> frames) noexcept;
    [[nodiscard]] bool is_kept(PortIndex index, const PortConfig& port,
                               std::span<rte_mbuf* const> frames) noexcept;
    void go_on_with_large(PortIndex index) noexcept;
    [[nodiscard]] bool can_go_on(PortIndex index, const Snapshot& snapshot) noexcept;
    void drop_large(const Snapshot& snapshot) noexcept;
    void count_dropped_at_once(PortIndex index, DropReason reason, std::uint64_t count) noexcept;
    std::size_t run_queue(unsigned from) noexcept;
    [[nodiscard]] bool may_run(PortIndex index, const PortConfig& port) noexcept;
    void look_at_pool() noexcept;
    [[nodiscard]] std::uint64_t cycles() const noexcept;
    void run_command() noexcept;
    void age() noexcept;
    void renew_rewrites() noexcept;

    WorkerContext context_;
    rte_ring* commands_;
    WorkerCommand* running_ = nullptr;
    std::uint32_t generation_ = 0;
    std::uint32_t aged_ms_ = 0;
    std::uint32_t reach_epoch_ = 0;
    std::uint32_t renewed_ = 0;  // Flows that renew_rewrites() has looked at.
    std::uint32_t round_ = 0;
    bool is_pool_low_ = false;
};

}  // namespace sluice::datapath
