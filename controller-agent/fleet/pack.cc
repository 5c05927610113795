// SPDX-License-Identifier: Apache-2.0
// From the document to rows: lists to items, items to chunks, and the members of what rules name.
#include "controller-agent/fleet/items.h"
#include "controller-agent/fleet/members.h"
#include "controller-agent/fleet/network.h"
#include "controller-agent/fleet/view_services.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

std::string dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Takes a document apart.
class Disassembler {
public:
    explicit Disassembler(const json& document) : document_(document) {}

    Items run() {
        for (const Noun& noun : nouns()) {
            if (!noun.parent.empty()) { continue; }
            const json* holder = holder_of(noun, document_);
            if (holder != nullptr) { add_list(list_of(*holder, noun.key), noun, ""); }
        }
        json dfw = object_of(document_, "dfw");
        dfw.erase("sections");
        if (!dfw.empty()) { items_.objects[{kGlobalTable, "", "dfw"}] = dump(dfw); }
        add_bindings();
        return std::move(items_);
    }

private:
    // NOLINTNEXTLINE(misc-no-recursion): one level of children.
    void add_list(const json& list, const Noun& noun, const std::string& holder) {
        const std::string table(noun.table);
        std::vector<std::string> order;
        std::string scope = holder;
        for (json item : list) {
            const std::string name = text_of(item, noun.name);
            if (noun.is_owned) {
                scope = text_of(item, "host");
                item.erase("host");
            }
            take_children(item, noun, name);
            items_.objects[{table, scope, name}] = dump(item);
            order.push_back(name);
        }
        if (noun.is_ordered && !order.empty()) { items_.orders[{table, scope}] = std::move(order); }
    }

    // NOLINTNEXTLINE(misc-no-recursion): one level of children.
    void take_children(json& item, const Noun& noun, const std::string& name) {
        if (noun.table == "Address_Set") {
            for (const json& member : list_of(item, "members")) {
                items_.objects[{kSetMemberTable, name, member.get<std::string>()}];
            }
            item.erase("members");
        }
        for (const Noun& child : nouns()) {
            if (child.parent != noun.table) { continue; }
            add_list(list_of(item, child.key), child, name);
            item.erase(std::string(child.key));
        }
    }

    void add_bindings() {
        std::map<std::string, std::string> scopes;  // Of port groups.
        for (const json& group : list_of(document_, "port_groups")) {
            scopes[text_of(group, "name")] = scope_of(network_of(group));
        }
        for (const json& binding : list_of(document_, "bindings")) {
            const std::string& scope = scopes[text_of(binding, "port_group")];
            items_.objects[{kBindingTable, scope, binding_name(binding)}] = dump(binding);
        }
    }

    const json& document_;
    Items items_;
};

}  // namespace

Items items_of(const json& fleet_document) { return Disassembler(fleet_document).run(); }

PackedRows pack(const json& fleet_document, const PackedRows* before) {
    Items items = items_of(fleet_document);
    Members members = members_of(fleet_document);
    add_legs(fleet_document, members);
    for (const auto& [name, addresses] : members) {
        for (const auto& [address, hosts] : addresses) {
            std::string text;
            for (const std::string& host : hosts) { text += (text.empty() ? "" : " ") + host; }
            items.objects[{kMemberTable, name, address}] = std::move(text);
        }
    }
    PackedRows rows = rows_of(items, before);
    for (const auto& [name, addresses] : members) {  // A name without addresses is one, too.
        if (addresses.empty()) { rows[{kMemberTable, name, 0}]; }
    }
    return rows;
}

}  // namespace sluice::fleet
