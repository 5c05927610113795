// SPDX-License-Identifier: Apache-2.0
// Values on the wire (RFC 7047 §5.1). What comes from a server is checked piece by piece.
#include <algorithm>
#include <cstddef>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <utility>

#include "controller-agent/ovsdb/value.h"

namespace sluice::ovsdb {

namespace {

using nlohmann::json;

Error bad(const char* what) { return Error{Errc::kInvalid, what, {}}; }

bool is_tagged(const json& value, const char* tag) {
    return value.is_array() && value.size() == 2 && value[0].is_string() &&
           value[0].get_ref<const std::string&>() == tag;
}

std::optional<Atom> uuid_atom(const json& value) {
    if (!is_tagged(value, "uuid") || !value[1].is_string()) { return std::nullopt; }
    const auto parsed = Uuid::parse(value[1].get_ref<const std::string&>());
    return parsed.ok() ? std::optional<Atom>(parsed.value()) : std::nullopt;
}

std::optional<Atom> parse_atom(const json& value) {
    switch (value.type()) {
        case json::value_t::string: return value.get_ref<const std::string&>();
        case json::value_t::boolean: return value.get<bool>();
        case json::value_t::number_integer: return value.get<std::int64_t>();
        case json::value_t::number_unsigned: {
            const auto number = value.get<std::uint64_t>();
            if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
                return static_cast<double>(number);
            }
            return static_cast<std::int64_t>(number);
        }
        case json::value_t::number_float: return value.get<double>();
        case json::value_t::array: return uuid_atom(value);
        default: return std::nullopt;
    }
}

json to_json(const Atom& atom) {
    return std::visit(
        [](const auto& value) -> json {
            if constexpr (std::is_same_v<std::decay_t<decltype(value)>, Uuid>) {
                return json::array({"uuid", value.text()});
            } else {
                return value;
            }
        },
        atom);
}

bool ascends(const std::vector<Atom>& keys) {
    return std::adjacent_find(keys.begin(), keys.end(),
                              [](const Atom& a, const Atom& b) { return !(a < b); }) == keys.end();
}

// Servers send keys sorted, by an order of their own for strings of several lengths.
bool sort_entries(Datum& datum) {
    if (ascends(datum.keys)) { return true; }
    std::vector<std::size_t> order(datum.keys.size());
    std::iota(order.begin(), order.end(), 0U);
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return datum.keys[a] < datum.keys[b]; });
    Datum sorted;
    sorted.is_map = datum.is_map;
    sorted.keys.reserve(datum.keys.size());
    sorted.values.reserve(datum.values.size());
    for (const std::size_t i : order) {
        sorted.keys.push_back(std::move(datum.keys[i]));
        if (datum.is_map) { sorted.values.push_back(std::move(datum.values[i])); }
    }
    datum = std::move(sorted);
    return ascends(datum.keys);
}

Result<Datum> sorted(Datum made) {
    if (!sort_entries(made)) { return bad("a set or map has one key twice"); }
    return made;
}

Result<Datum> parse_set(const json& members) {
    Datum made;
    made.keys.reserve(members.size());
    for (const json& member : members) {
        auto atom = parse_atom(member);
        if (!atom) { return bad("a member of a set is not an atom"); }
        made.keys.push_back(std::move(*atom));
    }
    return sorted(std::move(made));
}

Result<Datum> parse_map(const json& entries) {
    Datum made;
    made.is_map = true;
    made.keys.reserve(entries.size());
    made.values.reserve(entries.size());
    for (const json& entry : entries) {
        if (!entry.is_array() || entry.size() != 2) { return bad("a map's entry is not a pair"); }
        auto key = parse_atom(entry[0]);
        auto value = parse_atom(entry[1]);
        if (!key || !value) { return bad("a map's entry is not a pair of atoms"); }
        made.keys.push_back(std::move(*key));
        made.values.push_back(std::move(*value));
    }
    return sorted(std::move(made));
}

}  // namespace

Result<Datum> parse_datum(const json& value) {
    if (is_tagged(value, "set") && value[1].is_array()) { return parse_set(value[1]); }
    if (is_tagged(value, "map") && value[1].is_array()) { return parse_map(value[1]); }
    auto atom = parse_atom(value);
    if (!atom) { return bad("a value is neither an atom nor a set nor a map"); }
    Datum made;
    made.keys.push_back(std::move(*atom));
    return made;
}

json to_json(const Datum& datum) {
    if (!datum.is_map && datum.keys.size() == 1) { return to_json(datum.keys.front()); }
    json entries = json::array();
    for (std::size_t i = 0; i < datum.keys.size(); ++i) {
        if (!datum.is_map) {
            entries.push_back(to_json(datum.keys[i]));
        } else if (i < datum.values.size()) {
            entries.push_back(json::array({to_json(datum.keys[i]), to_json(datum.values[i])}));
        }
    }
    return json::array({datum.is_map ? "map" : "set", std::move(entries)});
}

}  // namespace sluice::ovsdb
