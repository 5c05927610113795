// SPDX-License-Identifier: Apache-2.0
// Objects are matched by name and compared as values; only a pair that differs is written as JSON,
// whose keys are compared one by one to say what differs.
#include "controller-agent/diff.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_map>

#include "controller-agent/write_json.h"

namespace sluice::agent {
namespace {

constexpr std::size_t kListShownMax = 8;  // Items of a list that a change repeats.

std::string value_text(const Json* value) {
    if (value == nullptr) { return "none"; }
    if (value->is_array() && value->size() > kListShownMax) {
        return std::to_string(value->size()) + " items";
    }
    return value->is_string() ? value->get<std::string>() : value->dump();
}

const Json* member(const Json* object, const std::string& key) {
    if (object == nullptr || !object->is_object()) { return nullptr; }
    const auto found = object->find(key);
    return found == object->end() ? nullptr : &*found;
}

/// Appends "PATH: OLD -> NEW" for every leaf that differs.
void compare(const std::string& path, const Json* after, const Json* before,
             std::vector<std::string>& out) {
    const bool deep =
        (after == nullptr || after->is_object()) && (before == nullptr || before->is_object());
    if (!deep) {
        if (after != nullptr && before != nullptr && *after == *before) { return; }
        std::string text = path + ": " + value_text(before) + " -> " + value_text(after);
        if (value_text(before) == value_text(after)) { text = path + ": other items"; }
        out.push_back(std::move(text));
        return;
    }
    const std::string prefix = path.empty() ? "" : path + ".";
    if (after != nullptr) {
        for (const auto& [key, value] : after->items()) {
            compare(prefix + key, &value, member(before, key), out);
        }
    }
    if (before == nullptr) { return; }
    for (const auto& [key, value] : before->items()) {
        if (member(after, key) == nullptr) { compare(prefix + key, nullptr, &value, out); }
    }
}

template <typename T>
std::vector<std::string> fields_of(const T& after, const T& before) {
    std::vector<std::string> fields;
    const Json new_json = to_json_value(after, Detail::kAll);
    const Json old_json = to_json_value(before, Detail::kAll);
    compare("", &new_json, &old_json, fields);
    return fields;
}

template <typename T>
using ByName = std::unordered_map<std::string_view, const T*>;

template <typename T>
ByName<T> by_name(std::span<const T> items) {
    ByName<T> index;
    index.reserve(items.size());
    for (const T& item : items) { index.emplace(item.name, &item); }
    return index;
}

template <typename T>
const T* find(const ByName<T>& index, const std::string& name) {
    const auto found = index.find(name);
    return found == index.end() ? nullptr : found->second;
}

template <typename T>
ByName<T> by_name(const std::vector<T>& items) {
    return by_name(std::span<const T>(items));
}

/// The lists without the objects with which both begin, and end.
template <typename T>
std::pair<std::span<const T>, std::span<const T>> without_common_ends(std::span<const T> a,
                                                                      std::span<const T> b) {
    const auto first = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
    a = a.subspan(static_cast<std::size_t>(first.first - a.begin()));
    b = b.subspan(static_cast<std::size_t>(first.second - b.begin()));
    const auto last = std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend());
    return {a.first(static_cast<std::size_t>(a.rend() - last.first)),
            b.first(static_cast<std::size_t>(b.rend() - last.second))};
}

/// True if the objects that both lists hold stand in another order.
template <typename T>
bool reordered(const std::vector<T>& after, const std::vector<T>& before) {
    if (std::equal(after.begin(), after.end(), before.begin(), before.end(),
                   [](const T& a, const T& b) { return a.name == b.name; })) {
        return false;  // The usual case, without an index.
    }
    const ByName<T> now = by_name(after);
    const ByName<T> then = by_name(before);
    auto old_item = before.begin();
    for (const T& item : after) {
        if (find(then, item.name) == nullptr) { continue; }
        while (find(now, old_item->name) == nullptr) { ++old_item; }
        if (old_item->name != item.name) { return true; }
        ++old_item;
    }
    return false;
}

/// Lists whose objects hold no further objects.
template <typename T>
void diff_list(const std::string& kind, const std::string& prefix, const std::vector<T>& all_after,
               const std::vector<T>& all_before, std::vector<Change>& out) {
    const auto [after, before] = without_common_ends<T>(all_after, all_before);
    const ByName<T> now = by_name(after);
    const ByName<T> then = by_name(before);
    for (const T& item : before) {
        if (find(now, item.name) == nullptr) {
            out.push_back({ChangeOp::kRemove, kind, prefix + item.name, {}});
        }
    }
    for (const T& item : after) {
        const T* old_item = find(then, item.name);
        if (old_item == nullptr) {
            out.push_back({ChangeOp::kAdd, kind, prefix + item.name, {}});
        } else if (!(*old_item == item)) {
            out.push_back(
                {ChangeOp::kModify, kind, prefix + item.name, fields_of(item, *old_item)});
        }
    }
}

// Built without the rules rather than copied and cleared: there may be 100 000.
model::Section without_rules(const model::Section& item) {
    return {item.name, item.stateful, item.tcp_strict, {}};
}
model::Acl without_rules(const model::Acl& item) { return {item.name, item.applied_to, {}}; }

/// ACLs and sections: the object itself, then its rules one by one.
template <typename T>
void diff_with_rules(const std::string& kind, const std::string& rule_kind,
                     const std::vector<T>& after, const std::vector<T>& before,
                     std::vector<Change>& out) {
    const ByName<T> now = by_name(after);
    const ByName<T> then = by_name(before);
    const T nothing;
    for (const T& item : before) {
        if (find(now, item.name) != nullptr) { continue; }
        out.push_back({ChangeOp::kRemove, kind, item.name, {}});
        diff_list(rule_kind, item.name + "/", nothing.rules, item.rules, out);
    }
    for (const T& item : after) {
        const T* found = find(then, item.name);
        if (found == nullptr) { out.push_back({ChangeOp::kAdd, kind, item.name, {}}); }
        const T& old_item = found == nullptr ? nothing : *found;
        if (old_item == item) { continue; }
        std::vector<std::string> fields;
        if (found != nullptr) { fields = fields_of(without_rules(item), without_rules(old_item)); }
        if (reordered(item.rules, old_item.rules)) { fields.emplace_back("order of rules"); }
        if (!fields.empty()) { out.push_back({ChangeOp::kModify, kind, item.name, fields}); }
        diff_list(rule_kind, item.name + "/", item.rules, old_item.rules, out);
    }
}

void diff_dfw(const model::Dfw& after, const model::Dfw& before, std::vector<Change>& out) {
    const model::Dfw bare_after{after.default_action, {},           after.exclude,
                                after.timeouts,       after.limits, after.grace_s};
    const model::Dfw bare_before{
        before.default_action, {}, before.exclude, before.timeouts, before.limits, before.grace_s};
    std::vector<std::string> fields = fields_of(bare_after, bare_before);
    if (reordered(after.sections, before.sections)) { fields.emplace_back("order of sections"); }
    if (!fields.empty()) { out.push_back({ChangeOp::kModify, "dfw", "", fields}); }
    diff_with_rules("section", "rule", after.sections, before.sections, out);
}

}  // namespace

std::vector<Change> diff(const model::Document& desired, const model::Document& actual) {
    std::vector<Change> out;
    if (desired == actual) { return out; }
    if (!(desired.host == actual.host)) {
        out.push_back({ChangeOp::kModify, "host", "", fields_of(desired.host, actual.host)});
    }
    diff_list("uplink", "", desired.uplinks, actual.uplinks, out);
    diff_list("switch", "", desired.switches, actual.switches, out);
    diff_list("port_group", "", desired.port_groups, actual.port_groups, out);
    diff_list("port", "", desired.ports, actual.ports, out);
    diff_list("address_set", "", desired.address_sets, actual.address_sets, out);
    diff_list("group", "", desired.groups, actual.groups, out);
    if (reordered(desired.acls, actual.acls)) {
        out.push_back({ChangeOp::kModify, "acl", "", {"order of acls"}});
    }
    diff_with_rules("acl", "acl_rule", desired.acls, actual.acls, out);
    diff_dfw(desired.dfw, actual.dfw, out);
    diff_list("binding", "", desired.bindings, actual.bindings, out);
    return out;
}

const char* to_text(ChangeOp op) {
    switch (op) {
        case ChangeOp::kAdd: return "add";
        case ChangeOp::kRemove: return "remove";
        case ChangeOp::kModify: return "modify";
    }
    return "modify";
}

nlohmann::ordered_json to_json_value(const std::vector<Change>& changes) {
    Json list = Json::array();
    for (const Change& change : changes) {
        Json item = {{"op", to_text(change.op)}, {"kind", change.kind}, {"name", change.name}};
        if (!change.fields.empty()) { item["fields"] = change.fields; }
        list.push_back(std::move(item));
    }
    return list;
}

}  // namespace sluice::agent
