// SPDX-License-Identifier: Apache-2.0
// Connecting and moving bytes. Exceptions of Asio stay out: every call has its error code.
#include "controller-agent/ovsdb/connection.h"

#include <netinet/tcp.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>
#include <vector>

#include "controller-agent/ovsdb/tls.h"

namespace sluice::ovsdb {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

Connection::Connection(asio::io_context& io, Remote remote, TlsFiles tls)
    : io_(io), remote_(std::move(remote)), tls_(std::move(tls)), resolver_(io), socket_(io) {}

Connection::~Connection() = default;

Error Connection::failure(const char* what, const error_code& ec) const {
    if (ec == asio::error::eof || ec == asio::ssl::error::stream_truncated) {
        return Error{Errc::kIo, "the server closed the connection", {}};
    }
    return Error{Errc::kIo, std::string(what) + ": " + tls_failure(ec), {}};
}

asio::awaitable<Status> Connection::connect() {
    if (remote_.transport == Transport::kUnix) {
        const auto endpoint = asio::local::stream_protocol::endpoint(remote_.path);
        co_return co_await connect_to(endpoint);
    }
    Status status = co_await connect_address();
    if (status.ok() && remote_.transport == Transport::kSsl) { status = co_await shake_hands(); }
    co_return status;
}

asio::awaitable<Status> Connection::connect_to(asio::generic::stream_protocol::endpoint endpoint) {
    if (is_closed_) { co_return Error{Errc::kIo, "connect: closed", {}}; }
    error_code ec;
    socket_ = Socket(io_);
    co_await socket_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, ec));
    if (ec) { co_return failure("connect", ec); }
    co_return Ok{};
}

// An address needs no resolver, which is a thread of its own.
asio::awaitable<Status> Connection::connect_address() {
    error_code ec;
    std::vector<tcp::endpoint> endpoints;
    const auto address = asio::ip::make_address(remote_.host, ec);
    if (!ec) {
        endpoints.emplace_back(address, remote_.port);
    } else {
        const auto port = std::to_string(remote_.port);
        const auto found = co_await resolver_.async_resolve(
            remote_.host, port, asio::redirect_error(asio::use_awaitable, ec));
        if (ec) { co_return failure("name lookup", ec); }
        for (const auto& entry : found) { endpoints.push_back(entry.endpoint()); }
    }
    Status status = Error{Errc::kIo, "name lookup: no address", {}};
    for (const auto& endpoint : endpoints) {
        status = co_await connect_to(endpoint);
        if (status.ok()) {
            const int on = 1;
            (void)::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
            break;
        }
    }
    co_return status;
}

asio::awaitable<Status> Connection::shake_hands() {
    auto context = make_tls_context(tls_);
    if (!context.ok()) { co_return context.error(); }
    context_ = std::move(context).value();
    secure_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, *context_);
    const std::string name = tls_.server_name.empty() ? remote_.host : tls_.server_name;
    error_code ec;
    secure_->set_verify_mode(asio::ssl::verify_peer, ec);
    // Called from within the handshake, which this coroutine waits for.
    secure_->set_verify_callback(
        [this, name](bool is_trusted, asio::ssl::verify_context& verify) {
            return check_certificate(is_trusted, verify, name, tls_.ca_certificate, refusal_);
        },
        ec);
    error_code no_address;
    (void)asio::ip::make_address(name, no_address);  // Of a name only (RFC 6066 §3).
    if (no_address) { SSL_set_tlsext_host_name(secure_->native_handle(), name.c_str()); }
    co_await secure_->async_handshake(asio::ssl::stream_base::client,
                                      asio::redirect_error(asio::use_awaitable, ec));
    if (!refusal_.empty()) { co_return Error{Errc::kDenied, "TLS: " + refusal_, {}}; }
    if (ec) { co_return failure("TLS", ec); }
    co_return Ok{};
}

asio::awaitable<Result<std::size_t>> Connection::read(asio::mutable_buffer buffer) {
    error_code ec;
    std::size_t count = 0;
    if (secure_) {
        count = co_await secure_->async_read_some(buffer,
                                                  asio::redirect_error(asio::use_awaitable, ec));
    } else {
        count =
            co_await socket_.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, ec));
    }
    if (ec) { co_return failure("read", ec); }
    co_return count;
}

asio::awaitable<Status> Connection::write(asio::const_buffer bytes) {
    error_code ec;
    if (secure_) {
        co_await asio::async_write(*secure_, bytes, asio::redirect_error(asio::use_awaitable, ec));
    } else {
        co_await asio::async_write(socket_, bytes, asio::redirect_error(asio::use_awaitable, ec));
    }
    if (ec) { co_return failure("write", ec); }
    co_return Ok{};
}

void Connection::close() {
    is_closed_ = true;
    resolver_.cancel();
    error_code ignored;
    socket_.close(ignored);
}

}  // namespace sluice::ovsdb
