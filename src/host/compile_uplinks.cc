// SPDX-License-Identifier: Apache-2.0
// Compile uplinks: see compile_uplinks.h.
#include "src/host/compile_uplinks.h"

#include <algorithm>
#include <map>
#include <memory>
#include <string_view>

namespace sluice::host {
namespace {

using datapath::kNoTeam;
using datapath::PortConfig;
using datapath::Snapshot;
using datapath::Team;

bool holds(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

/// Index of a team with these members, a new one if there is none. kNoTeam if nobody is in it.
std::uint16_t add_team(Snapshot& next, Team team) {
    if (team.active.empty() && team.standby.empty()) { return kNoTeam; }
    const auto found = std::find(next.teams.begin(), next.teams.end(), team);
    const auto index = static_cast<std::uint16_t>(found - next.teams.begin());
    if (found == next.teams.end()) { next.teams.push_back(std::move(team)); }
    return index;
}

std::uint16_t compile_team(const Compilation& compilation, const model::Teaming& teaming,
                           const model::Switch& on) {
    Team team;
    team.policy = teaming.policy;
    team.is_lag =
        teaming.lacp != model::Lacp::kOff || teaming.policy == model::TeamingPolicy::kIpHash;
    const auto add = [&](const std::string& name, std::vector<PortIndex>& members) {
        const PortIndex index = compilation.registries.ports.find(name);
        if (compilation.next.port(index) != nullptr) { members.push_back(index); }
    };
    for (const std::string& name : teaming.active.empty() ? on.uplinks : teaming.active) {
        if (!holds(teaming.standby, name)) { add(name, team.active); }
    }
    for (const std::string& name : teaming.standby) { add(name, team.standby); }
    return add_team(compilation.next, std::move(team));
}

/// Equal texts choose alike.
std::string text_of(const Team& team) {
    std::string text = "|team " + std::to_string(static_cast<int>(team.policy));
    for (const PortIndex port : team.active) { text += "," + std::to_string(port.value); }
    for (const PortIndex port : team.standby) { text += ";" + std::to_string(port.value); }
    return text;
}

}  // namespace

Status compile_uplinks(const Compilation& compilation, const UplinkSource& devices,
                       Switching& switching) {
    for (const model::Switch& on : compilation.document.switches) {
        for (const model::Uplink& uplink : compilation.document.uplinks) {
            std::shared_ptr<datapath::Port> device =
                holds(on.uplinks, uplink.name) ? devices(uplink.name) : nullptr;
            if (device == nullptr) { continue; }
            const PortIndex index = compilation.registries.ports.acquire(uplink.name);
            if (index == kNoPort) { return too_many_ports("uplink " + uplink.name); }
            PortConfig& config = add_port(compilation.next, index);
            config = describe_fabric_port(uplink.name, on);
            config.device = std::move(device);
            give_worker(compilation.previous, compilation.next, index);
            switching.join_uplink(index, on.name);
            set_fabric_epoch(compilation.previous, compilation.next, index);
        }
    }
    return Ok{};
}

void compile_teams(const Compilation& compilation, const std::vector<PortIndex>& indices) {
    Snapshot& next = compilation.next;
    std::map<std::string_view, std::uint16_t> of_switch;
    for (const model::Switch& on : compilation.document.switches) {
        of_switch.emplace(on.name, compile_team(compilation, on.teaming, on));
    }
    for (datapath::Domain& domain : next.domains) {
        if (domain.vni == 0) { domain.team = of_switch.at(domain.switch_name); }
    }
    std::map<std::string_view, std::uint16_t> of_group;
    for (const model::PortGroup& group : compilation.document.port_groups) {
        if (!group.teaming || group.vni != 0) { continue; }
        const model::Switch& on = *compilation.resolver.switch_of(group.switch_name);
        of_group.emplace(group.name, compile_team(compilation, *group.teaming, on));
    }
    for (const PortIndex index : indices) {
        PortConfig& port = *next.ports[index.value];
        const auto team = of_group.find(port.port_group);
        if (team == of_group.end() || team->second == kNoTeam) { continue; }
        port.team = team->second;
        port.shape += text_of(next.teams[port.team]);
    }
}

}  // namespace sluice::host
