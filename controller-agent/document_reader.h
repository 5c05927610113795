// SPDX-License-Identifier: Apache-2.0
// Inside of document_json: the readers of the document's nouns, one file a family, and what they
// share. Each reader takes its keys from the root and fills its lists of the Document; faults go to
// the one Fault.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "controller-agent/check_document.h"
#include "controller-agent/json_fields.h"
#include "sluice/base/limits.h"
#include "sluice/model/document.h"

namespace sluice::agent {

void read_network(Fields& root, Fault& fault, model::Document& document);  // host .. ports
void read_uplinks(Fields& root, Fault& fault, model::Document& document);  // uplinks
void read_vteps(Fields& root, Fault& fault, model::Document& document);    // vteps
void read_routers(Fields& root, Fault& fault, model::Document& document);  // routers
void read_policy(Fields& root, Fault& fault, model::Document& document);   // address_sets .. dfw
void read_static_bindings(Fields& root, Fault& fault, model::Document& document);  // bindings
void read_service_chains(Fields& root, Fault& fault, model::Document& document);   // service_chains
void read_encryption(Fields& root, Fault& fault, model::Document& document);       // encryption

/// One object of a section's `rules`, behind the section's last rule.
void read_rule_of(const nlohmann::json& item, Fault& fault, model::Section& section);

/// A rule's list of names and addresses, and its `services`; empty means any.
void read_items(Fields& fields, std::string_view key, std::vector<std::string>& out);
void read_services(Fields& fields, std::vector<model::Service>& out);

/// `teaming` of a switch or a port group.
void read_teaming(Fields fields, model::Teaming& teaming);

/// What a switch, and a port group, say of tunnels.
void read_overlay(Fields& fields, model::Switch& item);
void read_overlay(Fields& fields, model::PortGroup& group);

/// Addresses by key. `out` stays as it is if the key is absent, which those that are needed refuse.
/// @return false if the key is absent
bool read_mac(Fields& fields, std::string_view key, MacAddr& out);
void read_needed_mac(Fields& fields, std::string_view key, MacAddr& out);
void read_ip(Fields& fields, std::string_view key, std::optional<IpAddr>& out);
void read_needed_ip(Fields& fields, std::string_view key, IpAddr& out);
void read_ips(Fields& fields, std::string_view key, std::size_t max, std::vector<IpAddr>& out);
/// Sorted, without duplicates.
void read_prefixes(Fields& fields, std::string_view key, std::size_t max,
                   std::vector<IpPrefix>& out);
void read_needed_interface_address(Fields& fields, std::string_view key,
                                   model::InterfaceAddress& out);
void read_interface_addresses(Fields& fields, std::string_view key, std::size_t max,
                              std::vector<model::InterfaceAddress>& out);

/// The `tags` object of a port or group.
void read_tags(Fields& fields, std::map<std::string, std::string>& out);

/// Name of an object in a list; "" and a fault if it is missing or malformed.
inline std::string read_name(const nlohmann::json& item, const std::string& place, Fault& fault) {
    Fields fields(&item, place, "", fault);
    std::string name;
    if (fields.failed()) { return {}; }
    if (!fields.text("name", name)) {
        fault.refuse(Errc::kInvalid, place, "name is missing");
        return {};
    }
    if (!is_name(name)) {
        fields.refuse(Errc::kInvalid, "name",
                      shown(std::string_view(name)) + " is not 1.." +
                          std::to_string(kNameLengthMax) +
                          " letters, digits, '_', '.', '-' that start with a letter, digit or '_'");
        return {};
    }
    if (name == "any") {
        fields.refuse(Errc::kInvalid, "name", "\"any\" is reserved and names no object");
        return {};
    }
    return name;
}

/// Calls read(fields, name) for each object of a list keyed by `name`, then finishes its fields.
/// @param kind  what errors call one object, e.g. "port", "dfw section app rule"
template <typename Read>
void each_named(Fields& parent, std::string_view key, const std::string& kind, std::size_t max,
                Fault& fault, Read read) {
    const nlohmann::json* items = parent.list(key, max);
    if (items == nullptr) { return; }
    std::unordered_set<std::string> names;
    for (std::size_t i = 0; i < items->size() && !fault.any(); ++i) {
        const nlohmann::json& item = (*items)[i];
        const std::string prefix = parent.object() == "document" ? "" : parent.object() + " ";
        const std::string place = prefix + std::string(key) + "[" + std::to_string(i) + "]";
        std::string name = read_name(item, place, fault);
        if (fault.any()) { return; }
        Fields fields(&item, kind + " " + name, "", fault);
        fields.take("name");
        if (!names.insert(name).second) {
            fault.refuse(Errc::kExists, fields.object(),
                         "the name is given twice in " + std::string(key));
            return;
        }
        read(fields, std::move(name));
        fields.finish();
    }
}

}  // namespace sluice::agent
