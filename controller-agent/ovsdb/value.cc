// SPDX-License-Identifier: Apache-2.0
// Values between C++ types and columns of a database. Nothing here throws for what a server sent:
// a value of another type reads as the empty one.
#include "controller-agent/ovsdb/value.h"

#include <algorithm>
#include <utility>

namespace sluice::ovsdb {

namespace {

constexpr std::size_t kUuidTextSize = 36;

bool is_dash_at(std::size_t index) {
    return index == 8 || index == 13 || index == 18 || index == 23;
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') { return c - '0'; }
    if (c >= 'a' && c <= 'f') { return c - 'a' + 10; }
    if (c >= 'A' && c <= 'F') { return c - 'A' + 10; }
    return -1;
}

Datum one(Atom atom) {
    Datum made;
    made.keys.push_back(std::move(atom));
    return made;
}

template <typename T>
const T* sole(const Datum& datum) {
    return datum.is_map || datum.keys.size() != 1 ? nullptr : std::get_if<T>(datum.keys.data());
}

}  // namespace

Result<Uuid> Uuid::parse(std::string_view text) {
    Uuid made;
    std::size_t digits = 0;
    bool is_good = text.size() == kUuidTextSize;
    for (std::size_t i = 0; is_good && i < text.size(); ++i) {
        if (is_dash_at(i)) {
            is_good = text[i] == '-';
            continue;
        }
        const int digit = hex_digit(text[i]);
        is_good = digit >= 0;
        auto& byte = made.bytes.at(digits++ / 2);
        byte = static_cast<std::uint8_t>((byte << 4U) | static_cast<std::uint8_t>(digit & 0xf));
    }
    if (is_good) { return made; }
    return Error{Errc::kInvalid, "\"" + std::string(text.substr(0, 64)) + "\" is not a UUID", {}};
}

std::string Uuid::text() const {
    static constexpr char kHex[] = "0123456789abcdef";
    std::string made;
    made.reserve(kUuidTextSize);
    for (const std::uint8_t byte : bytes) {
        if (is_dash_at(made.size())) { made += '-'; }
        made += kHex[byte >> 4U];
        made += kHex[byte & 0xfU];
    }
    return made;
}

std::int64_t Datum::integer() const {
    const auto* value = sole<std::int64_t>(*this);
    return value == nullptr ? 0 : *value;
}

std::string Datum::text() const {
    const auto* value = sole<std::string>(*this);
    return value == nullptr ? std::string() : *value;
}

bool Datum::boolean() const {
    const auto* value = sole<bool>(*this);
    return value != nullptr && *value;
}

std::vector<std::string> Datum::texts() const {
    std::vector<std::string> made;
    if (is_map) { return made; }
    for (const Atom& atom : keys) {
        if (const auto* text = std::get_if<std::string>(&atom)) { made.push_back(*text); }
    }
    return made;
}

std::map<std::string, std::string> Datum::text_map() const {
    std::map<std::string, std::string> made;
    for (std::size_t i = 0; i < std::min(keys.size(), values.size()); ++i) {
        const auto* key = std::get_if<std::string>(&keys[i]);
        const auto* value = std::get_if<std::string>(&values[i]);
        if (key != nullptr && value != nullptr) { made.emplace_hint(made.end(), *key, *value); }
    }
    return made;
}

Datum datum(std::int64_t value) { return one(value); }
Datum datum(const std::string& value) { return one(value); }
Datum datum(bool value) { return one(value); }

Datum datum(const std::vector<std::string>& set) {
    Datum made;
    made.keys.assign(set.begin(), set.end());
    std::sort(made.keys.begin(), made.keys.end());
    made.keys.erase(std::unique(made.keys.begin(), made.keys.end()), made.keys.end());
    return made;
}

Datum datum(const std::map<std::string, std::string>& map) {
    Datum made;
    made.is_map = true;
    made.keys.reserve(map.size());
    made.values.reserve(map.size());
    for (const auto& [key, value] : map) {
        made.keys.emplace_back(key);
        made.values.emplace_back(value);
    }
    return made;
}

const Datum& column(const Row& row, const std::string& name) {
    static const Datum kEmpty;
    const auto found = row.find(name);
    return found == row.end() ? kEmpty : found->second;
}

}  // namespace sluice::ovsdb
