// SPDX-License-Identifier: Apache-2.0
// MetricsServer: GET /metrics over HTTP/1.1 and nothing else. Requests are small, connections few
// and quick; whoever is not is cut off. Control thread.
#pragma once

#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <list>
#include <memory>

#include "sluice/base/result.h"
#include "src/sluiced/metrics.h"

namespace sluice::daemon {

class MetricsServer {
public:
    MetricsServer(boost::asio::io_context& io, Metrics& metrics) : io_(io), metrics_(metrics) {}

    /// Listens. Error: one sentence with the address and what the kernel says.
    [[nodiscard]] Status start(const MetricsEndpoint& endpoint);
    /// Serves on a socket that another process listened on; owns the descriptor.
    [[nodiscard]] Status adopt(int listener);
    /// A second descriptor of the listening socket; -1 if there is none.
    [[nodiscard]] int duplicate();
    /// Accepts nobody until resume().
    void hold();
    void resume();
    /// Stops accepting; before the io_context goes.
    void stop();

private:
    class Connection;
    void serve();
    [[nodiscard]] boost::asio::awaitable<void> accept_loop();
    [[nodiscard]] bool has_room();

    boost::asio::io_context& io_;
    Metrics& metrics_;
    std::unique_ptr<boost::asio::ip::tcp::acceptor> acceptor_;
    std::list<std::shared_ptr<Connection>> connections_;  // Oldest first.
    boost::asio::steady_timer retry_{io_};
    bool is_held_ = false;
};

}  // namespace sluice::daemon
