// SPDX-License-Identifier: Apache-2.0
// WorkerThread: runs one worker on one core: polls while there is work, sleeps after 1 ms without,
// wakes on a guest's kick, on control's wish, and at the latest after 1 ms.
#pragma once

#include <atomic>
#include <thread>

#include "datapath/dataplane.h"
#include "datapath/poll_clock.h"
#include "datapath/sleeper.h"

namespace sluice::datapath {

class WorkerThread {
public:
    /// Starts at once. @param core  logical CPU
    WorkerThread(Dataplane& dataplane, unsigned worker, int core);
    /// Stops and joins.
    ~WorkerThread();
    WorkerThread(const WorkerThread&) = delete;
    WorkerThread& operator=(const WorkerThread&) = delete;

private:
    void run() noexcept;
    bool sleep(Sleeper& sleeper, PollClock& clock) noexcept;

    Dataplane& dataplane_;
    const unsigned worker_;
    const int core_;
    std::atomic<bool> stop_requested_{false};
    std::thread thread_;
};

}  // namespace sluice::datapath
