// SPDX-License-Identifier: Apache-2.0
// Port document: what the switch knows of one vNIC, as text that another host understands
// (`port export`, ADR 50): rows name networks, addresses, rules and services, never numbers of this
// process. Read strictly: what a document says must hold here, or it is refused. Pure functions
// over a snapshot; control thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "datapath/migration.h"
#include "sluice/base/result.h"
#include "src/host/registry.h"

namespace sluice::daemon {

inline constexpr const char* kPortFormat = "sluice-port";
inline constexpr unsigned kPortVersion = 1;
inline constexpr std::size_t kPortRowMax = 600000;  ///< Of each list of a document.

/// A connection of the vNIC with the services that it passes.
struct PortConnection {
    Connection record;
    ServicePins pins;  ///< count 0: none.
};

/// Port of an address in a domain, as bindings say.
using BoundPorts = std::map<std::pair<DomainId, IpAddr>, PortIndex>;

/// Where rows are read and written: one port of this host as it is now.
struct PortPlace {
    const datapath::Snapshot& snapshot;
    const host::RuleRegistry& rules;
    PortIndex port;
    std::uint64_t now_ns = 0;
    BoundPorts bound;  ///< What other vNICs here are known to use; needed to read only.

    /// Domains of the port, its untagged one first.
    [[nodiscard]] std::vector<const datapath::Domain*> domains() const;
};

/// {"vlan"|"vni","proto","src","sport","dst","dport","initiator","state","rule","tcp",...}. null:
/// it is in no network of the port any more.
[[nodiscard]] nlohmann::json write_connection(const PortPlace& place, const PortConnection& row);
/// @return kInvalid with what is wrong of it
[[nodiscard]] Result<datapath::ImportConnections::Row> read_connection(const PortPlace& place,
                                                                       const nlohmann::json& row);
/// The row of a connection of which one side moves to another port of this host, the other stays.
/// @param side_stateful  the side that moves passes statefully until it is judged again
[[nodiscard]] datapath::ImportConnections::Row row_moved(const PortPlace& place,
                                                         const PortConnection& row,
                                                         ConnectionSide side, PortIndex to,
                                                         bool side_stateful);
/// True if a port of this host is a vNIC's, and no way to the fabric.
[[nodiscard]] bool is_local(const PortPlace& place, PortIndex port);
/// By which port a domain of the place leads to the fabric; kNoPort: by none.
[[nodiscard]] PortIndex fabric_of(const PortPlace& place, DomainId tracking);

/// The list of a document that a learned row belongs to; nullptr if it does not travel.
[[nodiscard]] const char* list_of(LearnedKind kind) noexcept;
/// {"vlan"|"vni","ip"|"mac","source","age_ms","idle_ms","expires_ms",...}, null as above.
[[nodiscard]] nlohmann::json write_learned(const PortPlace& place, const LearnedRow& row);
[[nodiscard]] Result<LearnedRow> read_learned(const PortPlace& place, LearnedKind kind,
                                              const nlohmann::json& row);

}  // namespace sluice::daemon
