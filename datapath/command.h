// SPDX-License-Identifier: Apache-2.0
// WorkerCommand: what control asks of a worker: fold figures, flush connections, list flows. Handed
// over by a bounded ring, run in small pieces between bursts, so that a long one never stalls
// packets. Made and destroyed by control.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

#include "datapath/context.h"

namespace sluice::datapath {

class WorkerCommand {
public:
    WorkerCommand() = default;
    WorkerCommand(const WorkerCommand&) = delete;
    WorkerCommand& operator=(const WorkerCommand&) = delete;
    virtual ~WorkerCommand() = default;

    /// worker: does a piece of the work. True when all is done.
    [[nodiscard]] virtual bool step(WorkerContext& context) noexcept = 0;

    [[nodiscard]] bool is_finished() const noexcept {
        return finished_.load(std::memory_order_acquire);
    }                                                                             ///< control
    void finish() noexcept { finished_.store(true, std::memory_order_release); }  ///< worker

private:
    std::atomic<bool> finished_{false};
};

/// Folds the figures of every flow, then copies the worker's books: after it, show commands are
/// exact as of now.
class FoldCommand final : public WorkerCommand {
public:
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    std::uint64_t received = 0, created = 0, sent = 0, consumed = 0, dropped = 0, handed_over = 0,
                  taken_over = 0, waiting = 0;

private:
    std::uint32_t at_ = 0;
};

/// Closes connections: all, or those that one vNIC opened or answers. One worker runs it for the
/// whole table.
class FlushConnections final : public WorkerCommand {
public:
    explicit FlushConnections(PortIndex port = kNoPort) : port_(port) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    std::uint64_t removed = 0;

private:
    PortIndex port_;
    std::uint32_t at_ = 0;
};

/// Removes learned rows. One worker runs it for the whole table.
class FlushLearned final : public WorkerCommand {
public:
    explicit FlushLearned(const LearnedFilter& filter) : filter_(filter) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    std::uint64_t removed = 0;

private:
    LearnedFilter filter_;
    std::uint32_t at_ = 0;
};

/// Forgets MACs behind remote VTEPs that are gone. One worker runs it for the whole table.
class ForgetRemotes final : public WorkerCommand {
public:
    /// @param is_gone  by index into the former Snapshot::remotes
    explicit ForgetRemotes(std::vector<bool> is_gone) : is_gone_(std::move(is_gone)) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;

private:
    std::vector<bool> is_gone_;
    std::uint32_t at_ = 0;
};

/// Says what becomes of listed addresses that SpoofGuard refused: they leave the list for good, or
/// are forgotten. One worker runs it.
class SettlePending final : public WorkerCommand {
public:
    SettlePending(std::vector<LearnedKey> rows, bool is_rejected)
        : rows_(std::move(rows)), is_rejected_(is_rejected) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;

private:
    std::vector<LearnedKey> rows_;  // kPending.
    bool is_rejected_;
    std::size_t at_ = 0;
};

/// Forgets every flow and fragment of the worker.
class FlushFlows final : public WorkerCommand {
public:
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    std::uint64_t removed = 0;

private:
    std::uint32_t at_ = 0;
};

/// Copies the flows with the most packets.
class ListFlows final : public WorkerCommand {
public:
    struct Row {
        FlowKey key;
        FlowState state;
    };
    explicit ListFlows(std::size_t row_count_max) : row_count_max_(row_count_max) {
        rows.reserve(row_count_max + 1);
    }
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    std::vector<Row>
        rows;  ///< Unordered, the largest seen. Reserved beforehand: the worker does not allocate.
    std::uint32_t now_ms = 0;

private:
    std::size_t row_count_max_;
    std::uint32_t at_ = 0;
};

}  // namespace sluice::datapath
