// SPDX-License-Identifier: Apache-2.0
// A server's answers, by hand.
#include "fake_server.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string_view>

#include "controller-agent/ovsdb/json_stream.h"
#include "real_server.h"

namespace sluice::ovsdb::test {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

const char* const kRow = "43002375-98cd-45ea-b3c7-1a4e8769cced";
const char* const kTransaction = "77e634bb-5c4c-4754-bf96-59f3898ffcab";

}  // namespace

FakeServer::FakeServer(asio::io_context& io, const std::string& path)
    : database({{"name", "Test"},
                {"model", "clustered"},
                {"connected", true},
                {"leader", true},
                {"cid", {"uuid", "cf9cfae7-cade-4798-a627-99bd365aaeea"}}}),
      io_(io),
      path_(path),
      acceptor_(io, path) {
    auto task = accept();
    asio::co_spawn(io_, std::move(task), asio::detached);
}

FakeServer::~FakeServer() {
    acceptor_.close();
    hang_up();
    // The coroutines end before what they use.
    io_.restart();
    io_.run_for(std::chrono::milliseconds(5));
}

void FakeServer::hang_up() {
    if (socket_) { socket_->close(); }
    socket_.reset();
}

std::size_t FakeServer::count(const std::string& method) const {
    return static_cast<std::size_t>(
        std::count_if(received.begin(), received.end(),
                      [&](const json& message) { return message.value("method", "") == method; }));
}

std::string FakeServer::monitor() const {
    std::string name;
    for (const json& message : received) {
        if (message.value("method", "") == "monitor_cond_since") { name = message["params"][1]; }
    }
    return name;
}

asio::awaitable<void> FakeServer::accept() {
    while (acceptor_.is_open()) {
        boost::system::error_code ec;
        auto socket = std::make_shared<Socket>(io_);
        co_await acceptor_.async_accept(*socket, asio::redirect_error(asio::use_awaitable, ec));
        if (ec) { break; }
        ++connections;
        socket_ = socket;
        auto task = serve(socket);
        asio::co_spawn(io_, std::move(task), asio::detached);
    }
}

asio::awaitable<void> FakeServer::serve(std::shared_ptr<Socket> socket) {
    JsonStream stream;
    std::array<char, 4096> buffer{};
    while (true) {
        boost::system::error_code ec;
        const std::size_t count = co_await socket->async_read_some(
            asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, ec));
        if (ec) { break; }
        std::string_view bytes(buffer.data(), count);
        while (!bytes.empty()) {
            const auto message = stream.next(bytes);
            if (!message.ok()) { co_return; }
            if (message.value()) { handle(*message.value()); }
        }
    }
}

void FakeServer::handle(const json& message) {
    received.push_back(message);
    if (!message.contains("method")) { return; }
    const auto other = answer ? answer(message) : std::nullopt;
    send(other ? *other : good_answer(message).dump());
}

json FakeServer::good_answer(const json& request) const {
    const auto method = request["method"].get<std::string>();
    const json& params = request["params"];
    json result = json::object();
    if (method == "monitor_cond_since" && params[0] == "_Server") {
        const json updates = {{"Database", {{kRow, {{"initial", database}}}}}};
        result = json::array({false, "00000000-0000-0000-0000-000000000000", updates});
    } else if (method == "monitor_cond_since") {
        result = json::array({false, kTransaction, rows});
    } else if (method == "transact" && params[0] == "_Server") {
        result = json::parse(R"([{"rows":[{"index":10}]}])");
    } else if (method == "transact") {
        result = json::array();
    } else if (method == "get_schema") {
        result = json::parse(schema_text());
    } else if (method == "lock") {
        result = {{"locked", true}};
    } else if (method == "echo") {
        result = params;
    }
    return {{"id", request["id"]}, {"result", result}, {"error", nullptr}};
}

void FakeServer::send(const std::string& bytes) {
    std::size_t sent = 0;
    while (socket_ && sent < bytes.size()) {
        const auto count = ::send(socket_->native_handle(), bytes.data() + sent,
                                  bytes.size() - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0 && errno != EAGAIN) { return; }
        if (count > 0) { sent += static_cast<std::size_t>(count); }
        if (sent < bytes.size()) { io_.run_for(std::chrono::milliseconds(1)); }
    }
}

}  // namespace sluice::ovsdb::test
