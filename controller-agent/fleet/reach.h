// SPDX-License-Identifier: Apache-2.0
// Inside of rows: how far a host's ports reach: their layer-2 domains, the routers on these, and
// the domains of those routers. Pure, any thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "controller-agent/fleet/network.h"

namespace sluice::fleet {

class Reach {
public:
    /// `document`: the host's ports, every port group and router. `groups`: port groups that the
    /// host needs beside those of its ports. Keeps references into the document.
    Reach(const nlohmann::json& document, const std::set<std::string>& groups);

    [[nodiscard]] bool has_group(const std::string& name) const { return needed_.contains(name); }
    [[nodiscard]] bool has_router(const std::string& name) const { return routers_.contains(name); }
    /// Adds a group that something in reach names.
    void need_group(const std::string& name) { needed_.insert(name); }

    /// True if the domain of this network (not: its name) is met here.
    [[nodiscard]] bool meets(const Network& network) const;

    /// Names of the segments that are met, of those that port groups have; "SWITCH/trunk" beside
    /// if bindings of trunks may concern them.
    [[nodiscard]] std::set<std::string> segments() const;
    /// nullptr: there is no such group.
    [[nodiscard]] const nlohmann::json* group(const std::string& name) const;

private:
    void add(const Network& network);
    void follow_routers(const nlohmann::json& routers);

    std::map<std::string, const nlohmann::json*> groups_;
    std::set<std::string> needed_, routers_;
    std::vector<Network> networks_;  // Distinct.
    std::set<std::string> scopes_;   // Of networks_.
};

}  // namespace sluice::fleet
