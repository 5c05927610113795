// SPDX-License-Identifier: Apache-2.0
// Unix sockets by path: connect, and the rules of listening (only a stale socket is removed).
// Non-blocking system calls, made directly: Asio takes the EAGAIN of a full backlog for a
// connection in progress, which it never is. The control thread.
#pragma once

#include <sys/types.h>

#include <string>

#include "relay/fd.h"
#include "sluice/base/result.h"

namespace sluice::relay {

/// Outcome of a connect: a connected socket, or the errno.
struct Connected {
    Fd socket;      ///< Non-blocking, close-on-exec; invalid on failure.
    int error = 0;  ///< ENOENT: no such socket; ECONNREFUSED: nobody listens; EAGAIN: backlog full.
};
[[nodiscard]] Connected connect_unix(const std::string& path);

/// A listening socket of ours and the file that belongs to it.
struct Listener {
    Fd socket;
    dev_t device = 0;
    ino_t inode = 0;
};

/// Listens on `path`, mode 0660. A socket at the path that nobody listens on is replaced; a socket
/// in use and anything that is no socket is left alone and reported.
[[nodiscard]] Result<Listener> listen_unix(const std::string& path);

/// Is the file at `path` still the one this listener made?
[[nodiscard]] bool owns_path(const Listener& listener, const std::string& path);

/// Removes the file if it is still the listener's own.
void unlink_own(const Listener& listener, const std::string& path);

/// "socket /run/x.sock: path of 120 bytes is longer than 107" style check; Ok if usable as a socket
/// address.
[[nodiscard]] Status check_path(const std::string& what, const std::string& path);

/// The folder part of an absolute path.
[[nodiscard]] std::string folder_of(const std::string& path);

}  // namespace sluice::relay
