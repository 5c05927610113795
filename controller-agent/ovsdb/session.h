// SPDX-License-Identifier: Apache-2.0
// Session: a Client's inside. One coroutine goes from remote to remote; for each connection there
// are two more, one that writes what is queued and one that watches for silence. Shared with its
// coroutines, so that the client may go before they do; after stop() nobody is called any more.
#pragma once

#include <utility>  // Before awaitable.hpp.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "controller-agent/ovsdb/client.h"
#include "controller-agent/ovsdb/connection.h"
#include "controller-agent/ovsdb/conversation.h"

namespace sluice::ovsdb {

class Client::Session : public std::enable_shared_from_this<Client::Session>,
                        private ConversationSink {
public:
    Session(boost::asio::io_context& io, ClientOptions options, ClientEvents events);

    void start();
    void stop();
    void set_remotes(std::vector<Remote> remotes);
    void set_interest(const std::vector<Interest>& interest);
    /// Static: the caller may let go of the client before it waits.
    [[nodiscard]] static boost::asio::awaitable<TransactResult> transact(
        std::shared_ptr<Session> self, nlohmann::json operations);
    void lock(std::string name);

    [[nodiscard]] bool has_lock() const noexcept { return has_lock_; }
    [[nodiscard]] ClientState state() const noexcept { return state_; }
    [[nodiscard]] const Memory& memory() const noexcept { return memory_; }
    [[nodiscard]] const std::string& remote() const noexcept { return remote_; }

private:
    using Clock = std::chrono::steady_clock;

    /// A transaction on its way; its caller waits for `done`.
    struct Transaction {
        explicit Transaction(boost::asio::io_context& io) : done(io, Clock::time_point::max()) {}
        nlohmann::json operations;
        boost::asio::steady_timer done;
        std::optional<TransactResult> result;
    };
    using TransactionPtr = std::shared_ptr<Transaction>;

    /// What lives as long as one connection.
    struct Link {
        Link(boost::asio::io_context& io, const Remote& remote, const TlsFiles& tls)
            : connection(io, remote, tls), wake(io), watch(io) {}
        Connection connection;
        boost::asio::steady_timer wake;   ///< Of the writer.
        boost::asio::steady_timer watch;  ///< Of the watch.
        std::deque<std::string> out;
        std::size_t out_bytes = 0;
        Clock::time_point heard;
        std::string reason;  ///< Why it was closed from here.
        bool is_closed = false;
    };
    using LinkPtr = std::shared_ptr<Link>;

    boost::asio::awaitable<void> run();
    boost::asio::awaitable<Status> serve(LinkPtr link);
    boost::asio::awaitable<Status> read_messages(LinkPtr link);
    boost::asio::awaitable<void> write_messages(LinkPtr link);
    boost::asio::awaitable<void> watch(LinkPtr link);
    boost::asio::awaitable<void> back_off();
    [[nodiscard]] const Remote& next_remote();
    [[nodiscard]] Status handle_bytes(Link& link, std::string_view bytes, class JsonStream& stream);
    void leave(const Link& link);
    void drop(Link& link, const std::string& why);
    void fail_in_flight();
    void enter(ClientState state, const std::string& why = {});
    void send_waiting();
    static void finish(Transaction& transaction, TransactResult result);

    void send(const nlohmann::json& message) override;
    void on_syncing() override;
    void on_live() override;
    void on_rows(const std::vector<RowChange>& changes, bool is_complete) override;
    void on_answer(std::uint64_t id, const nlohmann::json& result,
                   const nlohmann::json& error) override;
    void on_lock(bool has) override;

    boost::asio::io_context& io_;
    ClientOptions options_;
    ClientEvents events_;
    Memory memory_;
    InterestMap wanted_;
    std::optional<Conversation> conversation_;
    LinkPtr link_;
    std::deque<TransactionPtr> waiting_;
    std::map<std::uint64_t, TransactionPtr> in_flight_;
    boost::asio::steady_timer pause_;
    std::mt19937_64 random_;
    std::vector<std::size_t> order_;  ///< Of the remotes in this round.
    std::size_t tried_ = 0;           ///< Of them.
    unsigned rounds_ = 0;             ///< Without success.
    Clock::time_point live_since_;
    std::string lock_name_;
    std::string remote_;
    ClientState state_ = ClientState::kIdle;
    bool has_lock_ = false;
    bool is_started_ = false;
    bool is_stopped_ = false;
};

}  // namespace sluice::ovsdb
