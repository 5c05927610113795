// SPDX-License-Identifier: Apache-2.0
// The client's calls, and the coroutine that goes from remote to remote.
#include "controller-agent/ovsdb/client.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <numeric>
#include <utility>

#include "controller-agent/ovsdb/session.h"

namespace sluice::ovsdb {

namespace asio = boost::asio;
using std::chrono::milliseconds;

namespace {

constexpr std::chrono::seconds kStable{8};  // Live for so long: the next break is a new one.
constexpr unsigned kDoublingMax = 16;

}  // namespace

const char* to_text(ClientState state) {
    switch (state) {
        case ClientState::kIdle: return "idle";
        case ClientState::kConnecting: return "connecting";
        case ClientState::kSyncing: return "syncing";
        case ClientState::kLive: return "live";
        case ClientState::kBackoff: return "backoff";
    }
    return "idle";
}

Client::Session::Session(asio::io_context& io, ClientOptions options, ClientEvents events)
    : io_(io),
      options_(std::move(options)),
      events_(std::move(events)),
      pause_(io),
      random_(options_.seed) {}

void Client::Session::start() {
    if (is_started_ || is_stopped_ || options_.remotes.empty()) { return; }
    is_started_ = true;
    auto loop = [self = shared_from_this()]() { return self->run(); };
    asio::co_spawn(io_, std::move(loop), [](const std::exception_ptr& failure) {
        if (failure) { std::rethrow_exception(failure); }
    });
}

void Client::Session::stop() {
    if (is_stopped_) { return; }
    is_stopped_ = true;
    state_ = ClientState::kIdle;
    pause_.cancel();
    has_lock_ = false;
    if (link_) { drop(*link_, "stopped"); }
    fail_in_flight();
    for (const auto& transaction : std::exchange(waiting_, {})) {
        finish(*transaction, {Outcome::kNotSent, {}, "the client was stopped", {}});
    }
}

asio::awaitable<void> Client::Session::run() {
    while (!is_stopped_) {
        const Remote remote = next_remote();
        remote_ = remote.text();
        enter(ClientState::kConnecting);
        if (is_stopped_) { break; }
        link_ = std::make_shared<Link>(io_, remote, options_.tls);
        const LinkPtr link = link_;
        const Status status = co_await serve(link);
        drop(*link, status.ok() ? std::string() : status.error().message);
        leave(*link);
        if (is_stopped_) { break; }
        co_await back_off();
    }
}

// After the last of the connection's calls: nobody is in the conversation any more.
void Client::Session::leave(const Link& link) {
    if (conversation_) { conversation_->close(); }
    conversation_.reset();
    link_.reset();
    has_lock_ = false;
    if (state_ == ClientState::kLive && Clock::now() - live_since_ >= kStable) { rounds_ = 0; }
    fail_in_flight();
    enter(ClientState::kBackoff, remote_ + ": " + link.reason);
}

const Remote& Client::Session::next_remote() {
    if (tried_ == order_.size()) {
        order_.resize(options_.remotes.size());
        std::iota(order_.begin(), order_.end(), 0U);
        std::shuffle(order_.begin(), order_.end(), random_);
        tried_ = 0;
        ++rounds_;
    }
    return options_.remotes[order_[tried_++]];
}

asio::awaitable<void> Client::Session::back_off() {
    const unsigned doublings = std::min(rounds_ == 0 ? 0U : rounds_ - 1, kDoublingMax);
    const auto longest = std::min(options_.pause_min * (1U << doublings), options_.pause_max);
    std::uniform_int_distribution<milliseconds::rep> pick(longest.count() / 2, longest.count());
    pause_.expires_after(milliseconds(pick(random_)));
    boost::system::error_code ec;
    co_await pause_.async_wait(asio::redirect_error(asio::use_awaitable, ec));
}

void Client::Session::enter(ClientState state, const std::string& why) {
    if (is_stopped_) { return; }
    state_ = state;
    const auto tell = events_.on_state;  // It may stop the client, and with it end what it is of.
    if (tell) { tell(state, why); }
}

void Client::Session::set_remotes(std::vector<Remote> remotes) {
    if (remotes.empty() || remotes == options_.remotes) { return; }
    options_.remotes = std::move(remotes);
    order_.clear();
    tried_ = 0;
    rounds_ = 0;
    pause_.cancel();
    const auto is_ours = [this](const Remote& remote) { return remote.text() == remote_; };
    const auto& now = options_.remotes;
    if (link_ && std::none_of(now.begin(), now.end(), is_ours)) {
        drop(*link_, "it is no remote of the database any more");
    }
}

void Client::Session::set_interest(const std::vector<Interest>& interest) {
    wanted_ = interest_map(interest);
    if (!conversation_) {
        if (memory_.shown != wanted_) { memory_.was_complete = false; }
        return;
    }
    const auto status = conversation_->set_interest(wanted_);
    if (!status.ok()) { drop(*link_, status.error().message); }
}

void Client::Session::lock(std::string name) {
    lock_name_ = std::move(name);
    if (conversation_ && conversation_->is_live()) { conversation_->lock(lock_name_); }
}

Client::Client(asio::io_context& io, ClientOptions options, ClientEvents events)
    : session_(std::make_shared<Session>(io, std::move(options), std::move(events))) {}

Client::~Client() { stop(); }

void Client::start() { session_->start(); }
void Client::stop() { session_->stop(); }
void Client::set_remotes(std::vector<Remote> remotes) { session_->set_remotes(std::move(remotes)); }
void Client::set_interest(std::vector<Interest> interest) { session_->set_interest(interest); }
void Client::lock(std::string name) { session_->lock(std::move(name)); }
bool Client::has_lock() const noexcept { return session_->has_lock(); }
ClientState Client::state() const noexcept { return session_->state(); }
const Tables& Client::tables() const noexcept { return session_->memory().replica.tables(); }
bool Client::was_complete() const noexcept { return session_->memory().was_complete; }
std::string Client::remote() const { return session_->remote(); }
std::string Client::cluster_id() const { return session_->memory().cluster_id; }

// The session lives on in the coroutine if the client goes meanwhile.
asio::awaitable<TransactResult> Client::transact(nlohmann::json operations) {
    return Session::transact(session_, std::move(operations));
}

}  // namespace sluice::ovsdb
