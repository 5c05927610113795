// SPDX-License-Identifier: Apache-2.0
// Networks: what a replica of hardware_vtep (vtep(5)) says that this host's ports are bound to, and
// the document that follows from it. Pure functions, any thread.
//
// A port is bound by Physical_Port.vlan_bindings; only { 0 -> a Logical_Switch with a tunnel_key }
// can be made exactly as asked for, anything else attaches the port to nothing and is reported.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "controller-agent/ovsdb/value.h"
#include "controller-agent/vtep/own_host.h"

namespace sluice::vtep {

inline constexpr const char* kSwitchName = "vtep";  ///< The one switch of the document.
inline constexpr const char* kUnknownDst = "unknown-dst";

/// A logical switch that a port of this host is bound to.
struct Network {
    std::string group;  ///< Of the document: its name if that is one, else "vniN".
    std::uint32_t vni = 0;
    std::string segment;
    bool is_head_end = false;   ///< replication_mode source_node; else one of `floods` gets all.
    std::set<IpAddr> floods{};  ///< VTEPs of `unknown-dst`.

    bool operator==(const Network&) const = default;
};

struct Networks {
    bool knows_host = false;                    ///< There is a Physical_Switch of its name.
    std::map<ovsdb::Uuid, Network> by_id;       ///< By Logical_Switch.
    std::map<std::string, ovsdb::Uuid> placed;  ///< Port to Logical_Switch.
    std::map<std::string, std::string> faults;  ///< Port to a word of port_fault_status.
    std::set<std::string> switch_faults;        ///< Words of switch_fault_status.
    std::vector<Problem> problems;              ///< The same and more, in sentences.
};

[[nodiscard]] Networks networks_of(const ovsdb::Tables& tables, const OwnHost& own);

/// As HostControl::apply takes it. @param vteps  that MACs are behind
[[nodiscard]] nlohmann::json document_of(const Networks& networks, const OwnHost& own,
                                         const std::set<IpAddr>& vteps);

/// Rows of a table; none if the replica has none of it.
[[nodiscard]] const ovsdb::Table& table_of(const ovsdb::Tables& tables, const std::string& name);
/// A row by its id; nullptr: the replica has none.
[[nodiscard]] const ovsdb::Row* find_row(const ovsdb::Tables& tables, const std::string& table,
                                         const ovsdb::Uuid& id);
/// The one row that a column names; nullopt: none.
[[nodiscard]] std::optional<ovsdb::Uuid> reference(const ovsdb::Row& row, const std::string& name);
/// All that a column names.
[[nodiscard]] std::vector<ovsdb::Uuid> references(const ovsdb::Row& row, const std::string& name);
/// Address of a Physical_Locator; nullopt: no such row, no address, or a tunnel_key of its own (the
/// schema's other model, which is not supported).
[[nodiscard]] std::optional<IpAddr> locator_ip(const ovsdb::Tables& tables, const ovsdb::Uuid& id);
/// The Physical_Switch of this host, by its name.
[[nodiscard]] std::optional<ovsdb::Uuid> own_switch(const ovsdb::Tables& tables,
                                                    const OwnHost& own);

}  // namespace sluice::vtep
