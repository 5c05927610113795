// SPDX-License-Identifier: Apache-2.0
// Sleeper: see sleeper.h.
#include "datapath/sleeper.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <ctime>

namespace sluice::datapath {

Sleeper::~Sleeper() {
    if (epoll_ >= 0) { close(epoll_); }
}

void Sleeper::add(int fd) noexcept {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd,
              &event);  // A descriptor that can't be polled: that guest is polled every 1 ms.
}

void Sleeper::rebuild(const Snapshot& snapshot) noexcept {
    if (epoll_ >= 0) { close(epoll_); }
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_ < 0) { return; }
    add(wake_fd_);
    std::array<int, kVhostQueuePairMax> fds;
    for (const PortIndex port : snapshot.worker_ports[worker_]) {
        const std::size_t count = snapshot.port(port)->device->kick_fds(fds);
        for (std::size_t i = 0; i < count; ++i) { add(fds[i]); }
    }
}

void Sleeper::arm(const Snapshot& snapshot) noexcept {
    std::uint64_t sum = std::uint64_t{snapshot.generation} << 32U;
    for (const PortIndex port : snapshot.worker_ports[worker_]) {
        sum += snapshot.port(port)->device->kick_epoch();
    }
    if (epoll_ < 0 || sum != built_for_) {
        rebuild(snapshot);
        built_for_ = sum;
    }
    for (const PortIndex port : snapshot.worker_ports[worker_]) {
        snapshot.port(port)->device->want_kicks(true);
    }
}

void Sleeper::wait() noexcept {
    constexpr int kSleepMs = 1;
    epoll_event events[8];
    if (epoll_ >= 0) {
        epoll_wait(epoll_, events, 8, kSleepMs);
        return;
    }
    const timespec pause{0, kSleepMs * 1000000};  // No descriptor to be had: sleep all the same.
    nanosleep(&pause, nullptr);
}

void Sleeper::disarm(const Snapshot& snapshot) noexcept {
    for (const PortIndex port : snapshot.worker_ports[worker_]) {
        snapshot.port(port)->device->want_kicks(false);
    }
}

}  // namespace sluice::datapath
