// SPDX-License-Identifier: Apache-2.0
// A document made the whole desired state of a fleet: checked, merged with what others wrote at the
// same time, committed (docs/adr/0034). Used by `sluice --db ... apply`. One thread, blocks.
#pragma once

#include <nlohmann/json.hpp>
#include <ostream>

#include "database.h"

namespace sluice::cli {

/// Every row of Sluice_Config that makes up the document.
[[nodiscard]] std::vector<ovsdb::Interest> config_interest();
/// The document of an open Sluice_Config, and how many of its objects make no sense.
struct StoredDocument {
    nlohmann::json document;
    std::size_t problems = 0;
};
[[nodiscard]] StoredDocument stored_document(const Database& database);

/// Reads a fleet's document from its text, normalised.
[[nodiscard]] Outcome<nlohmann::json> parse_fleet(const std::string& text);

struct CommitRequest {
    bool dry_run = false;
    bool allow_mass_delete = false;
};
/// {"changed", "generation", "epoch", "merged"}: the last if another editor's changes were kept.
/// @param progress  gets a line for each step of long work
[[nodiscard]] Outcome<nlohmann::json> commit_fleet(Database& database,
                                                   const nlohmann::json& document,
                                                   const CommitRequest& request,
                                                   std::ostream& progress);

/// "dfw section x: ..." of the controller-agent room as a command's failure.
[[nodiscard]] Failure failure_of(const Error& error);

}  // namespace sluice::cli
