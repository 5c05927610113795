// SPDX-License-Identifier: Apache-2.0
// Takeover: see takeover.h.
#include "src/sluiced/takeover.h"

#include <fcntl.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>

#include "handover/guest.h"
#include "handover/launcher.h"
#include "handover/limits.h"
#include "handover/schema.h"
#include "src/sluiced/version.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

using Clock = std::chrono::steady_clock;
using handover::Kind;
using handover::Message;
using nlohmann::json;

constexpr std::chrono::hours kPatience{1};  // The other process decides what takes too long.
constexpr std::chrono::seconds kSendTimeout{1};

std::string range_text(handover::SchemaRange range) {
    return std::to_string(range.oldest) + ".." + std::to_string(range.newest);
}

}  // namespace

Takeover::Takeover(int socket) : socket_(socket) {
    fcntl(socket, F_SETFD, FD_CLOEXEC);
    fcntl(handover::kLogFd, F_SETFD, FD_CLOEXEC);
}

Result<Message> Takeover::next() {
    return handover::receive(socket_.get(), Clock::now() + kPatience);
}

void Takeover::fail(const Error& error) {
    Message message;
    message.kind = Kind::kFailed;
    message.body = {{"message", error.message}};
    static_cast<void>(handover::send(socket_.get(), message, Clock::now() + kSendTimeout));
}

Status Takeover::greet(const Message& hello, std::uint64_t generation) {
    const handover::SchemaRange own = handover::own_schemas();
    const handover::SchemaRange its{hello.body.value("oldest_schema", 0U),
                                    hello.body.value("newest_schema", 0U)};
    const auto schema = handover::common_schema(own, its);
    if (hello.kind != Kind::kHello || !schema) {
        return Error{Errc::kUnsupported,
                     "upgrade: the running daemon hands over by schema " + range_text(its) +
                         ", this one knows " + range_text(own),
                     ""};
    }
    if (const auto theirs = hello.body.value("generation", generation); theirs != generation) {
        return Error{Errc::kState,
                     "upgrade: the running configuration is generation " + std::to_string(theirs) +
                         ", the state folder has " + std::to_string(generation),
                     ""};
    }
    Message prepared;
    prepared.kind = Kind::kPrepared;
    prepared.body = {{"schema", *schema}, {"version", kVersion}, {"pid", getpid()}};
    return handover::send(socket_.get(), prepared, Clock::now() + kSendTimeout);
}

Result<Inheritance> Takeover::take(std::uint64_t generation) {
    Result<Message> hello = next();
    if (!hello) { return hello.error(); }
    if (const Status greeted = greet(hello.value(), generation); !greeted) {
        return greeted.error();
    }
    hurry_.emplace();
    Inheritance out;
    for (bool is_first = true;; is_first = false) {
        Result<Message> message = next();
        if (!message) { return message.error(); }
        if (is_first) { out.received_at = Clock::now(); }
        if (message.value().kind == Kind::kGo) {
            out.uplinks_up = message.value().body.value("uplinks_up", std::vector<std::string>{});
            return out;
        }
        if (const Status added = add(std::move(message).value(), out); !added) {
            return added.error();
        }
    }
}

// What a later version passes on beside this is let go of.
Status Takeover::add(Message message, Inheritance& out) {
    const json body = message.body;
    if (message.kind == Kind::kGuest) {
        Result<handover::Guest> guest = handover::to_guest(std::move(message));
        if (!guest) { return guest.error(); }
        const std::string name = guest.value().port;
        if (guest.value().is_up) { out.guests_up.push_back(name); }
        out.guests[name] = std::move(guest.value().handed);
    } else if (message.kind == Kind::kInterface && message.fds.size() == 1) {
        out.interfaces.push_back({body.value("port", ""), body.value("netns", ""),
                                  body.value("name", ""), std::move(message.fds[0]),
                                  body.value("index", 0U), body.value("netns_inode", 0UL)});
    } else if (message.kind == Kind::kListener && message.fds.size() == 1) {
        if (body.value("of", "") == "metrics") { out.metrics = std::move(message.fds[0]); }
        if (body.value("of", "") == "admin") {
            out.admin = {message.fds[0].release(), body.value("device", dev_t{0}),
                         body.value("inode", ino_t{0})};
        }
    }
    return Ok{};
}

boost::asio::awaitable<bool> Takeover::finish(Clock::time_point since) {
    Message healthy;
    healthy.kind = Kind::kHealthy;
    const std::chrono::duration<double, std::milli> took = Clock::now() - since;
    healthy.body = {{"took_ms", took.count()}};
    const Status sent = handover::send(socket_.get(), healthy, Clock::now() + kSendTimeout);
    if (!sent) { co_return false; }
    const int socket = socket_.get();
    const auto has_come = [socket] {
        pollfd entry{socket, POLLIN, 0};
        return ::poll(&entry, 1, 0) > 0;
    };
    co_await wait_until(has_come);
    const Result<Message> last = handover::receive(socket_.get(), Clock::time_point{});
    co_return last&& last.value().kind == Kind::kCommit;
}

void Takeover::take_log() {
    if (fcntl(handover::kLogFd, F_GETFD) < 0) { return; }
    dup2(handover::kLogFd, STDERR_FILENO);
    close(handover::kLogFd);
}

}  // namespace sluice::daemon
