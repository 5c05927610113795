// SPDX-License-Identifier: Apache-2.0
// Probe: shows that a worker moves packets. A command that puts frames of its own through the real
// way - buffer, parse, lookup, first packet, program, output - from one private port to another, on
// a snapshot that only the command has. The first frame is decided anew, the second one is carried
// by the program that the first one left. Nothing remains of them: no flow, no figure, no line of
// a capture. Made by control, run by the worker.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "datapath/command.h"

namespace sluice::datapath {

/// What became of a probe.
enum class ProbeResult : std::uint8_t {
    kNotRun,
    kPassed,    ///< Every frame came out, byte for byte.
    kNoBuffer,  ///< The pool had no buffer for it.
    kLost,      ///< A frame did not come out, or came out changed.
};
[[nodiscard]] const char* to_text(ProbeResult result) noexcept;

class ProbePort;  // probe.cc

class ProbeCommand final : public WorkerCommand {
public:
    /// @param from, to  indices that no port of the running snapshot has; kNoPort: there are none,
    /// and the worker only has to answer
    ProbeCommand(unsigned worker, PortIndex from, PortIndex to);
    ~ProbeCommand() override;
    [[nodiscard]] bool step(WorkerContext& context) noexcept override;

    ProbeResult result = ProbeResult::kNotRun;
    std::uint64_t cycles = 0;  ///< TSC, for all of its frames.

private:
    [[nodiscard]] bool send_one(WorkerContext& context) noexcept;
    void forget(WorkerContext& context) const noexcept;

    const PortIndex from_, to_;
    std::shared_ptr<ProbePort> sink_;
    std::unique_ptr<Snapshot> snapshot_;
};

}  // namespace sluice::datapath
