// SPDX-License-Identifier: Apache-2.0
// See key_files.h. A file is written beside its place, synced, and linked or renamed there; then
// its folder is synced.
#include "controller-agent/keys/key_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "controller-agent/keys/secret.h"
#include "sluice/base/limits.h"

namespace sluice::keys {
namespace {

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (fd_ >= 0) { close(fd_); }
    }
    [[nodiscard]] int get() const noexcept { return fd_; }

private:
    int fd_;
};

Error failed(const std::string& what, const std::string& path) {
    return {Errc::kIo, what + " " + path + ": " + std::strerror(errno), ""};
}

Status write_whole(const std::string& path, std::string_view text) {
    const Descriptor file(
        open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (file.get() < 0) { return failed("create", path); }
    while (!text.empty()) {
        const ssize_t put = write(file.get(), text.data(), text.size());
        if (put < 0 && errno == EINTR) { continue; }
        if (put <= 0) { return failed("write", path); }
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    if (fsync(file.get()) != 0) { return failed("fsync", path); }
    return Ok{};
}

Status sync_folder_of(const std::string& path) {
    const std::string folder = path.substr(0, path.rfind('/') + 1);
    const Descriptor at(open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (at.get() < 0 || fsync(at.get()) != 0) { return failed("fsync folder", folder); }
    return Ok{};
}

std::string beside(const std::string& path) { return path + ".new"; }

}  // namespace

Result<std::string> read_private_file(const std::string& path, const std::string& whom) {
    const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (file.get() < 0) {
        const Errc code = errno == ENOENT ? Errc::kNotFound : Errc::kIo;
        return Error{code, whom + ": " + path + " can't be read: " + std::strerror(errno), whom};
    }
    struct stat about {};
    if (fstat(file.get(), &about) != 0 || !S_ISREG(about.st_mode)) {
        return Error{Errc::kInvalid, whom + ": " + path + " is not a file", whom};
    }
    if ((about.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0) {
        return Error{Errc::kDenied,
                     whom + ": " + path +
                         " is open to others: only its owner may write it and only owner and "
                         "group may read it (chmod 600)",
                     whom};
    }
    if (static_cast<std::size_t>(about.st_size) > kKeyFileMax) {
        return Error{Errc::kLimit,
                     whom + ": " + path + " has " + std::to_string(about.st_size) +
                         " bytes, at most " + std::to_string(kKeyFileMax) + " are expected",
                     whom};
    }
    std::string text(static_cast<std::size_t>(about.st_size), '\0');
    std::size_t size = 0;
    while (size < text.size()) {
        const ssize_t got = read(file.get(), text.data() + size, text.size() - size);
        if (got < 0 && errno == EINTR) { continue; }
        if (got < 0) {
            const Wiped wiped(text);
            return Error{Errc::kIo, whom + ": read " + path + ": " + std::strerror(errno), whom};
        }
        if (got == 0) { break; }
        size += static_cast<std::size_t>(got);
    }
    text.resize(size);
    return text;
}

Status create_private_file(const std::string& path, std::string_view text) {
    const std::string fresh = beside(path);
    unlink(fresh.c_str());
    if (Status written = write_whole(fresh, text); !written) { return written; }
    const int linked = link(fresh.c_str(), path.c_str());
    const int number = errno;
    unlink(fresh.c_str());
    errno = number;
    if (linked != 0 && errno == EEXIST) {
        return Error{Errc::kExists, path + " is there already", ""};
    }
    if (linked != 0) { return failed("create", path); }
    return sync_folder_of(path);
}

Status replace_private_file(const std::string& path, std::string_view text) {
    const std::string fresh = beside(path);
    unlink(fresh.c_str());
    if (Status written = write_whole(fresh, text); !written) { return written; }
    if (rename(fresh.c_str(), path.c_str()) != 0) { return failed("rename", path); }
    return sync_folder_of(path);
}

std::string_view trimmed(std::string_view text) {
    const std::size_t end = text.find_last_not_of(" \t\r\n");
    return text.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

}  // namespace sluice::keys
