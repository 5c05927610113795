// SPDX-License-Identifier: Apache-2.0
// Reading the parameters of an edit: words, shapes, and what fits together. Names are looked up
// when the edit is made.
#include "controller-agent/edit.h"

#include <array>
#include <string_view>
#include <utility>

#include "controller-agent/edit_kinds.h"
#include "controller-agent/json_fields.h"

namespace sluice::agent {
namespace {

using nlohmann::json;

Status read_position(const json& position, Edit& edit) {
    const json* neighbour = nullptr;
    if (position == "first") {
        edit.place = EditPlace::kFirst;
    } else if (position == "last") {
        edit.place = EditPlace::kLast;
    } else if (position.is_object() && position.size() == 1) {
        edit.place = position.begin().key() == "before" ? EditPlace::kBefore : EditPlace::kAfter;
        if (position.contains("before") || position.contains("after")) {
            neighbour = &*position.begin();
        }
    }
    const bool named = neighbour != nullptr && neighbour->is_string();
    if (named) { edit.neighbour = neighbour->get<std::string>(); }
    const bool by_word = edit.place == EditPlace::kFirst || edit.place == EditPlace::kLast;
    if (by_word || named) { return Ok{}; }
    return invalid("position " + shown(position) +
                   " is not \"first\", \"last\", {\"before\": NAME} or {\"after\": NAME}");
}

Status read_op(const std::string& word, Edit& edit) {
    constexpr std::array<std::pair<std::string_view, EditOp>, 5> kOps{
        {{"add", EditOp::kAdd},
         {"set", EditOp::kSet},
         {"del", EditOp::kDelete},
         {"add_member", EditOp::kAddMember},
         {"del_member", EditOp::kDeleteMember}}};
    for (const auto& [name, op] : kOps) {
        if (word == name) {
            edit.op = op;
            return Ok{};
        }
    }
    return invalid("op " + shown(std::string_view(word)) +
                   " is not one of add, set, del, add_member, del_member");
}

/// How an object inside another is named.
std::string shape_of(const KindRow& row) {
    if (row.kind == "rule") { return "section and rule as SECTION/RULE"; }
    if (row.kind == "acl_rule") { return "acl and rule as ACL/RULE"; }
    return row.kind == "route" ? "router and prefix as ROUTER/PREFIX"
                               : "router and interface as ROUTER/INTERFACE";
}

/// What fits together: kinds, names, operations.
Status check_edit(const KindRow& row, Edit& edit) {
    const bool members = edit.op == EditOp::kAddMember || edit.op == EditOp::kDeleteMember;
    if (row.is_single()) {
        if (edit.op != EditOp::kSet || !edit.name.empty()) {
            return invalid(edit.kind + " has no name and can only be set");
        }
    } else if (edit.name.empty()) {
        return invalid("name is missing: expected the " + spoken(edit.kind) + "'s name");
    }
    if (!row.parent_kind.empty()) {
        const std::size_t slash = edit.name.find('/');
        if (slash == 0 || slash == std::string::npos || slash + 1 == edit.name.size()) {
            return invalid(subject(edit.kind, edit.name) + ": expected " + shape_of(row));
        }
        edit.parent = edit.name.substr(0, slash);
        edit.name = edit.name.substr(slash + 1);
    }
    if (members && (edit.kind != "address_set" || edit.members.empty())) {
        return invalid("members belong to address sets and are a list that is not empty");
    }
    if (edit.place != EditPlace::kAsIs && !row.is_ordered) {
        return invalid("position has no meaning: the order of " + spoken(edit.kind) +
                       " objects does not count");
    }
    return Ok{};
}

}  // namespace

Result<Edit> read_edit(const json& params) {
    Fault fault;
    Fields fields(&params, "parameters", "", fault);
    Edit edit;
    std::string op;
    fields.text("op", op);
    fields.text("kind", edit.kind);
    fields.text("name", edit.name);
    for (auto [key, out] : {std::pair{"object", &edit.object}, {"patch", &edit.patch}}) {
        if (const json* value = fields.take(key); value != nullptr) {
            if (!value->is_object()) { return invalid(std::string(key) + " is not an object"); }
            *out = *value;
        }
    }
    if (const json* members = fields.take("members"); members != nullptr) {
        if (!members->is_array()) { return invalid("members is not a list"); }
        edit.members = *members;
    }
    const json* position = fields.take("position");
    fields.finish();
    if (fault.any()) { return fault.error(); }
    if (position != nullptr) {
        if (Status read = read_position(*position, edit); !read) { return read.error(); }
    }
    const KindRow* row = find_kind(edit.kind);
    if (row == nullptr) {
        return invalid("kind " + shown(std::string_view(edit.kind)) +
                       " is no kind of object in the document");
    }
    Status status = read_op(op, edit);
    if (status) { status = check_edit(*row, edit); }
    if (!status) { return status.error(); }
    if (edit.op == EditOp::kAdd) { edit.object[std::string(row->key)] = edit.name; }
    return edit;
}

}  // namespace sluice::agent
