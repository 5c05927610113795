// SPDX-License-Identifier: Apache-2.0
// Client: one database of an OVSDB server or cluster, replicated as far as its interest goes, and
// changed by transactions (RFC 7047, ovsdb-server(7)). All on the executor of its io_context.
//
//   state        until
//   kIdle        start()
//   kConnecting  the transport (and TLS) stands, and `_Server` says that the database is there,
//                connected to its cluster (and, with leader_only, that this server leads it)
//   kSyncing     the reply of monitor_cond_since
//   kLive        the connection breaks, the server falls silent (echo), or leaves its cluster
//   kBackoff     a jittered wait, 0.1 s doubled up to 8 s; then the next remote of a shuffled list
//
// The replica outlives connections. Coming back, the client asks from the last transaction that it
// knows; a server that does not know it sends everything, and the client reports what differs: a
// row that is as it was is never reported. Whatever a server sends, the client does not crash and
// takes no more than kOvsdbMessageMax bytes a message: it drops the connection with a reason.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/ovsdb/interest.h"
#include "controller-agent/ovsdb/remote.h"
#include "controller-agent/ovsdb/value.h"
#include "sluice/base/result.h"

namespace sluice::ovsdb {

enum class ClientState : std::uint8_t { kIdle, kConnecting, kSyncing, kLive, kBackoff };
[[nodiscard]] const char* to_text(ClientState state);

/// How a transaction ended.
enum class Outcome : std::uint8_t {
    kCommitted,
    kRefused,  ///< By the server, whole: `error` says why, `refusal` with RFC 7047's word.
    kNotSent,  ///< Too many wait already, or the client was stopped: it changed nothing.
    kUnknown,  ///< Sent, and the connection broke before the answer: look at the replica.
};

struct TransactResult {
    Outcome outcome = Outcome::kNotSent;
    std::string refusal;     ///< "constraint violation", "timed out", "not leader"...
    std::string error;       ///< A sentence.
    nlohmann::json results;  ///< One a operation, if committed.
};

struct ClientOptions {
    std::vector<Remote> remotes;
    std::string database;
    TlsFiles tls;
    bool leader_only = false;  ///< For writers of a cluster that must not read an old state.
    std::chrono::milliseconds probe_interval{5000};  ///< Of echo; silence twice as long ends it.
    std::uint64_t seed = 0;                          ///< Of shuffling and jitter.
    std::chrono::milliseconds pause_min{100};        ///< Between connections, at first.
    std::chrono::milliseconds pause_max{8000};
};

/// What the owner is told. Never called from within a call of the client.
struct ClientEvents {
    /// `why`: one sentence; empty where nothing went wrong.
    std::function<void(ClientState state, const std::string& why)> on_state;
    /// Rows that differ from those of the last call, in one batch a transaction. `is_complete`: the
    /// replica is what the database holds (false between a changed interest and its rows).
    std::function<void(const std::vector<RowChange>& changes, bool is_complete)> on_change;
    /// The lock asked for was won or lost. Losing the connection loses it without a word.
    std::function<void(bool has)> on_lock = {};
};

class Client {
public:
    Client(boost::asio::io_context& io, ClientOptions options, ClientEvents events);
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void start();
    /// Closes the connection; transactions that wait end with kNotSent or kUnknown. Idempotent.
    void stop();

    /// The servers of the database are others now; a connection to one of them stays.
    void set_remotes(std::vector<Remote> remotes);
    /// Also while live: monitor_cond_change of the tables whose condition differs (same tables and
    /// columns; another set of tables monitors anew).
    void set_interest(std::vector<Interest> interest);

    /// Operations of RFC 7047 §5.2, without the database's name. At most kOvsdbInFlightMax are in
    /// flight, kOvsdbQueueMax wait; they are sent once live.
    [[nodiscard]] boost::asio::awaitable<TransactResult> transact(nlohmann::json operations);

    /// Asks for a lock of the server (RFC 7047 §4.1.8), again after each reconnection.
    void lock(std::string name);
    [[nodiscard]] bool has_lock() const noexcept;

    [[nodiscard]] ClientState state() const noexcept;
    [[nodiscard]] const Tables& tables() const noexcept;
    /// True once the replica was complete, and still holds that state.
    [[nodiscard]] bool was_complete() const noexcept;
    /// The remote that it is, or was last, connected to; empty: none yet.
    [[nodiscard]] std::string remote() const;
    /// Of the cluster, if the server tells: another one is a database that was made anew.
    [[nodiscard]] std::string cluster_id() const;

private:
    class Session;
    std::shared_ptr<Session> session_;
};

}  // namespace sluice::ovsdb
