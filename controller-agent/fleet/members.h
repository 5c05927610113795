// SPDX-License-Identifier: Apache-2.0
// Inside of rows: which addresses of which hosts the names in rules stand for, over the whole
// fleet (table Member). Pure, any thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace sluice::fleet {

/// Hosts by address, by name of a group, port group or port. An address without hosts is one that
/// the document itself gives a group.
using Members = std::map<std::string, std::map<std::string, std::set<std::string>>>;

/// Of every group, port group and port that a rule of the firewall or of an ACL has as source or
/// destination, those without an address included. Of a normalised document.
[[nodiscard]] Members members_of(const nlohmann::json& fleet_document);

}  // namespace sluice::fleet
