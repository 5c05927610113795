// SPDX-License-Identifier: Apache-2.0
// The connection's coroutine and its deadlines; see session.h for the theory.
#include "session.h"

#include <linux/sockios.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <utility>

namespace sluice::admin {

namespace asio = boost::asio;

namespace {
constexpr std::size_t kReadSize = std::size_t{64} << 10U;
constexpr std::size_t kLargeRequest = std::size_t{8} << 20U;
constexpr std::size_t kKeptCapacity = std::size_t{1} << 20U;  // A resting peer holds no more.

// A line so small, on a socket that has so little to send, is sent whole.
constexpr std::size_t kNoteMax = 4096;
constexpr int kUnsentMax = 32768;

bool is_blank(const std::string& line) {
    return line.find_first_not_of(" \t\r") == std::string::npos;
}
}  // namespace

Session::Session(Socket socket, const Peer& peer, const Limits& limits,
                 std::shared_ptr<Dispatcher> dispatcher)
    : socket_(std::move(socket)),
      peer_(peer),
      limits_(limits),
      dispatcher_(std::move(dispatcher)),
      timer_(socket_.get_executor()) {}

asio::awaitable<void> Session::run() {
    const auto self = shared_from_this();
    peer_.connection = self;
    while (auto line = co_await read_line()) {
        if (is_blank(*line)) { continue; }
        is_serving_ = true;
        std::string text = co_await dispatcher_->answer(std::move(*line), peer_);
        if (!text.empty() && !co_await write(std::move(text))) { break; }
        is_serving_ = false;
        rests_since_ = Clock::now();
    }
    close();
}

std::optional<Session::Clock::duration> Session::rests_for() const noexcept {
    if (is_serving_) { return std::nullopt; }
    return Clock::now() - rests_since_;
}

bool Session::is_gone() const noexcept {
    if (!socket_.is_open()) { return true; }
    pollfd hung_up{socket_.native_handle(), POLLRDHUP, 0};
    return ::poll(&hung_up, 1, 0) > 0;
}

// Nothing else is written while a handler runs. All or nothing: half a line would spoil the answer.
void Session::tell(const std::string& method, const nlohmann::json& params) const {
    if (!socket_.is_open()) { return; }
    const nlohmann::json note{{"jsonrpc", "2.0"}, {"method", method}, {"params", params}};
    const std::string line = note.dump() + "\n";
    int unsent = 0;
    const bool is_idle =
        ::ioctl(socket_.native_handle(), SIOCOUTQ, &unsent) == 0 && unsent < kUnsentMax;
    if (!is_idle || line.size() > kNoteMax) { return; }
    (void)::send(socket_.native_handle(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

asio::awaitable<std::optional<std::string>> Session::read_line() {
    while (true) {
        if (auto line = take_line()) { co_return line; }
        if (buffer_.size() > request_size_max()) {
            spdlog::debug("admin: uid {} pid {}: request too large", peer_.uid, peer_.pid);
            std::string refusal = too_large();
            co_await write(std::move(refusal));
            co_return std::nullopt;
        }
        if (!co_await read_more()) { co_return std::nullopt; }
    }
}

// The limit counts the newline's line only: a peer may send several requests in one go.
std::optional<std::string> Session::take_line() {
    const auto end = buffer_.find('\n', scanned_);
    if (end == std::string::npos) {
        scanned_ = buffer_.size();
        return std::nullopt;
    }
    scanned_ = 0;
    if (end > request_size_max()) {
        scanned_ = buffer_.size();
        return std::nullopt;
    }
    std::string line;
    if (end + 1 == buffer_.size()) {  // The usual case; no copy of 256 MiB.
        line = std::move(buffer_);
        line.pop_back();
        buffer_ = {};
    } else {
        line = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        if (buffer_.capacity() > kKeptCapacity) { buffer_.shrink_to_fit(); }
    }
    return line;
}

asio::awaitable<bool> Session::read_more() {
    if (buffer_.empty()) {
        request_began_ = Clock::time_point::max();
    } else {
        const auto now = Clock::now();
        request_began_ = std::min(request_began_, now);
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            request_began_ + limits_.request_timeout - now);
        arm(std::min(limits_.request_idle_timeout, left));
    }
    const std::size_t old_size = buffer_.size();
    if (old_size > kLargeRequest) {  // Once: copying at each doubling would take 100 ms at a time.
        buffer_.reserve(request_size_max() + 2 * kReadSize);
    }
    buffer_.resize(old_size + kReadSize);
    boost::system::error_code ec;
    const std::size_t received =
        co_await socket_.async_read_some(asio::buffer(buffer_.data() + old_size, kReadSize),
                                         asio::redirect_error(asio::use_awaitable, ec));
    disarm();
    rests_since_ = Clock::now();
    buffer_.resize(old_size + received);
    co_return !ec && received > 0;
}

asio::awaitable<bool> Session::write(std::string text) {
    arm(limits_.answer_timeout);
    boost::system::error_code ec;
    co_await asio::async_write(socket_, asio::buffer(text),
                               asio::redirect_error(asio::use_awaitable, ec));
    disarm();
    co_return !ec;
}

std::string Session::too_large() const {
    return error_line(nullptr, kMethodFailed,
                      Error{Errc::kLimit,
                            "request is larger than the limit of " +
                                std::to_string(request_size_max()) + " bytes",
                            ""});
}

std::size_t Session::request_size_max() const noexcept {
    return peer_.may_change ? limits_.request_size_max
                            : std::min(limits_.request_size_max, limits_.reader_request_size_max);
}

void Session::arm(std::chrono::milliseconds timeout) {
    const std::uint64_t arming = ++arming_;
    timer_.expires_after(timeout);
    timer_.async_wait([self = shared_from_this(), arming](const boost::system::error_code& ec) {
        if (ec || arming != self->arming_) { return; }
        spdlog::debug("admin: uid {} pid {}: cut off, too slow", self->peer_.uid, self->peer_.pid);
        self->close();
    });
}

void Session::disarm() {
    ++arming_;
    timer_.cancel();
}

void Session::close() noexcept {
    boost::system::error_code ignored;
    socket_.close(ignored);
}

}  // namespace sluice::admin
