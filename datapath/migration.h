// SPDX-License-Identifier: Apache-2.0
// Migration: what control asks of a worker when a vNIC comes from another host, or has gone to one
// (ADR 50): rows for the shared tables, and a look at who still sends to it. In pieces, like every
// command. One worker runs the imports for the whole host; every worker looks for stragglers.
#pragma once

#include <array>
#include <span>
#include <utility>
#include <vector>

#include "datapath/command.h"
#include "sluice/iochain/connection_import.h"
#include "sluice/iochain/service_pins.h"

namespace sluice::datapath {

/// Puts connections in, with their services, and ends those that ended elsewhere.
class ImportConnections final : public WorkerCommand {
public:
    struct Row {
        ConnectionImport connection;
        ServicePins pins;  ///< count 0: none.
    };
    ImportConnections(std::vector<Row> rows, std::vector<TupleOfFrame> gone)
        : rows_(std::move(rows)), ended_(std::move(gone)) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    std::uint64_t opened = 0;   ///< Were not here before.
    std::uint64_t renewed = 0;  ///< Were here.
    std::uint64_t ended = 0;    ///< Were here and are no more.
    std::uint64_t refused = 0;  ///< Over a limit.

private:
    void put(WorkerContext& context, Row& row) noexcept;

    std::vector<Row> rows_;
    std::vector<TupleOfFrame> ended_;
    std::size_t at_ = 0;
};

/// Puts learned rows in: keys, values and expiry as they are to be here.
class ImportLearned final : public WorkerCommand {
public:
    explicit ImportLearned(std::vector<LearnedRow> rows) : rows_(std::move(rows)) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    std::uint64_t kept = 0;
    std::uint64_t refused = 0;  ///< Over a limit.

private:
    std::vector<LearnedRow> rows_;
    std::size_t at_ = 0;
};

/// Flows of a worker that go to the MAC of a vNIC that has moved.
class CountStragglers final : public WorkerCommand {
public:
    explicit CountStragglers(const MacAddr& mac) : mac_(mac) {}
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;
    std::uint64_t flows = 0;
    std::uint64_t packets = 0;    ///< Of these flows, ever.
    std::uint32_t idle_ms = ~0U;  ///< Since the last frame of any; all ones: there is none.

private:
    MacAddr mac_;
    std::uint32_t at_ = 0;
};

}  // namespace sluice::datapath
