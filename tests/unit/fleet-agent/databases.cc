// SPDX-License-Identifier: Apache-2.0
// Files and transactions of a fleet's databases: see databases.h.
#include "databases.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <stdexcept>
#include <vector>

#include "controller-agent/fleet/rows.h"

namespace sluice::fleet::test {
namespace {

using nlohmann::json;

std::string schema_of(const std::string& database) {
    return std::string(SLUICE_SCHEMAS) + "/" +
           (database == "Sluice_Config" ? "sluice-config" : "sluice-status") + ".ovsschema";
}

json map_datum(const std::map<std::string, std::string>& items) {
    json pairs = json::array();
    for (const auto& [key, value] : items) { pairs.push_back(json::array({key, value})); }
    return json::array({"map", pairs});
}

}  // namespace

Database::Database(const Folder& folder, std::string name)
    : name_(std::move(name)), server_(folder, name_, {.schema = schema_of(name_)}) {}

void Database::keep() {
    stop();
    std::filesystem::copy_file(server_.file(".db"), server_.file(".kept"));
    start();
}

void Database::fall_back() {
    stop();
    std::filesystem::rename(server_.file(".kept"), server_.file(".db"));
    start();
}

json Database::transact(json operations) const {
    json message = json::array({name_});
    for (json& one : operations) { message.push_back(std::move(one)); }
    const std::string output = server_.file(".ask");
    std::filesystem::remove(output);
    const int status = ovsdb::test::run(
        {"ovsdb-client", "--no-headings", "transact", remote(), message.dump()}, output);
    std::ifstream in(output);
    const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
    if (status != 0) { throw std::runtime_error("ovsdb-client: " + text); }
    const json answer = json::parse(text);
    for (const json& result : answer) {
        EXPECT_FALSE(result.is_object() && result.contains("error")) << answer;
    }
    return answer;
}

json Database::rows(const std::string& table) const {
    const json answer =
        transact(json::array({{{"op", "select"}, {"table", table}, {"where", json::array()}}}));
    return answer[0]["rows"];
}

json commit_operations(const json& document, const Commit& commit) {
    json operations = json::array();
    for (const char* table : {"Host",
                              "Uplink",
                              "Vtep",
                              "Switch",
                              "Port_Group",
                              "Port",
                              "Address_Set",
                              "Address_Set_Member",
                              "Group",
                              "ACL",
                              "ACL_Rule",
                              "Section",
                              "Rule",
                              "Service_Chain",
                              "Service_Rule",
                              "Key_Policy",
                              "Encryption_Rule",
                              "Router",
                              "Route",
                              "Binding",
                              "Member"}) {
        operations.push_back({{"op", "delete"}, {"table", table}, {"where", json::array()}});
    }
    Result<json> normal = normalised(document);
    if (!normal) { throw std::runtime_error(normal.error().message); }
    std::map<std::string, std::string> settings = commit.settings;
    for (const auto& [key, row] : pack(normal.value())) {
        if (key.table == "Global") {
            settings.insert(row.items.begin(), row.items.end());
            continue;
        }
        std::string order;
        for (const std::string& name : row.order) { order += (order.empty() ? "" : " ") + name; }
        operations.push_back({{"op", "insert"},
                              {"table", key.table},
                              {"row",
                               {{"scope", key.scope},
                                {"chunk", key.chunk},
                                {"items", map_datum(row.items)},
                                {"order", order}}}});
    }
    json remotes = json::array();
    if (!commit.status_remote.empty()) { remotes.push_back(commit.status_remote); }
    json global{{"op", commit.has_global ? "update" : "insert"},
                {"table", "Global"},
                {"row",
                 {{"generation", commit.generation},
                  {"epoch", commit.epoch},
                  {"changed_ms", 1},
                  {"status_remotes", json::array({"set", remotes})},
                  {"settings", map_datum(settings)}}}};
    if (commit.has_global) { global["where"] = json::array(); }
    operations.push_back(std::move(global));
    return operations;
}

json map_of(const json& datum) {
    json out = json::object();
    for (const json& pair : datum.at(1)) { out[pair.at(0).get<std::string>()] = pair.at(1); }
    return out;
}

}  // namespace sluice::fleet::test
