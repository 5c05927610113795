// SPDX-License-Identifier: Apache-2.0
// One connection's coroutines, and what the conversation on it says.
#include "controller-agent/ovsdb/session.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "controller-agent/ovsdb/json_stream.h"

namespace sluice::ovsdb {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

constexpr std::size_t kReadBytes = 65536;
constexpr std::size_t kOutMax = 1U << 20U;  // A server that reads nothing gets no more answers.
constexpr int kSyncPatience = 6;            // Probe intervals that rows may take.
constexpr int kPatience = 2;

void rethrow(const std::exception_ptr& failure) {
    if (failure) { std::rethrow_exception(failure); }
}

bool is_error(const json& result) { return result.is_object() && result.contains("error"); }

std::string text_of(const json& object, const char* name) {
    const auto found = object.find(name);
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

TransactResult refused(const json& error) {
    TransactResult made{Outcome::kRefused, {}, {}, {}};
    if (error.is_string()) { made.refusal = error.get<std::string>(); }
    if (error.is_object()) { made.refusal = text_of(error, "error"); }
    const auto details = error.is_object() ? text_of(error, "details") : std::string();
    made.error = details.empty() ? made.refusal : made.refusal + ": " + details;
    // The server gave up waiting for what it had begun: a schema change, or the database is gone.
    if (made.refusal == "canceled") { made.outcome = Outcome::kUnknown; }
    return made;
}

TransactResult result_of(const json& result, const json& error) {
    if (!error.is_null()) { return refused(error); }
    if (!result.is_array()) {
        return {Outcome::kUnknown, {}, "the server answered in another form", {}};
    }
    const auto failed = std::find_if(result.begin(), result.end(), is_error);
    if (failed != result.end()) { return refused(*failed); }
    return {Outcome::kCommitted, {}, {}, result};
}

}  // namespace

asio::awaitable<Status> Client::Session::serve(LinkPtr link) {
    link->heard = Clock::now();
    auto watching = [self = shared_from_this(), link]() { return self->watch(link); };
    asio::co_spawn(io_, std::move(watching), rethrow);
    const Status connected = co_await link->connection.connect();
    if (!connected.ok() || link->is_closed) { co_return connected; }
    link->heard = Clock::now();
    auto writing = [self = shared_from_this(), link]() { return self->write_messages(link); };
    asio::co_spawn(io_, std::move(writing), rethrow);
    conversation_.emplace(Conversation::Options{options_.database, options_.leader_only}, memory_,
                          static_cast<ConversationSink&>(*this));
    conversation_->open(wanted_);
    co_return co_await read_messages(link);
}

asio::awaitable<Status> Client::Session::read_messages(LinkPtr link) {
    JsonStream stream;
    std::vector<char> buffer(kReadBytes);
    Status status = Ok{};
    while (status.ok() && !link->is_closed) {
        const auto count = co_await link->connection.read(asio::buffer(buffer));
        if (!count.ok()) { co_return count.error(); }
        link->heard = Clock::now();
        status = handle_bytes(*link, {buffer.data(), count.value()}, stream);
    }
    co_return status;
}

// A message's events may stop the client, or drop the connection.
Status Client::Session::handle_bytes(Link& link, std::string_view bytes, JsonStream& stream) {
    while (!bytes.empty() && !link.is_closed) {
        const auto message = stream.next(bytes);
        if (!message.ok()) { return message.error(); }
        if (!message.value()) { continue; }
        auto status = conversation_->handle(*message.value());
        if (!status.ok()) { return status; }
    }
    return Ok{};
}

asio::awaitable<void> Client::Session::write_messages(LinkPtr link) {
    while (!link->is_closed) {
        if (link->out.empty()) {
            boost::system::error_code ec;
            link->wake.expires_at(Clock::time_point::max());
            co_await link->wake.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            continue;
        }
        const std::string text = std::move(link->out.front());
        link->out.pop_front();
        link->out_bytes -= text.size();
        const Status status = co_await link->connection.write(asio::buffer(text));
        if (!status.ok()) { drop(*link, status.error().message); }
    }
}

// Silence of one interval is asked about, of two is the end; rows may take longer to be found.
asio::awaitable<void> Client::Session::watch(LinkPtr link) {
    while (!link->is_closed) {
        boost::system::error_code ec;
        link->watch.expires_after(options_.probe_interval / 2);
        co_await link->watch.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        if (link->is_closed) { break; }
        const auto silence = Clock::now() - link->heard;
        const int patience = state_ == ClientState::kSyncing ? kSyncPatience : kPatience;
        if (silence >= options_.probe_interval * patience) {
            drop(*link, "the server was silent for too long");
        } else if (conversation_) {
            conversation_->note_index();
            if (silence >= options_.probe_interval) { conversation_->probe(); }
        }
    }
}

void Client::Session::drop(Link& link, const std::string& why) {
    if (link.is_closed) { return; }
    link.is_closed = true;
    link.reason = why;
    link.wake.cancel();
    link.watch.cancel();
    link.connection.close();
}

void Client::Session::fail_in_flight() {
    for (const auto& [id, transaction] : std::exchange(in_flight_, {})) {
        finish(*transaction, {Outcome::kUnknown, {}, "the connection broke before the answer", {}});
    }
}

asio::awaitable<TransactResult> Client::Session::transact(std::shared_ptr<Session> self,
                                                          json operations) {
    if (self->is_stopped_ || self->waiting_.size() >= kOvsdbQueueMax) {
        const char* why =
            self->is_stopped_ ? "the client was stopped" : "too many transactions wait";
        co_return TransactResult{Outcome::kNotSent, {}, why, {}};
    }
    const auto transaction = std::make_shared<Transaction>(self->io_);
    transaction->operations = std::move(operations);
    self->waiting_.push_back(transaction);
    self->send_waiting();
    while (!transaction->result) {
        boost::system::error_code ec;
        co_await transaction->done.async_wait(asio::redirect_error(asio::use_awaitable, ec));
    }
    co_return std::move(*transaction->result);
}

void Client::Session::send_waiting() {
    while (conversation_ && conversation_->is_live() && !waiting_.empty() &&
           in_flight_.size() < kOvsdbInFlightMax) {
        const TransactionPtr next = std::move(waiting_.front());
        waiting_.pop_front();
        in_flight_.emplace(conversation_->transact(std::move(next->operations)), next);
    }
}

void Client::Session::finish(Transaction& transaction, TransactResult result) {
    transaction.result = std::move(result);
    transaction.done.cancel();
}

void Client::Session::send(const json& message) {
    if (!link_ || link_->is_closed) { return; }
    if (link_->out_bytes > kOutMax && message.contains("result")) { return; }
    link_->out.push_back(message.dump(-1, ' ', false, json::error_handler_t::replace));
    link_->out_bytes += link_->out.back().size();
    link_->wake.cancel();
}

void Client::Session::on_syncing() { enter(ClientState::kSyncing); }

void Client::Session::on_live() {
    live_since_ = Clock::now();
    tried_ = order_.size();  // After a break any remote may be the next, this one too.
    if (!lock_name_.empty()) { conversation_->lock(lock_name_); }
    send_waiting();
    enter(ClientState::kLive);
}

void Client::Session::on_rows(const std::vector<RowChange>& changes, bool is_complete) {
    const auto tell = events_.on_change;
    if (tell && !is_stopped_) { tell(changes, is_complete); }
}

void Client::Session::on_answer(std::uint64_t id, const json& result, const json& error) {
    const auto found = in_flight_.find(id);
    if (found == in_flight_.end()) { return; }
    finish(*found->second, result_of(result, error));
    in_flight_.erase(found);
    send_waiting();
}

void Client::Session::on_lock(bool has) {
    has_lock_ = has;
    const auto tell = events_.on_lock;
    if (tell && !is_stopped_) { tell(has); }
}

}  // namespace sluice::ovsdb
