// SPDX-License-Identifier: Apache-2.0
// Rows and items: chunks by hash of the name, orders in the first chunk. See items.h.
#include "controller-agent/fleet/items.h"

#include <algorithm>
#include <bit>
#include <sstream>

#include "sluice/base/limits.h"

namespace sluice::fleet {
namespace {

constexpr std::int64_t kChunkMax = 1 << 20;  // What a row says beyond it is not ours.

/// FNV-1a, folded: the same on every controller and in every version.
std::uint64_t hash_of(std::string_view name) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : name) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL; }
    return hash ^ (hash >> 32U);
}

std::map<Scope, std::size_t> chunk_counts(const PackedRows* rows) {
    std::map<Scope, std::size_t> counts;
    if (rows == nullptr) { return counts; }
    for (const auto& [key, row] : *rows) {
        if (key.chunk < 0 || key.chunk >= kChunkMax) { continue; }
        auto& count = counts[{key.table, key.scope}];
        count = std::max(count, std::bit_ceil(static_cast<std::size_t>(key.chunk) + 1));
    }
    return counts;
}

/// A power of two.
std::size_t chunk_count(std::size_t items, std::size_t before) {
    const bool fits = before != 0 && items <= before * kFleetChunkItems * 2 &&
                      (before == 1 || items * 4 >= before * kFleetChunkItems);
    if (fits) { return before; }
    return std::bit_ceil(std::max<std::size_t>(1, items / kFleetChunkItems));
}

}  // namespace

const std::vector<Noun>& nouns() {
    static const std::vector<Noun> all{
        {"Host", "hosts", "host"},
        {"Uplink", "uplinks", "uplink", true},
        {"Vtep", "vteps", "vtep", true},
        {"Switch", "switches", "switch"},
        {"Port_Group", "port_groups", "port_group"},
        {"Port", "ports", "port", true},
        {"Address_Set", "address_sets", "address_set"},
        {"Group", "groups", "group"},
        {"ACL", "acls", "acl", false, true},
        {"ACL_Rule", "rules", "acl_rule", false, true, "ACL"},
        {"Section", "sections", "section", false, true, {}, "name", "dfw"},
        {"Rule", "rules", "rule", false, true, "Section"},
        {"Service_Chain", "service_chains", "service_chain", false, true},
        {"Service_Rule", "rules", "service_rule", false, true, "Service_Chain"},
        {"Key_Policy", "key_policies", "key_policy", false, false, {}, "name", "encryption"},
        {"Encryption_Rule", "rules", "encryption_rule", false, true, {}, "name", "encryption"},
        {"Router", "routers", "router"},
        {"Route", "routes", "route", false, false, "Router", "prefix"},
    };
    return all;
}

const Noun* noun_of(std::string_view table) {
    const auto& all = nouns();
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const Noun& noun) { return noun.table == table; });
    return found == all.end() ? nullptr : &*found;
}

Items items_of(const PackedRows& rows, const std::function<bool(const RowKey&)>& keep) {
    Items items;
    for (const auto& [key, row] : rows) {
        if (keep && !keep(key)) { continue; }
        for (const auto& [name, text] : row.items) {
            items.objects[{key.table, key.scope, name}] = text;
        }
        if (key.chunk == 0 && !row.order.empty()) {
            items.orders[{key.table, key.scope}] = row.order;
        }
    }
    return items;
}

PackedRows rows_of(const Items& items, const PackedRows* before) {
    const std::map<Scope, std::size_t> old_counts = chunk_counts(before);
    std::map<Scope, std::size_t> counts;
    for (const auto& [key, text] : items.objects) { ++counts[{key.table, key.scope}]; }
    for (auto& [scope, count] : counts) {
        const auto old = old_counts.find(scope);
        count = chunk_count(count, old == old_counts.end() ? 0 : old->second);
    }
    PackedRows rows;
    for (const auto& [key, text] : items.objects) {
        const std::size_t count = counts.at({key.table, key.scope});
        const auto chunk = static_cast<std::int64_t>(hash_of(key.name) & (count - 1));
        rows[{key.table, key.scope, chunk}].items.emplace(key.name, text);
    }
    for (const auto& [scope, order] : items.orders) {
        rows[{scope.first, scope.second, 0}].order = order;
    }
    return rows;
}

std::vector<std::string> words_of(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) { words.push_back(std::move(word)); }
    return words;
}

std::string object_name(const ItemKey& key) {
    if (key.table == kBindingTable) { return "binding " + key.name; }
    if (key.table == kSetMemberTable) { return "address_set " + key.scope; }
    const Noun* noun = noun_of(key.table);
    if (noun == nullptr) { return key.name; }
    const std::string holder = noun->parent.empty() ? "" : key.scope + "/";
    return std::string(noun->kind) + " " + holder + key.name;
}

}  // namespace sluice::fleet
