// SPDX-License-Identifier: Apache-2.0
// Writing a fleet of a Shape into its databases, and waiting on a Client. One io_context's thread.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/ovsdb/client.h"
#include "tests/bench/fleet/shape.h"

namespace sluice::scale {

/// A client that looks at nothing and writes. Throws std::runtime_error if what it is told to write
/// is refused: the harness ends.
class Writer {
public:
    Writer(boost::asio::io_context& io, const std::string& remotes, const std::string& database);
    ~Writer();
    void start() { client_->start(); }
    void stop() { client_->stop(); }
    /// One transaction; how many rows its operations counted.
    [[nodiscard]] boost::asio::awaitable<std::size_t> write(nlohmann::json operations);
    /// The rows that the one operation, a select, finds.
    [[nodiscard]] boost::asio::awaitable<nlohmann::json> select(nlohmann::json operations);
    /// As write(), in transactions of `batch` operations.
    [[nodiscard]] boost::asio::awaitable<std::size_t> write_all(nlohmann::json operations,
                                                                std::size_t batch);

private:
    [[nodiscard]] boost::asio::awaitable<nlohmann::json> transact(nlohmann::json operations);

    std::unique_ptr<ovsdb::Client> client_;
};

/// Waits until `holds`, looking every 2 ms; false after `seconds`.
[[nodiscard]] boost::asio::awaitable<bool> until(std::function<bool()> holds, double seconds);

/// Everything of the shape: rows of Sluice_Config, and of Sluice_Status what hosts from
/// `first_silent` on (those without an agent here) would report.
[[nodiscard]] boost::asio::awaitable<void> fill(Writer& config, Writer& status, const Shape& shape,
                                                std::size_t first_silent,
                                                std::vector<std::string> status_remotes);

}  // namespace sluice::scale
