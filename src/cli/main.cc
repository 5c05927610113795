// SPDX-License-Identifier: Apache-2.0
// The program `sluice`.
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "cli.h"

int main(int argc, char** argv) {
    try {
        std::ios::sync_with_stdio(false);
        const char* no_color = std::getenv("NO_COLOR");
        const bool color =
            ::isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
        const std::vector<std::string> args(argv + (argc > 0 ? 1 : 0), argv + argc);
        return sluice::cli::run_cli(args, {std::cin, std::cout, std::cerr, color});
    } catch (const std::exception& error) {
        std::cerr << "sluice: unexpected failure: " << error.what() << '\n';
        return 1;
    }
}
