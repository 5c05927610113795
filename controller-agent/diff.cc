// SPDX-License-Identifier: Apache-2.0
// Objects are matched by name and compared as values; only a pair that differs is written as JSON,
// whose keys are compared one by one to say what differs.
#include "controller-agent/diff.h"

#include <algorithm>
#include <span>
#include <string_view>
#include <unordered_map>

#include "controller-agent/json_difference.h"
#include "controller-agent/write_json.h"

namespace sluice::agent {
namespace {

template <typename T>
std::vector<std::string> fields_of(const T& after, const T& before) {
    std::vector<std::string> fields;
    const Json new_json = to_json_value(after, Detail::kAll);
    const Json old_json = to_json_value(before, Detail::kAll);
    tell_difference("", &new_json, &old_json, fields);
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
model::ServiceChain without_rules(const model::ServiceChain& item) { return {item.name, {}}; }

/// ACLs, sections and service chains: the object itself, then its rules one by one.
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

void diff_encryption(const model::Encryption& after, const model::Encryption& before,
                     std::vector<Change>& out) {
    if (reordered(after.rules, before.rules)) {
        out.push_back({ChangeOp::kModify, "encryption", "", {"order of rules"}});
    }
    diff_list("key_policy", "", after.key_policies, before.key_policies, out);
    diff_list("encryption_rule", "", after.rules, before.rules, out);
}

/// Routers: the object itself, then its interfaces and routes one by one.
void diff_routers(const std::vector<model::Router>& after, const std::vector<model::Router>& before,
                  std::vector<Change>& out) {
    const ByName<model::Router> now = by_name(after);
    const ByName<model::Router> then = by_name(before);
    const model::Router nothing;
    const auto inside = [&out](const std::string& name, const model::Router& item,
                               const model::Router& old) {
        diff_list("router_interface", name + "/", item.interfaces, old.interfaces, out);
        diff_list("route", name + "/", item.routes, old.routes, out);
    };
    for (const model::Router& item : before) {
        if (find(now, item.name) != nullptr) { continue; }
        out.push_back({ChangeOp::kRemove, "router", item.name, {}});
        inside(item.name, nothing, item);
    }
    for (const model::Router& item : after) {
        const model::Router* found = find(then, item.name);
        if (found == nullptr) { out.push_back({ChangeOp::kAdd, "router", item.name, {}}); }
        const model::Router& old = found == nullptr ? nothing : *found;
        if (found != nullptr && item.mac != old.mac) {
            const std::vector<std::string> fields =
                fields_of(model::Router{item.name, item.mac, {}, {}},
                          model::Router{old.name, old.mac, {}, {}});
            out.push_back({ChangeOp::kModify, "router", item.name, fields});
        }
        inside(item.name, item, old);
    }
}

}  // namespace

std::vector<Change> diff(const model::Document& desired, const model::Document& actual) {
    std::vector<Change> out;
    if (desired == actual) { return out; }
    if (!(desired.host == actual.host)) {
        out.push_back({ChangeOp::kModify, "host", "", fields_of(desired.host, actual.host)});
    }
    diff_list("uplink", "", desired.uplinks, actual.uplinks, out);
    diff_list("vtep", "", desired.vteps, actual.vteps, out);
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
    if (reordered(desired.service_chains, actual.service_chains)) {
        out.push_back({ChangeOp::kModify, "service_chain", "", {"order of service_chains"}});
    }
    diff_with_rules("service_chain", "service_rule", desired.service_chains, actual.service_chains,
                    out);
    diff_encryption(desired.encryption, actual.encryption, out);
    diff_routers(desired.routers, actual.routers, out);
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
