// SPDX-License-Identifier: Apache-2.0
// Differences and merges of items: see changes.h.
#include "controller-agent/fleet/changes.h"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "controller-agent/json_difference.h"

namespace sluice::fleet {
namespace {

using agent::Change;
using agent::ChangeOp;
using nlohmann::json;

json parsed(const std::string& text) {
    json value = json::parse(text, nullptr, false);
    return value.is_object() ? value : json::object();
}

std::vector<std::string> fields_of(const std::string& after, const std::string& before) {
    std::vector<std::string> fields;
    const json new_object = parsed(after), old_object = parsed(before);
    agent::tell_difference("", &new_object, &old_object, fields);
    return fields;
}

std::string kind_of(const ItemKey& key) {
    const Noun* noun = noun_of(key.table);
    if (noun != nullptr) { return std::string(noun->kind); }
    if (key.table == kBindingTable) { return "binding"; }
    return key.name;  // Of Global: "dfw".
}

std::string name_of(const ItemKey& key) {
    if (key.table == kGlobalTable) { return {}; }
    const Noun* noun = noun_of(key.table);
    return noun != nullptr && !noun->parent.empty() ? key.scope + "/" + key.name : key.name;
}

/// Counts what address sets gain and lose.
struct MemberCount {
    std::size_t added = 0, removed = 0;
};

class Comparison {
public:
    Comparison(const Items& desired, const Items& now) : desired_(desired), now_(now) {}

    std::vector<FleetChange> run() {
        compare_objects();
        compare_orders();
        tell_members();
        join_moves();
        const auto rank = [](const FleetChange& change) {
            const auto& all = nouns();
            const auto at = std::find_if(all.begin(), all.end(), [&](const Noun& noun) {
                return noun.kind == change.change.kind;
            });
            return at - all.begin();
        };
        std::stable_sort(out_.begin(), out_.end(),
                         [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
        return std::move(out_);
    }

private:
    void add(ChangeOp op, const ItemKey& key, std::vector<std::string> fields = {}) {
        const Noun* noun = noun_of(key.table);
        const bool is_owned = noun != nullptr && noun->is_owned;
        out_.push_back({Change{op, kind_of(key), name_of(key), std::move(fields)},
                        is_owned ? key.scope : std::string()});
    }

    void compare_objects() {
        for (const auto& [key, text] : desired_.objects) {
            const auto old = now_.objects.find(key);
            if (key.table == kSetMemberTable) {
                if (old == now_.objects.end()) { ++members_[key.scope].added; }
            } else if (old == now_.objects.end()) {
                add(ChangeOp::kAdd, key);
            } else if (old->second != text) {
                add(ChangeOp::kModify, key, fields_of(text, old->second));
            }
        }
        for (const auto& [key, text] : now_.objects) {
            if (desired_.objects.contains(key)) { continue; }
            if (key.table == kSetMemberTable) {
                ++members_[key.scope].removed;
            } else {
                add(ChangeOp::kRemove, key);
            }
        }
    }

    /// The names that both lists hold stand otherwise.
    static bool is_reordered(const std::vector<std::string>& after,
                             const std::vector<std::string>& before) {
        const std::set<std::string> now(after.begin(), after.end());
        const std::set<std::string> then(before.begin(), before.end());
        const auto common = [](const std::vector<std::string>& list,
                               const std::set<std::string>& other) {
            std::vector<std::string> out;
            std::copy_if(list.begin(), list.end(), std::back_inserter(out),
                         [&](const std::string& name) { return other.contains(name); });
            return out;
        };
        return common(after, then) != common(before, now);
    }

    void compare_orders() {
        for (const auto& [scope, order] : desired_.orders) {
            const auto old = now_.orders.find(scope);
            if (old == now_.orders.end() || order == old->second ||
                !is_reordered(order, old->second)) {
                continue;
            }
            const Noun* noun = noun_of(scope.first);
            if (noun == nullptr) { continue; }
            const Noun* parent = noun->parent.empty() ? nullptr : noun_of(noun->parent);
            const std::string kind(parent != nullptr       ? parent->kind
                                   : !noun->inside.empty() ? noun->inside
                                                           : noun->kind);
            out_.push_back(
                {Change{
                     ChangeOp::kModify, kind, scope.second, {"order of " + std::string(noun->key)}},
                 ""});
        }
    }

    void tell_members() {
        for (const auto& [set, count] : members_) {
            const ItemKey key{"Address_Set", "", set};
            if (!desired_.objects.contains(key) || !now_.objects.contains(key)) { continue; }
            add(ChangeOp::kModify, key,
                {"members: +" + std::to_string(count.added) + ", -" +
                 std::to_string(count.removed)});
        }
    }

    /// What went from one host and came to another has moved.
    void join_moves() {
        std::unordered_map<std::string, std::string> gone;  // Host by port.
        for (const FleetChange& each : out_) {
            if (each.change.kind == "port" && each.change.op == ChangeOp::kRemove) {
                gone.emplace(each.change.name, each.host);
            }
        }
        std::set<std::string> moved;
        for (FleetChange& each : out_) {
            if (each.change.kind != "port" || each.change.op != ChangeOp::kAdd) { continue; }
            const auto from = gone.find(each.change.name);
            if (from == gone.end()) { continue; }
            moved.insert(each.change.name);
            each.change.op = ChangeOp::kModify;
            each.change.fields =
                fields_of(desired_.objects.at({"Port", each.host, each.change.name}),
                          now_.objects.at({"Port", from->second, each.change.name}));
            each.change.fields.insert(each.change.fields.begin(),
                                      "host: " + from->second + " -> " + each.host);
        }
        std::erase_if(out_, [&](const FleetChange& each) {
            return each.change.kind == "port" && each.change.op == ChangeOp::kRemove &&
                   moved.contains(each.change.name);
        });
    }

    const Items& desired_;
    const Items& now_;
    std::map<std::string, MemberCount> members_;
    std::vector<FleetChange> out_;
};

/// Applies to `out` (which is theirs) what `mine` changed of `base`; the first key that both
/// changed is returned.
template <typename Map>
const typename Map::key_type* merge_into(Map& out, const Map& base, const Map& mine) {
    const auto value = [](const Map& map, const typename Map::key_type& key) {
        const auto at = map.find(key);
        return at == map.end() ? nullptr : &at->second;
    };
    const auto is_same = [](const auto* a, const auto* b) {
        return a == b || (a != nullptr && b != nullptr && *a == *b);
    };
    const auto merge_key = [&](const typename Map::key_type& key) {
        const auto* before = value(base, key);
        const auto* wanted = value(mine, key);
        if (is_same(before, wanted)) { return true; }
        const auto* there = value(out, key);
        if (is_same(there, wanted)) { return true; }
        if (!is_same(there, before)) { return false; }
        if (wanted == nullptr) {
            out.erase(key);
        } else {
            out[key] = *wanted;
        }
        return true;
    };
    for (const auto& [key, item] : mine) {
        if (!merge_key(key)) { return &key; }
    }
    for (const auto& [key, item] : base) {
        if (!mine.contains(key) && !merge_key(key)) { return &key; }
    }
    return nullptr;
}

Error conflict(const std::string& object) {
    return Error{Errc::kState,
                 object +
                     ": was changed by another editor at the same time, in another way; "
                     "nothing was written: look at diff, then apply again",
                 object};
}

}  // namespace

std::vector<FleetChange> changes_of(const Items& desired, const Items& now) {
    return Comparison(desired, now).run();
}

json to_json_value(const std::vector<FleetChange>& changes) {
    json list = json::array();
    for (const FleetChange& each : changes) {
        json item{{"op", agent::to_text(each.change.op)},
                  {"kind", each.change.kind},
                  {"name", each.change.name}};
        if (!each.host.empty()) { item["host"] = each.host; }
        if (!each.change.fields.empty()) { item["fields"] = each.change.fields; }
        list.push_back(std::move(item));
    }
    return list;
}

Result<Items> merged(const Items& base, const Items& mine, const Items& theirs) {
    Items out = theirs;
    if (const ItemKey* key = merge_into(out.objects, base.objects, mine.objects); key != nullptr) {
        return conflict(object_name(*key));
    }
    if (const Scope* scope = merge_into(out.orders, base.orders, mine.orders); scope != nullptr) {
        const Noun* noun = noun_of(scope->first);
        const std::string list = noun == nullptr ? scope->first : std::string(noun->key);
        return conflict("order of " + list + (scope->second.empty() ? "" : " of " + scope->second));
    }
    return out;
}

}  // namespace sluice::fleet
