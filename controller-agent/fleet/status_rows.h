// SPDX-License-Identifier: Apache-2.0
// StatusRows: what a host writes about itself into Sluice_Status, and the transaction that makes
// its rows there say so. Pure functions, control thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "controller-agent/fleet/claims.h"
#include "controller-agent/fleet/host_control.h"
#include "controller-agent/fleet/rows.h"
#include "controller-agent/ovsdb/value.h"

namespace sluice::fleet {

/// Identity of a row among those of one host.
struct StatusKey {
    std::string table;
    std::string segment;  ///< Of Binding.
    std::string vtep;     ///< Of Binding.
    std::int64_t chunk = 0;

    auto operator<=>(const StatusKey&) const = default;
};

/// Columns besides those of the identity and `host`.
using StatusRows = std::map<StatusKey, ovsdb::Row>;

/// What stands in the row of table Host.
struct HostReport {
    std::string version;
    std::string state;  ///< to_text(AgentState).
    std::int64_t since_ms = 0;
    std::int64_t generation = 0;  ///< That runs; 0: none yet.
    std::int64_t epoch = 0;
    std::vector<std::string> alarms;
    std::string public_key{};  ///< Empty: none.
};

/// A vNIC's claim as this host makes it.
using OwnClaims = std::map<SegmentMac, Claim>;

/// The VTEP of a host at which others reach a segment: the first by name of those on its switch;
/// kNone in a segment without VNI, or if there is none.
[[nodiscard]] IpAddr vtep_of(const std::string& segment, const std::vector<LocalVtep>& vteps);

/// Everything a host has to say but its sign of life.
[[nodiscard]] StatusRows status_rows(const HostReport& report, const LocalState& local,
                                     const OwnClaims& claims, const std::vector<Problem>& problems);
/// Adds the row that says that the host lives.
void add_heartbeat(StatusRows& rows, std::int64_t now_ms);

/// Rows of one host in a replica of Sluice_Status, with their ids.
using PresentRows = std::map<StatusKey, std::pair<ovsdb::Uuid, ovsdb::RowPtr>>;
[[nodiscard]] PresentRows rows_of(const std::string& host, const ovsdb::Tables& tables);

/// Operations (RFC 7047 §5.2) that turn the rows of `host` from `present` into `wanted`; at most
/// about `count_max`, then the first ones. Maps change entry by entry. Empty: they are.
[[nodiscard]] nlohmann::json status_operations(const std::string& host, const StatusRows& wanted,
                                               PresentRows present, std::size_t count_max);

}  // namespace sluice::fleet
