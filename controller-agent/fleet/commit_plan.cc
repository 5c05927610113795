// SPDX-License-Identifier: Apache-2.0
// Rows that differ become operations, operations transactions: see commit_plan.h.
#include "controller-agent/fleet/commit_plan.h"

#include <algorithm>

#include "controller-agent/fleet/items.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

constexpr std::size_t kRowsMax = 200;                     // Of one transaction.
constexpr std::size_t kBytesMax = std::size_t{4} << 20U;  // Of its operations.

using Texts = std::map<std::string, std::string>;

json map_json(const Texts& map) { return ovsdb::to_json(ovsdb::datum(map)); }

std::string joined(const std::vector<std::string>& words) {
    std::string text;
    for (const std::string& word : words) { text += (text.empty() ? "" : " ") + word; }
    return text;
}

json where_is(const ovsdb::Uuid& id) {
    return json::array({json::array({"_uuid", "==", json::array({"uuid", id.text()})})});
}

json inserted(const RowKey& key, const PackedRow& row) {
    return {{"op", "insert"},
            {"table", key.table},
            {"row",
             {{"scope", key.scope},
              {"chunk", key.chunk},
              {"items", map_json(row.items)},
              {"order", joined(row.order)}}}};
}

/// Few items: only these travel, to every host that looks at the row.
json mutated(const RowKey& key, const ovsdb::Uuid& id, const Texts& gone, const Texts& come) {
    std::vector<std::string> keys;
    for (const auto& [name, text] : gone) { keys.push_back(name); }
    json mutations = json::array();
    if (!keys.empty()) {
        mutations.push_back({"items", "delete", ovsdb::to_json(ovsdb::datum(keys))});
    }
    if (!come.empty()) { mutations.push_back({"items", "insert", map_json(come)}); }
    return {{"op", "mutate"},
            {"table", key.table},
            {"where", where_is(id)},
            {"mutations", std::move(mutations)}};
}

/// Items of `a` that `b` has not, or otherwise.
Texts differing(const Texts& a, const Texts& b) {
    Texts out;
    for (const auto& [name, text] : a) {
        const auto at = b.find(name);
        if (at == b.end() || at->second != text) { out.emplace(name, text); }
    }
    return out;
}

class Planner {
public:
    Planner(const ovsdb::Tables& tables, const PackedRows& desired, const CommitOptions& options)
        : desired_(desired), options_(options), global_(global_state(tables)) {
        for (const auto& [table, rows] : tables) {
            if (table == kGlobalTable) { continue; }
            for (const auto& [id, row] : rows) {
                if (auto packed = packed_row(table, *row)) {
                    there_.emplace(std::move(packed->first), std::pair{id, packed->second});
                }
            }
        }
    }

    CommitPlan run() {
        plan_rows();
        CommitPlan plan;
        plan.rows = operations_.size();
        const Texts settings = desired_settings();
        const bool is_needed =
            !operations_.empty() || options_.raise_epoch || settings != global_.settings;
        plan.generation = global_.generation + (is_needed ? 1 : 0);
        if (!is_needed) { return plan; }
        plan.transactions = batched();
        finish(plan, settings);
        return plan;
    }

private:
    void plan_rows() {
        for (const auto& [key, row] : desired_) {
            if (key.table == kGlobalTable) { continue; }
            const auto at = there_.find(key);
            if (at == there_.end()) {
                operations_.push_back({inserted(key, row)});
            } else if (!(at->second.second == row)) {
                operations_.push_back(changed(key, at->second.first, at->second.second, row));
            }
        }
        for (const auto& [key, at] : there_) {
            if (desired_.contains(key)) { continue; }
            operations_.push_back(
                {json{{"op", "delete"}, {"table", key.table}, {"where", where_is(at.first)}}});
        }
    }

    static std::vector<json> changed(const RowKey& key, const ovsdb::Uuid& id, const PackedRow& old,
                                     const PackedRow& row) {
        const Texts gone = differing(old.items, row.items);
        const Texts come = differing(row.items, old.items);
        json columns = json::object();
        if (old.order != row.order) { columns["order"] = joined(row.order); }
        std::vector<json> out;
        if (gone.size() + come.size() > row.items.size() / 2) {
            columns["items"] = map_json(row.items);
        } else if (!gone.empty() || !come.empty()) {
            out.push_back(mutated(key, id, gone, come));
        }
        if (!columns.empty()) {
            out.push_back({{"op", "update"},
                           {"table", key.table},
                           {"where", where_is(id)},
                           {"row", std::move(columns)}});
        }
        return out;
    }

    Texts desired_settings() const {
        Texts settings = global_.settings;
        settings.erase(kWritingKey);
        settings.erase("dfw");
        const auto at = desired_.find({kGlobalTable, "", 0});
        if (at != desired_.end()) {
            for (const auto& [key, text] : at->second.items) { settings[key] = text; }
        }
        return settings;
    }

    /// Operations of rows, so many to a transaction.
    std::vector<json> batched() {
        std::vector<json> batches{json::array()};
        std::size_t rows = 0, bytes = 0;
        for (std::vector<json>& of_row : operations_) {
            std::size_t size = 0;
            for (const json& operation : of_row) { size += operation.dump().size(); }
            if (rows > 0 && (rows == kRowsMax || bytes + size > kBytesMax)) {
                batches.push_back(json::array());
                rows = bytes = 0;
            }
            for (json& operation : of_row) { batches.back().push_back(std::move(operation)); }
            ++rows;
            bytes += size;
        }
        return batches;
    }

    /// Adds the compare-and-set before, and the state of the commit behind, each transaction.
    void finish(CommitPlan& plan, const Texts& settings) const {
        Texts expected = global_.settings;
        bool exists = global_.exists;
        const std::size_t steps = plan.transactions.size();
        for (std::size_t step = 0; step < steps; ++step) {
            json& operations = plan.transactions[step];
            operations.insert(operations.begin(), waited(exists, expected));
            const bool is_last = step + 1 == steps;
            json row{{"settings", map_json(settings)}};
            if (is_last) {
                row["generation"] = plan.generation;
                row["epoch"] = global_.epoch + (options_.raise_epoch ? 1 : 0);
                row["changed_ms"] = options_.now_ms;
            } else {
                expected = global_.settings;
                expected[kWritingKey] = mark(step + 1, steps);
                row["settings"] = map_json(expected);
            }
            if (exists) {
                operations.push_back({{"op", "update"},
                                      {"table", kGlobalTable},
                                      {"where", json::array()},
                                      {"row", std::move(row)}});
            } else {
                operations.push_back(
                    {{"op", "insert"}, {"table", kGlobalTable}, {"row", std::move(row)}});
            }
            exists = true;
        }
    }

    [[nodiscard]] json waited(bool exists, const Texts& settings) const {
        json rows = json::array();
        if (exists) {
            rows.push_back({{"generation", global_.generation}, {"settings", map_json(settings)}});
        }
        return {{"op", "wait"},
                {"table", kGlobalTable},
                {"timeout", 0},
                {"where", json::array()},
                {"columns", {"generation", "settings"}},
                {"until", "=="},
                {"rows", std::move(rows)}};
    }

    [[nodiscard]] std::string mark(std::size_t step, std::size_t steps) const {
        return json{
            {"by", options_.editor}, {"at_ms", options_.now_ms}, {"step", step}, {"steps", steps}}
            .dump();
    }

    const PackedRows& desired_;
    const CommitOptions& options_;
    const GlobalState global_;
    std::map<RowKey, std::pair<ovsdb::Uuid, PackedRow>> there_;
    std::vector<std::vector<json>> operations_;  // By row.
};

}  // namespace

GlobalState global_state(const ovsdb::Tables& tables) {
    GlobalState out;
    const auto table = tables.find(kGlobalTable);
    if (table == tables.end() || table->second.empty()) { return out; }
    const ovsdb::Row& row = *table->second.begin()->second;
    out.exists = true;
    out.generation = ovsdb::column(row, "generation").integer();
    out.epoch = ovsdb::column(row, "epoch").integer();
    out.changed_ms = ovsdb::column(row, "changed_ms").integer();
    out.status_remotes = ovsdb::column(row, "status_remotes").texts();
    out.settings = ovsdb::column(row, "settings").text_map();
    return out;
}

std::optional<WritingMark> writing_mark(const GlobalState& global) {
    const auto at = global.settings.find(kWritingKey);
    if (at == global.settings.end()) { return std::nullopt; }
    WritingMark mark;
    const json value = json::parse(at->second, nullptr, false);
    if (!value.is_object()) { return mark; }
    const auto by = value.find("by"), at_ms = value.find("at_ms");
    if (by != value.end() && by->is_string()) { mark.by = by->get<std::string>(); }
    if (at_ms != value.end() && at_ms->is_number_integer()) {
        mark.at_ms = at_ms->get<std::int64_t>();
    }
    return mark;
}

CommitPlan commit_plan(const ovsdb::Tables& tables, const PackedRows& desired,
                       const CommitOptions& options) {
    return Planner(tables, desired, options).run();
}

}  // namespace sluice::fleet
