// SPDX-License-Identifier: Apache-2.0
// LagPlan: see lag_plan.h.
#include "src/host/lag_plan.h"

#include <algorithm>

namespace sluice::host {
namespace {

bool has(const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

std::vector<std::string> members_of(const model::Switch& on) {
    if (!on.teaming.active.empty()) { return on.teaming.active; }
    std::vector<std::string> members;
    for (const std::string& name : on.uplinks) {
        if (!has(on.teaming.standby, name)) { members.push_back(name); }
    }
    return members;
}

}  // namespace

LagPlan lag_of(const model::Document& document, const std::string& uplink) {
    std::uint16_t key = 0;
    for (const model::Switch& on : document.switches) {
        ++key;
        if (on.teaming.lacp == model::Lacp::kOff) { continue; }
        std::vector<std::string> members = members_of(on);
        if (!has(members, uplink)) { continue; }
        return {on.name, on.teaming.lacp == model::Lacp::kActive, std::move(members),
                model::default_mac(document.host.name + "/" + on.name + "/lacp"), key};
    }
    return {};
}

std::string port_of_uplink(const model::Document& document, const std::string& uplink) {
    const LagPlan lag = lag_of(document, uplink);
    return lag.is_lag() ? lag.members.front() : uplink;
}

}  // namespace sluice::host
