// SPDX-License-Identifier: Apache-2.0
// The launcher: a small process, forked from the daemon before anything else is there, that can
// start another daemon: with the rights, cores, environment and command line that the first one was
// started with, and none of its descriptors. It starts programs that belong to root (or to its own
// user) alone, so that a daemon which was broken into gains nothing by it. It ends what it started,
// unless told that it is the daemon now.
//
// Messages of a SOCK_SEQPACKET pair, fixed in size, one request and one answer each. docs/adr/0048.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "relay/fd.h"
#include "sluice/base/result.h"

namespace sluice::handover {

/// The descriptors that a started daemon finds.
inline constexpr int kTakeoverFd = 3;  ///< Its end of the handover's pair.
inline constexpr int kLogFd = 4;       ///< Where its stderr goes once it is the daemon.

/// A process that was started.
struct Started {
    pid_t pid = -1;
    relay::Fd socket;  ///< Our end of the handover's pair.
    relay::Fd errors;  ///< What it writes to stderr until it is the daemon; non-blocking.
};

/// The daemon's side. Control thread; each call blocks for the moments of a fork or a kill.
class Launcher {
public:
    /// Forks it. While the process has one thread. `arguments`: the daemon's own, program first.
    [[nodiscard]] static Result<Launcher> fork(std::vector<std::string> arguments);

    /// Starts `binary` (absolute path). kInvalid, in a sentence: it may not be started; kIo: it
    /// can't be.
    [[nodiscard]] Result<Started> start(const std::string& binary);
    /// Ends what was started last, with all of its processes. It may take moments to be gone.
    void kill();
    /// What was started last stays, also when this process ends.
    [[nodiscard]] Status keep();
    /// The daemon's own program, as it was found at the start.
    [[nodiscard]] const std::string& own_binary() const noexcept { return own_binary_; }

private:
    Launcher(relay::Fd socket, std::string own_binary)
        : socket_(std::move(socket)), own_binary_(std::move(own_binary)) {}
    relay::Fd socket_;
    std::string own_binary_;
};

/// Why a program may not be started by the launcher; Ok if it may: an executable file that belongs
/// to root or to `user`, and that nobody else may write.
[[nodiscard]] Status check_binary(const std::string& binary, uid_t user);

/// A daemon's command line with `--takeover 3`, which it may have had.
[[nodiscard]] std::vector<std::string> takeover_arguments(const std::string& binary,
                                                          const std::vector<std::string>& own);

}  // namespace sluice::handover
