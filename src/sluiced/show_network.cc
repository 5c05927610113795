// SPDX-License-Identifier: Apache-2.0
// show switches, show groups, and what `show port` says of settings: the document's objects as they
// are in force, written by the agent's writer, so that a key that is new there is shown here.
#include <algorithm>

#include "controller-agent/write_json.h"
#include "sluice/model/resolve.h"
#include "sluice/net/address_text.h"
#include "src/sluiced/learned_rows.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {
namespace {

using nlohmann::json;

std::size_t port_count(const model::Document& document, const std::string& group) {
    return static_cast<std::size_t>(
        std::count_if(document.ports.begin(), document.ports.end(),
                      [&](const model::Port& port) { return port.port_group == group; }));
}

json vteps_of(const model::Document& document, const model::Switch& on) {
    json names = json::array();
    for (const model::Vtep& vtep : document.vteps) {
        if (std::count(on.uplinks.begin(), on.uplinks.end(), vtep.uplink) > 0) {
            names.push_back(vtep.name);
        }
    }
    return names;
}

}  // namespace

void ShowService::add_settings(json& row, const model::Port& port, const model::PortGroup& group) {
    const auto of_port = agent::to_json_value(port, agent::Detail::kAll);
    for (const auto& [key, value] : of_port.items()) {
        if (!row.contains(key)) { row[key] = value; }
    }
    const auto of_group = agent::to_json_value(group, agent::Detail::kAll);
    for (const char* key : {"mac_learning", "bindings", "guards", "limits", "arp_suppression"}) {
        if (of_group.contains(key) && !row.contains(key)) { row[key] = of_group[key]; }
    }
}

Answer ShowService::switches() const {
    const model::Document& document = config_.document();
    json rows = json::array();
    for (const model::Switch& each : document.switches) {
        json row = agent::to_json_value(each, agent::Detail::kAll);
        json groups = json::array();
        std::size_t ports = 0;
        for (const model::PortGroup& group : document.port_groups) {
            if (group.switch_name != each.name) { continue; }
            groups.push_back(group.name);
            ports += port_count(document, group.name);
        }
        json domains = json::array();
        for (const datapath::Domain& domain : dataplane_.snapshot().domains) {
            if (domain.switch_name != each.name) { continue; }
            json network{{"ports", domain.members.size()},
                         {"promiscuous", domain.promiscuous.size()}};
            set_network(network, domain);
            network.erase("switch");
            domains.push_back(std::move(network));
        }
        row["vteps"] = vteps_of(document, each);
        row["port_groups"] = groups;
        row["ports"] = ports;
        row["domains"] = domains;
        rows.push_back(std::move(row));
    }
    return rows;
}

Answer ShowService::groups() const {
    const model::Resolver resolver(config_.document());
    json rows = json::array();
    for (const model::Group& group : config_.document().groups) {
        json members = json::array();
        for (const std::size_t port : resolver.ports(group.name)) {
            members.push_back(config_.document().ports[port].name);
        }
        json addresses = json::array();
        for (const IpPrefix& prefix : resolver.addresses(group.name).prefixes) {
            addresses.push_back(to_string(prefix));
        }
        rows.push_back({{"name", group.name},
                        {"tags", group.tags},
                        {"ports", members},
                        {"addresses", addresses}});
    }
    return rows;
}

}  // namespace sluice::daemon
