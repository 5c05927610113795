// SPDX-License-Identifier: Apache-2.0
// Rows: a fleet's document between its JSON form and the packed rows of Sluice_Config
// (schema/sluice-config.ovsschema, docs/fleet.md). Pure functions, any thread.
//
// The fleet's document has the nouns of a host's, and says whose they are: `uplinks`, `vteps` and
// `ports` carry `host`; `hosts` lists the hosts ({"name"}). A document that was exported by one
// host has `host` instead: its uplinks, VTEPs and ports are that host's.
//
// Every collection is packed alike: a row is (scope, chunk) with a map of names to the JSON text of
// an object, about kFleetChunkItems of them. Scope: of ports, uplinks, VTEPs the host; of rules
// their section or ACL; of routes their router; of address-set members and resolved addresses the
// name; of bindings the segment; else empty. An object goes into the chunk that its name hashes to,
// so that a change touches one row; where order counts, `order` of the scope's first chunk lists
// it.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "controller-agent/ovsdb/client.h"
#include "controller-agent/ovsdb/value.h"
#include "sluice/base/result.h"
#include "sluice/model/document.h"

namespace sluice::fleet {

/// Identity of a packed row.
struct RowKey {
    std::string table;
    std::string scope;
    std::int64_t chunk = 0;

    auto operator<=>(const RowKey&) const = default;
};

/// A packed row without its identity.
struct PackedRow {
    std::map<std::string, std::string> items;
    std::vector<std::string> order;

    bool operator==(const PackedRow&) const = default;
};

using PackedRows = std::map<RowKey, PackedRow>;

/// An object that makes no sense, or that something it needs is missing for.
struct Problem {
    std::string object;  ///< "port vm1", "rule app/web-in".
    std::string reason;  ///< One sentence.

    bool operator==(const Problem&) const = default;
};

/// `host` turned into `hosts`, every uplink, VTEP and port with its host.
[[nodiscard]] Result<nlohmann::json> normalised(nlohmann::json fleet_document);
/// Of a normalised document, resolved members of groups and ports included (table Member). The
/// number of chunks of a scope stays that of `before` while it is not twice too large or small.
[[nodiscard]] PackedRows pack(const nlohmann::json& fleet_document,
                              const PackedRows* before = nullptr);
/// The normalised document again; what is no JSON object is left out and told.
[[nodiscard]] nlohmann::json unpack(const PackedRows& rows, std::vector<Problem>& problems);

/// Rows of a replica of Sluice_Config.
[[nodiscard]] PackedRows packed_rows(const ovsdb::Tables& tables);
/// One row; nullopt: it is not of a packed table. The row of Global is ("Global", "", 0) with its
/// settings.
[[nodiscard]] std::optional<std::pair<RowKey, PackedRow>> packed_row(const std::string& table,
                                                                     const ovsdb::Row& row);

/// Key of Global.settings that is there while a commit in several transactions is on its way.
inline constexpr const char* kWritingKey = "writing";
/// False in the midst of such a commit: a host goes on with what it runs until it is whole.
[[nodiscard]] bool is_whole(const ovsdb::Tables& tables);

/// What a host has to look at, given what it sees of the rows already: all rows that are
/// everybody's, its own, and bindings of the segments that its ports and routers reach.
[[nodiscard]] std::vector<ovsdb::Interest> interest_of(const std::string& host,
                                                       const std::set<std::string>& segments);

/// The document of one host (as `apply` takes it), from rows that interest_of() covers: its own
/// ports, the networks that these and routers on them need, the rules, and the members elsewhere of
/// what rules name. `remote_vteps` by switch are added to the switches' own.
struct HostView {
    nlohmann::json document;
    std::set<std::string> segments;  ///< That its ports and routers reach.
    std::vector<Problem> problems;   ///< Objects that were left out.
};
/// What the host's own file (--config) says, as far as the view hangs on it.
struct OwnFile {
    bool is_known = false;  ///< False: it may have any uplink.
    std::set<std::string> uplinks;
    std::set<std::string> port_groups;  ///< Of its ports.
};
[[nodiscard]] HostView host_view(const PackedRows& rows, const std::string& host,
                                 const std::map<std::string, std::set<std::string>>& remote_vteps,
                                 const OwnFile& own = {});

/// Takes the object of a refusal ("port vm1", "rule app/web-in", "dfw section app rule web-in", as
/// agent::read_document names them) out of a document. Of a switch that has remote VTEPs, which
/// other hosts report, only these go the first time. False: it is not there by that name.
[[nodiscard]] bool remove_object(nlohmann::json& document, const std::string& object);

}  // namespace sluice::fleet
