// SPDX-License-Identifier: Apache-2.0
// A fleet's two databases for one test: ovsdb-servers of the system, each in a folder that goes
// with the test, and what a controller writes to them.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "../ovsdb/real_server.h"

namespace sluice::fleet::test {

using Folder = ovsdb::test::TestFolder;
using ovsdb::test::has_ovsdb;

/// One server of one database: "Sluice_Config" or "Sluice_Status".
class Database {
public:
    Database(const Folder& folder, std::string name);

    [[nodiscard]] std::string remote() const { return server_.remote(); }
    void start() { server_.start(); }
    void stop() { server_.stop(); }
    /// Stopped, made anew and empty, started.
    void remake() { server_.remake(); }
    /// Keeps what it holds now; and comes back with that, as a relay that lags does.
    void keep();
    void fall_back();
    /// Results, one an operation; the test fails if it is refused.
    nlohmann::json transact(nlohmann::json operations) const;
    /// Rows of a table.
    [[nodiscard]] nlohmann::json rows(const std::string& table) const;

private:
    std::string name_;
    ovsdb::test::RealServer server_;
};

/// What a controller commits besides the document.
struct Commit {
    std::int64_t generation = 1;
    std::int64_t epoch = 1;
    std::string status_remote;
    bool has_global = false;  ///< The row is there: it is changed, as controllers do.
    nlohmann::json settings = nlohmann::json::object();
};

/// Operations that make the document the whole of Sluice_Config.
[[nodiscard]] nlohmann::json commit_operations(const nlohmann::json& document,
                                               const Commit& commit);

/// An OVSDB map as JSON's object.
[[nodiscard]] nlohmann::json map_of(const nlohmann::json& datum);

}  // namespace sluice::fleet::test
