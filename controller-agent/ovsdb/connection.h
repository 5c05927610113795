// SPDX-License-Identifier: Apache-2.0
// Connection: a connected stream to a server, plain (TCP, Unix) or TLS. One executor.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <cstddef>
#include <memory>
#include <string>

#include "controller-agent/ovsdb/remote.h"
#include "sluice/base/result.h"

namespace sluice::ovsdb {

class Connection {
public:
    using Socket = boost::asio::generic::stream_protocol::socket;

    Connection(boost::asio::io_context& io, Remote remote, TlsFiles tls);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// Resolves, connects and, with ssl, shakes hands and checks the certificate. Ends early, with
    /// an error, once close() is called.
    [[nodiscard]] boost::asio::awaitable<Status> connect();
    /// At least one byte, or an error ("the server closed the connection").
    [[nodiscard]] boost::asio::awaitable<Result<std::size_t>> read(
        boost::asio::mutable_buffer buffer);
    /// All bytes. One write and one read at a time.
    [[nodiscard]] boost::asio::awaitable<Status> write(boost::asio::const_buffer bytes);
    void close();

private:
    [[nodiscard]] boost::asio::awaitable<Status> connect_address();
    [[nodiscard]] boost::asio::awaitable<Status> connect_to(
        boost::asio::generic::stream_protocol::endpoint endpoint);
    [[nodiscard]] boost::asio::awaitable<Status> shake_hands();
    [[nodiscard]] Error failure(const char* what, const boost::system::error_code& ec) const;

    boost::asio::io_context& io_;
    Remote remote_;
    TlsFiles tls_;
    boost::asio::ip::tcp::resolver resolver_;
    Socket socket_;
    std::unique_ptr<boost::asio::ssl::context> context_;
    std::unique_ptr<boost::asio::ssl::stream<Socket&>> secure_;
    std::string refusal_;  ///< Of the server's certificate, by the check.
    bool is_closed_ = false;
};

}  // namespace sluice::ovsdb
