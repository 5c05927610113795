// SPDX-License-Identifier: Apache-2.0
// The helper process: forked before anything else is there, it keeps the rights that the daemon can
// then do without, serves one request after the other (message.h) and ends with the daemon. It is
// the boundary: who speaks to it may be a daemon that was taken over. It makes TAP interfaces and
// changes those that it made, and nothing else.
#pragma once

#include <sys/types.h>

#include "privileged/capabilities.h"
#include "relay/fd.h"
#include "sluice/base/result.h"

namespace sluice::privileged {

/// A running helper: the daemon's end of the pair.
struct Helper {
    relay::Fd socket;
    pid_t pid = -1;
};

/// What a helper keeps of the rights that it is started with.
struct HelperRights {
    Account account;  ///< As whom it runs.
    Capabilities keep = 0;
};

/// Forks it. Call it while the process has one thread. It ends when `socket` is closed.
/// @param rights  null: it keeps all of them; else it ends at once if it can't give them away
[[nodiscard]] Result<Helper> start_helper(const HelperRights* rights = nullptr);

/// Speaks to one that somebody else starts: a process of its own for each that connects.
/// @param path  of its Unix socket of packets
[[nodiscard]] Result<Helper> connect_helper(const std::string& path);

/// Gives away all rights but those for interfaces, for good.
[[nodiscard]] Status give_away(const HelperRights& rights);

/// What it does, until the peer closes. For start_helper(), the program and tests.
void serve(int socket);

}  // namespace sluice::privileged
