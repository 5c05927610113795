// SPDX-License-Identifier: Apache-2.0
// sluice-frontend: vhost-user front-ends driven over stdin and stdout, one JSON object a line each
// way. Ends at the end of its input and dies with its parent, so that a test leaves nothing behind.
// README.md lists the operations.
#include <sys/prctl.h>

#include <csignal>
#include <iostream>
#include <string>

#include "script.h"

int main() {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::ios::sync_with_stdio(false);
    sluice::frontend::Script script;
    for (std::string line; std::getline(std::cin, line);) {
        if (line.empty()) { continue; }
        const auto reply = script.handle(line);
        std::cout << reply.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)
                  << std::endl;
    }
    return 0;
}
