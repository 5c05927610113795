// SPDX-License-Identifier: Apache-2.0
// The system calls behind socket_path.h.
#include "relay/socket_path.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace sluice::relay {
namespace {

constexpr mode_t kSocketMode = 0660;
constexpr int kBacklog = 8;

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
    return address;
}

Fd new_socket() { return Fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)}; }

Error failure(const std::string& path, const std::string& what, int error) {
    return Error{Errc::kIo, "socket " + path + ": " + what + ": " + std::strerror(error), {}};
}

/// Makes the path free, if it is taken by a socket that nobody listens on.
Status clear_stale(const std::string& path) {
    struct stat file {};
    if (::lstat(path.c_str(), &file) != 0) { return Ok{}; }
    if (!S_ISSOCK(file.st_mode)) {  // connect() to a plain file says ECONNREFUSED too.
        return Error{
            Errc::kExists, "socket " + path + ": a file that is no socket is in its place", {}};
    }
    if (connect_unix(path).error != ECONNREFUSED) {
        return Error{Errc::kExists, "socket " + path + ": another process listens on it", {}};
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return failure(path, "cannot remove the stale socket", errno);
    }
    return Ok{};
}

}  // namespace

Connected connect_unix(const std::string& path) {
    Fd socket = new_socket();
    if (!socket.valid()) { return {Fd{}, errno}; }
    const sockaddr_un address = address_of(path);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return {Fd{}, errno};
    }
    return {std::move(socket), 0};
}

Result<Listener> listen_unix(const std::string& path) {
    if (auto cleared = clear_stale(path); !cleared.ok()) { return cleared.error(); }
    Listener listener{new_socket(), 0, 0};
    if (!listener.socket.valid()) { return failure(path, "cannot make a socket", errno); }
    const sockaddr_un address = address_of(path);
    // Before bind, so that the file never has a wider mode; after bind, in case the umask took bits
    // away.
    (void)::fchmod(listener.socket.get(), kSocketMode);
    if (::bind(listener.socket.get(), reinterpret_cast<const sockaddr*>(&address),
               sizeof address) != 0) {
        return failure(path, "cannot bind", errno);
    }
    struct stat file {};
    if (::chmod(path.c_str(), kSocketMode) != 0 || ::lstat(path.c_str(), &file) != 0) {
        return failure(path, "cannot set its mode", errno);
    }
    listener.device = file.st_dev;
    listener.inode = file.st_ino;
    if (::listen(listener.socket.get(), kBacklog) != 0) {
        const int error = errno;
        unlink_own(listener, path);
        return failure(path, "cannot listen", error);
    }
    return listener;
}

bool owns_path(const Listener& listener, const std::string& path) {
    struct stat file {};
    return ::lstat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode) &&
           file.st_dev == listener.device && file.st_ino == listener.inode;
}

void unlink_own(const Listener& listener, const std::string& path) {
    if (owns_path(listener, path)) { (void)::unlink(path.c_str()); }
}

Status check_path(const std::string& what, const std::string& path) {
    constexpr std::size_t kPathMax = sizeof(sockaddr_un::sun_path) - 1;
    if (path.empty() || path.front() != '/' || path.back() == '/') {
        return Error{
            Errc::kInvalid, what + " \"" + path + "\" is not an absolute path of a socket", {}};
    }
    if (path.size() > kPathMax || path.find('\0') != std::string::npos) {
        return Error{Errc::kInvalid,
                     what + " \"" + path + "\" has " + std::to_string(path.size()) +
                         " bytes, at most " + std::to_string(kPathMax) + " fit a socket address",
                     {}};
    }
    return Ok{};
}

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == 0 || slash == std::string::npos ? "/" : path.substr(0, slash);
}

}  // namespace sluice::relay
