// SPDX-License-Identifier: Apache-2.0
// What has to change to get from one document to another, for `apply` (does anything change?),
// `apply --dry-run` and `diff` (what?). A pure function of two documents, any thread.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "sluice/model/document.h"

namespace sluice::agent {

enum class ChangeOp : std::uint8_t { kAdd, kRemove, kModify };

/// One object that differs. Rules are objects of their own: kind "rule" with name "SECTION/RULE",
/// kind "acl_rule" with name "ACL/RULE". Other kinds: host, uplink, switch, port_group, port,
/// address_set, group, acl, section, dfw.
struct Change {
    ChangeOp op = ChangeOp::kModify;
    std::string kind;
    std::string name;                 ///< Empty for host and dfw.
    std::vector<std::string> fields;  ///< Modify only: "mtu: 1500 -> 9000", "order of rules".

    bool operator==(const Change&) const = default;
};

/// Changes that turn `actual` into `desired`, in the order of the document's nouns. Empty if both
/// mean the same: the order of objects counts for ACLs, sections and rules only, and a new order is
/// one modify of what holds them (kind "dfw" for sections, kind "acl" with the name "" for ACLs).
[[nodiscard]] std::vector<Change> diff(const model::Document& desired,
                                       const model::Document& actual);

[[nodiscard]] const char* to_text(ChangeOp op);

/// `[{"op", "kind", "name", "fields"}]`, `fields` for a modify only.
[[nodiscard]] nlohmann::ordered_json to_json_value(const std::vector<Change>& changes);

}  // namespace sluice::agent
