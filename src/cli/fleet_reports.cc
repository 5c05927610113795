// SPDX-License-Identifier: Apache-2.0
// Rows of Sluice_Status into values: see fleet_reports.h. What a host wrote that makes no sense is
// shown as far as it does.
#include "fleet_reports.h"

#include <algorithm>
#include <sstream>
#include <tuple>

#include "controller-agent/fleet/commit_plan.h"
#include "controller-agent/fleet/items.h"
#include "sluice/base/limits.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using ovsdb::column;

template <typename Visit>
void each_row(const ovsdb::Tables& tables, const char* table, Visit visit) {
    const auto found = tables.find(table);
    if (found == tables.end()) { return; }
    for (const auto& [id, row] : found->second) { visit(*row); }
}

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) { text += (text.empty() ? "" : ",") + word; }
    return text;
}

/// "SEQUENCE MS IP IP...".
json claim_of(const std::string& text) {
    std::istringstream words(text);
    std::int64_t sequence = 0, at_ms = 0;
    words >> sequence >> at_ms;
    json ips = json::array();
    for (std::string ip; words >> ip;) { ips.push_back(ip); }
    return {{"sequence", sequence}, {"at_ms", at_ms}, {"ips", std::move(ips)}};
}

/// Claims of one MAC in one segment stand together, the one that counts first.
bool stands_before(const json& a, const json& b) {
    const auto place = [](const json& claim) {
        return std::tuple{claim["segment"].get<std::string>(), claim["mac"].get<std::string>(),
                          -claim["sequence"].get<std::int64_t>(),
                          -claim["at_ms"].get<std::int64_t>(), claim["host"].get<std::string>()};
    };
    return place(a) < place(b);
}

}  // namespace

bool HostReport::is_reachable(std::int64_t now_ms) const noexcept {
    return heard_ms != 0 && now_ms - heard_ms < static_cast<std::int64_t>(kFleetSilentMs);
}

std::int64_t unix_now_ms() {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

std::vector<ovsdb::Interest> report_interest(const std::set<std::string>& tables) {
    std::vector<ovsdb::Interest> out;
    for (const std::string& table : tables) { out.push_back({table, {}, true}); }
    return out;
}

Outcome<bool> open_reports(Database& reports, const DatabaseOptions& options,
                           const std::vector<std::string>& named,
                           const std::set<std::string>& tables) {
    const std::string remotes =
        options.status_remotes.empty() ? joined(named) : options.status_remotes;
    if (remotes.empty()) {
        return Failure{
            "not_found",
            "the database names no server of reports: give --status-db, or set them with "
            "sluice fleet remotes",
            ""};
    }
    return reports.open(remotes, options, report_interest(tables), false);
}

Outcome<bool> open_reports(Database& reports, const DatabaseOptions& options,
                           const std::set<std::string>& tables,
                           Database::Clock::time_point deadline) {
    if (!options.status_remotes.empty()) { return open_reports(reports, options, {}, tables); }
    Database config("Sluice_Config", deadline);
    auto opened = config.open(options.remotes, options, {{fleet::kGlobalTable, {}, true}}, false);
    if (!opened.ok()) { return opened; }
    const auto named = fleet::global_state(config.tables()).status_remotes;
    return open_reports(reports, options, named, tables);
}

std::map<std::string, HostReport> host_reports(const ovsdb::Tables& tables) {
    std::map<std::string, HostReport> out;
    each_row(tables, "Host", [&](const ovsdb::Row& row) {
        HostReport& host = out[column(row, "host").text()];
        host.version = column(row, "version").text();
        host.state = column(row, "state").text();
        host.since_ms = column(row, "since_ms").integer();
        host.generation = column(row, "generation").integer();
        host.epoch = column(row, "epoch").integer();
        host.ports = column(row, "ports").integer();
        host.problems = column(row, "problems").integer();
        host.alarms = column(row, "alarms").texts();
        host.vteps = column(row, "vteps").text_map();
        host.public_key = column(row, "public_key").text();
    });
    each_row(tables, "Heartbeat", [&](const ovsdb::Row& row) {
        out[column(row, "host").text()].heard_ms = column(row, "at_ms").integer();
    });
    return out;
}

std::map<std::string, std::map<std::string, std::string>> problem_reports(
    const ovsdb::Tables& tables) {
    std::map<std::string, std::map<std::string, std::string>> out;
    each_row(tables, "Problem", [&](const ovsdb::Row& row) {
        out[column(row, "host").text()].merge(column(row, "items").text_map());
    });
    return out;
}

json port_reports(const ovsdb::Tables& tables, const std::string& host) {
    std::map<std::pair<std::string, std::string>, json> ports;
    each_row(tables, "Port", [&](const ovsdb::Row& row) {
        const std::string where = column(row, "host").text();
        if (!host.empty() && where != host) { return; }
        for (const auto& [name, text] : column(row, "items").text_map()) {
            json port = json::parse(text, nullptr, false);
            if (!port.is_object()) { port = json::object(); }
            port["name"] = name;
            port["host"] = where;
            ports[{name, where}] = std::move(port);
        }
    });
    json out = json::array();
    for (auto& [key, port] : ports) { out.push_back(std::move(port)); }
    return out;
}

json binding_reports(const ovsdb::Tables& tables, const std::string& segment) {
    std::vector<json> claims;
    each_row(tables, "Binding", [&](const ovsdb::Row& row) {
        const std::string where = column(row, "segment").text();
        if (!segment.empty() && where != segment) { return; }
        for (const auto& [mac, text] : column(row, "items").text_map()) {
            json claim = claim_of(text);
            claim["segment"] = where;
            claim["mac"] = mac;
            claim["host"] = column(row, "host").text();
            claim["vtep"] = column(row, "vtep").text();
            claims.push_back(std::move(claim));
        }
    });
    std::sort(claims.begin(), claims.end(), stands_before);
    json out = json::array();
    for (json& claim : claims) {
        const bool is_again = !out.empty() && out.back()["segment"] == claim["segment"] &&
                              out.back()["mac"] == claim["mac"];
        claim["state"] = is_again ? "duplicate" : "active";
        out.push_back(std::move(claim));
    }
    return out;
}

}  // namespace sluice::cli
