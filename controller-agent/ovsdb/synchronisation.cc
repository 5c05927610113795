// SPDX-License-Identifier: Apache-2.0
// Of a conversation: may this server be used, what it is asked for, and when the replica is whole.
#include <algorithm>
#include <utility>

#include "controller-agent/ovsdb/conversation.h"

namespace sluice::ovsdb {

namespace {

using nlohmann::json;

constexpr std::uint32_t kStaleRefusalMax = 8;  // Then an older log counts: it was restored.

Error bad(const std::string& what) { return Error{Errc::kInvalid, "the server sent " + what, {}}; }

SchemaColumn scalar(const Datum& standard) { return {{false, true}, standard, false, false}; }

const Schema& server_schema() {
    static const Schema kSchema = {{"Database",
                                    {{"name", scalar(datum(std::string()))},
                                     {"model", scalar(datum(std::string()))},
                                     {"connected", scalar(datum(false))},
                                     {"leader", scalar(datum(false))},
                                     {"cid", scalar({})},
                                     {"sid", scalar({})}}}};
    return kSchema;
}

std::string uuid_text(const Datum& datum) {
    const auto* uuid = datum.keys.empty() ? nullptr : std::get_if<Uuid>(datum.keys.data());
    return uuid == nullptr ? std::string() : uuid->text();
}

bool has_same_columns(const InterestMap& a, const InterestMap& b) {
    if (a.size() != b.size()) { return false; }
    for (auto i = a.begin(), j = b.begin(); i != a.end(); ++i, ++j) {
        if (i->first != j->first || i->second.columns != j->second.columns) { return false; }
    }
    return true;
}

json monitor_requests(const InterestMap& interest) {
    json requests = json::object();
    for (const auto& [table, of] : interest) {
        json request = {{"where", of.where}};
        if (!of.columns.empty()) { request["columns"] = of.columns; }
        requests[table] = json::array({std::move(request)});
    }
    return requests;
}

json changed_conditions(const InterestMap& from, const InterestMap& to) {
    json requests = json::object();
    for (const auto& [table, of] : to) {
        if (from.at(table).where != of.where) {
            requests[table] = json::array({{{"where", of.where}}});
        }
    }
    return requests;
}

// The schema as far as the interest goes: rows have no other columns.
Schema projected(const Schema& schema, const InterestMap& interest) {
    Schema made;
    for (const auto& [table, of] : interest) {
        const auto& columns = schema.at(table);
        auto& chosen = made[table];
        if (of.columns.empty()) { chosen = columns; }
        for (const auto& name : of.columns) { chosen.emplace(name, columns.at(name)); }
    }
    return made;
}

}  // namespace

Row Conversation::server_row() const {
    const auto rows = server_.tables().find("Database");
    if (rows == server_.tables().end()) { return {}; }
    for (const auto& [id, row] : rows->second) {
        if (column(*row, "name").text() == options_.database) { return *row; }
    }
    return {};
}

Status Conversation::read_server(const json& updates) {
    if (server_.schema().empty()) { server_.set_schema(server_schema()); }
    const auto changes = server_.merge(updates);
    if (!changes.ok()) { return changes.error(); }
    if (!has_row_) { return Ok{}; }
    const auto status = check_server();
    if (!status.ok()) { return status; }
    return monitor_.empty() ? begin() : Status(Ok{});
}

Status Conversation::read_index(const json& result) {
    has_index_ = true;
    is_index_asked_ = false;
    if (result.is_array() && result.size() == 1 && result[0].is_object()) {
        const auto rows = result[0].find("rows");
        if (rows != result[0].end() && rows->is_array() && rows->size() == 1 &&
            (*rows)[0].is_object()) {
            const auto index = parse_datum((*rows)[0].value("index", json()));
            if (index.ok()) { index_ = index.value().integer(); }
        }
    }
    memory_.index_min = monitor_.empty() ? memory_.index_min : std::max(memory_.index_min, index_);
    return begin();
}

Status Conversation::check_server() {
    const Row row = server_row();
    const auto state_error = [&](const std::string& what) {
        return Error{Errc::kState, "database " + options_.database + " " + what, {}};
    };
    if (row.empty()) { return state_error("is not on the server"); }
    const bool is_relay = column(row, "model").text() == "relay";
    if (!column(row, "connected").boolean()) {
        return state_error(is_relay ? "of a relay without its source"
                                    : "of a server outside of its cluster");
    }
    if (options_.leader_only && !column(row, "leader").boolean()) {
        return state_error(is_relay ? "is a relay's, not the leader's" : "is not the leader's");
    }
    return Ok{};
}

// Once the row, the schema and the index are there.
Status Conversation::begin() {
    if (!has_row_ || !has_schema_ || !has_index_ || !monitor_.empty()) { return Ok{}; }
    const auto cluster_id = uuid_text(column(server_row(), "cid"));
    if (!cluster_id.empty() && cluster_id != memory_.cluster_id) {
        if (!memory_.cluster_id.empty()) { memory_.last_transaction.clear(); }
        memory_.cluster_id = cluster_id;
        memory_.index_min = 0;
    }
    if (index_ > 0 && index_ < memory_.index_min && memory_.stale_refused++ < kStaleRefusalMax) {
        return Error{Errc::kState,
                     "the server is behind: its log is at " + std::to_string(index_) + ", " +
                         std::to_string(memory_.index_min) + " was seen",
                     {}};
    }
    memory_.stale_refused = 0;
    if (index_ > 0) { memory_.index_min = index_; }
    return monitor();
}

Status Conversation::read_schema(const json& result) {
    auto schema = parse_schema(result);
    if (!schema.ok()) { return schema.error(); }
    schema_ = std::move(schema).value();
    has_schema_ = true;
    auto text = result.dump();
    if (text != memory_.schema_text) {
        memory_.schema_text = std::move(text);
        memory_.last_transaction.clear();
    }
    return begin();
}

Status Conversation::check_interest() const {
    for (const auto& [table, of] : wanted_) {
        const auto known = schema_.find(table);
        if (known == schema_.end()) {
            return Error{
                Errc::kUnsupported, "database " + options_.database + " has no table " + table, {}};
        }
        for (const auto& name : of.columns) {
            if (!known->second.contains(name)) {
                return Error{
                    Errc::kUnsupported,
                    "database " + options_.database + " has no column " + table + "." + name,
                    {}};
            }
        }
    }
    return Ok{};
}

Status Conversation::monitor() {
    const auto status = check_interest();
    if (!status.ok()) { return status; }
    if (!has_same_columns(memory_.shown, wanted_)) { memory_.last_transaction.clear(); }
    asked_ = memory_.last_transaction.empty() ? wanted_ : memory_.shown;
    memory_.replica.set_schema(projected(schema_, asked_));
    monitor_ = options_.database + "/" + std::to_string(++monitor_count_);
    is_changing_ = true;
    const auto since = memory_.last_transaction.empty() ? Uuid{}.text() : memory_.last_transaction;
    ask(Asked::kRows, "monitor_cond_since",
        json::array({options_.database, monitor_, monitor_requests(asked_), since}));
    if (!is_live_) { sink_.on_syncing(); }
    return Ok{};
}

// [found, last transaction, updates]
Status Conversation::read_rows(const json& result) {
    if (!result.is_array() || result.size() != 3 || !result[0].is_boolean() ||
        !result[1].is_string()) {
        return bad("rows of another form");
    }
    const bool is_difference = result[0].get<bool>() && !memory_.last_transaction.empty();
    auto changes =
        is_difference ? memory_.replica.merge(result[2]) : memory_.replica.replace(result[2]);
    if (!changes.ok()) {
        memory_.last_transaction.clear();
        return changes.error();
    }
    remember(result[1].get_ref<const std::string&>());
    memory_.shown = asked_;
    is_changing_ = false;
    const bool was_live = std::exchange(is_live_, true);
    auto status = change_conditions();
    tell_rows(changes.value());
    if (!was_live) { sink_.on_live(); }
    return status;
}

// Servers that keep no history say zeros.
void Conversation::remember(const std::string& transaction) {
    memory_.last_transaction = transaction == Uuid{}.text() ? std::string() : transaction;
}

void Conversation::tell_rows(const std::vector<RowChange>& changes) {
    memory_.was_complete = !is_changing_ && memory_.shown == wanted_;
    sink_.on_rows(changes, memory_.was_complete);
}

Status Conversation::set_interest(InterestMap wanted) {
    wanted_ = std::move(wanted);
    if (memory_.shown != wanted_) { memory_.was_complete = false; }
    return is_live_ ? change_conditions() : Status(Ok{});
}

// One at a time: what changes meanwhile is seen when the answer is here.
Status Conversation::change_conditions() {
    if (is_changing_ || memory_.shown == wanted_) { return Ok{}; }
    if (!has_same_columns(memory_.shown, wanted_)) {
        ask(Asked::kNothing, "monitor_cancel", json::array({monitor_}));
        return monitor();
    }
    asked_ = wanted_;
    is_changing_ = true;
    ask(Asked::kCondition, "monitor_cond_change",
        json::array({monitor_, monitor_, changed_conditions(memory_.shown, asked_)}));
    return Ok{};
}

void Conversation::close() {
    if (is_changing_ && memory_.shown != asked_) { memory_.last_transaction.clear(); }
}

}  // namespace sluice::ovsdb
