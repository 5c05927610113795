// SPDX-License-Identifier: Apache-2.0
// Server mode. Three coroutines: run() makes the socket and accepts, attend_peer() lives as long as
// a session, and keep_path() sees once a second that the socket's file is still ours, else has it
// made again.
#include <sys/socket.h>

#include <cerrno>

#include "relay/link.h"

namespace sluice::relay {

ServerLink::ServerLink(const asio::any_io_executor& executor, RelayPort port,
                       RelayObserver observer)
    : Link(executor, std::move(port), std::move(observer)),
      acceptor_(executor),
      keeper_(executor) {}

void ServerLink::on_hold() {
    error_code ignored;
    acceptor_.cancel(ignored);
}

Listener ServerLink::copy_listener() const {
    Listener copy;
    if (!acceptor_.is_open()) { return copy; }
    copy.socket.reset(::fcntl(acceptor_.native_handle(), F_DUPFD_CLOEXEC, 3));
    copy.device = listener_.device;
    copy.inode = listener_.inode;
    return copy;
}

void ServerLink::on_stop() {
    close_listener();
    keeper_.notify();
}

asio::awaitable<void> ServerLink::run() {
    spawn(executor_, [](std::shared_ptr<Link> self) -> asio::awaitable<void> {
        co_await static_cast<ServerLink*>(self.get())->keep_path();
    }(shared_from_this()));
    if (handed_.qemu.valid()) { begin_attending(std::move(handed_.qemu), std::move(handed_.said)); }
    while (!stopped_) {
        if (listen()) {
            co_await accept_peers();
        } else {
            (void)co_await wake_.wait_until(Clock::now() + kSlowRetry);
        }
    }
}

bool ServerLink::listen() {
    auto made = handed_.listener.socket.valid()
                    ? Result<Listener>(std::exchange(handed_.listener, {}))
                    : listen_unix(port_.socket_path);
    if (!made.ok()) {
        if (!attending_) { set_state(RelayPhase::kDown, made.error().message); }
        return false;
    }
    listener_ = std::move(made).value();
    error_code ec;
    acceptor_.assign(listener_.socket.get(), ec);
    if (ec) {
        close_listener();
        return false;
    }
    (void)listener_.socket.release();  // acceptor_ owns it.
    if (!attending_) { tell_listening(); }
    return true;
}

void ServerLink::close_listener() {
    if (listener_.inode != 0) { unlink_own(listener_, port_.socket_path); }
    listener_ = Listener{};
    error_code ignored;
    acceptor_.close(ignored);
}

void ServerLink::tell_listening() {
    set_state(RelayPhase::kWaiting, "waiting for a QEMU to connect to " + port_.socket_path);
}

asio::awaitable<void> ServerLink::accept_peers() {
    while (!stopped_ && acceptor_.is_open()) {
        if (held_) {
            (void)co_await wake_.wait_until(Clock::time_point::max());
            continue;
        }
        error_code ec;
        co_await acceptor_.async_wait(asio::posix::stream_descriptor::wait_read, into(ec));
        co_await wait_turn();
        if (held_ && acceptor_.is_open()) { continue; }
        if (ec || stopped_ || !acceptor_.is_open()) { break; }
        accept_one();
    }
    if (!stopped_) { close_listener(); }
}

// The next peer waits in the backlog while the last one's session is cleared away (it may come at
// its heels), and during the back-off after a refused session.
asio::awaitable<void> ServerLink::wait_turn() {
    while (!stopped_ && !held_) {
        const bool leaving = attending_ && peer_leaving();
        const bool early = !attending_ && Clock::now() < accept_after_;
        if (!leaving && !early) { break; }
        (void)co_await wake_.wait_until(early ? accept_after_ : Clock::now() + kAcceptPause);
    }
}

void ServerLink::accept_one() {
    Fd peer{::accept4(acceptor_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
    if (!peer.valid()) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            accept_after_ = Clock::now() + kAcceptPause;
        }
        return;
    }
    if (attending_) {
        ++counters_.peers_refused;
        if (may_log()) { spdlog::warn("port {}: a second peer was turned away", port_.name); }
        return;
    }
    begin_attending(std::move(peer), {});
}

void ServerLink::begin_attending(Fd peer, std::vector<Message> heard) {
    attending_ = true;
    spawn(executor_,
          [](std::shared_ptr<Link> self, Fd qemu,
             std::vector<Message> said) -> asio::awaitable<void> {
              co_await static_cast<ServerLink*>(self.get())
                  ->attend_peer(std::move(qemu), std::move(said));
          }(shared_from_this(), std::move(peer), std::move(heard)));
}

asio::awaitable<void> ServerLink::attend_peer(Fd qemu, std::vector<Message> said) {
    const Pause next = co_await attend(std::move(qemu), std::move(said));
    wake_.notify();
    if (stopped_) { co_return; }
    if (next.whole > kReturnPause) {
        accept_after_ = Clock::now() + next.whole;
    } else if (acceptor_.is_open()) {
        tell_listening();
    }
}

asio::awaitable<void> ServerLink::keep_path() {
    while (!stopped_) {
        (void)co_await keeper_.wait_until(Clock::now() + kSlowRetry);
        if (stopped_ || held_ || !acceptor_.is_open() || owns_path(listener_, port_.socket_path)) {
            continue;
        }
        spdlog::warn("port {}: socket {} was removed or replaced, making it again", port_.name,
                     port_.socket_path);
        close_listener();
    }
}

}  // namespace sluice::relay
