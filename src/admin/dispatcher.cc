// SPDX-License-Identifier: Apache-2.0
// One call from text to text. Exceptions of handlers end in run().
#include "dispatcher.h"

#include <malloc.h>
#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <exception>
#include <utility>

#include "params.h"
#include "sluice/base/assert.h"

namespace sluice::admin {

namespace asio = boost::asio;
using nlohmann::json;

namespace {

template <typename T>
asio::awaitable<T> invoke(std::function<T()> work) {
    co_return work();
}

constexpr std::size_t kAuditTextMax = 1024;  // Bytes of each of an audit line's two texts.

// Control characters could end the line and begin one that nobody wrote.
std::string printable(std::string text) {
    if (text.size() > kAuditTextMax) {
        text.resize(kAuditTextMax);
        text += "...";
    }
    for (char& c : text) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) { c = '?'; }
    }
    return text;
}

}  // namespace

// Whatever the log's level is; and one line, whatever names a peer has made up.
void log_audit(const AuditRecord& record) {
    const auto logger = spdlog::default_logger()->clone("audit");
    logger->set_level(spdlog::level::info);
    logger->info("audit: {} by uid {} pid {}: {}", printable(record.method), record.peer.uid,
                 record.peer.pid, printable(record.result));
    logger->flush();
}

Dispatcher::Dispatcher(const asio::any_io_executor& executor, const Limits& limits, AuditSink audit)
    : limits_(limits), audit_(std::move(audit)), changes_(std::make_shared<ChangeQueue>(executor)) {
    add("methods", Access::kRead, [this](const json& params, const Peer&) -> Result<json> {
        ParamReader read(params);
        if (const Status status = read.finish(); !status.ok()) { return status.error(); }
        return method_list();
    });
}

json Dispatcher::method_list() const {
    json rows = json::array();
    for (const auto& [name, method] : methods_) {
        rows.push_back({{"name", name}, {"changes", method.access == Access::kChange}});
    }
    return rows;
}

void Dispatcher::add(std::string method, Access access, Handler handler, Subject subject) {
    const bool added =
        methods_.emplace(std::move(method), Method{access, std::move(handler), std::move(subject)})
            .second;
    SLUICE_ASSERT(added);
}

void Dispatcher::add(std::string method, Access access, PlainHandler handler) {
    auto plain = std::make_shared<PlainHandler>(std::move(handler));
    Handler waiting = [plain](const json& params,
                              const Peer& peer) -> asio::awaitable<Result<json>> {
        // The closure lives in the method table for as long as the dispatcher.
        co_return (*plain)(params, peer);
    };
    add(std::move(method), access, std::move(waiting));
}

void Dispatcher::stop_helper() {
    helped_ = false;
    helper_.join();
}

// Runs `work` on the helper thread and comes back to the control thread. Callers name the function
// first: g++ 12 destroys a closure twice that is a temporary of a co_await expression.
template <typename T>
asio::awaitable<T> Dispatcher::on_helper(std::function<T()> work) {
    if (!helped_) { co_return work(); }
    auto task = invoke(std::move(work));
    co_return co_await asio::co_spawn(helper_.get_executor(), std::move(task), asio::use_awaitable);
}

// Large values take long to free, too; and the memory of a large document goes back to the system.
void Dispatcher::free_on_helper(json value) {
    if (!helped_ || !has_values(value, kHelperAnswerValueCount)) { return; }
    auto doomed = std::make_shared<json>(std::move(value));
    asio::post(helper_, [doomed] {
        *doomed = nullptr;
        ::malloc_trim(0);
    });
}

asio::awaitable<std::string> Dispatcher::answer(std::string line, const Peer& peer) {
    auto parsed = co_await parse(std::move(line));
    if (const auto* refusal = std::get_if<Refusal>(&parsed); refusal != nullptr) {
        if (!refusal->answered) { co_return ""; }
        co_return error_line(refusal->id, refusal->code, refusal->error);
    }
    auto& request = std::get<Request>(parsed);
    Outcome outcome = co_await call(request, peer);
    free_on_helper(std::move(request.params));
    if (!request.id.has_value()) { co_return ""; }
    co_return co_await write(std::move(*request.id), std::move(outcome));
}

asio::awaitable<std::variant<Request, Refusal>> Dispatcher::parse(std::string line) {
    if (line.size() < kHelperRequestSize) { co_return parse_request(line); }
    auto text = std::make_shared<const std::string>(std::move(line));
    std::function<std::variant<Request, Refusal>()> work = [text] { return parse_request(*text); };
    co_return co_await on_helper(std::move(work));
}

asio::awaitable<Dispatcher::Outcome> Dispatcher::call(const Request& request, const Peer& peer) {
    const auto found = methods_.find(request.method);
    if (found == methods_.end()) {
        co_return failed(kMethodNotFound, Errc::kNotFound,
                         "method \"" + request.method + "\" does not exist");
    }
    const Method& method = found->second;
    if (method.access == Access::kRead) { co_return co_await run(method, request, peer); }
    Outcome outcome = co_await call_change(method, request, peer);
    const std::string about = method.subject ? " (" + method.subject(request.params) + ")" : "";
    audit(request.method + about, peer, outcome);
    co_return outcome;
}

asio::awaitable<Dispatcher::Outcome> Dispatcher::call_change(const Method& method,
                                                             const Request& request,
                                                             const Peer& peer) {
    if (!peer.may_change) {
        co_return failed(kMethodFailed, Errc::kDenied,
                         request.method + ": uid " + std::to_string(peer.uid) +
                             " may only read: expected root or a member of group sluice");
    }
    const auto turn = co_await changes_->enter();
    co_return co_await run(method, request, peer);
}

asio::awaitable<Dispatcher::Outcome> Dispatcher::run(const Method& method, const Request& request,
                                                     const Peer& peer) {
    try {
        auto result = co_await method.handler(request.params, peer);
        co_return finished(std::move(result));
    } catch (const std::exception& error) {
        spdlog::error("admin: {}: unexpected exception: {}", request.method, error.what());
        co_return failed(kInternalError, Errc::kState,
                         request.method + ": internal error: " + error.what());
    }
}

Dispatcher::Outcome Dispatcher::finished(Result<json> result) {
    if (result.ok()) { return {0, {}, std::move(result).value()}; }
    const int code = result.error().object == kParamsObject ? kInvalidParams : kMethodFailed;
    return {code, result.error(), nullptr};
}

Dispatcher::Outcome Dispatcher::failed(int code, Errc kind, std::string message) {
    return {code, Error{kind, std::move(message), ""}, nullptr};
}

asio::awaitable<std::string> Dispatcher::write(json id, Outcome outcome) {
    if (outcome.failure != 0) { co_return error_line(id, outcome.failure, outcome.error); }
    if (!has_values(outcome.result, kHelperAnswerValueCount)) {
        co_return bounded(id, result_line(id, outcome.result));
    }
    auto result = std::make_shared<json>(std::move(outcome.result));
    std::function<std::string()> work = [id, result] {
        auto text = result_line(id, *result);
        *result = nullptr;  // Freed here rather than on the control thread.
        return text;
    };
    std::string line = co_await on_helper(std::move(work));
    co_return bounded(id, std::move(line));
}

std::string Dispatcher::bounded(const json& id, std::string line) const {
    if (line.size() <= limits_.answer_size_max) { return line; }
    const std::string message = "answer of " + std::to_string(line.size()) +
                                " bytes is over the limit of " +
                                std::to_string(limits_.answer_size_max) + ": ask for less at once";
    return error_line(id, kMethodFailed, Error{Errc::kLimit, message, ""});
}

void Dispatcher::audit(std::string method, const Peer& peer, const Outcome& outcome) const {
    const std::string result = outcome.failure == 0 ? "ok"
                                                    : std::string(to_string(outcome.error.code)) +
                                                          ": " + outcome.error.message;
    audit_({std::move(method), peer, result});
}

}  // namespace sluice::admin
