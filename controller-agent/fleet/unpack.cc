// SPDX-License-Identifier: Apache-2.0
// From rows to the document: columns of a replica, then items, then lists. Hostile or damaged rows
// cost the object that they hold, with a reason.
#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "controller-agent/fleet/items.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

/// Names of a scope as they are to stand: those of the order first, then what it forgot.
std::vector<std::string> ordered(const Items& items, const Noun& noun, const std::string& scope,
                                 const std::vector<std::string>& names,
                                 std::vector<Problem>& problems) {
    const auto order = items.orders.find({std::string(noun.table), scope});
    if (!noun.is_ordered || order == items.orders.end()) { return names; }
    std::unordered_set<std::string> left(names.begin(), names.end());
    std::vector<std::string> out;
    for (const std::string& name : order->second) {
        if (left.erase(name) != 0) {
            out.push_back(name);
        } else {
            problems.push_back({object_name({std::string(noun.table), scope, name}),
                                "stands in the order of its list and is not there"});
        }
    }
    for (const std::string& name : names) {
        if (left.contains(name)) { out.push_back(name); }
    }
    return out;
}

/// Objects of the packed lists, by table and scope.
class Assembler {
public:
    Assembler(const Items& items, std::vector<Problem>& problems)
        : items_(items), problems_(problems) {
        for (const auto& [key, text] : items.objects) {
            names_[{key.table, key.scope}].push_back(key.name);
        }
    }

    json document() {
        json out = json::object();
        if (const json dfw = object_at({kGlobalTable, "", "dfw"}); !dfw.is_null()) {
            out["dfw"] = dfw;
        }
        for (const Noun& noun : nouns()) {
            if (!noun.parent.empty()) { continue; }
            json list = list_of(noun);
            if (list.empty()) { continue; }
            json& holder = noun.inside.empty() ? out : out[std::string(noun.inside)];
            holder[std::string(noun.key)] = std::move(list);
        }
        if (json bindings = objects_of(kBindingTable); !bindings.empty()) {
            out["bindings"] = std::move(bindings);
        }
        tell_orphans();
        return out;
    }

private:
    json object_at(const ItemKey& key) {
        const auto found = items_.objects.find(key);
        if (found == items_.objects.end()) { return nullptr; }
        json value = json::parse(found->second, nullptr, false);
        if (value.is_object()) { return value; }
        problems_.push_back({object_name(key), "is not a JSON object"});
        return nullptr;
    }

    json list_of(const Noun& noun) {
        json list = json::array();
        const std::string table(noun.table);
        for (auto at = names_.lower_bound({table, ""}); at != names_.end(); ++at) {
            const auto& [scope, names] = *at;
            if (scope.first != table) { break; }
            if (!noun.is_owned && !scope.second.empty()) { continue; }
            for (const std::string& name : ordered(items_, noun, "", names, problems_)) {
                json object = object_at({table, scope.second, name});
                if (object.is_null()) { continue; }
                object["name"] = name;
                if (noun.is_owned) { object["host"] = scope.second; }
                add_children(noun, name, object);
                list.push_back(std::move(object));
            }
        }
        return list;
    }

    void add_children(const Noun& parent, const std::string& name, json& object) {
        if (parent.table == "Address_Set") {
            const auto members = names_.find({kSetMemberTable, name});
            if (members != names_.end()) { object["members"] = members->second; }
            return;
        }
        for (const Noun& noun : nouns()) {
            if (noun.parent != parent.table) { continue; }
            const std::string table(noun.table);
            const auto at = names_.find({table, name});
            if (at == names_.end()) { continue; }
            json list = json::array();
            for (const std::string& child : ordered(items_, noun, name, at->second, problems_)) {
                json item = object_at({table, name, child});
                if (item.is_null()) { continue; }
                item[std::string(noun.name)] = child;
                list.push_back(std::move(item));
            }
            object[std::string(noun.key)] = std::move(list);
        }
    }

    json objects_of(const std::string& table) {
        json list = json::array();
        for (auto at = names_.lower_bound({table, ""}); at != names_.end(); ++at) {
            if (at->first.first != table) { break; }
            for (const std::string& name : at->second) {
                json object = object_at({table, at->first.second, name});
                if (!object.is_null()) { list.push_back(std::move(object)); }
            }
        }
        return list;
    }

    /// Rules, routes and members whose holder is not there.
    void tell_orphans() {
        for (const auto& [scope, names] : names_) {
            const Noun* noun = noun_of(scope.first);
            const bool is_member = scope.first == kSetMemberTable;
            if (!is_member && (noun == nullptr || noun->parent.empty())) { continue; }
            const std::string parent(is_member ? "Address_Set" : noun->parent);
            if (items_.objects.contains({parent, "", scope.second})) { continue; }
            problems_.push_back({object_name({scope.first, scope.second, names.front()}),
                                 "belongs to " + object_name({parent, "", scope.second}) +
                                     ", which does not exist"});
        }
    }

    const Items& items_;
    std::vector<Problem>& problems_;
    std::map<Scope, std::vector<std::string>> names_;
};

}  // namespace

std::optional<std::pair<RowKey, PackedRow>> packed_row(const std::string& table,
                                                       const ovsdb::Row& row) {
    if (table == kGlobalTable) {
        PackedRow settings{ovsdb::column(row, "settings").text_map(), {}};
        settings.items.erase(kWritingKey);
        return std::pair{RowKey{table, "", 0}, std::move(settings)};
    }
    const bool is_packed = noun_of(table) != nullptr || table == kBindingTable ||
                           table == kMemberTable || table == kSetMemberTable;
    if (!is_packed) { return std::nullopt; }
    RowKey key{table, ovsdb::column(row, "scope").text(), ovsdb::column(row, "chunk").integer()};
    PackedRow packed{ovsdb::column(row, "items").text_map(),
                     words_of(ovsdb::column(row, "order").text())};
    return std::pair{std::move(key), std::move(packed)};
}

PackedRows packed_rows(const ovsdb::Tables& tables) {
    PackedRows rows;
    for (const auto& [name, table] : tables) {
        for (const auto& [id, row] : table) {
            if (auto packed = packed_row(name, *row)) { rows.insert(std::move(*packed)); }
        }
    }
    return rows;
}

bool is_whole(const ovsdb::Tables& tables) {
    const auto global = tables.find(kGlobalTable);
    if (global == tables.end()) { return true; }
    return std::none_of(global->second.begin(), global->second.end(), [](const auto& at) {
        return ovsdb::column(*at.second, "settings").text_map().contains(kWritingKey);
    });
}

json document_of(const Items& items, std::vector<Problem>& problems) {
    return Assembler(items, problems).document();
}

json unpack(const PackedRows& rows, std::vector<Problem>& problems) {
    return document_of(items_of(rows), problems);
}

}  // namespace sluice::fleet
