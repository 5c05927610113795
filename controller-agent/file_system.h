// SPDX-License-Identifier: Apache-2.0
// FileSystem: the system calls that the local store makes, behind virtual functions so that a test
// can fail or cut short each one. Semantics and return values are those of the calls (errno on
// failure). Any thread.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <string>

namespace sluice::agent {

/// The real calls.
class FileSystem {
public:
    FileSystem() = default;
    FileSystem(const FileSystem&) = delete;
    FileSystem& operator=(const FileSystem&) = delete;
    virtual ~FileSystem() = default;

    virtual int open(const std::string& path, int flags, unsigned mode);
    virtual ssize_t read(int fd, char* bytes, std::size_t size);
    virtual ssize_t write(int fd, const char* bytes, std::size_t size);
    virtual int fsync(int fd);
    virtual int close(int fd);
    virtual int link(const std::string& from, const std::string& to);
    virtual int rename(const std::string& from, const std::string& to);
    virtual int unlink(const std::string& path);
    virtual int make_folder(const std::string& path, unsigned mode);
};

/// The one of this machine. Stateless, lives as long as the process.
[[nodiscard]] FileSystem& machine_file_system();

}  // namespace sluice::agent
