// SPDX-License-Identifier: Apache-2.0
// What both kinds of link share: the life of a session, its end's consequences, state and counters.
#include "relay/link.h"

#include <algorithm>
#include <ctime>

namespace sluice::relay {
namespace {

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::gmtime_r(&now, &parts);
    char text[32];
    const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return {text, size};
}

}  // namespace

milliseconds Backoff::next(Clock::duration session) noexcept {
    const bool anew = pause_ == milliseconds{0} || session >= kBackoffForget;
    pause_ = anew ? kBackoffFirst : std::min(pause_ * 2, kBackoffMax);
    return pause_;
}

bool LogBudget::take(Clock::time_point now) noexcept {
    if (now - period_start_ >= kLogPeriod) {
        period_start_ = now;
        lines_ = 0;
    }
    return lines_++ < kLogLinesMax;
}

Link::Link(const asio::any_io_executor& executor, RelayPort port, RelayObserver observer)
    : executor_(executor),
      port_(std::move(port)),
      wake_(executor),
      observer_(std::move(observer)) {}

void Link::start() {
    spawn(executor_, [](std::shared_ptr<Link> self) -> asio::awaitable<void> {
        co_await self->run();
    }(shared_from_this()));
}

void Link::stop() {
    stopped_ = true;
    observer_ = nullptr;
    if (session_) { session_->finish({SessionEnd::Kind::kStopped, {}, "the port was removed"}); }
    on_stop();
    wake_.notify();
}

bool Link::drop(const std::string& why) {
    if (!session_) { return false; }
    session_->finish({SessionEnd::Kind::kRefused, RefuseReason::kDropped, why});
    return true;
}

bool Link::replay() {
    if (!session_) { return false; }
    session_->reconnect_library();
    return true;
}

RelayState Link::state() const { return {phase_, text_, peer_pid_, counters_}; }

void Link::set_state(RelayPhase phase, std::string text, int peer_pid) {
    if (phase == phase_ && text == text_) { return; }
    phase_ = phase;
    text_ = std::move(text);
    peer_pid_ = peer_pid;
    if (observer_) { observer_(port_.name, state()); }
}

void Link::hold() {
    held_ = true;
    if (session_) { session_->hold(); }
    on_hold();
    wake_.notify();
}

HandedPort Link::hand_over() {
    HandedPort handed;
    if (session_ && session_->is_quiet()) { handed = session_->hand_over(); }
    handed.listener = copy_listener();
    return handed;
}

void Link::release_library() {
    if (session_) { session_->release_library(); }
}

void Link::resume() {
    held_ = false;
    if (session_) { session_->resume(); }
    wake_.notify();
}

asio::awaitable<Pause> Link::attend(Fd qemu, std::vector<Message> said) {
    const auto begin = Clock::now();
    attending_ = true;
    session_ = std::make_shared<Session>(executor_, port_, counters_);
    if (held_) { session_->hold(); }
    std::function<void(int)> attached = [this](int pid) {
        if (may_log()) {
            spdlog::info("port {}: attached to pid {} at {}", port_.name, pid, port_.socket_path);
        }
        set_state(RelayPhase::kAttached, fmt::format("attached to pid {} since {}", pid, utc_now()),
                  pid);
    };
    const auto end = co_await session_->run(std::move(qemu), std::move(said), std::move(attached));
    session_.reset();
    attending_ = false;
    co_return settle(end, Clock::now() - begin);
}

// A peer that misbehaved, said nothing at all, or came without a library waits; one that just left
// does not.
Pause Link::settle(const SessionEnd& end, Clock::duration length) {
    const bool refused = end.kind == SessionEnd::Kind::kRefused;
    const bool empty = end.kind == SessionEnd::Kind::kPeerGone && end.messages == 0;
    if (refused) { ++counters_.refused[static_cast<std::size_t>(end.reason)]; }
    if (may_log() && !stopped_) {
        spdlog::log(refused ? spdlog::level::warn : spdlog::level::info, "port {}: detached: {}{}",
                    port_.name, refused ? "refused: " : "", end.text);
    }
    if (end.kind == SessionEnd::Kind::kPeerGone && !empty) {
        backoff_.reset();
        return {kReturnPause, kReturnPause};
    }
    const milliseconds pause = backoff_.next(length);
    const bool library = end.kind == SessionEnd::Kind::kLibraryGone;
    set_state(library ? RelayPhase::kDown : RelayPhase::kBackingOff,
              fmt::format("{}{}; next attempt in {} ms", refused ? "refused: " : "", end.text,
                          pause.count()));
    return {refused ? kBackoffFirst : kReturnPause, pause};
}

}  // namespace sluice::relay
