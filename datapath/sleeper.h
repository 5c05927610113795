// SPDX-License-Identifier: Apache-2.0
// Sleeper: how an idle worker waits. One epoll set holds the worker's own eventfd and the guests'
// kick eventfds, edge-triggered: nobody reads a guest's descriptor, which could block. The set is
// made anew when a port's rings change, because a closed descriptor whose file the guest still
// holds would stay in it. Thread: its worker.
#pragma once

#include <cstdint>

#include "datapath/snapshot.h"

namespace sluice::datapath {

class Sleeper {
public:
    /// @param wake_fd  eventfd by which others wake the worker; not owned
    Sleeper(unsigned worker, int wake_fd) noexcept : worker_(worker), wake_fd_(wake_fd) {}
    ~Sleeper();
    Sleeper(const Sleeper&) = delete;
    Sleeper& operator=(const Sleeper&) = delete;

    /// Asks every port of the worker for kicks. Poll once more before wait().
    void arm(const Snapshot& snapshot) noexcept;
    /// Sleeps until a kick or a wake-up, 1 ms at most.
    void wait() noexcept;
    /// Tells the ports that kicks are not needed any more.
    void disarm(const Snapshot& snapshot) noexcept;

private:
    void rebuild(const Snapshot& snapshot) noexcept;
    void add(int fd) noexcept;

    const unsigned worker_;
    const int wake_fd_;
    int epoll_ = -1;
    std::uint64_t built_for_ = 0;  // Sum over the ports' kick epochs and the snapshot's generation.
};

}  // namespace sluice::datapath
