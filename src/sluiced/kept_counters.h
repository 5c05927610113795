// SPDX-License-Identifier: Apache-2.0
// KeptCounters: the figures of ports, drops and rules, and the host's books, in a file of the
// arena's folder, so that they go on where they were after a crash or a restart. Two copies,
// written in turn: a process that is killed while it writes leaves the other one. Frames that were
// on their way when the process before ended count as consumed. Control thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "datapath/dataplane.h"
#include "sluice/telemetry/counters.h"

namespace sluice::daemon {

class KeptCounters {
public:
    KeptCounters() = default;
    ~KeptCounters();
    KeptCounters(const KeptCounters&) = delete;
    KeptCounters& operator=(const KeptCounters&) = delete;

    /// Opens or makes the file, and adds what it says to the first worker's figures. Workers do not
    /// run. kIo.
    [[nodiscard]] Status load(const std::string& path, datapath::Dataplane& dataplane);
    /// Writes the sums over all workers. Some milliseconds with 100 000 rules. kIo, once.
    [[nodiscard]] Status save(const datapath::Dataplane& dataplane, const Books& books);

private:
    [[nodiscard]] bool read_copy(unsigned copy, std::vector<std::uint64_t>& body);

    int fd_ = -1;
    std::uint64_t sequence_ = 0;
};

}  // namespace sluice::daemon
