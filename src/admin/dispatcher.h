// SPDX-License-Identifier: Apache-2.0
// From a request line to an answer line: finds the method, checks the peer's right, runs the
// handler, audits changes. Knows nothing of sockets. Large texts are parsed and written on one
// helper thread, so that the control loop never stands still for them. Control thread, but for
// that.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <utility>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "change_queue.h"
#include "jsonrpc.h"
#include "limits.h"
#include "peer.h"

namespace sluice::admin {

/// Answers one call. `params` is an object and outlives the call, as does the peer. Runs on the
/// control thread and may co_await. An Error goes to the caller as it is; an exception is caught
/// and answered as an internal error.
using Handler = std::function<boost::asio::awaitable<Result<nlohmann::json>>(
    const nlohmann::json& params, const Peer& peer)>;
/// The same for a handler that never waits.
using PlainHandler =
    std::function<Result<nlohmann::json>(const nlohmann::json& params, const Peer& peer)>;

/// What is written down about one call of a changing method, refused ones included.
struct AuditRecord {
    std::string method;  ///< With what it is about, if its subject says: "edit (add rule app/r1)".
    Peer peer;
    std::string result;  ///< "ok", or the code and sentence of the error.
};
/// What a call is about, in a few words for the audit log; the parameters may be anything.
using Subject = std::function<std::string(const nlohmann::json& params)>;
using AuditSink = std::function<void(const AuditRecord&)>;

/// Default sink: one line to the log at whatever level that is, "audit: apply by uid 0 pid 812:
/// ok". Control characters become question marks.
void log_audit(const AuditRecord& record);

/// The method table and what runs it. Kept alive by every connection that uses it. It brings one
/// method itself: `methods`, the list of them all with what they may do.
class Dispatcher {
public:
    Dispatcher(const boost::asio::any_io_executor& executor, const Limits& limits, AuditSink audit);

    /// Names are words joined by dots. Adding a name twice is a programmer's error.
    void add(std::string method, Access access, Handler handler, Subject subject = {});
    void add(std::string method, Access access, PlainHandler handler);

    /// The answer to one line without its newline; empty for notifications, which are executed all
    /// the same.
    [[nodiscard]] boost::asio::awaitable<std::string> answer(std::string line, const Peer& peer);

    /// In which changes wait for each other; for changes that come from elsewhere.
    [[nodiscard]] std::shared_ptr<ChangeQueue> changes() const { return changes_; }

    /// Waits for the helper thread and does without it from then on. Before the io_context goes.
    void stop_helper();

private:
    struct Method {
        Access access;
        Handler handler;
        Subject subject;
    };
    struct Outcome {
        int failure = 0;  // 0: `result` holds; else a JSON-RPC code and `error`.
        Error error;
        nlohmann::json result;
    };

    [[nodiscard]] nlohmann::json method_list() const;
    template <typename T>
    boost::asio::awaitable<T> on_helper(std::function<T()> work);
    void free_on_helper(nlohmann::json value);
    boost::asio::awaitable<std::variant<Request, Refusal>> parse(std::string line);
    boost::asio::awaitable<Outcome> call(const Request& request, const Peer& peer);
    boost::asio::awaitable<Outcome> call_change(const Method& method, const Request& request,
                                                const Peer& peer);
    boost::asio::awaitable<Outcome> run(const Method& method, const Request& request,
                                        const Peer& peer);
    static Outcome finished(Result<nlohmann::json> result);
    static Outcome failed(int code, Errc kind, std::string message);
    boost::asio::awaitable<std::string> write(nlohmann::json id, Outcome outcome);
    [[nodiscard]] std::string bounded(const nlohmann::json& id, std::string line) const;
    void audit(std::string method, const Peer& peer, const Outcome& outcome) const;

    Limits limits_;
    AuditSink audit_;
    std::map<std::string, Method, std::less<>> methods_;
    std::shared_ptr<ChangeQueue> changes_;
    boost::asio::thread_pool helper_{1};
    bool helped_ = true;
};

}  // namespace sluice::admin
