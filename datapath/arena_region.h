// SPDX-License-Identifier: Apache-2.0
// ArenaRegion: the records of one table, an array in address space that was reserved for all it may
// ever hold. Its first part is a file, which outlives the process; the rest is memory of the
// process. The file grows ahead of use and has its pages when it grows: a full file system is an
// error of grow(), never a SIGBUS. Control thread; workers use what get() points at.
#pragma once

#include <cstddef>
#include <string>

#include "sluice/base/result.h"

namespace sluice::datapath {

inline constexpr std::size_t kArenaStepBytes = 8U << 20U;  ///< By which files of the arena grow.

class ArenaRegion {
public:
    /// Reserves `bytes`. Zero pages until touched, huge pages asked for. bad_alloc.
    explicit ArenaRegion(std::size_t bytes);
    ~ArenaRegion();
    ArenaRegion(const ArenaRegion&) = delete;
    ArenaRegion& operator=(const ArenaRegion&) = delete;

    /// 2 MiB aligned.
    [[nodiscard]] void* get() const noexcept { return memory_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }
    /// Bytes from the beginning on that are the file's.
    [[nodiscard]] std::size_t file_bytes() const noexcept { return file_bytes_; }

    /// Opens the file, made if it is missing, and maps what it has. What it has not on disk yet is
    /// given pages first. Before anything is written. kIo.
    [[nodiscard]] Status attach(const std::string& path);
    /// Maps what another process has added to the file meanwhile. kIo.
    [[nodiscard]] Status reload();
    /// Makes the file at least so long, in steps of kArenaStepBytes. Nothing was written there yet.
    /// kLimit: no room.
    [[nodiscard]] Status grow(std::size_t bytes);

    /// Maps the pages of the file now, not when each is first touched.
    void populate() const noexcept;

private:
    [[nodiscard]] Status extend(std::size_t bytes);

    void* memory_ = nullptr;
    void* reserved_ = nullptr;  // What get() is aligned in.
    std::size_t reserved_bytes_ = 0;
    std::size_t capacity_;
    std::size_t file_bytes_ = 0;
    int fd_ = -1;
    std::string path_;
};

}  // namespace sluice::datapath
