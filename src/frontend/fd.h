// SPDX-License-Identifier: Apache-2.0
// Fd: a file descriptor with one owner; and the time words that every wait of the front-end uses.
// Any thread.
#pragma once

#include <unistd.h>

#include <chrono>
#include <string>
#include <utility>

#include "sluice/base/result.h"

namespace sluice::frontend {

using Clock = std::chrono::steady_clock;
using Deadline = Clock::time_point;
[[nodiscard]] inline Deadline after(std::chrono::milliseconds wait) { return Clock::now() + wait; }
/// Milliseconds left for poll(2), rounded up, at most `cap_ms`, never negative.
[[nodiscard]] int left_ms(Deadline deadline, int cap_ms);

/// Owns one descriptor and closes it. -1 = none.
class Fd {
public:
    Fd() = default;
    explicit Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) { reset(std::exchange(other.fd_, -1)); }
        return *this;
    }
    ~Fd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
    void reset(int fd = -1) noexcept {
        if (fd_ >= 0) { ::close(fd_); }
        fd_ = fd;
    }

private:
    int fd_ = -1;
};

/// An Error of kind kIo: "what: strerror(errno)".
[[nodiscard]] Error io_error(const std::string& what);

}  // namespace sluice::frontend
