// SPDX-License-Identifier: Apache-2.0
// Reading a schema: types and the values that stand for nothing said.
#include "controller-agent/ovsdb/schema.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace sluice::ovsdb {

namespace {

using nlohmann::json;

const json* member(const json& object, const char* name) {
    if (!object.is_object()) { return nullptr; }
    const auto found = object.find(name);
    return found == object.end() ? nullptr : &*found;
}

// A base type is a word, or an object with the word as `type`.
const std::string* atom_word(const json& base) {
    const json* word = base.is_object() ? member(base, "type") : &base;
    return word != nullptr && word->is_string() ? &word->get_ref<const std::string&>() : nullptr;
}

std::optional<Atom> standard_atom(const json& base) {
    const std::string* word = atom_word(base);
    if (word == nullptr) { return std::nullopt; }
    if (*word == "integer") { return std::int64_t{0}; }
    if (*word == "real") { return 0.0; }
    if (*word == "boolean") { return false; }
    if (*word == "string") { return std::string(); }
    if (*word == "uuid") { return Uuid{}; }
    return std::nullopt;
}

bool is_one(const json* bound) {
    return bound == nullptr || (bound->is_number_integer() && *bound == 1);
}

std::optional<SchemaColumn> read_column(const json& column) {
    const json* type = member(column, "type");
    if (type == nullptr) { return std::nullopt; }
    const json* key = type->is_object() ? member(*type, "key") : type;
    const json* value = member(*type, "value");
    if (key == nullptr) { return std::nullopt; }
    const auto key_atom = standard_atom(*key);
    const auto value_atom = value == nullptr ? std::optional<Atom>() : standard_atom(*value);
    if (!key_atom || (value != nullptr && !value_atom)) { return std::nullopt; }
    SchemaColumn made;
    made.has_real_keys = std::holds_alternative<double>(*key_atom);
    made.has_real_values = value_atom && std::holds_alternative<double>(*value_atom);
    made.type = {value != nullptr, is_one(member(*type, "max"))};
    made.standard.is_map = made.type.is_map;
    if (is_one(member(*type, "min"))) {
        made.standard.keys.push_back(*key_atom);
        if (value_atom) { made.standard.values.push_back(*value_atom); }
    }
    return made;
}

void make_real(std::vector<Atom>& atoms) {
    for (Atom& atom : atoms) {
        if (const auto* number = std::get_if<std::int64_t>(&atom)) {
            atom = static_cast<double>(*number);
        }
    }
}

// Whole and broken numbers were sorted apart.
void sort_keys(Datum& datum) {
    std::map<Atom, Atom> entries;
    for (std::size_t i = 0; i < datum.keys.size(); ++i) {
        entries.emplace(datum.keys[i], datum.is_map ? datum.values[i] : Atom{});
    }
    datum.keys.clear();
    datum.values.clear();
    for (const auto& [key, value] : entries) {
        datum.keys.push_back(key);
        if (datum.is_map) { datum.values.push_back(value); }
    }
}

Error bad(const std::string& what) {
    return Error{Errc::kInvalid, "the server's schema: " + what + " makes no sense", {}};
}

Result<SchemaTable> read_table(const std::string& name, const json& table) {
    SchemaTable made;
    const json* columns = member(table, "columns");
    if (columns == nullptr || !columns->is_object()) { return bad("table " + name); }
    for (const auto& [column_name, column] : columns->items()) {
        auto read = read_column(column);
        if (!read) { return bad("column " + name + "." + column_name); }
        made.emplace(column_name, std::move(*read));
    }
    return made;
}

}  // namespace

void shape(Datum& datum, const SchemaColumn& column) {
    datum.is_map = column.type.is_map;
    datum.values.resize(datum.is_map ? datum.keys.size() : 0U);
    if (column.has_real_values) { make_real(datum.values); }
    if (column.has_real_keys) {
        make_real(datum.keys);
        sort_keys(datum);
    }
}

Result<Schema> parse_schema(const json& schema) {
    Schema made;
    const json* tables = member(schema, "tables");
    if (tables == nullptr || !tables->is_object()) { return bad("a schema without tables"); }
    for (const auto& [name, table] : tables->items()) {
        auto read = read_table(name, table);
        if (!read.ok()) { return read.error(); }
        made.emplace(name, std::move(read).value());
    }
    return made;
}

}  // namespace sluice::ovsdb
