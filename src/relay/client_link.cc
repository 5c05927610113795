// SPDX-License-Identifier: Apache-2.0
// Client mode. QEMU may be there already, come in a moment (its socket exists, nobody listens yet),
// come in a week, or come back: inotify tells of the socket, quick retries cover the gap between
// bind and listen, a slow retry covers everything that inotify misses (a folder replaced, a mount).
#include <cerrno>
#include <cstring>

#include "relay/link.h"

namespace sluice::relay {

ClientLink::ClientLink(const asio::any_io_executor& executor, RelayPort port,
                       RelayObserver observer, std::shared_ptr<SocketWatch> watch)
    : Link(executor, std::move(port), std::move(observer)), watch_(std::move(watch)) {}

void ClientLink::on_stop() { watch_->unwatch(port_.socket_path); }

asio::awaitable<void> ClientLink::run() {
    watch_->watch(port_.socket_path,
                  [this] { wake_.notify(); });  // Gone before this is: on_stop().
    while (!stopped_) {
        std::vector<Message> said = std::exchange(handed_.said, {});
        Fd qemu = std::move(handed_.qemu);
        if (!qemu.valid()) { qemu = co_await find_peer(); }
        if (stopped_) { break; }
        if (!qemu.valid()) {  // Held.
            (void)co_await wake_.wait_until(Clock::time_point::max());
            continue;
        }
        const Pause next = co_await attend(std::move(qemu), std::move(said));
        if (!stopped_) { co_await wait_out(next); }
    }
}

asio::awaitable<Fd> ClientLink::find_peer() {
    auto quick_until = Clock::now() + kQuickPeriod;
    while (!stopped_ && !held_) {
        auto connected = connect_unix(port_.socket_path);
        if (connected.socket.valid()) { co_return std::move(connected.socket); }
        tell_why(connected.error);
        const auto now = Clock::now();
        const bool soon =
            (connected.error == ECONNREFUSED || connected.error == EAGAIN) && now < quick_until;
        const bool appeared = co_await wake_.wait_until(now + (soon ? kQuickRetry : kSlowRetry));
        if (appeared) { quick_until = Clock::now() + kQuickPeriod; }
        if (!stopped_ && !appeared && !soon) { (void)watch_->refresh(port_.socket_path); }
    }
    co_return Fd{};
}

void ClientLink::tell_why(int error) {
    const std::string& path = port_.socket_path;
    if (error == ENOENT) {
        const bool folder = ::access(folder_of(path).c_str(), F_OK) == 0;
        set_state(RelayPhase::kWaiting,
                  "waiting for " + path + (folder ? "" : ": its folder is missing"));
    } else if (error == ECONNREFUSED) {
        set_state(RelayPhase::kWaiting,
                  "waiting for " + path + ": connect refused, nobody listens on it");
    } else if (error == EAGAIN) {
        set_state(RelayPhase::kWaiting,
                  "waiting for " + path + ": its queue of connections is full");
    } else {
        set_state(RelayPhase::kDown, "cannot connect to " + path + ": " + std::strerror(error));
    }
}

// A new socket ends a long pause early: a new QEMU need not atone for the old one.
asio::awaitable<void> ClientLink::wait_out(Pause pause) {
    const auto begin = Clock::now();
    const auto floor = begin + pause.floor;
    bool appeared = false;
    while (!stopped_ && Clock::now() < floor) {
        if (co_await wake_.wait_until(floor)) { appeared = true; }
    }
    if (!stopped_ && !appeared) { (void)co_await wake_.wait_until(begin + pause.whole); }
}

}  // namespace sluice::relay
