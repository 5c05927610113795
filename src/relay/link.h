// SPDX-License-Identifier: Apache-2.0
// One port of the relay: finds or awaits its QEMU, runs sessions one after the other, keeps state
// and counters. ClientLink and ServerLink differ only in how a QEMU arrives. The io_context's
// thread; a link lives until its coroutine ends, which is soon after stop().
#pragma once

#include <memory>
#include <string>

#include "relay/asio.h"
#include "relay/event.h"
#include "relay/relay_port.h"
#include "relay/session.h"
#include "relay/socket_path.h"
#include "relay/socket_watch.h"

namespace sluice::relay {

/// A pause that doubles from kBackoffFirst to kBackoffMax with each failure in a row.
class Backoff {
public:
    /// The next pause after a session of this length failed.
    [[nodiscard]] milliseconds next(Clock::duration session) noexcept;
    void reset() noexcept { pause_ = milliseconds{0}; }

private:
    milliseconds pause_{0};
};

/// How long to wait between two sessions: `whole`, of which a new socket may cut what follows
/// `floor`.
struct Pause {
    milliseconds floor{0};
    milliseconds whole{0};
};

/// A bound on log lines of one port, so that a hostile peer cannot fill the disk.
class LogBudget {
public:
    /// May one more line be written now?
    [[nodiscard]] bool take(Clock::time_point now) noexcept;

private:
    Clock::time_point period_start_{};
    std::size_t lines_ = 0;
};

class Link : public std::enable_shared_from_this<Link> {
public:
    Link(const asio::any_io_executor& executor, RelayPort port, RelayObserver observer);
    virtual ~Link() = default;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    void start();
    /// Closes every socket of the port at once and removes the file of a listening one. The
    /// observer is not called any more.
    void stop();
    /// Ends the running session, with this sentence as its reason; counted as dropped.
    /// @return false if there is none
    bool drop(const std::string& why);
    /// Replays the handshake to a new library connection. @return false if no session runs
    bool replay();

    /// Before start(): goes on where another process stopped.
    void adopt(HandedPort handed) { handed_ = std::move(handed); }
    /// Looks for no QEMU any more, and reads nothing of an attached one.
    void hold();
    /// Nothing is in the middle of anything.
    [[nodiscard]] bool is_quiet() const { return !session_ || session_->is_quiet(); }
    /// Of a held link: copies for another process. Without QEMU's socket if it is not quiet.
    [[nodiscard]] HandedPort hand_over();
    /// Of a held link: the library lets go of the guest.
    void release_library();
    void resume();

    [[nodiscard]] const RelayPort& port() const noexcept { return port_; }
    [[nodiscard]] RelayState state() const;

protected:
    virtual asio::awaitable<void> run() = 0;
    virtual void on_stop() = 0;
    virtual void on_hold() {}
    [[nodiscard]] virtual Listener copy_listener() const { return {}; }

    /// Runs one session from attach to end. @return how long to wait before the next
    /// @param said  what QEMU has said to another process
    asio::awaitable<Pause> attend(Fd qemu, std::vector<Message> said);
    void set_state(RelayPhase phase, std::string text, int peer_pid = 0);
    /// Does the attached peer only wait for its session to be cleared away?
    [[nodiscard]] bool peer_leaving() const { return session_ && session_->leaving(); }
    [[nodiscard]] bool may_log() { return log_budget_.take(Clock::now()); }

    asio::any_io_executor executor_;
    RelayPort port_;
    RelayCounters counters_;
    Event wake_;
    bool stopped_ = false;
    bool attending_ = false;
    bool held_ = false;
    HandedPort handed_;

private:
    Pause settle(const SessionEnd& end, Clock::duration length);

    RelayObserver observer_;
    RelayPhase phase_ = RelayPhase::kWaiting;
    std::string text_;
    int peer_pid_ = 0;
    std::shared_ptr<Session> session_;
    Backoff backoff_;
    LogBudget log_budget_;
};

/// QEMU listens: connects as soon as its socket appears, again and again.
class ClientLink final : public Link {
public:
    ClientLink(const asio::any_io_executor& executor, RelayPort port, RelayObserver observer,
               std::shared_ptr<SocketWatch> watch);

protected:
    asio::awaitable<void> run() override;
    void on_stop() override;

private:
    asio::awaitable<Fd> find_peer();
    void tell_why(int error);
    asio::awaitable<void> wait_out(Pause pause);

    std::shared_ptr<SocketWatch> watch_;
};

/// The relay listens: one QEMU at a time, others are turned away.
class ServerLink final : public Link {
public:
    ServerLink(const asio::any_io_executor& executor, RelayPort port, RelayObserver observer);

protected:
    asio::awaitable<void> run() override;
    void on_stop() override;
    void on_hold() override;
    [[nodiscard]] Listener copy_listener() const override;

private:
    bool listen();
    void begin_attending(Fd qemu, std::vector<Message> said);
    void close_listener();
    void tell_listening();
    asio::awaitable<void> accept_peers();
    asio::awaitable<void> attend_peer(Fd qemu, std::vector<Message> said);
    asio::awaitable<void> wait_turn();
    asio::awaitable<void> keep_path();
    void accept_one();

    mutable asio::posix::stream_descriptor acceptor_;  // Asio tells its number to few.
    Listener listener_;
    Event keeper_;
    Clock::time_point accept_after_{};
};

}  // namespace sluice::relay
