// SPDX-License-Identifier: Apache-2.0
// The program `sluice` as a function, so that tests run it without a process. One thread.
#pragma once

#include <istream>
#include <ostream>
#include <string>
#include <vector>

namespace sluice::cli {

struct Streams {
    std::istream& in;
    std::ostream& out;
    std::ostream& err;
    bool color = false;  ///< Whether `out` is a terminal that shows colours.
};

/// @param args  without the program's name
/// @return the exit status: 0 done, 1 failed, 2 bad usage
[[nodiscard]] int run_cli(const std::vector<std::string>& args, const Streams& streams);

}  // namespace sluice::cli
