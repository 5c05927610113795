// SPDX-License-Identifier: Apache-2.0
// Rules as one host sees them: see view_rules.h.
#include "controller-agent/fleet/view_rules.h"

#include <algorithm>
#include <map>
#include <set>

#include "controller-agent/fleet/items.h"
#include "controller-agent/fleet/network.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

std::set<std::string> names_of(const json& document, const char* key) {
    std::set<std::string> names;
    for (const json& item : list_of(document, key)) { names.insert(text_of(item, "name")); }
    return names;
}

class RuleView {
public:
    RuleView(json& document, const PackedRows& rows, const std::string& host,
             std::vector<Problem>& problems)
        : document_(document), problems_(problems) {
        for (const char* key : {"ports", "port_groups", "groups"}) {
            targets_.merge(names_of(document, key));
        }
        sets_ = names_of(document, "address_sets");
        for (auto at = rows.lower_bound({kMemberTable, "", 0});
             at != rows.end() && at->first.table == kMemberTable; ++at) {
            json& addresses = elsewhere_[at->first.scope];
            if (addresses.is_null()) { addresses = json::array(); }
            for (const auto& [address, hosts] : at->second.items) {
                if (hosts != host) { addresses.push_back(address); }
            }
        }
    }

    void run() {
        view_acls();
        view_dfw();
        view_service_chains();
        if (document_.contains("encryption")) {
            keep_rules(document_["encryption"], "encryption_rule ");
        }
        add_members("groups");
        add_members("port_groups");
        for (const std::string& name : made_sets_) {
            json& sets = document_["address_sets"];
            sets.push_back({{"name", name}, {"members", elsewhere_.at(name)}});
        }
    }

private:
    void view_acls() {
        if (!document_.contains("acls")) { return; }
        json kept = json::array();
        for (json& acl : document_["acls"]) {
            if (!keep_targets(acl)) { continue; }
            keep_rules(acl, "acl_rule " + text_of(acl, "name") + "/");
            kept.push_back(std::move(acl));
        }
        document_["acls"] = std::move(kept);
    }

    void view_dfw() {
        if (!document_.contains("dfw")) { return; }
        json& dfw = document_["dfw"];
        if (dfw.contains("exclude") && dfw["exclude"].is_array()) {
            dfw["exclude"] = targets_here(dfw["exclude"]);
        }
        if (!dfw.contains("sections")) { return; }
        for (json& section : dfw["sections"]) {
            keep_rules(section, "rule " + text_of(section, "name") + "/");
        }
    }

    void view_service_chains() {
        if (!document_.contains("service_chains")) { return; }
        for (json& chain : document_["service_chains"]) {
            keep_rules(chain, "service_rule " + text_of(chain, "name") + "/");
        }
    }

    void keep_rules(json& holder, const std::string& prefix) {
        if (!holder.contains("rules")) { return; }
        json kept = json::array();
        for (json& rule : holder["rules"]) {
            const std::string object = prefix + text_of(rule, "name");
            if (!keep_targets(rule)) { continue; }
            if (!knows_all(rule, "source", object) || !knows_all(rule, "destination", object)) {
                continue;
            }
            kept.push_back(std::move(rule));
        }
        holder["rules"] = std::move(kept);
    }

    [[nodiscard]] json targets_here(const json& items) const {
        json here = json::array();
        for (const json& item : items) {
            const bool is_elsewhere = item.is_string() && item != "any" &&
                                      !targets_.contains(item.get<std::string>()) &&
                                      !sets_.contains(item.get<std::string>());
            if (!is_elsewhere) { here.push_back(item); }
        }
        return here;
    }

    /// False if it applies to things elsewhere only.
    [[nodiscard]] bool keep_targets(json& rule) const {
        const auto at = rule.find("applied_to");
        if (at == rule.end() || !at->is_array() || at->empty()) { return true; }
        json here = targets_here(*at);
        if (here.empty()) { return false; }
        *at = std::move(here);
        return true;
    }

    bool knows_all(const json& rule, const char* key, const std::string& object) {
        for (const json& item : list_of(rule, key)) {
            if (!item.is_string()) { continue; }  // The reader's to refuse.
            const std::string name = item.get<std::string>();
            if (name == "any" || parse_prefix(name) || name.find('/') != std::string::npos ||
                targets_.contains(name) || sets_.contains(name)) {
                continue;
            }
            if (!elsewhere_.contains(name)) {
                problems_.push_back({object, std::string(key) + " \"" + name +
                                                 "\" is no address or prefix, and nothing of that "
                                                 "name exists"});
                return false;
            }
            made_sets_.insert(name);
        }
        return true;
    }

    void add_members(const char* key) {
        if (!document_.contains(key)) { return; }
        for (json& item : document_[key]) {
            const auto at = elsewhere_.find(text_of(item, "name"));
            if (at != elsewhere_.end() && !at->second.empty()) { item["addresses"] = at->second; }
        }
    }

    json& document_;
    std::vector<Problem>& problems_;
    std::set<std::string> targets_, sets_, made_sets_;
    std::map<std::string, json> elsewhere_;  // Addresses by name.
};

}  // namespace

void view_rules(json& document, const PackedRows& rows, const std::string& host,
                std::vector<Problem>& problems) {
    RuleView(document, rows, host, problems).run();
}

}  // namespace sluice::fleet
