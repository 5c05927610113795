// SPDX-License-Identifier: Apache-2.0
// What the scale harness measures: many agents with stand-ins for their daemons, their first sync,
// how long changes take to reach them, whom they reach, what they take.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/bench/fleet/shape.h"

namespace sluice::scale {

struct Setting {
    Shape shape;
    std::string config, status;  ///< Remotes.
    std::size_t agents = 100;    ///< Of the first hosts.
    std::size_t changes = 200;
};

/// Runs agents until they hold what they should, changes things, and reports: figures, and `faults`
/// (a sentence each).
[[nodiscard]] boost::asio::awaitable<nlohmann::json> measure(boost::asio::io_context& io,
                                                             Setting setting);

}  // namespace sluice::scale
