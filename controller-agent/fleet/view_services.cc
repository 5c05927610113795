// SPDX-License-Identifier: Apache-2.0
// See view_services.h.
#include "controller-agent/fleet/view_services.h"

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "controller-agent/fleet/items.h"
#include "controller-agent/fleet/network.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

constexpr const char* kLegs[] = {"in", "out"};

/// Where a leg is.
struct LegPlace {
    std::string vtep;  // Empty: its host has none.
    std::string host;
};

std::optional<LegPlace> place_of(const PackedRows& rows, const std::string& leg) {
    const std::string scope = leg_scope(leg);
    for (auto at = rows.lower_bound({kMemberTable, scope, 0});
         at != rows.end() && at->first.table == kMemberTable && at->first.scope == scope; ++at) {
        for (const auto& [address, host] : at->second.items) { return LegPlace{address, host}; }
    }
    return std::nullopt;
}

class ServiceView {
public:
    ServiceView(const PackedRows& rows, const json& document, std::vector<Problem>& problems)
        : rows_(rows), problems_(problems) {
        for (const json& port : list_of(document, "ports")) {
            ports_.insert(text_of(port, "name"));
        }
    }

    /// False: the rule is left out.
    bool view(json& rule, const std::string& object) {
        if (list_of(rule, "instances").empty()) { return true; }
        json kept = json::array();
        for (json& instance : rule["instances"]) {
            if (place(instance, object)) { kept.push_back(std::move(instance)); }
        }
        rule["instances"] = std::move(kept);
        return !rule["instances"].empty();
    }

private:
    bool place(json& instance, const std::string& object) {
        const std::string in = text_of(instance, "in");
        if (in.empty() || ports_.contains(in)) { return true; }
        const std::string whom = "instance " + text_of(instance, "name") + ": leg " + in;
        const std::optional<LegPlace> place = place_of(rows_, in);
        if (!place) {
            problems_.push_back({object, whom + " is no port of any host"});
            return false;
        }
        const bool has_vni = instance.contains("vni");
        if (place->vtep.empty() || !has_vni) {
            problems_.push_back(
                {object, whom + " is on host " + place->host +
                             (has_vni ? ", which has no vtep" : ", and the instance has no vni")});
            return false;
        }
        for (const char* leg : kLegs) { instance.erase(leg); }
        instance["vtep"] = place->vtep;
        return true;
    }

    const PackedRows& rows_;
    std::vector<Problem>& problems_;
    std::set<std::string> ports_;
};

}  // namespace

void add_legs(const json& fleet_document, Members& members) {
    std::map<std::string, std::string> vteps, hosts;  // Address by host, host by port.
    for (const json& vtep : list_of(fleet_document, "vteps")) {
        const std::string ip = text_of(vtep, "ip");
        vteps.emplace(text_of(vtep, "host"), ip.substr(0, ip.find('/')));
    }
    for (const json& port : list_of(fleet_document, "ports")) {
        if (text_of(port, "kind") == "service") {
            hosts.emplace(text_of(port, "name"), text_of(port, "host"));
        }
    }
    for (const json& chain : list_of(fleet_document, "service_chains")) {
        for (const json& rule : list_of(chain, "rules")) {
            for (const json& instance : list_of(rule, "instances")) {
                const auto host = hosts.find(text_of(instance, "in"));
                if (host == hosts.end()) { continue; }
                const auto vtep = vteps.find(host->second);
                members[leg_scope(host->first)][vtep == vteps.end() ? "" : vtep->second] = {
                    host->second};
            }
        }
    }
}

void view_services(json& document, const PackedRows& rows, std::vector<Problem>& problems) {
    if (!document.contains("service_chains")) { return; }
    ServiceView view(rows, document, problems);
    for (json& chain : document["service_chains"]) {
        if (!chain.contains("rules")) { continue; }
        json kept = json::array();
        for (json& rule : chain["rules"]) {
            const std::string object =
                "service_rule " + text_of(chain, "name") + "/" + text_of(rule, "name");
            if (view.view(rule, object)) { kept.push_back(std::move(rule)); }
        }
        chain["rules"] = std::move(kept);
    }
}

}  // namespace sluice::fleet
