// SPDX-License-Identifier: Apache-2.0
// Reach of a host: see reach.h.
#include "controller-agent/fleet/reach.h"

#include <algorithm>

namespace sluice::fleet {

using nlohmann::json;

Reach::Reach(const json& document, const std::set<std::string>& groups) {
    for (const json& group : list_of(document, "port_groups")) {
        groups_.emplace(text_of(group, "name"), &group);
    }
    for (const std::string& name : groups) {
        if (const json* at = group(name); at != nullptr) {
            needed_.insert(name);
            add(network_of(*at));
        }
    }
    for (const json& port : list_of(document, "ports")) {
        const std::string name = text_of(port, "port_group");
        if (const json* at = group(name); at != nullptr) {
            needed_.insert(name);
            add(network_of(port, *at));
        }
    }
    follow_routers(list_of(document, "routers"));
}

const json* Reach::group(const std::string& name) const {
    const auto at = groups_.find(name);
    return at == groups_.end() ? nullptr : at->second;
}

void Reach::add(const Network& network) {
    // Trunks with other ranges have one scope; they are few.
    if (!network.is_trunk() && !scopes_.insert(scope_of(network)).second) { return; }
    networks_.push_back(network);
}

bool Reach::meets(const Network& network) const {
    if (!network.is_trunk() && scopes_.contains(scope_of(network))) { return true; }
    return std::any_of(networks_.begin(), networks_.end(), [&](const Network& here) {
        if (here.switch_name != network.switch_name) { return false; }
        if (network.is_trunk()) { return here.is_trunk() || network.reaches(here.segment); }
        return here.is_trunk() && here.reaches(network.segment);
    });
}

void Reach::follow_routers(const json& routers) {
    for (bool has_grown = true; has_grown;) {
        has_grown = false;
        for (const json& router : routers) {
            const std::string name = text_of(router, "name");
            const json& interfaces = list_of(router, "interfaces");
            const auto is_met = [&](const json& interface) {
                const json* at = group(text_of(interface, "port_group"));
                return at != nullptr && meets(network_of(*at));
            };
            if (routers_.contains(name) ||
                std::none_of(interfaces.begin(), interfaces.end(), is_met)) {
                continue;
            }
            routers_.insert(name);
            has_grown = true;
            for (const json& interface : interfaces) {
                const json* at = group(text_of(interface, "port_group"));
                if (at == nullptr) { continue; }
                needed_.insert(text_of(interface, "port_group"));
                add(network_of(*at));
            }
        }
    }
}

std::set<std::string> Reach::segments() const {
    std::set<std::string> out;
    for (const auto& [name, group] : groups_) {
        const Network network = network_of(*group);
        if (meets(network)) { out.insert(scope_of(network)); }
    }
    for (const Network& network : networks_) { out.insert(scope_of(network)); }
    return out;
}

}  // namespace sluice::fleet
