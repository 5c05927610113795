// SPDX-License-Identifier: Apache-2.0
// The program sluiced-helper: a helper that systemd starts for each daemon that connects
// (sluiced-helper.socket), with the connection as standard input. Small, without DPDK and Boost, so
// that what has rights is little. Its unit gives it the rights; here all others go.
#include <linux/capability.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "privileged/helper.h"

namespace {

int run(const char* user) {
    using namespace sluice::privileged;
    int type = 0;
    socklen_t size = sizeof type;
    if (getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &type, &size) != 0 ||
        type != SOCK_SEQPACKET) {
        std::fprintf(stderr, "sluiced-helper: standard input is no socket of packets\n");
        return 2;
    }
    const auto account = find_account(user);
    if (!account) {
        std::fprintf(stderr, "sluiced-helper: %s\n", account.error().message.c_str());
        return 1;
    }
    const HelperRights rights{account.value(), capabilities_of({CAP_NET_ADMIN, CAP_SYS_ADMIN})};
    if (const auto done = give_away(rights); !done) {
        std::fprintf(stderr, "sluiced-helper: %s\n", done.error().message.c_str());
        return 1;
    }
    close_range(STDERR_FILENO + 1, ~0U, 0);
    serve(STDIN_FILENO);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 || argv[1][0] == '-') {
        std::fprintf(stderr, "usage: sluiced-helper USER (started by sluiced-helper.socket)\n");
        return 2;
    }
    try {
        return run(argv[1]);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "sluiced-helper: %s\n", error.what());
        return 1;
    }
}
