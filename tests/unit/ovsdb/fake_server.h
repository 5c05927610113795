// SPDX-License-Identifier: Apache-2.0
// FakeServer: an OVSDB server on a Unix socket that answers well until a test says otherwise.
// Runs on the test's io_context.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

namespace sluice::ovsdb::test {

class FakeServer {
public:
    using Socket = boost::asio::local::stream_protocol::socket;

    FakeServer(boost::asio::io_context& io, const std::string& path);
    ~FakeServer();
    FakeServer(const FakeServer&) = delete;
    FakeServer& operator=(const FakeServer&) = delete;

    [[nodiscard]] std::string remote() const { return "unix:" + path_; }
    void send(const std::string& bytes);
    void send(const nlohmann::json& message) { send(message.dump()); }
    void hang_up();

    /// The answer to a request, instead of the good one; nullopt: the good one. "" is no answer.
    std::function<std::optional<std::string>(const nlohmann::json&)> answer;
    /// Columns of the database's row in `_Server`.
    nlohmann::json database;
    /// <table-updates2> of the first answer to monitor_cond_since.
    nlohmann::json rows = nlohmann::json::object();

    std::vector<nlohmann::json> received;
    std::size_t connections = 0;
    [[nodiscard]] std::size_t count(const std::string& method) const;
    /// Name of the monitor that the client asked for last.
    [[nodiscard]] std::string monitor() const;

private:
    boost::asio::awaitable<void> accept();
    boost::asio::awaitable<void> serve(std::shared_ptr<Socket> socket);
    [[nodiscard]] nlohmann::json good_answer(const nlohmann::json& request) const;
    void handle(const nlohmann::json& message);

    boost::asio::io_context& io_;
    std::string path_;
    boost::asio::local::stream_protocol::acceptor acceptor_;
    std::shared_ptr<Socket> socket_;
};

}  // namespace sluice::ovsdb::test
