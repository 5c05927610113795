// SPDX-License-Identifier: Apache-2.0
// An owned file descriptor: closed once, by its last owner. Any thread.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <utility>

namespace sluice::relay {

/// Sole owner of a descriptor; -1 = none. Movable, not copyable.
class Fd {
public:
    Fd() noexcept = default;
    explicit Fd(int fd) noexcept : fd_(fd) {}
    Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Fd& operator=(Fd&& other) noexcept {
        if (this != &other) { reset(std::exchange(other.fd_, -1)); }
        return *this;
    }
    Fd(const Fd&) = delete;
    Fd& operator=(const Fd&) = delete;
    ~Fd() { reset(); }

    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] bool valid() const noexcept { return fd_ >= 0; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd = -1) noexcept {
        if (fd_ >= 0) { ::close(fd_); }
        fd_ = fd;
    }
    /// A second descriptor of the same file, close-on-exec. Invalid when the process has none left.
    [[nodiscard]] Fd duplicate() const noexcept {
        return Fd{fd_ < 0 ? -1 : ::fcntl(fd_, F_DUPFD_CLOEXEC, 3)};
    }

private:
    int fd_ = -1;
};

}  // namespace sluice::relay
