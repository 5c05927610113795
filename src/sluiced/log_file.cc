// SPDX-License-Identifier: Apache-2.0
// LogFile: see log_file.h.
#include "src/sluiced/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace sluice::daemon {

Error LogFile::error(const char* what) const {
    return Error{Errc::kIo, "firewall log " + path_ + ": " + what + ": " + std::strerror(errno),
                 "firewall-log"};
}

Status LogFile::open() {
    close();
    // Not to wait for the reader of a pipe.
    fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                 0640);
    if (fd_ < 0) { return error("open"); }
    struct stat status {};
    is_regular_ = fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
    size_ = is_regular_ ? static_cast<std::uint64_t>(status.st_size) : 0;
    return Ok{};
}

void LogFile::close() noexcept {
    if (fd_ >= 0) { ::close(fd_); }
    fd_ = -1;
}

Status LogFile::put_aside() {
    const std::string old = path_ + ".old";  // ".1" is logrotate's.
    if (std::rename(path_.c_str(), old.c_str()) != 0) { return error("put aside"); }
    return open();
}

Status LogFile::append(std::string_view lines) {
    if (fd_ < 0) {
        if (Status opened = open(); !opened) { return opened; }
    }
    if (is_regular_ && size_ > 0 && size_ + lines.size() > bytes_max_) {
        if (Status moved = put_aside(); !moved) { return moved; }
    }
    const ssize_t written = write(fd_, lines.data(), lines.size());
    if (written == static_cast<ssize_t>(lines.size())) {
        size_ += lines.size();
        return Ok{};
    }
    if (written >= 0) { errno = ENOSPC; }
    Error failure = error("write");
    // No half line may stay, before which the next one would be lost as well.
    if (written > 0 && is_regular_ && ftruncate(fd_, static_cast<off_t>(size_)) != 0) { close(); }
    return failure;
}

}  // namespace sluice::daemon
