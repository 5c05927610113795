// SPDX-License-Identifier: Apache-2.0
// RealServer: an ovsdb-server of the system in a folder of its own, for one test; it ends with the
// test, however that ends. Its database is `Test` (table `Thing` with a column of each kind, and
// table `Other`), or what a schema says.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace sluice::ovsdb::test {

/// A folder below TMPDIR (or /tmp, if its path is too long for a socket), gone with the object.
class TestFolder {
public:
    TestFolder();
    ~TestFolder();
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;
    [[nodiscard]] std::string path(const std::string& name) const { return folder_ + "/" + name; }

private:
    std::string folder_;
};

/// Runs a program to its end with output into a file. @return its exit status
int run(const std::vector<std::string>& command, const std::string& output);

[[nodiscard]] bool has_ovsdb();

class RealServer {
public:
    struct Options {
        bool is_clustered = false;
        std::vector<std::string> more{};  ///< Options of ovsdb-server.
        std::string relay{};              ///< "relay:DB:REMOTE": it has no database of its own.
        std::string schema{};             ///< File with the schema; empty: that of `Test`.
    };
    /// Makes the database and starts the server.
    RealServer(const TestFolder& folder, std::string name, Options options);
    explicit RealServer(const TestFolder& folder) : RealServer(folder, "db", {}) {}
    ~RealServer();
    RealServer(const RealServer&) = delete;
    RealServer& operator=(const RealServer&) = delete;

    [[nodiscard]] std::string remote() const;  ///< "unix:..."
    [[nodiscard]] pid_t pid() const { return pid_; }
    void start();
    void stop();
    /// Stopped, its database made anew and empty, started.
    void remake();
    void freeze();
    void thaw();
    /// ovs-appctl. @return its output
    std::string control(const std::vector<std::string>& command) const;
    [[nodiscard]] std::string file(const std::string& suffix) const;

private:
    void make_database();

    const TestFolder& folder_;
    std::string name_;
    Options options_;
    pid_t pid_ = 0;
};

/// The schema of `Test`; with `more` it has a table that it had not.
[[nodiscard]] std::string schema_text(bool has_more = false);

}  // namespace sluice::ovsdb::test
