// SPDX-License-Identifier: Apache-2.0
// The fleet's document made regular: every object has its name, its host and the references that a
// document of one switch, group or uplink may leave out; lists without an order are sorted. What
// the objects say is agent::read_document's business (check_fleet.h).
#include <algorithm>
#include <set>

#include "controller-agent/check_document.h"
#include "controller-agent/fleet/items.h"
#include "controller-agent/fleet/network.h"
#include "controller-agent/json_fields.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

Error invalid(const std::string& object, const std::string& why, Errc code = Errc::kInvalid) {
    return Error{code, object + ": " + why, object};
}

/// Brings one document into shape; the first fault ends it.
class Normaliser {
public:
    explicit Normaliser(json document) : document_(std::move(document)) {}

    Result<json> run() {
        for (auto step : {&Normaliser::check_root, &Normaliser::take_host, &Normaliser::check_lists,
                          &Normaliser::check_owners}) {
            if (Status done = (this->*step)(); !done) { return done.error(); }
        }
        name_references();
        if (Status done = check_bindings(); !done) { return done.error(); }
        std::vector<Problem> problems;
        return document_of(items_of(document_), problems);
    }

private:
    Status check_root() {
        if (!document_.is_object()) { return invalid("document", "is not a JSON object"); }
        const std::set<std::string> known{"host", "dfw", "bindings", "encryption"};
        for (const auto& [key, value] : document_.items()) {
            const bool is_list =
                std::any_of(nouns().begin(), nouns().end(), [&, k = key](const Noun& noun) {
                    return noun.key == k && noun.parent.empty() && noun.inside.empty();
                });
            if (!is_list && !known.contains(key)) {
                return invalid("document", "unknown key " + agent::shown(std::string_view(key)));
            }
        }
        for (const char* key : {"dfw", "encryption"}) {
            if (document_.contains(key) && !document_[key].is_object()) {
                return invalid(key, "is not a JSON object");
            }
        }
        return Ok{};
    }

    /// `host` of a document that one host exported.
    Status take_host() {
        if (!document_.contains("host")) { return Ok{}; }
        const json host = document_["host"];
        document_.erase("host");
        if (!host.is_object()) { return invalid("host", "is not a JSON object"); }
        if (host.empty()) { return Ok{}; }
        if (document_.contains("hosts")) {
            return invalid("document",
                           "has host and hosts, expected one of them: host is that of a document "
                           "of one host");
        }
        only_host_ = text_of(host, "name");
        document_["hosts"] = json::array({host});
        return Ok{};
    }

    Status check_lists() {
        for (const Noun& noun : nouns()) {
            if (!noun.parent.empty()) { continue; }
            json* holder = holder_of(noun, document_);
            if (holder == nullptr) { continue; }
            if (Status done = check_list(*holder, noun, ""); !done) { return done; }
        }
        return Ok{};
    }

    // NOLINTNEXTLINE(misc-no-recursion): one level of children.
    Status check_list(json& holder, const Noun& noun, const std::string& place) {
        const std::string key(noun.key);
        if (!holder.is_object() || !holder.contains(key)) { return Ok{}; }
        json& list = holder[key];
        const std::string whom = place.empty() ? "document" : place;
        if (!list.is_array()) { return invalid(whom, key + " is not a list"); }
        std::set<std::pair<std::string, std::string>> seen;
        for (std::size_t i = 0; i < list.size(); ++i) {
            const std::string at = key + "[" + std::to_string(i) + "]";
            Status named = check_name(list[i], noun, place.empty() ? at : place + " " + at);
            if (!named) { return named; }
            const std::string name = text_of(list[i], noun.name);
            const std::string object =
                std::string(noun.kind) + " " + (place.empty() ? "" : name_in(place) + "/") + name;
            if (noun.is_owned && !only_host_.empty() && !list[i].contains("host")) {
                list[i]["host"] = only_host_;
            }
            if (!seen.emplace(noun.is_owned ? text_of(list[i], "host") : "", name).second) {
                return invalid(object, "the name is given twice in " + key, Errc::kExists);
            }
            if (Status done = check_children(list[i], noun, object); !done) { return done; }
        }
        return Ok{};
    }

    static std::string name_in(const std::string& object) {
        return object.substr(object.find(' ') + 1);
    }

    static Status check_name(const json& item, const Noun& noun, const std::string& place) {
        if (!item.is_object()) { return invalid(place, "is not a JSON object"); }
        const std::string name = text_of(item, noun.name);
        if (name.empty()) {
            return invalid(place, std::string(noun.name) + " is missing, expected a text");
        }
        if (noun.name == "name" && !agent::is_name(name)) {
            return invalid(place, "name " + agent::shown(std::string_view(name)) +
                                      " is not 1..64 letters, digits, '_', '.', '-' that start "
                                      "with a letter, digit or '_'");
        }
        if (noun.table == "Host" && item.size() != 1) {
            return invalid("host " + name, "has keys beside name, which is all that a host has");
        }
        return Ok{};
    }

    // NOLINTNEXTLINE(misc-no-recursion): one level of children.
    Status check_children(json& item, const Noun& noun, const std::string& object) {
        for (const Noun& child : nouns()) {
            if (child.parent != noun.table) { continue; }
            if (Status done = check_list(item, child, object); !done) { return done; }
        }
        if (noun.table != "Address_Set" || !item.contains("members")) { return Ok{}; }
        const json& members = item["members"];
        const bool are_texts = members.is_array() &&
                               std::all_of(members.begin(), members.end(),
                                           [](const json& member) { return member.is_string(); });
        if (!are_texts) { return invalid(object, "members is not a list of texts"); }
        return Ok{};
    }

    Status check_owners() {
        std::set<std::string> hosts;
        for (const json& host : list_of(document_, "hosts")) {
            hosts.insert(text_of(host, "name"));
        }
        std::map<std::string, std::string> ports;
        for (const Noun& noun : nouns()) {
            if (!noun.is_owned) { continue; }
            for (const json& item : list_of(document_, noun.key)) {
                const std::string object = std::string(noun.kind) + " " + text_of(item, "name");
                const std::string host = text_of(item, "host");
                if (host.empty()) {
                    return invalid(object,
                                   "host is missing, expected the name of the host that has it (a "
                                   "document of one host may say host.name instead)");
                }
                if (!hosts.contains(host)) {
                    return invalid(object, "host " + agent::shown(std::string_view(host)) +
                                               " is not one of hosts");
                }
                if (noun.table != "Port") { continue; }
                const auto [other, is_new] = ports.emplace(text_of(item, "name"), host);
                if (!is_new) {
                    return invalid(object,
                                   "hosts " + other->second + " and " + host +
                                       " both have a port of that name, which is one of the fleet",
                                   Errc::kExists);
                }
            }
        }
        return Ok{};
    }

    /// What a list of one makes clear does not stay clear on a host that sees another list.
    void name_references() {
        name_only("port_groups", "switch", "switches");
        name_only("ports", "port_group", "port_groups");
        name_only("bindings", "port_group", "port_groups");
        if (const json& groups = list_of(document_, "port_groups"); groups.size() == 1) {
            for (json& router : mutable_list("routers")) {
                if (!list_of(router, "interfaces").empty()) {
                    fill(router["interfaces"], "port_group", text_of(groups.front(), "name"));
                }
            }
        }
        for (json& vtep : mutable_list("vteps")) {
            std::vector<std::string> uplinks;
            for (const json& uplink : list_of(document_, "uplinks")) {
                if (uplink["host"] == vtep["host"]) { uplinks.push_back(text_of(uplink, "name")); }
            }
            if (!vtep.contains("uplink") && uplinks.size() == 1) {
                vtep["uplink"] = uplinks.front();
            }
        }
    }

    json& mutable_list(const char* key) {
        static json empty = json::array();
        return list_of(document_, key).empty() ? empty : document_[key];
    }

    void name_only(const char* list, const char* key, const char* referred) {
        const json& all = list_of(document_, referred);
        if (all.size() == 1) { fill(mutable_list(list), key, text_of(all.front(), "name")); }
    }

    static void fill(json& list, const char* key, const std::string& name) {
        for (json& item : list) {
            const bool is_leg = text_of(item, "kind") == "service";  // In no port group.
            if (item.is_object() && !item.contains(key) && !is_leg) { item[key] = name; }
        }
    }

    Status check_bindings() {
        if (!document_.contains("bindings")) { return Ok{}; }
        const json& list = document_["bindings"];
        if (!list.is_array()) { return invalid("document", "bindings is not a list"); }
        std::set<std::string> seen;
        for (std::size_t i = 0; i < list.size(); ++i) {
            if (!list[i].is_object()) {
                return invalid("bindings[" + std::to_string(i) + "]", "is not a JSON object");
            }
            const std::string name = binding_name(list[i]);
            if (!seen.insert(name).second) {
                return invalid("binding " + name, "is given twice in bindings", Errc::kExists);
            }
        }
        return Ok{};
    }

    json document_;
    std::string only_host_;
};

}  // namespace

Result<json> normalised(json fleet_document) { return Normaliser(std::move(fleet_document)).run(); }

}  // namespace sluice::fleet
