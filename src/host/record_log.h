// SPDX-License-Identifier: Apache-2.0
// RecordLog: a file of the arena's folder to which small records are only ever appended: what a
// process knows by name, for the next one. A record has a check; a process that is killed while it
// appends leaves a torn last one, which load() takes away. load() also writes the file anew when it
// is mostly history. The file stays open: later nothing needs the path. One thread at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/base/result.h"

namespace sluice::host {

class RecordLog {
public:
    struct Record {
        std::uint8_t kind = 0;  ///< The user's.
        std::uint64_t number = 0;
        std::string key;  ///< Any bytes, 64 KiB at most.
    };

    RecordLog() = default;
    ~RecordLog();
    RecordLog(const RecordLog&) = delete;
    RecordLog& operator=(const RecordLog&) = delete;

    /// Opens or makes the file; what it holds, in order. kIo.
    [[nodiscard]] Result<std::vector<Record>> load(const std::string& path);
    /// What the file holds now, whole records only. kIo.
    [[nodiscard]] Result<std::vector<Record>> read() const;
    /// Replaces what the file holds by `records`, in one step, as they are now. kIo.
    [[nodiscard]] Status rewrite(const std::vector<Record>& records);
    /// All of them in one write. kIo, and then the file counts as empty for who loads it.
    [[nodiscard]] Status append(const std::vector<Record>& records);
    [[nodiscard]] bool is_open() const noexcept { return fd_ >= 0; }

private:
    [[nodiscard]] Error failed(const char* what) const;
    [[nodiscard]] Status write_all(int fd, std::string_view bytes) const;

    std::string path_;
    int fd_ = -1;
};

}  // namespace sluice::host
