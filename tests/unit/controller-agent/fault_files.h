// SPDX-License-Identifier: Apache-2.0
// A FileSystem that does the real thing in a temporary folder until its time comes: then one call
// fails, or the machine stops there and no later call does anything. Also keeps the list of calls.
#pragma once

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "controller-agent/file_system.h"

namespace sluice::agent {

/// A folder that is gone when the test is.
class TemporaryFolder {
public:
    TemporaryFolder() {
        std::string name =
            (std::filesystem::temp_directory_path() / "sluice-store-XXXXXX").string();
        if (mkdtemp(name.data()) == nullptr) { throw std::runtime_error("mkdtemp"); }
        path_ = name;
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] std::string path() const { return path_; }

private:
    std::string path_;
};

class FaultFiles : public FileSystem {
public:
    enum class Mode {
        kNone,
        kFail,   ///< Call `at` fails with `number`, later ones work.
        kStop,   ///< Call `at` and all later ones do nothing and fail: the process was killed.
        kShort,  ///< As kStop, but if call `at` is a write, half of it reaches the file.
    };

    void arm(Mode mode, std::size_t at, int number) {
        mode_ = mode;
        at_ = at;
        number_ = number;
        calls_.clear();
    }
    [[nodiscard]] const std::vector<std::string>& calls() const { return calls_; }
    void limit_writes(std::size_t bytes) { write_max_ = bytes; }

    int open(const std::string& path, int flags, unsigned mode) override {
        return fails("open " + name(path)) ? -1 : FileSystem::open(path, flags, mode);
    }
    ssize_t read(int fd, char* bytes, std::size_t size) override {
        return fails("read") ? -1 : FileSystem::read(fd, bytes, size);
    }
    ssize_t write(int fd, const char* bytes, std::size_t size) override {
        const bool last_gasp = mode_ == Mode::kShort && calls_.size() == at_;
        if (fails("write")) {
            if (last_gasp) { (void)FileSystem::write(fd, bytes, size / 2); }
            errno = number_;
            return -1;
        }
        return FileSystem::write(fd, bytes, std::min(size, write_max_));
    }
    int fsync(int fd) override { return fails("fsync") ? -1 : FileSystem::fsync(fd); }
    int close(int fd) override {
        const bool failed = fails("close");
        const int result =
            FileSystem::close(fd);  // Never leaks, a dead process has no descriptors.
        if (failed) { errno = number_; }
        return failed ? -1 : result;
    }
    int link(const std::string& from, const std::string& to) override {
        return fails("link " + name(from) + " " + name(to)) ? -1 : FileSystem::link(from, to);
    }
    int rename(const std::string& from, const std::string& to) override {
        return fails("rename " + name(from) + " " + name(to)) ? -1 : FileSystem::rename(from, to);
    }
    int unlink(const std::string& path) override {
        return fails("unlink " + name(path)) ? -1 : FileSystem::unlink(path);
    }
    int make_folder(const std::string& path, unsigned mode) override {
        return fails("make_folder") ? -1 : FileSystem::make_folder(path, mode);
    }

private:
    static std::string name(const std::string& path) {
        return std::filesystem::path(path).filename();
    }

    bool fails(const std::string& call) {
        const std::size_t index = calls_.size();
        calls_.push_back(call);
        const bool now = mode_ == Mode::kFail ? index == at_ : mode_ != Mode::kNone && index >= at_;
        if (now) { errno = number_; }
        return now;
    }

    Mode mode_ = Mode::kNone;
    std::size_t at_ = 0;
    int number_ = 0;
    std::size_t write_max_ = SIZE_MAX;
    std::vector<std::string> calls_;
};

}  // namespace sluice::agent
