// SPDX-License-Identifier: Apache-2.0
// What two JSON objects differ in, leaf by leaf, in words for people: of a host's document (diff)
// and of a fleet's (fleet/changes). Pure, any thread.
#pragma once

#include <string>
#include <vector>

namespace sluice::agent {

inline constexpr std::size_t kListShownMax = 8;  ///< Items of a list that a difference repeats.

/// @param value  any of nlohmann's JSON types; nullptr: absent
template <typename Json>
[[nodiscard]] std::string difference_text(const Json* value) {
    if (value == nullptr) { return "none"; }
    if (value->is_array() && value->size() > kListShownMax) {
        return std::to_string(value->size()) + " items";
    }
    if (value->is_string()) { return value->template get<std::string>(); }
    return value->dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename Json>
[[nodiscard]] const Json* member_of(const Json* object, const std::string& key) {
    if (object == nullptr || !object->is_object()) { return nullptr; }
    const auto found = object->find(key);
    return found == object->end() ? nullptr : &*found;
}

/// Appends "PATH: OLD -> NEW" for every leaf that differs.
template <typename Json>
// NOLINTNEXTLINE(misc-no-recursion): as deep as an object of the document.
void tell_difference(const std::string& path, const Json* after, const Json* before,
                     std::vector<std::string>& out) {
    const bool deep =
        (after == nullptr || after->is_object()) && (before == nullptr || before->is_object());
    if (!deep) {
        if (after != nullptr && before != nullptr && *after == *before) { return; }
        const std::string from = difference_text(before), to = difference_text(after);
        out.push_back(path + ": " + (from == to ? "other items" : from + " -> " + to));
        return;
    }
    const std::string prefix = path.empty() ? "" : path + ".";
    if (after != nullptr) {
        for (const auto& [key, value] : after->items()) {
            tell_difference(prefix + key, &value, member_of(before, key), out);
        }
    }
    if (before == nullptr) { return; }
    for (const auto& [key, value] : before->items()) {
        const Json* none = nullptr;
        if (member_of(after, key) == nullptr) { tell_difference(prefix + key, none, &value, out); }
    }
}

}  // namespace sluice::agent
