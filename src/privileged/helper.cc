// SPDX-License-Identifier: Apache-2.0
// See helper.h. Signals that end the daemon are ignored here: the daemon may need its helper until
// its own end, and that end closes the pair.
#include "privileged/helper.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "privileged/interface.h"

namespace sluice::privileged {
namespace {

void put_error(Answer& answer, const Error& error) {
    answer.failed = 1;
    answer.error = static_cast<std::uint32_t>(error.code);
    const std::size_t size = std::min(error.message.size(), answer.message.size() - 1);
    std::memcpy(answer.message.data(), error.message.data(), size);
}

/// Does what a request asks; `tap` gets the descriptor to hand over.
Answer answer_to(const Request& request, relay::Fd& tap) {
    Answer answer;
    answer.id = request.id;
    const auto spec = read_request(request);
    if (!spec) {
        put_error(answer, Error{Errc::kInvalid, "the helper can't read the request", ""});
        return answer;
    }
    if (request.operation == Operation::kConfigure) {
        const Status done = configure_interface(*spec, request.index);
        if (!done) { put_error(answer, done.error()); }
        return answer;
    }
    Result<MadeInterface> made = open_interface(*spec);
    if (!made) {
        put_error(answer, made.error());
        return answer;
    }
    answer.index = made.value().index;
    answer.netns_inode = made.value().netns_inode;
    tap = std::move(made.value().tap);
    return answer;
}

[[noreturn]] void run_child(int socket) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "sluiced-helper");
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE}) {
        std::signal(number, SIG_IGN);
    }
    // Nothing of the daemon's is needed but the socket and where errors go.
    const auto keep = static_cast<unsigned>(socket);
    close_range(3, keep - 1, 0);
    close_range(keep + 1, ~0U, 0);
    serve(socket);
    _exit(0);
}

}  // namespace

void serve(int socket) {
    for (;;) {
        Request request;
        relay::Fd unasked;
        switch (receive_message(socket, request, unasked, true)) {
            case Received::kEnd: return;
            case Received::kMessage: break;
            case Received::kNothing:
            case Received::kBroken: continue;
        }
        relay::Fd tap;
        const Answer answer = answer_to(request, tap);
        if (!send_message(socket, answer, tap.get())) { return; }
    }
}

Result<Helper> start_helper() {
    int pair[2] = {-1, -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        return Error{Errc::kIo, std::string("helper: no socket pair: ") + std::strerror(errno), ""};
    }
    relay::Fd ours{pair[0]};
    relay::Fd its{pair[1]};
    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid < 0) {
        return Error{Errc::kIo, std::string("helper: can't fork: ") + std::strerror(errno), ""};
    }
    if (pid == 0) {
        if (getppid() != parent) { _exit(0); }
        run_child(its.get());
    }
    return Helper{std::move(ours), pid};
}

}  // namespace sluice::privileged
