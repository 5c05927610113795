// SPDX-License-Identifier: Apache-2.0
// See dirty_log.h. What QEMU gives is a memfd sealed against growing and shrinking (its util/
// memfd.c), mapped from offset 0.
#include "relay/dirty_log.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include <cstring>

#include <spdlog/fmt/fmt.h>

namespace sluice::relay {
namespace {

template <typename... Args>
Refusal refuse(const Message& message, fmt::format_string<Args...> text, Args&&... args) {
    return {RefuseReason::kBadMemory, fmt::format("{}: {}", request_name(message.header.request),
                                                  fmt::format(text, std::forward<Args>(args)...))};
}

constexpr std::uint64_t kPageBytes = 4096;
constexpr std::uint64_t kPagesAByte = 8;

// Bytes of a log with a bit for each page below `guest_end`.
std::uint64_t bytes_for(std::uint64_t guest_end) {
    const std::uint64_t unit = kPageBytes * kPagesAByte;
    return guest_end / unit + (guest_end % unit != 0 ? 1 : 0);
}

// The message was checked: it holds as many regions as it says.
std::uint64_t end_of(const Message& message) {
    const auto head = message.as<MemoryTableHead>();
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < head.region_count; ++i) {
        MemoryRegion region{};
        std::memcpy(&region, message.payload.data() + sizeof head + i * sizeof region,
                    sizeof region);
        end = std::max(end, region.guest_address + region.size);
    }
    return end;
}

}  // namespace

std::optional<Refusal> DirtyLog::judge(const Message& message) {
    switch (message.request()) {
        case Request::kSetMemTable: guest_end_ = end_of(message); return judge_cover(message);
        case Request::kSetFeatures:
            is_logging_ = (message.as<std::uint64_t>() & bit(kLogAllBit)) != 0;
            return judge_cover(message);
        case Request::kSetLogBase: return judge_area(message);
        case Request::kResetOwner: *this = DirtyLog{}; return std::nullopt;
        default: return std::nullopt;
    }
}

// Without a log yet nothing is written: QEMU that comes back in the middle of a migration gives it
// last.
std::optional<Refusal> DirtyLog::judge_cover(const Message& message) const {
    const std::uint64_t needed = bytes_for(guest_end_);
    if (!is_logging_ || log_bytes_ == 0 || log_bytes_ >= needed) { return std::nullopt; }
    return refuse(message, "the dirty log of {} bytes does not cover guest memory, {} expected",
                  log_bytes_, needed);
}

std::optional<Refusal> DirtyLog::judge_area(const Message& message) {
    const auto area = message.as<LogArea>();
    if (guest_end_ == 0) { return refuse(message, "no memory table came before it"); }
    if (area.mmap_offset != 0) {
        return refuse(message, "offset {}, 0 expected", area.mmap_offset);
    }
    const std::uint64_t needed = bytes_for(guest_end_);
    if (area.mmap_size < needed || area.mmap_size > kLogBytesMax) {
        return refuse(message, "{} bytes, {} to {} expected", area.mmap_size, needed, kLogBytesMax);
    }
    struct stat file {};
    const int fd = message.fds[0].get();
    if (::fstat(fd, &file) != 0 || !S_ISREG(file.st_mode)) {
        return refuse(message, "the log is not backed by a file");
    }
    if (file.st_size < 0 || static_cast<std::uint64_t>(file.st_size) < area.mmap_size) {
        return refuse(message, "the log ends at byte {} of a file of {} bytes", area.mmap_size,
                      file.st_size);
    }
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
        return refuse(message, "the log is no memfd that is sealed against shrinking");
    }
    if ((seals & F_SEAL_WRITE) != 0) {
        return refuse(message, "the log is sealed against writing");
    }
    log_bytes_ = area.mmap_size;
    return std::nullopt;
}

}  // namespace sluice::relay
