// SPDX-License-Identifier: Apache-2.0
// A listening Unix socket at a path, with the questions that go with it: whose is the file that is
// there already, and is the one there at the end still ours. Control thread, at start and stop.
#pragma once

#include <sys/types.h>

#include <string>

#include "sluice/base/result.h"

namespace sluice::admin {

/// A listening socket, and which file stands for it.
struct BoundSocket {
    int fd = -1;
    dev_t device = 0;
    ino_t inode = 0;
};

/// Binds and listens, non-blocking and close-on-exec, mode 0666. The caller owns the descriptor.
/// Errors: kInvalid (length), kExists (in use, or no socket), kIo.
[[nodiscard]] Result<BoundSocket> bind_path(const std::string& path);

/// Removes `path` if it is still the file that bind_path made.
void unlink_path(const std::string& path, const BoundSocket& bound) noexcept;

}  // namespace sluice::admin
