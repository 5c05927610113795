// SPDX-License-Identifier: Apache-2.0
// Binding in four steps: folder, stale file, bind, mode. The mode is set between bind and listen,
// while nobody can connect yet.
#include "socket_path.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "limits.h"

namespace sluice::admin {
namespace {

Error io_error(const std::string& path, const char* step) {
    return Error{Errc::kIo, "admin socket " + path + ": " + step + ": " + std::strerror(errno), ""};
}

int stream_socket() { return ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); }

const sockaddr* generic(const sockaddr_un& address) {
    return reinterpret_cast<const sockaddr*>(&address);
}

Status make_folder(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos || slash == 0) { return Ok{}; }
    const std::string folder = path.substr(0, slash);
    if (::mkdir(folder.c_str(), 0755) == 0) {
        if (::chmod(folder.c_str(), 0755) != 0) { return io_error(path, "folder's mode"); }
    } else if (errno != EEXIST) {
        return io_error(path, "make its folder");
    }
    return Ok{};
}

// Only a refused connection proves that nobody listens; a full backlog (EAGAIN) proves the
// contrary.
Status remove_stale(const std::string& path, const sockaddr_un& address) {
    struct stat file {};
    if (::lstat(path.c_str(), &file) != 0) {
        if (errno == ENOENT) { return Ok{}; }
        return io_error(path, "look at it");
    }
    if (!S_ISSOCK(file.st_mode)) {
        return Error{Errc::kExists, "admin socket " + path + ": a file that is no socket is there",
                     ""};
    }
    const int probe = stream_socket();
    if (probe < 0) { return io_error(path, "socket"); }
    const int rc = ::connect(probe, generic(address), sizeof(address));
    const int why = errno;
    ::close(probe);
    if (rc == 0 || why != ECONNREFUSED) {
        return Error{Errc::kExists, "admin socket " + path + ": another daemon listens on it", ""};
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) { return io_error(path, "remove"); }
    return Ok{};
}

}  // namespace

Result<BoundSocket> bind_path(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return Error{Errc::kInvalid,
                     "admin socket \"" + path + "\": expected a path of 1 to " +
                         std::to_string(sizeof(address.sun_path) - 1) + " bytes",
                     ""};
    }
    std::memcpy(address.sun_path, path.c_str(), path.size());
    if (auto status = make_folder(path); !status.ok()) { return status.error(); }
    if (auto status = remove_stale(path, address); !status.ok()) { return status.error(); }
    BoundSocket bound;
    bound.fd = stream_socket();
    if (bound.fd < 0) { return io_error(path, "socket"); }
    const auto failed = [&](const char* step) {
        Error error = io_error(path, step);
        ::close(bound.fd);
        return error;
    };
    if (::bind(bound.fd, generic(address), sizeof(address)) != 0) { return failed("bind"); }
    if (::chmod(path.c_str(), 0666) != 0) { return failed("mode"); }
    struct stat file {};
    if (::lstat(path.c_str(), &file) != 0) { return failed("look at it"); }
    bound.device = file.st_dev;
    bound.inode = file.st_ino;
    if (::listen(bound.fd, kListenBacklog) != 0) { return failed("listen"); }
    return bound;
}

void unlink_path(const std::string& path, const BoundSocket& bound) noexcept {
    struct stat file {};
    if (::lstat(path.c_str(), &file) != 0) { return; }
    if (file.st_dev == bound.device && file.st_ino == bound.inode) { ::unlink(path.c_str()); }
}

}  // namespace sluice::admin
