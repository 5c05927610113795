// SPDX-License-Identifier: Apache-2.0
// One admin connection. Theory of operation: lines are read, answered and written one after the
// other, so a peer that sends faster than it is answered only fills its own socket. One timer
// guards whatever the session waits for:
//     between requests            no deadline (the number of connections is limited)
//     in the middle of a request  request_idle_timeout since the last byte, request_timeout since
//                                 the first
//     writing an answer           answer_timeout for the whole answer
//     in a handler                no deadline (handlers bound themselves)
// Past a deadline the socket is closed, which ends the coroutine. Control thread only.
#pragma once

#include <boost/asio/local/stream_protocol.hpp>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "dispatcher.h"
#include "limits.h"
#include "peer.h"

namespace sluice::admin {

class Session final : public Connection, public std::enable_shared_from_this<Session> {
public:
    using Socket = boost::asio::local::stream_protocol::socket;
    using Clock = std::chrono::steady_clock;

    Session(Socket socket, const Peer& peer, const Limits& limits,
            std::shared_ptr<Dispatcher> dispatcher);

    /// Serves until the peer leaves, goes beyond a limit, or close().
    [[nodiscard]] boost::asio::awaitable<void> run();
    /// Ends every wait on the socket. A running handler still finishes.
    void close() noexcept;
    [[nodiscard]] bool is_gone() const noexcept override;
    void tell(const std::string& method, const nlohmann::json& params) const override;
    [[nodiscard]] const Peer& peer() const noexcept { return peer_; }
    /// How long nothing has been asked and nothing is owed: time since the last byte from the peer,
    /// or since its last answer. Nothing while a request is served.
    [[nodiscard]] std::optional<Clock::duration> rests_for() const noexcept;

private:
    boost::asio::awaitable<std::optional<std::string>> read_line();
    boost::asio::awaitable<bool> read_more();
    boost::asio::awaitable<bool> write(std::string text);
    std::optional<std::string> take_line();
    [[nodiscard]] std::string too_large() const;
    [[nodiscard]] std::size_t request_size_max() const noexcept;
    void arm(std::chrono::milliseconds timeout);
    void disarm();

    mutable Socket socket_;  // Asio tells a descriptor to those only who may change the socket.
    Peer peer_;
    Limits limits_;
    std::shared_ptr<Dispatcher> dispatcher_;
    boost::asio::steady_timer timer_;
    bool is_serving_ = false;
    Clock::time_point rests_since_ = Clock::now();
    Clock::time_point request_began_;
    std::uint64_t arming_ = 0;  // Tells a late timer handler that its deadline is no more.
    std::string buffer_;        // Bytes received and not yet answered.
    std::size_t scanned_ = 0;   // Of those, how many hold no newline.
};

}  // namespace sluice::admin
