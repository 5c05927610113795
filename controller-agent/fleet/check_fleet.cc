// SPDX-License-Identifier: Apache-2.0
// Checks of a fleet: names, MACs and VTEPs over all hosts; policy and networks once, as a host
// without ports; then each changed host's view without the firewall, which is checked by then. What
// a host has in a file of its own is not known here: uplinks that are named and not defined are
// taken for those of such files.
#include "controller-agent/fleet/check_fleet.h"

#include <set>
#include <unordered_map>

#include "controller-agent/document_json.h"
#include "controller-agent/fleet/items.h"
#include "controller-agent/fleet/network.h"
#include "controller-agent/fleet/view_services.h"
#include "sluice/model/port.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;
using Names = std::set<std::string>;

Error taken(const std::string& object, const std::string& why) {
    return Error{Errc::kExists, object + ": " + why, object};
}

std::string of_host(const json& item) { return " of host " + text_of(item, "host"); }

/// Names that rules can use are unique over the fleet.
Status check_names(const json& document) {
    std::unordered_map<std::string, std::string> owners;
    for (const Noun& noun : nouns()) {
        const bool is_named = noun.table == "Address_Set" || noun.table == "Group" ||
                              noun.table == "Port_Group" || noun.table == "Port";
        if (!is_named) { continue; }
        for (const json& item : list_of(document, noun.key)) {
            const std::string name = text_of(item, "name");
            const std::string object = std::string(noun.kind) + " " + name;
            const auto [other, is_new] = owners.emplace(name, object);
            if (!is_new) {
                return taken(object, "the name \"" + name + "\" is taken by " + other->second);
            }
        }
    }
    return Ok{};
}

/// A MAC is unique where two ports can meet (trunks are checked on their host only).
Status check_macs(const json& document) {
    std::unordered_map<std::string, const json*> groups;
    for (const json& group : list_of(document, "port_groups")) {
        groups.emplace(text_of(group, "name"), &group);
    }
    std::unordered_map<std::string, const json*> owners;
    for (const json& port : list_of(document, "ports")) {
        const auto group = groups.find(text_of(port, "port_group"));
        if (group == groups.end()) { continue; }
        const Network network = network_of(port, *group->second);
        if (network.is_trunk()) { continue; }
        const auto given = parse_mac(text_of(port, "mac"));
        const MacAddr mac = given ? *given : model::default_mac(text_of(port, "name"));
        const auto [other, is_new] =
            owners.emplace(scope_of(network) + " " + to_string(mac), &port);
        if (!is_new) {
            return taken("port " + text_of(port, "name"),
                         "mac " + to_string(mac) + " is used by port " +
                             text_of(*other->second, "name") + of_host(*other->second) + " too, " +
                             model::to_text(network.segment) + " on switch " + network.switch_name);
        }
    }
    return Ok{};
}

Status check_vteps(const json& document) {
    std::map<std::string, const json*> owners;
    for (const json& vtep : list_of(document, "vteps")) {
        const std::string ip = text_of(vtep, "ip").substr(0, text_of(vtep, "ip").find('/'));
        for (const std::string& what : {"ip " + ip, "mac " + text_of(vtep, "mac")}) {
            if (what == "mac ") { continue; }
            const auto [other, is_new] = owners.emplace(what, &vtep);
            if (!is_new) {
                return taken("vtep " + text_of(vtep, "name"),
                             what + of_host(vtep) + " is that of vtep " +
                                 text_of(*other->second, "name") + of_host(*other->second));
            }
        }
    }
    return Ok{};
}

/// Uplinks that switches and VTEPs name and nobody here defines.
void add_uplinks(json& document) {
    Names defined;
    for (const json& uplink : list_of(document, "uplinks")) {
        defined.insert(text_of(uplink, "name"));
    }
    Names named;
    for (const json& item : list_of(document, "switches")) {
        for (const json& name : list_of(item, "uplinks")) {
            if (name.is_string()) { named.insert(name.get<std::string>()); }
        }
    }
    for (const json& vtep : list_of(document, "vteps")) {
        if (vtep.contains("uplink")) { named.insert(text_of(vtep, "uplink")); }
    }
    std::size_t number = 0;
    for (const std::string& name : named) {
        if (name.empty() || defined.contains(name)) { continue; }
        document["uplinks"].push_back(
            {{"name", name}, {"device", "net_own_file" + std::to_string(number++)}});
    }
}

/// The part of the document that is everybody's.
class Common {
public:
    explicit Common(const json& document) {
        document_ = json::object();
        for (const json& port : list_of(document, "ports")) {
            if (text_of(port, "kind") != "service") {
                ports_.insert(text_of(port, "name"));
                continue;
            }
            json leg = port;  // Service chains name it, whosever it is.
            for (const char* key : {"host", "socket"}) { leg.erase(key); }
            document_["ports"].push_back(std::move(leg));
        }
        for (const auto& [key, value] : document.items()) {
            const bool is_owned =
                key == "hosts" || key == "uplinks" || key == "vteps" || key == "ports";
            if (!is_owned) { document_[key] = value; }
        }
        add_uplinks(document_);
        if (document_.contains("acls")) {
            for (json& acl : document_["acls"]) { without_ports(acl, "applied_to"); }
        }
        if (document_.contains("dfw")) { without_ports(document_["dfw"], "exclude"); }
        each_rule([&](json& rule) {
            without_ports(rule, "applied_to");
            name_ports(rule);
        });
        for (const std::string& name : named_) {
            document_["address_sets"].push_back({{"name", name}});
        }
    }

    [[nodiscard]] const json& document() const { return document_; }

private:
    template <typename Visit>
    void each_rule(Visit visit) {
        const auto all_of = [&](json* holders) {
            if (holders == nullptr || !holders->is_array()) { return; }
            for (json& holder : *holders) {
                if (!holder.contains("rules")) { continue; }
                for (json& rule : holder["rules"]) { visit(rule); }
            }
        };
        all_of(document_.contains("acls") ? &document_["acls"] : nullptr);
        const bool has_sections =
            document_.contains("dfw") && document_["dfw"].contains("sections");
        all_of(has_sections ? &document_["dfw"]["sections"] : nullptr);
        all_of(document_.contains("service_chains") ? &document_["service_chains"] : nullptr);
        if (document_.contains("encryption") && document_["encryption"].contains("rules")) {
            for (json& rule : document_["encryption"]["rules"]) { visit(rule); }
        }
    }

    void without_ports(json& holder, const char* key) const {
        if (list_of(holder, key).empty()) { return; }
        json kept = json::array();
        for (json& item : holder[key]) {
            if (!item.is_string() || !ports_.contains(item.get<std::string>())) {
                kept.push_back(std::move(item));
            }
        }
        holder[key] = std::move(kept);
    }

    void name_ports(const json& rule) {
        for (const char* key : {"source", "destination"}) {
            for (const json& item : list_of(rule, key)) {
                if (item.is_string() && ports_.contains(item.get<std::string>())) {
                    named_.insert(item.get<std::string>());
                }
            }
        }
    }

    json document_;
    Names ports_, named_;
};

/// True if a difference of this table leaves every host's view without the firewall as it is.
bool is_policy(const std::string& table) {
    return table == "Rule" || table == "Section" || table == "Key_Policy" ||
           table == "Encryption_Rule" || table == kGlobalTable || table == kMemberTable ||
           table == kSetMemberTable;
}

/// Hosts of which something differs.
Names changed_hosts(const json& document, const PackedRows& rows, const PackedRows* before) {
    Names all, changed;
    for (const json& host : list_of(document, "hosts")) { all.insert(text_of(host, "name")); }
    if (before == nullptr) { return all; }
    bool is_everybodys = false;
    const auto compare = [&](const PackedRows& a, const PackedRows& b) {
        for (const auto& [key, row] : a) {
            const auto other = b.find(key);
            if (other != b.end() && other->second == row) { continue; }
            const Noun* noun = noun_of(key.table);
            if (noun != nullptr && noun->is_owned) {
                changed.insert(key.scope);
            } else if (!is_policy(key.table) && key.table != "Host") {
                is_everybodys = true;
            }
        }
    };
    compare(rows, *before);
    compare(*before, rows);
    if (is_everybodys) { return all; }
    std::erase_if(changed, [&](const std::string& host) { return !all.contains(host); });
    return changed;
}

/// Rows by whose they are.
struct SplitRows {
    PackedRows common;
    std::map<std::string, PackedRows> own;
};

SplitRows split(const PackedRows& rows) {
    SplitRows out;
    for (const auto& [key, row] : rows) {
        const Noun* noun = noun_of(key.table);
        if (noun != nullptr && noun->is_owned) {
            out.own[key.scope].emplace(key, row);
        } else if (key.table == kMemberTable) {
            PackedRow& kept = out.common[key];  // That a name exists is all that views need here,
            if (key.scope.starts_with(leg_scope(""))) { kept = row; }  // but of legs.
        } else if (!is_policy(key.table) || key.table == kGlobalTable) {
            out.common.emplace(key, row);
        }
    }
    return out;
}

Error at_host(const std::string& host, const std::string& sentence, const Error& error) {
    return Error{error.code, "host " + host + ": " + sentence, error.object};
}

Status check_host(const std::string& host, const PackedRows& rows) {
    HostView view = host_view(rows, host, {});
    if (!view.problems.empty()) {
        const Problem& first = view.problems.front();
        return at_host(host, first.object + ": " + first.reason,
                       {Errc::kInvalid, "", first.object});
    }
    if (view.document.contains("dfw")) { view.document.erase("dfw"); }
    add_uplinks(view.document);
    const Result<model::Document> read = agent::read_document(view.document);
    if (!read) { return at_host(host, read.error().message, read.error()); }
    return Ok{};
}

}  // namespace

Status check_fleet(const json& document, const PackedRows& rows, const PackedRows* before,
                   const std::function<void(std::size_t, std::size_t)>& progress) {
    for (auto check : {check_names, check_macs, check_vteps}) {
        if (Status done = check(document); !done) { return done; }
    }
    const Result<model::Document> common = agent::read_document(Common(document).document());
    if (!common) { return common.error(); }
    const Names hosts = changed_hosts(document, rows, before);
    SplitRows parts = split(rows);
    std::size_t done = 0;
    for (const std::string& host : hosts) {
        PackedRows& own = parts.own[host];
        PackedRows seen = parts.common;
        seen.merge(own);
        if (Status checked = check_host(host, seen); !checked) { return checked; }
        if (progress) { progress(++done, hosts.size()); }
    }
    return Ok{};
}

}  // namespace sluice::fleet
