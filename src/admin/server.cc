// SPDX-License-Identifier: Apache-2.0
// Accepting and counting. The Listener is shared with its coroutines, so that the server may go
// before they do.
#include "server.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <optional>
#include <set>
#include <utility>

#include "session.h"
#include "socket_path.h"

namespace sluice::admin {

namespace asio = boost::asio;
using Protocol = asio::local::stream_protocol;

namespace {

void log_exception(const char* where, const std::exception_ptr& failure) {
    if (!failure) { return; }
    try {
        std::rethrow_exception(failure);
    } catch (const std::exception& error) {
        spdlog::error("admin: {}: unexpected exception: {}", where, error.what());
    }
}

}  // namespace

class AdminServer::Listener : public std::enable_shared_from_this<AdminServer::Listener> {
public:
    Listener(asio::io_context& io, std::string path, Options options)
        : io_(io),
          path_(std::move(path)),
          options_(std::move(options)),
          dispatcher_(
              std::make_shared<Dispatcher>(io.get_executor(), options_.limits, options_.audit)),
          acceptor_(io),
          retry_(io) {}

    [[nodiscard]] Dispatcher& dispatcher() noexcept { return *dispatcher_; }
    [[nodiscard]] std::size_t connection_count() const noexcept { return sessions_.size(); }
    [[nodiscard]] Status start();
    [[nodiscard]] Status adopt(BoundSocket bound);
    [[nodiscard]] BoundSocket duplicate();
    void hold();
    void resume();
    void stop();

private:
    asio::awaitable<void> accept_loop();
    void admit(Protocol::socket socket);
    [[nodiscard]] bool has_room(const Peer& peer) const noexcept;
    [[nodiscard]] bool has_too_many(const Peer& peer) const noexcept;
    [[nodiscard]] bool make_room(const Peer& peer);
    void serve(Protocol::socket socket, const Peer& peer);
    static void turn_away(Protocol::socket& socket, const std::string& why);

    asio::io_context& io_;
    std::string path_;
    Options options_;
    std::shared_ptr<Dispatcher> dispatcher_;
    Protocol::acceptor acceptor_;
    asio::steady_timer retry_;
    bool is_held_ = false;
    std::optional<gid_t> change_group_;
    BoundSocket bound_;
    std::set<std::shared_ptr<Session>> sessions_;
};

Status AdminServer::Listener::start() {
    auto bound = bind_path(path_);
    if (!bound.ok()) { return bound.error(); }
    return adopt(bound.value());
}

Status AdminServer::Listener::adopt(BoundSocket bound) {
    bound_ = bound;
    change_group_ = find_group(options_.change_group);
    boost::system::error_code ec;
    acceptor_.assign(Protocol(), bound_.fd, ec);
    if (ec) { return Error{Errc::kIo, "admin socket " + path_ + ": " + ec.message(), ""}; }
    asio::co_spawn(
        io_, [self = shared_from_this()] { return self->accept_loop(); },
        [](const std::exception_ptr& failure) { log_exception("accept", failure); });
    return Ok{};
}

BoundSocket AdminServer::Listener::duplicate() {
    BoundSocket copy = bound_;
    copy.fd = acceptor_.is_open() ? ::fcntl(acceptor_.native_handle(), F_DUPFD_CLOEXEC, 3) : -1;
    return copy;
}

void AdminServer::Listener::hold() {
    is_held_ = true;
    boost::system::error_code ignored;
    acceptor_.cancel(ignored);
}

void AdminServer::Listener::resume() {
    is_held_ = false;
    retry_.cancel();
}

void AdminServer::Listener::stop() {
    if (!acceptor_.is_open()) { return; }
    boost::system::error_code ignored;
    acceptor_.close(ignored);
    retry_.cancel();
    unlink_path(path_, bound_);
    for (const auto& session : sessions_) { session->close(); }
    dispatcher_->stop_helper();
}

asio::awaitable<void> AdminServer::Listener::accept_loop() {
    const auto self = shared_from_this();
    while (acceptor_.is_open()) {
        boost::system::error_code ec;
        if (is_held_) {
            retry_.expires_at(asio::steady_timer::time_point::max());
            co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            continue;
        }
        Protocol::socket socket(io_);
        co_await acceptor_.async_accept(socket, asio::redirect_error(asio::use_awaitable, ec));
        if (!acceptor_.is_open()) { break; }
        if (!ec) {
            admit(std::move(socket));
            continue;
        }
        if (is_held_) { continue; }
        spdlog::warn("admin: accept: {}", ec.message());
        retry_.expires_after(kAcceptRetry);
        co_await retry_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
}

void AdminServer::Listener::admit(Protocol::socket socket) {
    ::fcntl(socket.native_handle(), F_SETFD, FD_CLOEXEC);
    const auto peer = read_peer(socket.native_handle(), change_group_);
    if (!peer.ok()) {
        spdlog::warn("{}", peer.error().message);
        return;
    }
    if (has_too_many(peer.value())) {
        turn_away(socket, "too many connections of uid " + std::to_string(peer.value().uid) +
                              ": the limit is " +
                              std::to_string(options_.limits.reader_connection_count_max));
    } else if (has_room(peer.value()) || make_room(peer.value())) {
        serve(std::move(socket), peer.value());
    } else {
        turn_away(socket, "too many connections: the limit is " +
                              std::to_string(options_.limits.connection_count_max));
    }
}

bool AdminServer::Listener::has_room(const Peer& peer) const noexcept {
    const auto& limits = options_.limits;
    const std::size_t reserved = peer.may_change ? 0 : limits.reserved_connection_count;
    return sessions_.size() + reserved < limits.connection_count_max;
}

// One user must not keep all others from reading.
bool AdminServer::Listener::has_too_many(const Peer& peer) const noexcept {
    if (peer.may_change) { return false; }
    const auto count = std::count_if(sessions_.begin(), sessions_.end(), [&peer](const auto& one) {
        return one->peer().uid == peer.uid && !one->peer().may_change;
    });
    return static_cast<std::size_t>(count) >= options_.limits.reader_connection_count_max;
}

// For those who may change: whoever has rested longest leaves, be it one of their own.
bool AdminServer::Listener::make_room(const Peer& peer) {
    if (!peer.may_change) { return false; }
    std::shared_ptr<Session> idlest;
    Session::Clock::duration longest = options_.limits.evictable_after;
    for (const auto& one : sessions_) {
        const auto rests = one->rests_for();
        if (!rests || *rests < longest) { continue; }
        longest = *rests;
        idlest = one;
    }
    if (!idlest) { return false; }
    spdlog::info("admin: uid {} pid {}: cut off to make room for uid {} pid {}", idlest->peer().uid,
                 idlest->peer().pid, peer.uid, peer.pid);
    idlest->close();
    sessions_.erase(idlest);  // Its coroutine holds it until it has seen the end.
    return true;
}

void AdminServer::Listener::serve(Protocol::socket socket, const Peer& peer) {
    auto session = std::make_shared<Session>(std::move(socket), peer, options_.limits, dispatcher_);
    sessions_.insert(session);
    asio::co_spawn(
        io_, [session] { return session->run(); },
        [self = shared_from_this(), session](const std::exception_ptr& failure) {
            log_exception("connection", failure);
            session->close();
            self->sessions_.erase(session);
        });
}

// One try, without waiting: the peer is cut off whether it reads this or not.
void AdminServer::Listener::turn_away(Protocol::socket& socket, const std::string& why) {
    const std::string text = error_line(nullptr, kMethodFailed, {Errc::kLimit, why, ""});
    (void)::send(socket.native_handle(), text.data(), text.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

AdminServer::AdminServer(asio::io_context& io, std::string path, Options options)
    : listener_(std::make_shared<Listener>(io, std::move(path), std::move(options))) {}

AdminServer::~AdminServer() { stop(); }

void AdminServer::add(std::string method, Access access, Handler handler, Subject subject) {
    listener_->dispatcher().add(std::move(method), access, std::move(handler), std::move(subject));
}

void AdminServer::add(std::string method, Access access, PlainHandler handler) {
    listener_->dispatcher().add(std::move(method), access, std::move(handler));
}

Status AdminServer::start() { return listener_->start(); }
Status AdminServer::adopt(BoundSocket bound) { return listener_->adopt(bound); }
BoundSocket AdminServer::duplicate() const { return listener_->duplicate(); }
void AdminServer::hold() { listener_->hold(); }
void AdminServer::resume() { listener_->resume(); }
void AdminServer::stop() { listener_->stop(); }
std::shared_ptr<ChangeQueue> AdminServer::changes() const {
    return listener_->dispatcher().changes();
}

std::size_t AdminServer::connection_count() const noexcept { return listener_->connection_count(); }

}  // namespace sluice::admin
