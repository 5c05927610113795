// SPDX-License-Identifier: Apache-2.0
// See client.h.
#include "privileged/client.h"

namespace sluice::privileged {
namespace {

namespace asio = relay::asio;
using relay::error_code;
using relay::into;

constexpr std::chrono::seconds kPatience{5};

std::string text_of(const Answer& answer) {
    const auto end = std::find(answer.message.begin(), answer.message.end(), '\0');
    return {answer.message.begin(), end};
}

Errc code_of(const Answer& answer) {
    return answer.error <= static_cast<std::uint32_t>(Errc::kState)
               ? static_cast<Errc>(answer.error)
               : Errc::kIo;
}

}  // namespace

HelperClient::HelperClient(asio::io_context& io, relay::Fd socket) : io_(io), stream_(io) {
    if (!socket.valid()) { return; }
    stream_.assign(socket.release());
    auto reader = read_answers();
    relay::spawn(io.get_executor(), std::move(reader));
}

void HelperClient::stop() {
    error_code ignored;
    stream_.close(ignored);
}

asio::awaitable<void> HelperClient::read_answers() {
    while (stream_.is_open()) {
        error_code ec;
        co_await stream_.async_wait(asio::posix::stream_descriptor::wait_read, into(ec));
        if (ec || !stream_.is_open()) { co_return; }
        if (!drain()) { break; }
    }
    spdlog::critical("the privileged helper has ended: kernel ports can't be made any more");
    stop();
    for (auto& [id, pending] : pending_) { pending->answered.cancel(); }
}

bool HelperClient::drain() {
    for (;;) {
        Answer answer;
        relay::Fd descriptor;
        const Received received =
            receive_message(stream_.native_handle(), answer, descriptor, false);
        if (received == Received::kEnd) { return false; }
        if (received == Received::kNothing) { return true; }
        const auto at = pending_.find(answer.id);
        if (received == Received::kBroken || at == pending_.end()) { continue; }
        Pending& pending = *at->second;
        pending.answer = answer;
        pending.descriptor = std::move(descriptor);
        pending.is_answered = true;
        pending.answered.cancel();
    }
}

asio::awaitable<Result<MadeInterface>> HelperClient::ask(Operation operation, std::uint32_t index,
                                                         InterfaceSpec spec) {
    const std::uint64_t id = ++last_id_;
    const Request request = make_request(id, operation, index, spec);
    if (!stream_.is_open() || !send_message(stream_.native_handle(), request)) {
        co_return Error{Errc::kIo, "the privileged helper does not take requests", ""};
    }
    Pending pending(io_);
    pending_.emplace(id, &pending);
    pending.answered.expires_after(kPatience);
    error_code ignored;
    co_await pending.answered.async_wait(into(ignored));
    pending_.erase(id);
    if (!pending.is_answered) {
        co_return Error{Errc::kIo, "the privileged helper did not answer", ""};
    }
    if (pending.answer.failed != 0) {
        co_return Error{code_of(pending.answer), text_of(pending.answer), ""};
    }
    co_return MadeInterface{std::move(pending.descriptor), pending.answer.index,
                            pending.answer.netns_inode};
}

asio::awaitable<Result<MadeInterface>> HelperClient::open(InterfaceSpec spec) {
    Result<MadeInterface> made = co_await ask(Operation::kOpen, 0, std::move(spec));
    if (made && !made.value().tap.valid()) {
        co_return Error{Errc::kIo, "the privileged helper sent no descriptor", ""};
    }
    co_return std::move(made);
}

asio::awaitable<Status> HelperClient::configure(InterfaceSpec spec, std::uint32_t index) {
    const Result<MadeInterface> done = co_await ask(Operation::kConfigure, index, std::move(spec));
    if (!done) { co_return done.error(); }
    co_return Ok{};
}

}  // namespace sluice::privileged
