// SPDX-License-Identifier: Apache-2.0
// Upgrade: see upgrade.h. One coroutine, top to bottom: prepare, hold, stop, hand over, wait, and
// either leave or come back. Two processes never move packets at once: this one goes on only when
// the other has let go of its end of the pair, which the kernel does for it when it is gone.
#include "src/sluiced/upgrade.h"

#include <poll.h>
#include <spdlog/spdlog.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <cmath>

#include "admin/params.h"
#include "handover/limits.h"
#include "handover/schema.h"
#include "src/sluiced/hurry.h"
#include "src/sluiced/version.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

namespace asio = boost::asio;
using handover::Kind;
using handover::Message;
using nlohmann::json;
using std::chrono::steady_clock;

double ms_since(steady_clock::time_point from) {
    const std::chrono::duration<double, std::milli> took = steady_clock::now() - from;
    return std::round(took.count() * 100) / 100;
}

std::string ms_text(double ms) { return fmt::format("{:.1f} ms", ms); }

bool has_input(int fd) {
    pollfd entry{fd, POLLIN, 0};
    return ::poll(&entry, 1, 0) > 0;
}

// "2026-01-02T03:04:05.678 critical: the sentence" and "critical: the sentence", without the front.
std::string sentence_of(const std::string& line) {
    for (const char* level : {"critical: ", "error: ", "warning: ", "info: "}) {
        const std::size_t at = line.find(level);
        if (at != std::string::npos) { return line.substr(at + std::string(level).size()); }
    }
    return line;
}

}  // namespace

Upgrade::Upgrade(asio::io_context& io, handover::Launcher& launcher, UpgradeParts parts)
    : io_(io), launcher_(launcher), parts_(std::move(parts)) {}

asio::awaitable<Result<json>> Upgrade::run(std::string binary, std::chrono::seconds timeout,
                                           admin::Peer peer) {
    const auto begun = Clock::now();
    if (binary.empty()) { binary = launcher_.own_binary(); }
    peer_ = peer;
    last_words_.clear();
    partial_.clear();
    Result<Message> prepared = co_await prepare(std::move(binary), timeout);
    if (!prepared) {
        co_await end_other();
        Error error = with_last_words(prepared.error());
        error.message += "; this daemon goes on, nothing was interrupted";
        spdlog::error("{}", error.message);
        co_return error;
    }
    const std::string version = prepared.value().body.value("version", "?");
    prepared_pid_ = prepared.value().body.value("pid", -1);
    const double prepared_ms = ms_since(begun);
    tell("sluiced " + version + " is prepared, pid " + std::to_string(prepared_pid_),
         {{"version", version}, {"pid", prepared_pid_}, {"ms", prepared_ms}});
    const Hurry hurry;
    const Status switched = co_await switch_over(timeout);
    const double gap_ms = ms_since(stopped_at_);
    if (!switched) {
        Error error = with_last_words(switched.error());
        const Status back = co_await come_back();
        error.message += "; this daemon goes on after " + ms_text(ms_since(stopped_at_));
        if (!back) { error.message += ", but " + back.error().message; }
        spdlog::error("{}", error.message);
        co_return error;
    }
    spdlog::info("upgrade: pid {} (sluiced {}) has taken over, nothing was forwarded for {}",
                 prepared_pid_, version, ms_text(gap_ms));
    asio::awaitable<void> leaving = leave_soon(std::move(peer));
    asio::co_spawn(io_, std::move(leaving), asio::detached);
    co_return json{{"version", version},
                   {"pid", prepared_pid_},
                   {"gap_ms", gap_ms},
                   {"prepared_ms", prepared_ms}};
}

asio::awaitable<Result<Message>> Upgrade::prepare(std::string binary,
                                                  std::chrono::seconds timeout) {
    const auto until = Clock::now() + timeout * handover::kPreparationFactor;
    Result<handover::Started> started = launcher_.start(binary);
    if (!started) { co_return started.error(); }
    other_ = std::move(started).value();
    tell("starting " + binary, {{"binary", binary}, {"pid", other_.pid}});
    spdlog::info("upgrade: starting {}, pid {}", binary, other_.pid);
    const handover::SchemaRange schemas = handover::own_schemas();
    Message hello;
    hello.body = {{"oldest_schema", schemas.oldest},
                  {"newest_schema", schemas.newest},
                  {"version", kVersion},
                  {"generation", parts_.config.generation()}};
    const Status sent = send(std::move(hello), until);
    if (!sent) { co_return sent.error(); }
    co_return co_await next(Kind::kPrepared, until);
}

// Ends if the other process says something else, leaves, or takes too long.
asio::awaitable<Result<Message>> Upgrade::next(Kind wanted, Clock::time_point until) {
    const auto has_come = [this, until] {
        read_errors();
        return has_input(other_.socket.get()) || Clock::now() >= until;
    };
    co_await wait_until(has_come);
    Result<Message> message = handover::receive(other_.socket.get(), Clock::time_point{});
    read_errors();
    const std::string whom = "upgrade: the new process (pid " + std::to_string(other_.pid) + ") ";
    if (message && message.value().kind == wanted) { co_return std::move(message); }
    if (message && message.value().kind == Kind::kFailed) {
        co_return Error{Errc::kState,
                        whom + "says: " + message.value().body.value("message", "no more"), ""};
    }
    if (message) {
        co_return Error{Errc::kState,
                        whom + "said \"" + to_string(message.value().kind) + "\", expected \"" +
                            to_string(wanted) + "\"",
                        ""};
    }
    switch (message.error().code) {
        case Errc::kNotFound:
            co_return Error{Errc::kState,
                            whom + "is not " + to_string(wanted) + " in time (--within)", ""};
        case Errc::kIo: co_return Error{Errc::kState, whom + "has ended", ""};
        default: co_return Error{Errc::kState, whom + "sent: " + message.error().message, ""};
    }
}

asio::awaitable<Status> Upgrade::switch_over(std::chrono::seconds timeout) {
    co_await hold();
    stopped_at_ = Clock::now();
    const auto until = stopped_at_ + timeout;
    parts_.stop_workers();
    co_await parts_.uplinks.release_exclusive();
    Status handed = hand_over(until);
    if (!handed) { co_return std::move(handed); }
    const double handed_ms = ms_since(stopped_at_);
    const Result<Message> healthy = co_await next(Kind::kHealthy, until);
    if (!healthy) { co_return healthy.error(); }
    spdlog::info("upgrade: handed over in {}, taken over in {}", ms_text(handed_ms),
                 ms_text(healthy.value().body.value("took_ms", 0.0)));
    if (const Status kept = launcher_.keep(); !kept) { spdlog::warn("{}", kept.error().message); }
    // It is the service's main process before it says that it is ready.
    sd_notifyf(0, "MAINPID=%d", prepared_pid_);
    Message commit;
    commit.kind = Kind::kCommit;
    Status sent = send(std::move(commit), until);
    if (sent) { parts_.retire(); }
    co_return std::move(sent);
}

// Guests' sockets first, while workers still run: a QEMU may be in the middle of a message.
asio::awaitable<void> Upgrade::hold() {
    parts_.devices.hold();
    parts_.kernel_ports.hold();
    parts_.uplinks.hold();
    const auto until = Clock::now() + handover::kQuietTimeout;
    const auto is_quiet = [this, until] {
        return parts_.devices.is_quiet() || Clock::now() >= until;
    };
    co_await wait_until(is_quiet);
    parts_.admin.hold();
    parts_.metrics.hold();
}

Status Upgrade::send(Message message, Clock::time_point until) {
    return handover::send(other_.socket.get(), message, until);
}

Status Upgrade::hand_over(Clock::time_point until) {
    std::vector<handover::Guest> guests = parts_.devices.hand_over();
    for (handover::Guest& guest : guests) {
        const Status sent = send(handover::to_message(std::move(guest)), until);
        if (!sent) { return sent; }
    }
    for (KernelPorts::Handed& each : parts_.kernel_ports.hand_over()) {
        Message message;
        message.kind = Kind::kInterface;
        message.body = {{"port", each.port},
                        {"netns", each.netns},
                        {"name", each.name},
                        {"index", each.index},
                        {"netns_inode", each.netns_inode}};
        message.fds.push_back(std::move(each.tap));
        const Status sent = send(std::move(message), until);
        if (!sent) { return sent; }
    }
    if (Status sent = send_listeners(until); !sent) { return sent; }
    Message go;
    go.kind = Kind::kGo;
    go.body = {{"generation", parts_.config.generation()}, {"uplinks_up", parts_.uplinks.up()}};
    return send(std::move(go), until);
}

Status Upgrade::send_listeners(Clock::time_point until) {
    const admin::BoundSocket bound = parts_.admin.duplicate();
    Message message;
    message.kind = Kind::kListener;
    message.body = {{"of", "admin"}, {"device", bound.device}, {"inode", bound.inode}};
    message.fds.emplace_back(bound.fd);
    if (Status sent = send(std::move(message), until); !sent) { return sent; }
    const int metrics = parts_.metrics.duplicate();
    if (metrics < 0) { return Ok{}; }
    Message second;
    second.kind = Kind::kListener;
    second.body = {{"of", "metrics"}};
    second.fds.emplace_back(metrics);
    return send(std::move(second), until);
}

// Returns when it has let go of everything: it would move packets beside us. The kernel closes the
// descriptors of a killed process even if that takes long; there is nothing better to wait for.
asio::awaitable<void> Upgrade::end_other() {
    if (!other_.socket.valid()) { co_return; }
    launcher_.kill();
    const auto until = Clock::now() + handover::kDeathTimeout;
    for (bool is_gone = false; !is_gone && Clock::now() < until;) {
        const auto has_come = [this, until] {
            return has_input(other_.socket.get()) || Clock::now() >= until;
        };
        co_await wait_until(has_come);
        const auto last = handover::receive(other_.socket.get(), Clock::time_point{});
        is_gone = !last && last.error().code == Errc::kIo;
    }
    read_errors();
    for (const pid_t pid : {other_.pid, prepared_pid_}) {
        if (pid > 0) { parts_.clear_after(pid); }
    }
    other_ = handover::Started{};
    prepared_pid_ = -1;
}

// Guests are replayed to this process's library, which goes on where their rings are now.
asio::awaitable<Status> Upgrade::come_back() {
    co_await end_other();
    parts_.devices.release();
    const auto until = Clock::now() + handover::kQuietTimeout;
    const auto is_released = [this, until] {
        return parts_.devices.is_released() || Clock::now() >= until;
    };
    co_await wait_until(is_released);
    Status started = parts_.start_workers();
    parts_.devices.resume();
    parts_.kernel_ports.resume();
    parts_.uplinks.resume();
    parts_.admin.resume();
    parts_.metrics.resume();
    const auto attached_until = Clock::now() + handover::kAttachTimeout;
    const auto is_back = [this, attached_until] {
        return parts_.devices.is_back() || Clock::now() >= attached_until;
    };
    co_await wait_until(is_back);
    co_return std::move(started);
}

// The one who asked gets the answer first.
asio::awaitable<void> Upgrade::leave_soon(admin::Peer peer) {
    const auto until = Clock::now() + handover::kAnswerTimeout;
    const auto* connection = &peer.connection;
    const auto has_answer = [this, connection, until] {
        read_errors();
        const auto open = connection->lock();
        return !open || open->is_gone() || Clock::now() >= until;
    };
    co_await wait_until(has_answer);
    parts_.leave();
}

void Upgrade::read_errors() {
    std::array<char, 4096> bytes;
    for (;;) {
        const ssize_t size = ::read(other_.errors.get(), bytes.data(), bytes.size());
        if (size <= 0) { return; }
        partial_.append(bytes.data(), static_cast<std::size_t>(size));
        for (std::size_t end = 0; (end = partial_.find('\n')) != std::string::npos;) {
            if (end > 0) { last_words_ = partial_.substr(0, end); }
            if (end > 0) { spdlog::info("upgrade: pid {}: {}", other_.pid, last_words_); }
            partial_.erase(0, end + 1);
        }
        if (partial_.size() > bytes.size()) { partial_.clear(); }  // No line of ours.
    }
}

Error Upgrade::with_last_words(const Error& error) const {
    const std::string words = sentence_of(last_words_);
    if (words.empty() || error.message.find(words) != std::string::npos) { return error; }
    return Error{error.code, error.message + ", it said last: " + words, error.object};
}

void Upgrade::tell(const std::string& text, json more) const {
    more["text"] = text;
    if (const auto connection = peer_.connection.lock()) {
        connection->tell("upgrade.progress", more);
    }
}

void add_upgrade_methods(admin::AdminServer& server, Upgrade& upgrade) {
    server.add(
        "upgrade", admin::Access::kChange,
        [&upgrade](const json& params, const admin::Peer& peer) -> asio::awaitable<Result<json>> {
            admin::ParamReader read(params);
            std::string binary = read.text("binary");
            const std::uint64_t seconds = read.count(
                "within_s", static_cast<std::uint64_t>(handover::kHealthyDefault.count()));
            if (const Status status = read.finish(); !status) { co_return status.error(); }
            if (seconds == 0 ||
                seconds > static_cast<std::uint64_t>(handover::kHealthyMax.count())) {
                co_return Error{Errc::kInvalid,
                                "parameter within_s is outside 1.." +
                                    std::to_string(handover::kHealthyMax.count()),
                                admin::kParamsObject};
            }
            admin::Peer asker = peer;
            co_return co_await upgrade.run(std::move(binary), std::chrono::seconds(seconds),
                                           std::move(asker));
        });
}

}  // namespace sluice::daemon
