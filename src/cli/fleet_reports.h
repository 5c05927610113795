// SPDX-License-Identifier: Apache-2.0
// What a fleet's hosts report (Sluice_Status), out of its tables. Pure but for opening it.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "database.h"

namespace sluice::cli {

struct HostReport {
    std::string version, state;
    std::int64_t since_ms = 0;
    std::int64_t generation = 0;
    std::int64_t epoch = 0;
    std::int64_t ports = 0;
    std::int64_t problems = 0;
    std::int64_t heard_ms = 0;  ///< Unix time of its last sign of life; 0: none.
    std::vector<std::string> alarms;
    std::string public_key;                    ///< Base64; empty: it has none, or tells none.
    std::map<std::string, std::string> vteps;  ///< Name to JSON.

    /// True if it gave a sign of life within kFleetSilentMs.
    [[nodiscard]] bool is_reachable(std::int64_t now_ms) const noexcept;
};

[[nodiscard]] std::int64_t unix_now_ms();

/// Tables of reports.
[[nodiscard]] std::vector<ovsdb::Interest> report_interest(const std::set<std::string>& tables);
/// Opens Sluice_Status: where the options say it is, else where Sluice_Config does, which is then
/// asked first.
[[nodiscard]] Outcome<bool> open_reports(Database& reports, const DatabaseOptions& options,
                                         const std::set<std::string>& tables,
                                         Database::Clock::time_point deadline);
/// The same with the remotes at hand (of an open Sluice_Config).
[[nodiscard]] Outcome<bool> open_reports(Database& reports, const DatabaseOptions& options,
                                         const std::vector<std::string>& named,
                                         const std::set<std::string>& tables);

[[nodiscard]] std::map<std::string, HostReport> host_reports(const ovsdb::Tables& tables);
/// Reason by object, by host.
[[nodiscard]] std::map<std::string, std::map<std::string, std::string>> problem_reports(
    const ovsdb::Tables& tables);
/// `[{"name","host","state","mac","ips","segment"}]` by name.
[[nodiscard]] nlohmann::json port_reports(const ovsdb::Tables& tables, const std::string& host);
/// `[{"segment","mac","ips","host","vtep","sequence","at_ms","state"}]`; of several claims of one
/// MAC the one that counts is "active", the others are "duplicate".
[[nodiscard]] nlohmann::json binding_reports(const ovsdb::Tables& tables,
                                             const std::string& segment);

}  // namespace sluice::cli
