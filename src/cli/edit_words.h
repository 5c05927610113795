// SPDX-License-Identifier: Apache-2.0
// From words to an edit of one object: KEY=VALUE, options and a position become the parameters of
// the daemon's `edit`. What keys mean is the daemon's business. Pure functions.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "failure.h"

namespace sluice::cli {

// Parameters of arguments of edit commands that are no paths of the object.
inline constexpr const char* kEditName = "@name";
inline constexpr const char* kEditSettings = "@settings";
inline constexpr const char* kEditTags = "@tags";      ///< ["app=web"]
inline constexpr const char* kEditBefore = "@before";  ///< Also @after, @first, @last.
inline constexpr const char* kEditAfter = "@after";
inline constexpr const char* kEditFirst = "@first";
inline constexpr const char* kEditLast = "@last";
inline constexpr const char* kEditMembers = "@members";
inline constexpr const char* kEditAccessVlan = "@vlan ";  ///< And the path of the `vlan` object.
inline constexpr const char* kEditTrunk = "@trunk ";      ///< The same, ranges.

/// Value of KEY=VALUE: JSON if it is JSON, a list if the key takes one ("tcp/80,tcp/443"), else the
/// text itself. Nothing means null: back to the default.
[[nodiscard]] nlohmann::json setting_value(const std::string& path, const std::string& text);

/// @param words  of the command: "port add", "acl rule set", "address-set add-member"
/// @param given  arguments by parameter; keys without '@' are paths of the object
/// @return parameters of the method `edit`; code "usage" for words that make no edit
[[nodiscard]] Outcome<nlohmann::json> edit_params(const std::string& words,
                                                  const nlohmann::json& given);

}  // namespace sluice::cli
