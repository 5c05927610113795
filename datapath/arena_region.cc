// SPDX-License-Identifier: Apache-2.0
// ArenaRegion: see arena_region.h.
#include "datapath/arena_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>

namespace sluice::datapath {
namespace {

constexpr std::size_t kAlignment = 2U << 20U;

// MADV_COLLAPSE, from Linux 6.1 on: huge pages now, whatever the system's setting for tmpfs says.
// They stay in the file, for the next process too. Elsewhere an error that says nothing.
constexpr int kCollapse = 25;

constexpr std::size_t rounded_up(std::size_t bytes, std::size_t to) noexcept {
    return (bytes + to - 1U) / to * to;
}

Error io_error(const std::string& path, const std::string& what, int number) {
    const Errc code = number == ENOSPC || number == ENOMEM ? Errc::kLimit : Errc::kIo;
    return Error{code, "arena: " + path + ": " + what + ": " + std::strerror(number), ""};
}

// Pages for [0, bytes): what is there already stays.
int allocate(int fd, std::size_t bytes) noexcept {
    int done = 0;
    do {
        done = fallocate(fd, 0, 0, static_cast<off_t>(bytes));
    } while (done != 0 && errno == EINTR);
    return done == 0 ? 0 : errno;
}

}  // namespace

ArenaRegion::ArenaRegion(std::size_t bytes)
    : reserved_bytes_(rounded_up(bytes, kAlignment) + kAlignment),
      capacity_(rounded_up(bytes, kAlignment)) {
    reserved_ = mmap(nullptr, reserved_bytes_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved_ == MAP_FAILED) { throw std::bad_alloc(); }
    const auto start = reinterpret_cast<std::uintptr_t>(reserved_);
    memory_ = reinterpret_cast<void*>(rounded_up(start, kAlignment));
    madvise(memory_, capacity_, MADV_HUGEPAGE);  // A wish.
}

ArenaRegion::~ArenaRegion() {
    munmap(reserved_, reserved_bytes_);
    if (fd_ >= 0) { close(fd_); }
}

Status ArenaRegion::attach(const std::string& path) {
    path_ = path;
    fd_ = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd_ < 0) { return io_error(path, "can't be opened", errno); }
    return reload();
}

Status ArenaRegion::reload() {
    if (fd_ < 0) { return Ok{}; }
    struct stat now {};
    if (fstat(fd_, &now) != 0) { return io_error(path_, "can't be looked at", errno); }
    const std::size_t whole =
        static_cast<std::size_t>(now.st_size) / kAlignment * kAlignment;  // Torn: not used.
    return extend(std::min(whole, capacity_));
}

Status ArenaRegion::grow(std::size_t bytes) {
    const std::size_t before = file_bytes_;
    Status grown = extend(std::min(rounded_up(bytes, kArenaStepBytes), capacity_));
    if (grown && file_bytes_ > before) {
        madvise(static_cast<char*>(memory_) + before, file_bytes_ - before, kCollapse);
    }
    return grown;
}

void ArenaRegion::populate() const noexcept {
    if (file_bytes_ > 0) { madvise(memory_, file_bytes_, MADV_POPULATE_WRITE); }
}

Status ArenaRegion::extend(std::size_t bytes) {
    if (fd_ < 0 || bytes <= file_bytes_) { return Ok{}; }
    if (const int failed = allocate(fd_, bytes); failed != 0) {
        return io_error(path_, "no " + std::to_string(bytes >> 20U) + " MB", failed);
    }
    char* const at = static_cast<char*>(memory_) + file_bytes_;
    const std::size_t size = bytes - file_bytes_;
    if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_NORESERVE, fd_,
             static_cast<off_t>(file_bytes_)) == MAP_FAILED) {
        const int failed = errno;  // Nothing is mapped there now, perhaps: memory of the process.
        [[maybe_unused]] const void* own =
            mmap(at, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
        return io_error(path_, "can't be mapped", failed);
    }
    file_bytes_ = bytes;
    return Ok{};
}

}  // namespace sluice::datapath
