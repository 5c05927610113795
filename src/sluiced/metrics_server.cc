// SPDX-License-Identifier: Apache-2.0
// MetricsServer: see metrics_server.h. Boost.Beast reads requests and writes answers; tcp_stream
// keeps the deadlines.
#include "src/sluiced/metrics_server.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <chrono>

#include "sluice/base/limits.h"

namespace sluice::daemon {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

namespace {

constexpr std::chrono::seconds kRequestTimeout{10};  // Idle connections included.
constexpr std::chrono::seconds kAnswerTimeout{30};
constexpr std::chrono::milliseconds kAcceptRetry{100};
constexpr const char* kContentType = "text/plain; version=0.0.4; charset=utf-8";

using Request = http::request<http::empty_body>;
using Answer = http::response<http::string_body>;

Answer answer(const Request& request, http::status status, std::string body) {
    Answer out{status, request.version()};
    out.set(http::field::server, "sluiced");
    out.set(http::field::content_type,
            status == http::status::ok ? kContentType : "text/plain; charset=utf-8");
    if (status == http::status::method_not_allowed) { out.set(http::field::allow, "GET"); }
    out.keep_alive(request.keep_alive());
    out.body() = std::move(body);
    out.prepare_payload();
    return out;
}

// "/metrics", whatever is asked of it behind a question mark.
bool is_metrics(std::string_view target) {
    return target == "/metrics" || target.starts_with("/metrics?");
}

// At boot the switch is up before the network's addresses are.
void bind_before_the_address_is_there(int socket, bool is_v6) {
    const int on = 1;
    static_cast<void>(setsockopt(socket, is_v6 ? IPPROTO_IPV6 : IPPROTO_IP,
                                 is_v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof on));
}

}  // namespace

/// One scraper, request by request.
class MetricsServer::Connection : public std::enable_shared_from_this<Connection> {
public:
    Connection(tcp::socket socket, Metrics& metrics)
        : stream_(std::move(socket)), metrics_(metrics) {}

    asio::awaitable<void> run() {
        const auto self = shared_from_this();
        while (co_await serve_one()) {}
        boost::system::error_code ignored;
        stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
    }
    /// Is it waiting for a request, or for the rest of one?
    [[nodiscard]] bool is_waiting() const noexcept { return is_waiting_; }
    void close() { stream_.close(); }

private:
    // False: the connection ends.
    asio::awaitable<bool> serve_one() {
        http::request_parser<http::empty_body> parser;
        parser.header_limit(kMetricsRequestBytes);
        parser.body_limit(0);
        boost::system::error_code ec;
        stream_.expires_after(kRequestTimeout);
        is_waiting_ = true;
        co_await http::async_read(stream_, buffer_, parser,
                                  asio::redirect_error(asio::use_awaitable, ec));
        is_waiting_ = false;
        if (ec) { co_return false; }
        const Request request = parser.release();
        Answer reply = co_await reply_to(request);
        stream_.expires_after(kAnswerTimeout);
        co_await http::async_write(stream_, reply, asio::redirect_error(asio::use_awaitable, ec));
        co_return !ec && reply.keep_alive();
    }

    asio::awaitable<Answer> reply_to(const Request& request) {
        const auto target = request.target();
        if (!is_metrics({target.data(), target.size()})) {
            co_return answer(request, http::status::not_found, "only /metrics is here\n");
        }
        if (request.method() != http::verb::get) {
            co_return answer(request, http::status::method_not_allowed, "only GET is served\n");
        }
        stream_.expires_never();
        std::string body = co_await metrics_.text();
        co_return answer(request, http::status::ok, std::move(body));
    }

    beast::tcp_stream stream_;
    beast::flat_buffer buffer_{kMetricsRequestBytes * 2};
    Metrics& metrics_;
    bool is_waiting_ = true;
};

Status MetricsServer::start(const MetricsEndpoint& endpoint) {
    boost::system::error_code ec;
    const auto address = asio::ip::make_address(endpoint.address, ec);
    const std::string host = address.is_v6() ? "[" + endpoint.address + "]" : endpoint.address;
    const std::string where = "--metrics " + host + ":" + std::to_string(endpoint.port);
    auto acceptor = std::make_unique<tcp::acceptor>(io_);
    const tcp::endpoint local(address, endpoint.port);
    if (!ec) { acceptor->open(local.protocol(), ec); }
    if (!ec) { acceptor->set_option(tcp::acceptor::reuse_address(true), ec); }
    if (!ec) { bind_before_the_address_is_there(acceptor->native_handle(), address.is_v6()); }
    if (!ec) { acceptor->bind(local, ec); }
    if (!ec) { acceptor->listen(tcp::acceptor::max_listen_connections, ec); }
    if (ec) { return Error{Errc::kIo, where + ": can't listen: " + ec.message(), "metrics"}; }
    ::fcntl(acceptor->native_handle(), F_SETFD, FD_CLOEXEC);
    acceptor_ = std::move(acceptor);
    serve();
    spdlog::info("metrics: serving on http://{}:{}/metrics", host, endpoint.port);
    return Ok{};
}

Status MetricsServer::adopt(int listener) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    auto acceptor = std::make_unique<tcp::acceptor>(io_);
    boost::system::error_code ec;
    if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
        ec.assign(errno, boost::system::system_category());
    } else {
        acceptor->assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), listener, ec);
    }
    if (ec) { return Error{Errc::kIo, "metrics: can't go on listening: " + ec.message(), ""}; }
    acceptor_ = std::move(acceptor);
    serve();
    return Ok{};
}

int MetricsServer::duplicate() {
    return acceptor_ ? ::fcntl(acceptor_->native_handle(), F_DUPFD_CLOEXEC, 3) : -1;
}

void MetricsServer::hold() {
    is_held_ = true;
    boost::system::error_code ignored;
    if (acceptor_) { acceptor_->cancel(ignored); }
}

void MetricsServer::resume() {
    is_held_ = false;
    retry_.cancel();
}

void MetricsServer::serve() {
    auto loop = accept_loop();
    asio::co_spawn(io_, std::move(loop), [](const std::exception_ptr& failure) {
        if (failure) { spdlog::error("metrics: stopped accepting"); }
    });
}

void MetricsServer::stop() {
    boost::system::error_code ignored;
    if (acceptor_) { acceptor_->close(ignored); }
    retry_.cancel();
}

// Where all places are taken, the one that has been here longest without asking loses its own: slow
// peers must not keep a scraper out.
bool MetricsServer::has_room() {
    if (connections_.size() < kMetricsConnectionMax) { return true; }
    const auto slowest = std::find_if(connections_.begin(), connections_.end(),
                                      [](const auto& one) { return one->is_waiting(); });
    if (slowest == connections_.end()) { return false; }
    (*slowest)->close();
    connections_.erase(slowest);
    return true;
}

asio::awaitable<void> MetricsServer::accept_loop() {
    while (acceptor_->is_open()) {
        boost::system::error_code ec;
        if (is_held_) {
            retry_.expires_at(asio::steady_timer::time_point::max());
            co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            continue;
        }
        tcp::socket socket(io_);
        co_await acceptor_->async_accept(socket, asio::redirect_error(asio::use_awaitable, ec));
        if (!acceptor_->is_open()) { break; }
        if (ec && is_held_) { continue; }
        if (ec) {  // Descriptors or memory ran out, for now.
            retry_.expires_after(kAcceptRetry);
            co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            continue;
        }
        if (!has_room()) { continue; }  // Closes the new one.
        ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
        auto connection = std::make_shared<Connection>(std::move(socket), metrics_);
        connections_.push_back(connection);
        auto serving = connection->run();
        asio::co_spawn(io_, std::move(serving),
                       [this, connection](const std::exception_ptr& failure) {
                           connections_.remove(connection);
                           if (failure) { spdlog::warn("metrics: a scrape failed"); }
                       });
    }
}

}  // namespace sluice::daemon
