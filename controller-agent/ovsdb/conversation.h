// SPDX-License-Identifier: Apache-2.0
// Conversation: what is said over one connection to an OVSDB server, without the connection: parsed
// messages in, messages out. The Session (session.h) owns sockets, timers and queues, and makes a
// new conversation for each connection; Memory is what one leaves to the next. Any bytes of a
// server may come in: handle() answers with an error, and the connection is dropped.
//
//   1. `_Server`: the row of the database, its schema, and the index of its log. Not there, not
//   connected, not
//      the leader, behind what was seen: an error.
//   2. monitor_cond_since, from the last transaction known, with the conditions that the rows held
//      reflect; from nothing if these are unknown, the tables are others, or the database is.
//   3. live: update3, monitor_cond_change one at a time, transactions, locks.
//
// One owner, no I/O, no time.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/ovsdb/interest.h"
#include "controller-agent/ovsdb/replica.h"
#include "sluice/base/result.h"

namespace sluice::ovsdb {

/// What a client knows over all its connections.
struct Memory {
    Replica replica;
    std::string schema_text;
    std::string last_transaction;  ///< Empty: ask for everything.
    InterestMap shown;             ///< What the replica's rows reflect.
    bool was_complete = false;
    std::string cluster_id;
    std::int64_t index_min = 0;       ///< Of the log: an older state was overtaken.
    std::uint32_t stale_refused = 0;  ///< Servers turned away for that, in a row.
};

/// Where a conversation's results go. Called from within handle().
class ConversationSink {
public:
    virtual ~ConversationSink() = default;
    virtual void send(const nlohmann::json& message) = 0;
    virtual void on_syncing() = 0;
    virtual void on_live() = 0;
    virtual void on_rows(const std::vector<RowChange>& changes, bool is_complete) = 0;
    virtual void on_answer(std::uint64_t id, const nlohmann::json& result,
                           const nlohmann::json& error) = 0;
    virtual void on_lock(bool has) = 0;
};

class Conversation {
public:
    struct Options {
        std::string database;
        bool leader_only = false;
    };

    /// All outlive the conversation.
    Conversation(Options options, Memory& memory, ConversationSink& sink)
        : options_(std::move(options)), memory_(memory), sink_(sink) {}

    void open(InterestMap wanted);
    /// An error is the reason to drop the connection.
    [[nodiscard]] Status handle(const nlohmann::json& message);
    [[nodiscard]] Status set_interest(InterestMap wanted);
    /// Once live. @return the id with which on_answer() is called.
    std::uint64_t transact(nlohmann::json operations);
    void lock(const std::string& name);
    void probe();
    /// From time to time while live: asks how far the server's log is, if there was news.
    void note_index();
    /// Leaves to the memory what the next conversation may build on.
    void close();
    [[nodiscard]] bool is_live() const noexcept { return is_live_; }

private:
    enum class Asked : std::uint8_t {
        kNothing,  ///< The answer does not matter.
        kServer,
        kSchema,
        kIndex,
        kRows,
        kCondition,
        kTransaction,
        kLock,
    };

    std::uint64_t ask(Asked what, const char* method, nlohmann::json params);
    [[nodiscard]] Status handle_request(const nlohmann::json& message);
    [[nodiscard]] Status handle_answer(const nlohmann::json& message);
    [[nodiscard]] Status handle_answer(Asked what, const nlohmann::json& result);
    [[nodiscard]] Status handle_update(const nlohmann::json& params);
    [[nodiscard]] Status read_server(const nlohmann::json& updates);
    [[nodiscard]] Status read_index(const nlohmann::json& result);
    [[nodiscard]] Status read_rows(const nlohmann::json& result);
    [[nodiscard]] Status check_server();
    [[nodiscard]] Status read_schema(const nlohmann::json& result);
    [[nodiscard]] Status check_interest() const;
    [[nodiscard]] Status begin();
    [[nodiscard]] Status monitor();
    [[nodiscard]] Status change_conditions();
    void remember(const std::string& transaction);
    void ask_index();
    void tell_rows(const std::vector<RowChange>& changes);
    [[nodiscard]] Row server_row() const;

    Options options_;
    Memory& memory_;
    ConversationSink& sink_;
    InterestMap wanted_;
    InterestMap asked_;  ///< Of the monitor request or condition change that is in flight.
    Replica server_;     ///< Of `_Server`.
    Schema schema_;
    std::map<std::uint64_t, Asked> pending_;
    std::uint64_t last_id_ = 0;
    std::uint64_t monitor_count_ = 0;
    std::string monitor_;  ///< Name of the monitor; empty: none yet.
    std::int64_t index_ = 0;
    bool has_row_ = false;
    bool has_schema_ = false;
    bool has_index_ = false;
    bool is_index_asked_ = false;
    bool has_news_ = false;
    bool is_live_ = false;
    bool is_changing_ = false;  ///< A monitor request or condition change is in flight.
};

}  // namespace sluice::ovsdb
