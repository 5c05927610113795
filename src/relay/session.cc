// SPDX-License-Identifier: Apache-2.0
// The two pumps of a session and the replay between them. A request is recorded before it is sent:
// if the library goes away meanwhile, the replay carries it. Only an answer that the library still
// owes cannot be carried over; then the session ends and QEMU starts anew.
#include "relay/session.h"

#include <algorithm>
#include <cstring>

#include "relay/check.h"
#include "relay/guest_memory_guard.h"
#include "relay/socket_path.h"

namespace sluice::relay {

using Kind = SessionEnd::Kind;

namespace {

// Questions of QEMU that the library has not answered yet; more of them wait. QEMU asks one at a
// time.
constexpr std::uint32_t kRepliesOwedMax = 32;

// Before the library maps them: they may shrink in that very moment.
void guard_files(const Message& message, std::uint16_t guard) {
    std::vector<int> files;
    for (const Fd& fd : message.fds) { files.push_back(fd.get()); }
    guest_memory::expect(files, guard);
}

}  // namespace

Session::Session(const asio::any_io_executor& executor, const RelayPort& port,
                 RelayCounters& counters)
    : executor_(executor),
      port_(port),
      counters_(counters),
      library_event_(executor),
      replies_event_(executor),
      resumed_event_(executor),
      released_event_(executor) {}

asio::awaitable<SessionEnd> Session::run(Fd qemu, std::vector<Message> said,
                                         std::function<void(int pid)> attached) {
    qemu_ = Channel::open(executor_, std::move(qemu), check_request_header);
    if (connect_library()) {
        ++counters_.attaches;
        attached(qemu_->peer_pid());
        replies_done_ = false;
        spawn(executor_, [](std::shared_ptr<Session> self) -> asio::awaitable<void> {
            co_await self->pump_replies();
        }(shared_from_this()));
        bool ready = true;
        if (!said.empty()) { ready = co_await take_over(std::move(said)); }
        if (ready) { co_await pump_requests(); }
    }
    while (!replies_done_) { co_await replies_event_.wait_until(Clock::time_point::max()); }
    co_return std::move(end_);
}

void Session::finish(SessionEnd end) {
    if (std::exchange(finished_, true)) { return; }
    end.messages = end_.messages;
    end_ = std::move(end);
    if (qemu_) { qemu_->close(); }
    if (library_) { library_->close(); }
    library_event_.notify();
    resumed_event_.notify();
    released_event_.notify();
}

void Session::hold() {
    held_ = true;
    if (qemu_) { qemu_->interrupt(); }
}

bool Session::is_quiet() const {
    return finished_ || (requests_held_ && library_up_ && replies_owed_ == 0 && !answering_);
}

HandedPort Session::hand_over() {
    HandedPort handed;
    if (finished_) { return handed; }
    auto messages = handshake_.messages();
    if (!messages) { return handed; }
    handed.qemu = qemu_->duplicate();
    handed.said = std::move(*messages);
    return handed;
}

void Session::release_library() {
    if (finished_ || !requests_held_) { return; }
    released_ = true;
    library_up_ = false;
    library_->close();
}

void Session::resume() {
    held_ = false;
    resumed_event_.notify();
    released_event_.notify();
}

void Session::reconnect_library() {
    if (!finished_ && library_) { library_->close(); }
}

void Session::finish_by(const ChannelEnd& end, Kind gone, const char* gone_text) {
    if (end.refused()) {
        finish({Kind::kRefused, end.refusal.reason, end.refusal.text});
    } else {
        finish({gone, {}, gone_text});
    }
}

asio::awaitable<void> Session::pump_requests() {
    while (!finished_) {
        if (held_) {
            requests_held_ = true;
            co_await resumed_event_.wait_until(Clock::time_point::max());
            requests_held_ = false;
            continue;
        }
        Message message;
        const auto end = co_await qemu_->read(message);
        if (end.kind == ChannelEnd::Kind::kInterrupted) { continue; }
        if (!end.done()) {
            finish_by(end, Kind::kPeerGone, "QEMU closed the connection");
        } else if (auto refusal = check_request(message, port_.queue_pair_max)) {
            finish({Kind::kRefused, refusal->reason, std::move(refusal->text)});
        } else if (auto bad_log = log_.judge(message)) {
            finish({Kind::kRefused, bad_log->reason, std::move(bad_log->text)});
        } else if (message.request() == Request::kSendRarp) {
            co_await answer_announce(message);
        } else if (co_await relay_request(message)) {
            ++counters_.requests;
            ++end_.messages;
        }
    }
}

asio::awaitable<bool> Session::relay_request(Message& message) {
    while (!library_up_ && !finished_) {
        co_await library_event_.wait_until(Clock::time_point::max());
    }
    if (finished_) { co_return false; }
    // The library answers on its only thread, and waits there if nobody takes its answers.
    while (message.wants_reply() && replies_owed_ >= kRepliesOwedMax && !finished_) {
        co_await library_event_.wait_until(Clock::time_point::max());
    }
    if (finished_) { co_return false; }
    if (message.request() == Request::kSetMemTable) { guard_files(message, port_.guard); }
    if (!handshake_.record(message)) {
        finish({Kind::kRefused, RefuseReason::kBadFds, "the daemon has no descriptors left"});
        co_return false;
    }
    const bool wants_reply = message.wants_reply();
    if (wants_reply) { ++replies_owed_; }
    const auto channel =
        library_;  // Should the library be replaced meanwhile, this one only fails.
    const auto end = co_await channel->write(message);
    if (end.refused()) {
        finish({Kind::kLibraryGone, {}, "the library: " + end.refusal.text});
    } else if (!end.done() && wants_reply) {
        finish({Kind::kLibraryGone, {}, "the library left before it answered"});
    }
    co_return !finished_;
}

// The library would put a frame among the guest's own, where SpoofGuard judges it. The switch
// announces a vNIC itself, with its addresses, when its device comes up.
asio::awaitable<bool> Session::answer_announce(Message& message) {
    ++counters_.requests;
    ++end_.messages;
    if (!message.wants_reply()) { co_return true; }
    message.header.flags = kFlagVersion | kFlagReply;
    message.set(std::uint64_t{0});
    const auto end = co_await qemu_->write(message);
    if (!end.done()) { finish_by(end, Kind::kPeerGone, "QEMU closed the connection"); }
    co_return end.done();
}

asio::awaitable<void> Session::pump_replies() {
    while (!finished_) {
        Message message;
        const auto channel = library_;
        const auto end = co_await channel->read(message);
        if (finished_) { break; }
        if (end.refused()) {
            const bool slow = end.refusal.reason == RefuseReason::kTimeout;
            finish({slow ? Kind::kLibraryGone : Kind::kRefused, end.refusal.reason,
                    "the library: " + end.refusal.text});
        } else if (!end.done()) {
            while (held_ && released_ && !finished_) {
                co_await released_event_.wait_until(Clock::time_point::max());
            }
            if (!finished_) { co_await replay(); }
        } else {
            co_await relay_reply(message);
        }
    }
    replies_done_ = true;
    replies_event_.notify();
}

asio::awaitable<bool> Session::relay_reply(Message& message) {
    if (replies_of_replay_ > 0) {
        --replies_of_replay_;
        co_return true;
    }
    if (auto refusal = narrow_reply(message, port_.queue_pair_max)) {
        finish({Kind::kRefused, refusal->reason, "the library: " + refusal->text});
        co_return false;
    }
    offer_again(message);
    handshake_.note_reply(message);
    if (replies_owed_ > 0) { --replies_owed_; }
    library_event_.notify();
    answering_ = true;
    const auto end = co_await qemu_->write(message);
    answering_ = false;
    if (!end.done()) {
        finish_by(end, Kind::kPeerGone, "QEMU closed the connection");
        co_return false;
    }
    ++counters_.replies;
    co_return true;
}

void Session::offer_again(Message& message) {
    if (port_.offers == nullptr || message.payload.size() != sizeof(std::uint64_t)) { return; }
    const int pid = qemu_->peer_pid();
    const std::optional<Offer> known = port_.offers->find(port_.name, pid);
    Offer offer = known.value_or(Offer{});
    const auto agree = [&](std::uint64_t& before, bool is_number) {
        const auto now = message.as<std::uint64_t>();
        if (before == 0) { before = now; }
        const bool lacks = is_number ? now < before : (before & ~now) != 0;
        if (lacks) {
            spdlog::warn(
                "port {}: its guest was offered {} {:#x} before, of which there is {:#x} now: it "
                "may not attach again without a restart",
                port_.name, request_name(message.header.request), before, now);
        }
        message.set(is_number ? std::min(before, now) : before & now);
    };
    switch (message.request()) {
        case Request::kGetFeatures: agree(offer.virtio, false); break;
        case Request::kGetProtocolFeatures: agree(offer.protocol, false); break;
        case Request::kGetQueueNum: agree(offer.queue_pairs, true); break;
        default: return;
    }
    if (!known || *known != offer) { port_.offers->note(port_.name, pid, offer); }
}

bool Session::connect_library() {
    auto connected = connect_unix(port_.library_path);
    if (!connected.socket.valid()) {
        finish({Kind::kLibraryGone,
                {},
                "library socket " + port_.library_path + ": " + std::strerror(connected.error)});
        return false;
    }
    library_ = Channel::open(executor_, std::move(connected.socket), check_reply_header);
    library_up_ = true;
    return true;
}

bool Session::may_replay() {
    const auto now = Clock::now();
    while (!replays_.empty() && now - replays_.front() >= kReplayPeriod) { replays_.pop_front(); }
    if (replays_.size() >= kReplayMax) { return false; }
    replays_.push_back(now);
    return true;
}

// False: the session is over, or the pump reads the library's end and tries again.
asio::awaitable<bool> Session::write_handshake() {
    const auto messages = handshake_.messages();
    replies_of_replay_ = 0;
    if (!messages) {
        finish({Kind::kRefused, RefuseReason::kBadFds, "the daemon has no descriptors left"});
    }
    const auto channel = library_;
    for (std::size_t i = 0; messages && i < messages->size() && !finished_; ++i) {
        const Message& message = (*messages)[i];
        if (message.request() == Request::kSetMemTable) { guard_files(message, port_.guard); }
        const auto end = co_await channel->write(message);
        if (!end.done()) { co_return false; }
        if (message.wants_reply()) { ++replies_of_replay_; }
    }
    co_return !finished_;
}

// What another process has passed on is judged like what QEMU says itself. A library that leaves
// meanwhile is up to the pump of replies.
asio::awaitable<bool> Session::take_over(std::vector<Message> said) {
    library_up_ = false;
    for (const Message& message : said) {
        auto refusal = check_request_header(message.header);
        if (!refusal) { refusal = check_request(message, port_.queue_pair_max); }
        if (refusal) {
            finish({Kind::kRefused, refusal->reason, std::move(refusal->text)});
        } else if (!handshake_.record(message)) {
            finish({Kind::kRefused, RefuseReason::kBadFds, "the daemon has no descriptors left"});
        }
        if (finished_) { co_return false; }
    }
    const bool written = co_await write_handshake();
    if (written) {
        library_up_ = true;
        library_event_.notify();
    }
    co_return !finished_;
}

asio::awaitable<bool> Session::replay() {
    library_up_ = false;
    library_->close();
    if (replies_owed_ > 0) {
        finish({Kind::kLibraryGone, {}, "the library left before it answered"});
    } else if (!std::exchange(released_, false) && !may_replay()) {
        finish({Kind::kLibraryGone, {}, "the library left again after 3 replays within a minute"});
    } else if (connect_library()) {
        library_up_ = false;  // Until the replay is through: requests of QEMU wait behind it.
        const bool written = co_await write_handshake();
        if (!written) { co_return false; }
    }
    if (finished_) { co_return false; }
    ++counters_.replays;
    spdlog::warn("port {}: the library closed its connection; handshake replayed", port_.name);
    library_up_ = true;
    library_event_.notify();
    co_return true;
}

}  // namespace sluice::relay
