// SPDX-License-Identifier: Apache-2.0
// The helper process: forked before anything else is there, it keeps the rights that the daemon can
// then do without, serves one request after the other (message.h) and ends with the daemon.
#pragma once

#include <sys/types.h>

#include "relay/fd.h"
#include "sluice/base/result.h"

namespace sluice::privileged {

/// A running helper: the daemon's end of the pair.
struct Helper {
    relay::Fd socket;
    pid_t pid = -1;
};

/// Forks it. Call it while the process has one thread. It ends when `socket` is closed.
[[nodiscard]] Result<Helper> start_helper();

/// What it does, until the peer closes. For start_helper() and tests.
void serve(int socket);

}  // namespace sluice::privileged
