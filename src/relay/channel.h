// SPDX-License-Identifier: Apache-2.0
// One connected vhost-user socket: reads and writes whole messages with their descriptors, each
// within a deadline. The io_context's thread only; one reader and one writer at a time. A watchdog
// coroutine closes the socket when a deadline passes, which wakes reader and writer.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "relay/asio.h"
#include "relay/limits.h"
#include "relay/protocol.h"
#include "relay/refusal.h"

namespace sluice::relay {

/// How a read or write ended. `refusal` is set with kRefused, and the channel is closed.
struct ChannelEnd {
    enum class Kind : std::uint8_t { kDone, kGone, kRefused, kInterrupted };
    Kind kind = Kind::kDone;
    Refusal refusal;

    [[nodiscard]] bool done() const noexcept { return kind == Kind::kDone; }
    [[nodiscard]] bool refused() const noexcept { return kind == Kind::kRefused; }
};

class Channel : public std::enable_shared_from_this<Channel> {
public:
    using HeaderCheck = std::optional<Refusal> (*)(const Header&);

    /// Takes a connected, non-blocking socket. `check` judges a header before its payload is
    /// awaited.
    static std::shared_ptr<Channel> open(const asio::any_io_executor& executor, Fd socket,
                                         HeaderCheck check);
    ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    /// Reads one message. Idle until its first byte, then kMessageTimeout for all of it. kGone: the
    /// peer closed, or close() was called.
    asio::awaitable<ChannelEnd> read(Message& message);
    /// Writes one message with its descriptors, within kWriteTimeout. The message keeps its
    /// descriptors.
    asio::awaitable<ChannelEnd> write(const Message& message);
    /// Ends a read() that waits for the first byte of a message with kInterrupted; one that is in
    /// the middle of a message goes on.
    void interrupt();
    /// Closes the socket; pending reads and writes end with kGone. Safe to repeat.
    void close();

    [[nodiscard]] bool is_open() const { return socket_.is_open(); }
    /// A second descriptor of the socket. Invalid if it is closed, or none is left.
    [[nodiscard]] Fd duplicate();
    /// Has the peer closed its end? True also while its last messages are still unread.
    [[nodiscard]] bool hung_up();
    /// Process on the other side, by SO_PEERCRED; 0 if unknown.
    [[nodiscard]] int peer_pid() const noexcept { return peer_pid_; }

private:
    using Socket = asio::local::stream_protocol::socket;
    static constexpr auto kNever = Clock::time_point::max();

    Channel(const asio::any_io_executor& executor, Fd socket, HeaderCheck check);
    asio::awaitable<void> watchdog();
    asio::awaitable<ChannelEnd> receive(std::span<std::byte> bytes, std::vector<Fd>& fds,
                                        bool begun);
    void arm(Clock::time_point& deadline, milliseconds timeout);
    ChannelEnd ended();
    [[nodiscard]] bool was_interrupted(const error_code& error) const;

    Socket socket_;
    asio::steady_timer timer_;
    HeaderCheck check_;
    Clock::time_point read_deadline_ = kNever;
    Clock::time_point write_deadline_ = kNever;
    bool interrupted_ = false;
    const char* expired_ = nullptr;  // What took too long.
    int peer_pid_ = 0;
};

}  // namespace sluice::relay
