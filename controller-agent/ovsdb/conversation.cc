// SPDX-License-Identifier: Apache-2.0
// Messages in and out: requests, answers, notifications. The rows' way is in synchronisation.cc.
#include "controller-agent/ovsdb/conversation.h"

#include <utility>

namespace sluice::ovsdb {

namespace {

using nlohmann::json;

constexpr const char* kServerDatabase = "_Server";
const json kNull;

Error bad(const std::string& what) { return Error{Errc::kInvalid, "the server sent " + what, {}}; }

const json& member(const json& object, const char* name) {
    const auto found = object.find(name);
    return found == object.end() ? kNull : *found;
}

bool is_text(const json& value, const std::string& text) {
    return value.is_string() && value.get_ref<const std::string&>() == text;
}

// An error of the wire is an object with `error` and `details`, or a word.
std::string error_text(const json& error) {
    if (error.is_string()) { return error.get<std::string>(); }
    if (!error.is_object()) { return "no reason"; }
    const json& word = member(error, "error");
    const json& details = member(error, "details");
    std::string text = word.is_string() ? word.get<std::string>() : "error";
    if (details.is_string()) { text += ": " + details.get<std::string>(); }
    return text;
}

json database_condition(const std::string& database) {
    return json::array({json::array({"name", "==", database})});
}

}  // namespace

void Conversation::open(InterestMap wanted) {
    wanted_ = std::move(wanted);
    ask(Asked::kNothing, "set_db_change_aware", json::array({true}));
    const json where = database_condition(options_.database);
    const json columns = {"name", "model", "connected", "leader", "cid", "sid"};
    json request = {{"Database", json::array({{{"columns", columns}, {"where", where}}})}};
    ask(Asked::kServer, "monitor_cond_since",
        json::array({kServerDatabase, kServerDatabase, std::move(request), Uuid{}.text()}));
    // The schema in `_Server` stays the old one where a standalone database was converted.
    ask(Asked::kSchema, "get_schema", json::array({options_.database}));
    ask_index();
}

// Not monitored: it changes with each transaction of the cluster.
void Conversation::ask_index() {
    json select = {{"op", "select"},
                   {"table", "Database"},
                   {"where", database_condition(options_.database)},
                   {"columns", json::array({"index"})}};
    is_index_asked_ = true;
    ask(Asked::kIndex, "transact", json::array({kServerDatabase, std::move(select)}));
}

void Conversation::note_index() {
    if (!is_live_ || index_ == 0 || is_index_asked_) { return; }
    if (std::exchange(has_news_, false)) { ask_index(); }
}

std::uint64_t Conversation::ask(Asked what, const char* method, json params) {
    const std::uint64_t id = ++last_id_;
    pending_.emplace(id, what);
    sink_.send({{"method", method}, {"params", std::move(params)}, {"id", id}});
    return id;
}

std::uint64_t Conversation::transact(json operations) {
    json params = json::array({options_.database});
    for (json& operation : operations) { params.push_back(std::move(operation)); }
    return ask(Asked::kTransaction, "transact", std::move(params));
}

void Conversation::lock(const std::string& name) { ask(Asked::kLock, "lock", json::array({name})); }

void Conversation::probe() { ask(Asked::kNothing, "echo", json::array()); }

Status Conversation::handle(const json& message) {
    if (!message.is_object()) { return bad("what is no object"); }
    return message.contains("method") ? handle_request(message) : handle_answer(message);
}

Status Conversation::handle_request(const json& message) {
    const json& method = member(message, "method");
    const json& params = member(message, "params");
    const json& id = member(message, "id");
    if (is_text(method, "echo")) {
        if (!id.is_null()) { sink_.send({{"id", id}, {"result", params}, {"error", nullptr}}); }
        return Ok{};
    }
    if (is_text(method, "update3")) { return handle_update(params); }
    if (is_text(method, "locked") || is_text(method, "stolen")) {
        sink_.on_lock(is_text(method, "locked"));
        return Ok{};
    }
    if (is_text(method, "monitor_canceled")) {
        return Error{Errc::kState, "the server took the database away, or changed its schema", {}};
    }
    return bad("a request that a client does not serve");
}

Status Conversation::handle_update(const json& params) {
    if (!params.is_array() || params.size() != 3 || !params[0].is_string()) {
        return bad("an update of another form");
    }
    if (is_text(params[0], kServerDatabase)) { return read_server(params[2]); }
    if (monitor_.empty()) { return bad("an update before it was asked for"); }
    if (!is_text(params[0], monitor_)) { return Ok{}; }  // Of a monitor that was given up.
    if (!params[1].is_string()) { return bad("an update without its transaction"); }
    auto changes = memory_.replica.merge(params[2]);
    if (!changes.ok()) {
        memory_.last_transaction.clear();
        return changes.error();
    }
    remember(params[1].get_ref<const std::string&>());
    has_news_ = true;
    tell_rows(changes.value());
    return Ok{};
}

Status Conversation::handle_answer(const json& message) {
    const json& id = member(message, "id");
    const auto found =
        id.is_number_unsigned() ? pending_.find(id.get<std::uint64_t>()) : pending_.end();
    if (found == pending_.end()) { return bad("an answer to what was not asked"); }
    const auto [number, what] = *found;
    pending_.erase(found);
    const json& error = member(message, "error");
    const json& result = member(message, "result");
    if (what == Asked::kTransaction) {
        sink_.on_answer(number, result, error);
        return Ok{};
    }
    if (error.is_null()) { return handle_answer(what, result); }
    if (what == Asked::kNothing) { return Ok{}; }
    return Error{Errc::kUnsupported, "the server refused: " + error_text(error), {}};
}

Status Conversation::handle_answer(Asked what, const json& result) {
    switch (what) {
        case Asked::kServer: {
            if (!result.is_array() || result.size() != 3) { return bad("no row of the database"); }
            has_row_ = true;
            return read_server(result[2]);
        }
        case Asked::kSchema: return read_schema(result);
        case Asked::kIndex: return read_index(result);
        case Asked::kRows: return read_rows(result);
        case Asked::kCondition: {
            is_changing_ = false;
            memory_.shown = asked_;
            auto status = change_conditions();
            tell_rows({});
            return status;
        }
        case Asked::kLock:
            if (!result.is_object()) { return bad("a lock's answer of another form"); }
            sink_.on_lock(member(result, "locked") == json(true));
            return Ok{};
        default: return Ok{};
    }
}

}  // namespace sluice::ovsdb
