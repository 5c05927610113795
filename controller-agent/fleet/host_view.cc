// SPDX-License-Identifier: Apache-2.0
// One host's document: its own objects, the networks that its ports and the routers on them reach,
// the rules, and the ends of tunnels elsewhere.
#include <algorithm>

#include "controller-agent/fleet/items.h"
#include "controller-agent/fleet/network.h"
#include "controller-agent/fleet/reach.h"
#include "controller-agent/fleet/view_rules.h"
#include "controller-agent/fleet/view_services.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;
using RemoteVteps = std::map<std::string, std::set<std::string>>;

/// Without what belongs to other hosts, and without members.
json visible_document(const PackedRows& rows, const std::string& host,
                      std::vector<Problem>& problems) {
    const auto is_visible = [&host](const RowKey& key) {
        const Noun* noun = noun_of(key.table);
        const bool is_foreign = noun != nullptr && noun->is_owned && key.scope != host;
        return !is_foreign && key.table != kMemberTable;
    };
    return document_of(items_of(rows, is_visible), problems);
}

class ViewMaker {
public:
    ViewMaker(const PackedRows& rows, const std::string& host, const OwnFile& own)
        : rows_(rows), host_(host), own_(own) {
        document_ = visible_document(rows, host, view_.problems);
    }

    HostView run(const RemoteVteps& remote_vteps) {
        leave_out_dangling();
        Reach reach(document_, own_.port_groups);
        keep_bindings(reach);
        view_.segments = reach.segments();
        prune(reach);
        name_uplinks();
        add_remotes(remote_vteps);
        view_rules(document_, rows_, host_, view_.problems);
        view_services(document_, rows_, view_.problems);
        finish();
        view_.document = std::move(document_);
        return std::move(view_);
    }

private:
    template <typename Keep>
    void keep_if(const char* key, Keep keep) {
        if (!document_.contains(key)) { return; }
        json kept = json::array();
        for (json& item : document_[key]) {
            if (keep(item)) { kept.push_back(std::move(item)); }
        }
        if (kept.empty()) {
            document_.erase(key);
        } else {
            document_[key] = std::move(kept);
        }
    }

    std::set<std::string> names_of(const char* key) const {
        std::set<std::string> names;
        for (const json& item : list_of(document_, key)) { names.insert(text_of(item, "name")); }
        return names;
    }

    /// Objects whose reference names nothing.
    void leave_out_dangling() {
        const auto check = [&](const char* list, const char* kind, const char* key,
                               const std::set<std::string>& known) {
            keep_if(list, [&](const json& item) {
                const std::string name = text_of(item, key);
                const bool is_leg = text_of(item, "kind") == "service" && !item.contains(key);
                if (is_leg || known.contains(name)) { return true; }
                view_.problems.push_back({std::string(kind) + " " + text_of(item, "name"),
                                          std::string(key) + " \"" + name + "\" does not exist"});
                return false;
            });
        };
        check("port_groups", "port_group", "switch", names_of("switches"));
        check("ports", "port", "port_group", names_of("port_groups"));
    }

    /// Those of domains in reach; their groups are needed for the reader.
    void keep_bindings(Reach& reach) {
        keep_if("bindings", [&](const json& binding) {
            const std::string group = text_of(binding, "port_group");
            const json* at = reach.group(group);
            if (at == nullptr) {
                view_.problems.push_back({"binding " + binding_name(binding),
                                          "port_group \"" + group + "\" does not exist"});
                return false;
            }
            Network where = network_of(*at);
            const auto vlan = binding.find("vlan");
            if (where.is_trunk() && vlan != binding.end() && vlan->is_number_integer()) {
                where.ranges.clear();
                where.segment = {0, vlan->get<std::uint16_t>()};
            }
            if (!reach.meets(where)) { return false; }
            reach.need_group(group);
            return true;
        });
    }

    void prune(const Reach& reach) {
        std::set<std::string> switches;
        for (const json& group : list_of(document_, "port_groups")) {
            if (reach.has_group(text_of(group, "name"))) {
                switches.insert(text_of(group, "switch"));
            }
        }
        const std::set<std::string> uplinks = known_uplinks();
        keep_if("switches", [&](const json& item) {
            const json& names = list_of(item, "uplinks");
            const bool has_uplink = std::any_of(names.begin(), names.end(), [&](const json& name) {
                return !knows_uplinks() ||
                       (name.is_string() && uplinks.contains(name.get<std::string>()));
            });
            return has_uplink || switches.contains(text_of(item, "name"));
        });
        // After the reach was asked: it refers to the groups.
        std::set<std::string> groups;
        for (const json& group : list_of(document_, "port_groups")) {
            if (const std::string name = text_of(group, "name"); reach.has_group(name)) {
                groups.insert(name);
            }
        }
        keep_if("port_groups",
                [&](const json& item) { return groups.contains(text_of(item, "name")); });
        keep_if("routers",
                [&](const json& item) { return reach.has_router(text_of(item, "name")); });
    }

    std::set<std::string> known_uplinks() const {
        std::set<std::string> names = names_of("uplinks");
        names.insert(own_.uplinks.begin(), own_.uplinks.end());
        return names;
    }
    bool knows_uplinks() const { return own_.is_known || document_.contains("uplinks"); }

    /// A switch names the uplinks of all hosts; this one has some of them.
    void name_uplinks() {
        if (!knows_uplinks()) { return; }
        const std::set<std::string> known = known_uplinks();
        const auto keep_known = [&](json& object, const char* key) {
            if (!object.is_object() || !object.contains(key) || !object[key].is_array()) { return; }
            json kept = json::array();
            for (const json& name : object[key]) {
                if (!name.is_string() || known.contains(name.get<std::string>())) {
                    kept.push_back(name);
                }
            }
            object[key] = std::move(kept);
        };
        for (const char* list : {"switches", "port_groups"}) {
            if (!document_.contains(list)) { continue; }
            for (json& item : document_[list]) {
                keep_known(item, "uplinks");
                if (!item.contains("teaming")) { continue; }
                keep_known(item["teaming"], "active");
                keep_known(item["teaming"], "standby");
            }
        }
    }

    /// Each address once, none of this host's; those of the document first.
    void add_remotes(const RemoteVteps& remote_vteps) {
        std::map<std::string, std::string> taken;  // To the switch.
        for (const json& vtep : list_of(document_, "vteps")) {
            const std::string ip = text_of(vtep, "ip");
            taken.emplace(ip.substr(0, ip.find('/')), "");
        }
        if (!document_.contains("switches")) { return; }
        for (json& item : document_["switches"]) {
            const std::string name = text_of(item, "name");
            json kept = json::array();
            for (const json& ip : list_of(item, "remote_vteps")) {
                if (!ip.is_string() || taken.emplace(ip.get<std::string>(), name).second) {
                    kept.push_back(ip);
                }
            }
            if (item.contains("remote_vteps")) { item["remote_vteps"] = std::move(kept); }
        }
        for (json& item : document_["switches"]) {
            const auto reported = remote_vteps.find(text_of(item, "name"));
            if (reported == remote_vteps.end()) { continue; }
            for (const std::string& ip : reported->second) { add_remote(item, ip, taken); }
        }
    }

    void add_remote(json& item, const std::string& text,
                    std::map<std::string, std::string>& taken) {
        const std::string name = text_of(item, "name");
        const auto ip = parse_ip(text);
        if (!ip) {
            view_.problems.push_back(
                {"switch " + name, "remote VTEP \"" + text + "\" is not an address"});
            return;
        }
        const auto [other, is_new] = taken.emplace(to_string(*ip), name);
        if (is_new) {
            item["remote_vteps"].push_back(to_string(*ip));
        } else if (!other->second.empty() && other->second != name) {
            view_.problems.push_back(
                {"switch " + name,
                 "remote VTEP " + text + " is one of switch " + other->second + " too"});
        }
    }

    void finish() {
        for (const char* list : {"uplinks", "vteps", "ports"}) {
            if (!document_.contains(list)) { continue; }
            for (json& item : document_[list]) { item.erase("host"); }
        }
        document_.erase("hosts");
        document_["host"] = {{"name", host_}};
    }

    const PackedRows& rows_;
    const std::string& host_;
    const OwnFile& own_;
    json document_;
    HostView view_;
};

ovsdb::Interest interest(const std::string& table, json where) {
    return {table, {}, std::move(where)};
}

json equals(const std::string& column, const std::string& value) {
    return json::array({column, "==", value});
}

}  // namespace

std::vector<ovsdb::Interest> interest_of(const std::string& host,
                                         const std::set<std::string>& segments) {
    std::vector<ovsdb::Interest> out{interest(kGlobalTable, true)};
    for (const Noun& noun : nouns()) {
        if (noun.table == "Host") { continue; }
        out.push_back(interest(std::string(noun.table),
                               noun.is_owned ? json::array({equals("scope", host)}) : json(true)));
    }
    out.push_back(interest(kSetMemberTable, true));
    out.push_back(interest(kMemberTable, true));
    json where = json::array();
    for (const std::string& segment : segments) { where.push_back(equals("scope", segment)); }
    out.push_back(interest(kBindingTable, where.empty() ? json(false) : std::move(where)));
    return out;
}

HostView host_view(const PackedRows& rows, const std::string& host, const RemoteVteps& remote_vteps,
                   const OwnFile& own) {
    return ViewMaker(rows, host, own).run(remote_vteps);
}

}  // namespace sluice::fleet
