// SPDX-License-Identifier: Apache-2.0
// See helper.h. Signals that end the daemon are ignored here: the daemon may need its helper until
// its own end, and that end closes the pair.
#include "privileged/helper.h"

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <set>
#include <tuple>

#include "privileged/interface.h"
#include "privileged/netns.h"
#include "privileged/syscall_filter.h"

namespace sluice::privileged {
namespace {

void put_error(Answer& answer, const Error& error) {
    answer.failed = 1;
    answer.error = static_cast<std::uint32_t>(error.code);
    const std::size_t size = std::min(error.message.size(), answer.message.size() - 1);
    std::memcpy(answer.message.data(), error.message.data(), size);
}

/// Interfaces that this helper made: namespace (0 = its own), number, name. Numbers are not used
/// again before they have all been used.
using Made = std::set<std::tuple<std::uint64_t, std::uint32_t, std::string>>;

Status change(const InterfaceSpec& spec, std::uint32_t index, const Made& made) {
    const std::uint64_t netns = spec.netns.empty() ? 0 : netns_inode(spec.netns);
    if (!made.contains({netns, index, spec.name})) {
        return Error{Errc::kDenied,
                     "interface \"" + spec.name + "\" is none that the helper has made", ""};
    }
    return configure_interface(spec, index);
}

/// Does what a request asks; `tap` gets the descriptor to hand over.
Answer answer_to(const Request& request, Made& made_before, relay::Fd& tap) {
    Answer answer;
    answer.id = request.id;
    const auto spec = read_request(request);
    if (!spec) {
        put_error(answer, Error{Errc::kInvalid, "the helper can't read the request", ""});
        return answer;
    }
    if (request.operation == Operation::kConfigure) {
        const Status done = change(*spec, request.index, made_before);
        if (!done) { put_error(answer, done.error()); }
        return answer;
    }
    Result<MadeInterface> made = open_interface(*spec);
    if (!made) {
        put_error(answer, made.error());
        return answer;
    }
    made_before.emplace(made.value().netns_inode, made.value().index, spec->name);
    answer.index = made.value().index;
    answer.netns_inode = made.value().netns_inode;
    tap = std::move(made.value().tap);
    return answer;
}

[[noreturn]] void run_child(int socket, const HelperRights* rights) {
    if (const Status done = rights != nullptr ? give_away(*rights) : Status(Ok{}); !done) {
        std::fprintf(stderr, "sluiced-helper: %s\n", done.error().message.c_str());
        _exit(1);
    }
    // Not before: a change of credentials takes it back.
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
    Made made;
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
        const Answer answer = answer_to(request, made, tap);
        if (!send_message(socket, answer, tap.get())) { return; }
    }
}

Status give_away(const HelperRights& rights) {
    if (Status done = become(rights.account, rights.keep); !done) { return done; }
    // Whoever runs as the same user must not look into it.
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
        return Error{Errc::kIo, std::string("PR_SET_DUMPABLE: ") + std::strerror(errno), ""};
    }
    return filter_helper();
}

Result<Helper> connect_helper(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.size() >= sizeof address.sun_path) {
        return Error{Errc::kInvalid, "helper: the path " + path + " is too long for a socket", ""};
    }
    std::memcpy(address.sun_path, path.data(), path.size());
    relay::Fd socket{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)};
    if (!socket.valid() ||
        connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        return Error{Errc::kIo, "helper: can't connect to " + path + ": " + std::strerror(errno),
                     ""};
    }
    return Helper{std::move(socket), -1};
}

Result<Helper> start_helper(const HelperRights* rights) {
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
        run_child(its.get(), rights);
    }
    return Helper{std::move(ours), pid};
}

}  // namespace sluice::privileged
