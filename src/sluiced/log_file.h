// SPDX-License-Identifier: Apache-2.0
// LogFile: a file of lines that is appended to. A write that fails, or only half succeeds, leaves
// whole lines behind; a full disk costs lines and nothing else. A file that has grown too long is
// put aside as `PATH.1`. One thread at a time; calls may block on the disk.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sluice/base/result.h"

namespace sluice::daemon {

class LogFile {
public:
    /// @param bytes_max  length from which on it is put aside; only of regular files
    LogFile(std::string path, std::uint64_t bytes_max)
        : path_(std::move(path)), bytes_max_(bytes_max) {}
    ~LogFile() { close(); }
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;

    /// Opens it, makes it if need be. kIo with a sentence that names the path.
    [[nodiscard]] Status open();
    /// Appends whole lines, opening the file if it is not open. On failure none of them is there.
    [[nodiscard]] Status append(std::string_view lines);
    /// The next append() opens the path anew: somebody has moved the file away.
    void close() noexcept;

private:
    [[nodiscard]] Status put_aside();
    [[nodiscard]] Error error(const char* what) const;

    const std::string path_;
    const std::uint64_t bytes_max_;
    int fd_ = -1;
    bool is_regular_ = false;
    std::uint64_t size_ = 0;  // Of a regular file.
};

}  // namespace sluice::daemon
