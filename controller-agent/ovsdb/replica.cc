// SPDX-License-Identifier: Apache-2.0
// Reading updates into a list of changes first, committing the list then.
#include "controller-agent/ovsdb/replica.h"

#include <set>

namespace sluice::ovsdb {

namespace {

using nlohmann::json;

Error bad(const std::string& what) { return Error{Errc::kInvalid, "an update " + what, {}}; }

// Whole rows carry `_version` if columns were not named; it is not replicated.
bool is_internal(const std::string& column) { return column.starts_with('_'); }

Result<RowPtr> read_whole(const SchemaTable& schema, const json& columns) {
    auto row = std::make_shared<Row>();
    for (const auto& [name, column] : schema) {
        row->emplace_hint(row->end(), name, column.standard);
    }
    for (const auto& [name, value] : columns.items()) {
        if (is_internal(name)) { continue; }
        const auto known = schema.find(name);
        if (known == schema.end()) { return bad("has an unknown column " + name); }
        auto parsed = parse_datum(value);
        if (!parsed.ok()) { return parsed.error(); }
        Datum& datum = (*row)[name];
        datum = std::move(parsed).value();
        shape(datum, known->second);
    }
    return RowPtr(std::move(row));
}

Result<RowPtr> read_difference(const SchemaTable& schema, const Row& before, const json& columns) {
    auto row = std::make_shared<Row>(before);
    for (const auto& [name, value] : columns.items()) {
        if (is_internal(name)) { continue; }
        const auto known = schema.find(name);
        if (known == schema.end()) { return bad("has an unknown column " + name); }
        auto parsed = parse_datum(value);
        if (!parsed.ok()) { return parsed.error(); }
        Datum change = std::move(parsed).value();
        shape(change, known->second);
        Datum& datum = (*row)[name];
        datum = apply_difference(datum, change, known->second.type);
    }
    return RowPtr(std::move(row));
}

// The row after a <row-update2>, which is an object with one member.
Result<RowPtr> read_row(const SchemaTable& schema, const RowPtr& before, const json& update) {
    if (!update.is_object() || update.size() != 1) { return bad("of a row is not one operation"); }
    const auto& operation = update.begin().key();
    const json& columns = update.begin().value();
    if (operation == "delete") { return RowPtr(); }
    if (!columns.is_object()) { return bad("of a row has no columns"); }
    if (operation == "insert" || operation == "initial") { return read_whole(schema, columns); }
    if (operation != "modify") { return bad("of a row is none of insert, delete, modify"); }
    if (!before) { return bad("changes a row that was never sent"); }
    return read_difference(schema, *before, columns);
}

bool is_same(const RowPtr& a, const RowPtr& b) { return a && b ? *a == *b : a == b; }

}  // namespace

RowPtr Replica::find(const std::string& table, const Uuid& id) const {
    const auto rows = tables_.find(table);
    if (rows == tables_.end()) { return nullptr; }
    const auto found = rows->second.find(id);
    return found == rows->second.end() ? nullptr : found->second;
}

Status Replica::read_table(const std::string& name, const json& rows,
                           std::vector<RowChange>& changes) const {
    const auto known = schema_.find(name);
    if (known == schema_.end()) { return bad("has an unknown table " + name); }
    if (!rows.is_object()) { return bad("of table " + name + " is no object"); }
    for (const auto& [id_text, update] : rows.items()) {
        const auto id = Uuid::parse(id_text);
        if (!id.ok()) { return id.error(); }
        auto before = find(name, id.value());
        auto after = read_row(known->second, before, update);
        if (!after.ok()) { return after.error(); }
        changes.push_back({name, id.value(), std::move(before), std::move(after).value()});
    }
    return Ok{};
}

Result<std::vector<RowChange>> Replica::read(const json& updates) const {
    std::vector<RowChange> changes;
    if (!updates.is_object()) { return bad("is no object"); }
    for (const auto& [name, rows] : updates.items()) {
        const auto status = read_table(name, rows, changes);
        if (!status.ok()) { return status.error(); }
    }
    return changes;
}

Result<std::vector<RowChange>> Replica::merge(const json& updates) {
    auto changes = read(updates);
    if (!changes.ok()) { return changes; }
    std::erase_if(changes.value(),
                  [](const RowChange& change) { return is_same(change.before, change.after); });
    commit(changes.value());
    return changes;
}

Result<std::vector<RowChange>> Replica::replace(const json& updates) {
    auto changes = read(updates);
    if (!changes.ok()) { return changes; }
    std::set<std::pair<std::string, Uuid>> sent;
    for (const RowChange& change : changes.value()) {
        if (change.after) { sent.emplace(change.table, change.id); }
    }
    std::erase_if(changes.value(),
                  [](const RowChange& change) { return is_same(change.before, change.after); });
    for (const auto& [name, rows] : tables_) {
        for (const auto& [id, row] : rows) {
            if (!sent.contains({name, id})) { changes.value().push_back({name, id, row, nullptr}); }
        }
    }
    commit(changes.value());
    return changes;
}

void Replica::commit(const std::vector<RowChange>& changes) {
    for (const RowChange& change : changes) {
        auto& rows = tables_[change.table];
        if (change.after) {
            rows[change.id] = change.after;
        } else {
            rows.erase(change.id);
        }
        if (rows.empty()) { tables_.erase(change.table); }
    }
}

}  // namespace sluice::ovsdb
