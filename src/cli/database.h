// SPDX-License-Identifier: Apache-2.0
// A fleet's database as commands use it: opened, read whole, changed, waited for; each call blocks
// until it is done or out of time. One thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "controller-agent/ovsdb/client.h"
#include "failure.h"

namespace sluice::cli {

/// `--db` and what belongs to it.
struct DatabaseOptions {
    std::string remotes;         ///< Of Sluice_Config; empty: the command asks the daemon.
    std::string status_remotes;  ///< Of Sluice_Status; empty: those that Sluice_Config names.
    std::string private_key, certificate, ca_certificate;
};

class Database {
public:
    using Clock = std::chrono::steady_clock;

    /// @param deadline  of everything that is done with it
    Database(std::string name, Clock::time_point deadline)
        : name_(std::move(name)), deadline_(deadline) {}
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    /// Connects and reads the tables. Failure "io" if no server can be reached in ten seconds (one
    /// remote: three), or the deadline passes.
    [[nodiscard]] Outcome<bool> open(const std::string& remotes, const DatabaseOptions& options,
                                     std::vector<ovsdb::Interest> interest, bool leader_only);

    [[nodiscard]] const ovsdb::Tables& tables() const { return client_->tables(); }
    [[nodiscard]] std::string remote() const { return client_->remote(); }
    [[nodiscard]] std::string cluster_id() const { return client_->cluster_id(); }

    [[nodiscard]] ovsdb::TransactResult transact(nlohmann::json operations);
    /// Takes what has arrived meanwhile.
    void catch_up() { io_.poll(); }
    /// Looks at the tables now and after each change. False: `patience` or the deadline passed.
    [[nodiscard]] bool wait_for(const std::function<bool()>& is_done,
                                std::chrono::milliseconds patience);

private:
    [[nodiscard]] Outcome<bool> wait_until_read(std::size_t remotes);
    [[nodiscard]] Failure unreachable() const;

    std::string name_;
    Clock::time_point deadline_;
    std::string asked_;  // Remotes, for failures.
    std::string why_;    // Of the last connection that failed.
    bool is_syncing_ = false;
    std::size_t failures_ = 0;
    boost::asio::io_context io_{1};
    std::unique_ptr<ovsdb::Client> client_;
};

}  // namespace sluice::cli
