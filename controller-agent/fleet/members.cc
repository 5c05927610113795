// SPDX-License-Identifier: Apache-2.0
// Members of names in rules: ports by tag, by group and by name, and their addresses, those that
// bindings give their MACs included (as sluice/model/resolve.h has it on a host).
#include "controller-agent/fleet/members.h"

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "controller-agent/fleet/network.h"
#include "sluice/model/port.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;
using Ports = std::vector<const json*>;

void collect_names(const json& rules, std::set<std::string>& names) {
    for (const json& rule : rules) {
        for (const char* key : {"source", "destination"}) {
            for (const json& item : list_of(rule, key)) {
                if (item.is_string()) { names.insert(item.get<std::string>()); }
            }
        }
    }
}

std::set<std::string> names_in_rules(const json& document) {
    std::set<std::string> names;
    for (const json& acl : list_of(document, "acls")) {
        collect_names(list_of(acl, "rules"), names);
    }
    for (const json& section : list_of(object_of(document, "dfw"), "sections")) {
        collect_names(list_of(section, "rules"), names);
    }
    for (const json& chain : list_of(document, "service_chains")) {
        collect_names(list_of(chain, "rules"), names);
    }
    collect_names(list_of(object_of(document, "encryption"), "rules"), names);
    return names;
}

std::string tag_text(const std::string& key, const json& value) {
    return key + '\0' + value.dump();
}

/// Ports of a document by what rules can call them.
class Index {
public:
    explicit Index(const json& document) {
        for (const json& group : list_of(document, "port_groups")) {
            port_groups_.emplace(text_of(group, "name"), &group);
        }
        for (const json& group : list_of(document, "groups")) {
            groups_.emplace(text_of(group, "name"), &group);
        }
        for (const json& port : list_of(document, "ports")) {
            by_name_[text_of(port, "name")].push_back(&port);
            by_group_[text_of(port, "port_group")].push_back(&port);
            for (const auto& [key, value] : object_of(port, "tags").items()) {
                by_tag_[tag_text(key, value)].push_back(&port);
            }
        }
        index_bindings(document);
    }

    /// nullptr: the name is none of ports.
    const Ports* ports(const std::string& name) {
        if (const auto at = groups_.find(name); at != groups_.end()) {
            found_ = tagged(object_of(*at->second, "tags"));
            return &found_;
        }
        if (port_groups_.contains(name)) { return &by_group_[name]; }
        const auto at = by_name_.find(name);
        return at == by_name_.end() ? nullptr : &at->second;
    }

    /// Addresses that the document gives a group or port group itself.
    [[nodiscard]] std::vector<std::string> own_addresses(const std::string& name) const {
        std::vector<std::string> out;
        for (const auto* index : {&groups_, &port_groups_}) {
            const auto at = index->find(name);
            if (at == index->end()) { continue; }
            for (const json& item : list_of(*at->second, "addresses")) {
                if (item.is_string()) { out.push_back(item.get<std::string>()); }
            }
        }
        return out;
    }

    std::vector<std::string> addresses(const json& port) const {
        std::vector<std::string> out;
        const auto add = [&](const std::string& text) {
            if (const auto ip = parse_ip(text)) { out.push_back(to_string(*ip)); }
        };
        for (const char* key : {"ips", "addresses"}) {
            for (const json& item : list_of(port, key)) {
                if (!item.is_string()) { continue; }
                const std::string text = item.get<std::string>();
                add(text.substr(0, text.find('/')));
            }
        }
        const auto bound = bound_.find(mac_of(port));
        if (bound == bound_.end()) { return out; }
        const Network network = network_at(port);
        for (const auto& [where, ip] : bound->second) {
            if (where.switch_name == network.switch_name && network.reaches(where.segment)) {
                add(ip);
            }
        }
        return out;
    }

private:
    static MacAddr mac_of(const json& port) {
        const auto mac = parse_mac(text_of(port, "mac"));
        return mac ? *mac : model::default_mac(text_of(port, "name"));
    }

    Network network_at(const json& port) const {
        const auto group = port_groups_.find(text_of(port, "port_group"));
        return group == port_groups_.end() ? Network{} : network_of(port, *group->second);
    }

    void index_bindings(const json& document) {
        for (const json& binding : list_of(document, "bindings")) {
            const auto group = port_groups_.find(text_of(binding, "port_group"));
            const auto mac = parse_mac(text_of(binding, "mac"));
            if (group == port_groups_.end() || !mac) { continue; }
            Network where = network_of(*group->second);
            if (const auto vlan = binding.find("vlan");
                vlan != binding.end() && vlan->is_number_integer()) {
                where.segment = {0, vlan->get<std::uint16_t>()};
            }
            bound_[*mac].emplace_back(std::move(where), text_of(binding, "ip"));
        }
    }

    /// A group without tags has no port.
    Ports tagged(const json& tags) {
        const Ports* fewest = nullptr;
        for (const auto& [key, value] : tags.items()) {
            const Ports& having = by_tag_[tag_text(key, value)];
            if (fewest == nullptr || having.size() < fewest->size()) { fewest = &having; }
        }
        Ports out;
        if (fewest == nullptr) { return out; }
        for (const json* port : *fewest) {
            const json& own = object_of(*port, "tags");
            const bool is_member = std::all_of(
                tags.items().begin(), tags.items().end(),
                [&](const auto& tag) { return own.value(tag.key(), json()) == tag.value(); });
            if (is_member) { out.push_back(port); }
        }
        return out;
    }

    std::unordered_map<std::string, const json*> port_groups_, groups_;
    std::unordered_map<std::string, Ports> by_name_, by_group_, by_tag_;
    std::map<MacAddr, std::vector<std::pair<Network, std::string>>> bound_;
    Ports found_;
};

}  // namespace

Members members_of(const json& fleet_document) {
    const std::set<std::string> names = names_in_rules(fleet_document);
    Members members;
    if (names.empty()) { return members; }
    Index index(fleet_document);
    for (const std::string& name : names) {
        const Ports* ports = index.ports(name);
        if (ports == nullptr) { continue; }
        auto& addresses = members[name];
        for (const std::string& address : index.own_addresses(name)) { addresses[address]; }
        for (const json* port : *ports) {
            for (const std::string& address : index.addresses(*port)) {
                addresses[address].insert(text_of(*port, "host"));
            }
        }
    }
    return members;
}

}  // namespace sluice::fleet
