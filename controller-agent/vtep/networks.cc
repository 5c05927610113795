// SPDX-License-Identifier: Apache-2.0
// Networks: see networks.h.
#include "controller-agent/vtep/networks.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "controller-agent/check_document.h"
#include "controller-agent/fleet/segment_name.h"
#include "sluice/base/limits.h"
#include "sluice/model/switch.h"
#include "sluice/model/vtep.h"
#include "sluice/net/address_text.h"

namespace sluice::vtep {
namespace {

using nlohmann::json;
using ovsdb::Row;
using ovsdb::Tables;
using ovsdb::Uuid;

/// One look at a replica.
class Reading {
public:
    Reading(const Tables& tables, const OwnHost& own) : tables_(tables), own_(own) {}

    Networks run() {
        out_.problems = own_.problems;
        if (const auto id = own_switch(tables_, own_)) {
            out_.knows_host = true;
            for (const Uuid& port :
                 references(*find_row(tables_, "Physical_Switch", *id), "ports")) {
                if (const Row* row = find_row(tables_, "Physical_Port", port)) { bind(*row); }
            }
        }
        read_floods();
        read_routers();
        return std::move(out_);
    }

private:
    void tell(const std::string& object, const std::string& reason) {
        const bool has_room = out_.problems.size() < kFleetProblemMax;
        if (has_room) { out_.problems.push_back({object, reason}); }
    }

    void refuse(const std::string& port, const char* fault, const std::string& reason) {
        out_.faults[port] = fault;
        tell("port " + port, reason);
    }

    void bind(const Row& row) {
        const std::string port = ovsdb::column(row, "name").text();
        if (std::find(own_.ports.begin(), own_.ports.end(), port) == own_.ports.end()) { return; }
        const ovsdb::Datum& bindings = ovsdb::column(row, "vlan_bindings");
        if (bindings.keys.empty()) { return; }
        const auto* vlan = std::get_if<std::int64_t>(&bindings.keys.front());
        const auto* to =
            bindings.values.empty() ? nullptr : std::get_if<Uuid>(&bindings.values.front());
        if (bindings.keys.size() != 1 || vlan == nullptr || *vlan != 0 || to == nullptr) {
            return refuse(port, "invalid_vlan_map",
                          "vlan_bindings has another VLAN than 0, a port is in one logical switch, "
                          "untagged");
        }
        if (!ovsdb::column(row, "acl_bindings").keys.empty()) {
            return refuse(port, "invalid_ACL_binding",
                          "acl_bindings is not empty, ACLs of this schema are not supported");
        }
        if (const std::string why = open(*to); !why.empty()) {
            return refuse(port, "unspecified_fault", why);
        }
        if (!out_.by_id.contains(*to)) { return; }
        out_.placed.emplace(port, *to);
    }

    // Why there is no such network; a missing key is awaited without a word.
    std::string open(const Uuid& id) {
        const Row* row = find_row(tables_, "Logical_Switch", id);
        if (row == nullptr || out_.by_id.contains(id)) { return ""; }
        const std::string name = ovsdb::column(*row, "name").text();
        const ovsdb::Datum& key = ovsdb::column(*row, "tunnel_key");
        if (key.keys.empty()) {
            tell("logical_switch " + name, "has no tunnel_key yet, its ports are not attached");
            return "";
        }
        const std::int64_t vni = key.integer();
        if (vni < 1 || vni > kVniMax) {
            return "logical switch " + name + " has tunnel_key " + std::to_string(vni) +
                   ", which is outside 1.." + std::to_string(kVniMax);
        }
        Network network;
        network.vni = static_cast<std::uint32_t>(vni);
        for (const auto& [other, known] : out_.by_id) {
            if (known.vni == network.vni) {
                return "logical switch " + name + " has tunnel_key " + std::to_string(vni) +
                       ", which logical switch " + known.group + " has too";
            }
        }
        network.group = group_name(name, network.vni);
        network.segment = fleet::segment_name(kSwitchName, {network.vni, 0});
        network.is_head_end = ovsdb::column(*row, "replication_mode").text() == "source_node";
        out_.by_id.emplace(id, std::move(network));
        return "";
    }

    // A name that nothing else in the document has.
    std::string group_name(const std::string& name, std::uint32_t vni) const {
        const std::string by_vni = "vni" + std::to_string(vni);
        const bool is_taken =
            name == "any" || name.starts_with("vni") || parse_ip(name).has_value() ||
            std::find(own_.ports.begin(), own_.ports.end(), name) != own_.ports.end();
        return agent::is_name(name) && !is_taken ? name : by_vni;
    }

    void read_floods() {
        for (const auto& [id, row] : table_of(tables_, "Mcast_Macs_Remote")) {
            const auto of = reference(*row, "logical_switch");
            const auto network = of ? out_.by_id.find(*of) : out_.by_id.end();
            if (network == out_.by_id.end()) { continue; }
            const std::string mac = ovsdb::column(*row, "MAC").text();
            if (mac != kUnknownDst) {
                tell("mcast_mac " + mac, "is not supported, it floods as unknown-dst does");
                continue;
            }
            const auto set = reference(*row, "locator_set");
            if (const Row* list = set ? find_row(tables_, "Physical_Locator_Set", *set) : nullptr) {
                add_floods(*list, network->second);
            }
        }
    }

    void add_floods(const Row& list, Network& network) {
        for (const Uuid& id : references(list, "locators")) {
            const auto ip = locator_ip(tables_, id);
            if (!ip || own_.has_vtep(*ip)) { continue; }
            const std::string why = own_.why_unreachable(*ip);
            if (why.empty()) {
                network.floods.insert(*ip);
            } else {
                tell("locator " + to_string(*ip), why);
            }
        }
    }

    void read_routers() {
        for (const auto& [id, row] : table_of(tables_, "Logical_Router")) {
            const auto& joined = ovsdb::column(*row, "switch_binding").values;
            const bool is_here = std::any_of(joined.begin(), joined.end(), [&](const auto& atom) {
                const auto* of = std::get_if<Uuid>(&atom);
                return of != nullptr && out_.by_id.contains(*of);
            });
            if (!is_here) { continue; }
            out_.switch_faults.insert("lr_support_fault");
            tell("logical_router " + ovsdb::column(*row, "name").text(),
                 "is not supported, this source has no routers");
        }
    }

    const Tables& tables_;
    const OwnHost& own_;
    Networks out_;
};

json texts(const std::set<IpAddr>& ips) {
    json out = json::array();
    for (const IpAddr& ip : ips) { out.push_back(to_string(ip)); }
    return out;
}

// What the narrowest VTEP carries, and no more than guests take for granted.
std::uint16_t mtu_of(const OwnHost& own) {
    std::uint16_t mtu = model::Switch{}.mtu;
    for (const OwnVtep& vtep : own.vteps) {
        const int room = vtep.mtu - model::vxlan_overhead(IpFamily::kV4);
        mtu = static_cast<std::uint16_t>(std::clamp<int>(room, kMtuMin, mtu));
    }
    return mtu;
}

}  // namespace

const ovsdb::Table& table_of(const Tables& tables, const std::string& name) {
    static const ovsdb::Table kNone;
    const auto at = tables.find(name);
    return at == tables.end() ? kNone : at->second;
}

const Row* find_row(const Tables& tables, const std::string& table, const Uuid& id) {
    const ovsdb::Table& rows = table_of(tables, table);
    const auto at = rows.find(id);
    return at == rows.end() ? nullptr : at->second.get();
}

std::vector<Uuid> references(const Row& row, const std::string& name) {
    std::vector<Uuid> out;
    for (const ovsdb::Atom& atom : ovsdb::column(row, name).keys) {
        if (const auto* id = std::get_if<Uuid>(&atom)) { out.push_back(*id); }
    }
    return out;
}

std::optional<Uuid> reference(const Row& row, const std::string& name) {
    const std::vector<Uuid> all = references(row, name);
    return all.size() == 1 ? std::optional(all.front()) : std::nullopt;
}

std::optional<IpAddr> locator_ip(const Tables& tables, const Uuid& id) {
    const Row* row = find_row(tables, "Physical_Locator", id);
    if (row == nullptr || !ovsdb::column(*row, "tunnel_key").keys.empty()) { return std::nullopt; }
    return parse_ip(ovsdb::column(*row, "dst_ip").text());
}

std::optional<Uuid> own_switch(const Tables& tables, const OwnHost& own) {
    for (const auto& [id, row] : table_of(tables, "Physical_Switch")) {
        if (ovsdb::column(*row, "name").text() == own.name) { return id; }
    }
    return std::nullopt;
}

Networks networks_of(const Tables& tables, const OwnHost& own) {
    return Reading(tables, own).run();
}

json document_of(const Networks& networks, const OwnHost& own, const std::set<IpAddr>& vteps) {
    json groups = json::array();
    json ports = json::array();
    for (const auto& [id, network] : networks.by_id) {
        groups.push_back({{"name", network.group},
                          {"switch", kSwitchName},
                          {"vni", network.vni},
                          {"replication", network.is_head_end ? "head_end" : "service_node"},
                          {"flood_vteps", texts(network.floods)}});
    }
    for (const auto& [port, id] : networks.placed) {
        ports.push_back({{"name", port}, {"port_group", networks.by_id.at(id).group}});
    }
    std::sort(groups.begin(), groups.end(),
              [](const json& a, const json& b) { return a["name"] < b["name"]; });
    return {{"switches", json::array({{{"name", kSwitchName},
                                       {"uplinks", own.uplinks},
                                       {"mtu", mtu_of(own)},
                                       {"remote_vteps", texts(vteps)},
                                       {"bfd", {{"enabled", false}}}}})},
            {"port_groups", std::move(groups)},
            {"ports", std::move(ports)}};
}

}  // namespace sluice::vtep
