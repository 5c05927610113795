// SPDX-License-Identifier: Apache-2.0
// Edits: one object of the document added, changed or deleted, for hands (`port add`, `rule set`,
// ...). Works on the document's JSON, in place, and can be taken back; what the result means is
// read_document's business, as for a whole document. Pure functions; one thread a document.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "sluice/base/result.h"
#include "sluice/model/document.h"

namespace sluice::agent {

enum class EditOp : std::uint8_t { kAdd, kSet, kDelete, kAddMember, kDeleteMember };

/// Where an object of an ordered list goes.
enum class EditPlace : std::uint8_t { kAsIs, kFirst, kLast, kBefore, kAfter };

/// One edit, its words checked, its names not looked up yet.
struct Edit {
    EditOp op = EditOp::kSet;
    std::string kind;    ///< As diff() names kinds: "port", "rule", "address_set", ...
    std::string name;    ///< Of the object; empty for host and dfw.
    std::string parent;  ///< Of what holds it: the section of a rule, the ACL of an ACL's rule.
    nlohmann::json object =
        nlohmann::json::object();                     ///< kAdd: the object; its name may be absent.
    nlohmann::json patch = nlohmann::json::object();  ///< {"overrides.vlan.id": 101}; null removes.
    nlohmann::json members = nlohmann::json::array();  ///< kAddMember, kDeleteMember.
    EditPlace place = EditPlace::kAsIs;
    std::string neighbour;  ///< kBefore, kAfter: name in the same list.
};

/// Reads `{op, kind, name, object, patch, members, position}`. The name of a rule is
/// "SECTION/RULE". `position` is "first", "last", {"before": NAME} or {"after": NAME}.
/// @return kInvalid with a sentence for anything else
[[nodiscard]] Result<Edit> read_edit(const nlohmann::json& params);

/// Key of the document's list that holds objects of this kind at its top ("ports"), empty for kinds
/// that lie deeper.
[[nodiscard]] std::string list_key(const std::string& kind);

/// "port vm1", "rule app/web-in", "dfw": whom errors and the audit log name.
[[nodiscard]] std::string subject_of(const Edit& edit);

/// What takes an edit back: the place of the list, what was put in, what was taken out.
struct EditUndo {
    std::vector<std::string> path;  ///< Keys, and names of objects, down to the list or object.
    std::optional<std::size_t> erase_at;
    std::optional<std::size_t> insert_at;
    nlohmann::json old;
};

/// Makes the edit in `document`, which is unchanged if it fails.
/// @return kExists if what is to be added is there, kNotFound if the object, what holds it or its
///         neighbour is not there, kInvalid if a path leads through something that is no object
[[nodiscard]] Result<EditUndo> make_edit(nlohmann::json& document, const Edit& edit);

/// What `running` becomes by an edit of a firewall rule that was just made in `document`, whose
/// meaning `running` was: only that rule is read and checked, so that the change costs a copy of
/// the document and not its reading.
/// @return nullopt for edits of other kinds: the whole document is to be read
[[nodiscard]] std::optional<Result<model::Document>> read_edited_rule(
    const model::Document& running, const nlohmann::json& document, const Edit& edit,
    const EditUndo& made);

/// Undoes the last edit that was made.
void take_back(nlohmann::json& document, EditUndo undo);

}  // namespace sluice::agent
