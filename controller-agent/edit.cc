// SPDX-License-Identifier: Apache-2.0
// Every edit is one erase and one insert in one list, or a new value of one object at the top
// (host, dfw); so is its undoing. Lists are scanned for a name: no index to keep.
#include "controller-agent/edit.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "controller-agent/edit_kinds.h"
#include "controller-agent/json_fields.h"

namespace sluice::agent {
namespace {

using nlohmann::json;

std::vector<std::string> path_of(const KindRow& row, const std::string& parent) {
    std::vector<std::string> path;
    for (const std::string_view key : row.path) {
        if (!key.empty()) { path.emplace_back(key == "*" ? parent : std::string(key)); }
    }
    return path;
}

std::size_t index_of(const json& list, const std::string& name, std::string_view key = "name") {
    const auto found = std::find_if(list.begin(), list.end(), [&](const json& item) {
        if (!item.is_object()) { return false; }
        const auto at = item.find(key);
        return at != item.end() && at->is_string() && at->get_ref<const std::string&>() == name;
    });
    return static_cast<std::size_t>(found - list.begin());
}

/// Follows keys of objects and names of listed objects. With `make`, absent lists and objects
/// appear; without, nullptr says that there is nothing.
json* walk(json& document, const std::vector<std::string>& path, bool is_list, bool make) {
    json* at = &document;
    for (std::size_t i = 0; i < path.size(); ++i) {
        if (at->is_array()) {
            const std::size_t index = index_of(*at, path[i]);
            if (index == at->size()) { return nullptr; }
            at = &(*at)[index];
            continue;
        }
        if (!at->is_object()) { return nullptr; }
        if (!at->contains(path[i])) {
            if (!make) { return nullptr; }
            const bool list_here = is_list && i + 1 == path.size();
            (*at)[path[i]] = list_here ? json::array() : json::object();
        }
        at = &(*at)[path[i]];
    }
    return at->is_array() == is_list ? at : nullptr;
}

/// "overrides.vlan.id" -> keys. What follows "tags." is one key: tags may have dots.
std::vector<std::string> split(const std::string& dotted) {
    std::vector<std::string> keys;
    std::size_t from = 0;
    for (std::size_t dot = 0; (dot = dotted.find('.', from)) != std::string::npos; from = dot + 1) {
        keys.push_back(dotted.substr(from, dot - from));
        if (keys.back() == "tags") {
            from = dot + 1;
            break;
        }
    }
    keys.push_back(dotted.substr(from));
    return keys;
}

Status set_path(json& object, const std::string& dotted, const json& value, const Edit& edit,
                const std::string& whom) {
    const std::vector<std::string> keys = split(dotted);
    if (std::find(keys.begin(), keys.end(), "") != keys.end()) {
        return invalid(whom + ": " + shown(std::string_view(dotted)) + " is not a path of keys",
                       whom);
    }
    if (dotted == find_kind(edit.kind)->key) {
        return invalid(whom + ": " + dotted + " can't be changed, delete it and add another", whom);
    }
    json* at = &object;
    std::string so_far;
    for (std::size_t i = 0; i + 1 < keys.size(); ++i) {
        so_far += (i == 0 ? "" : ".") + keys[i];
        if (!at->contains(keys[i])) {
            if (value.is_null()) { return Ok{}; }
            (*at)[keys[i]] = json::object();
        }
        at = &(*at)[keys[i]];
        if (!at->is_object()) {
            return invalid(whom + ": " + so_far + " " + shown(*at) + " is not an object", whom);
        }
    }
    if (value.is_null()) {
        at->erase(keys.back());
    } else {
        (*at)[keys.back()] = value;
    }
    return Ok{};
}

Status set_paths(json& object, const Edit& edit, const std::string& whom) {
    for (const auto& [path, value] : edit.patch.items()) {
        if (Status set = set_path(object, path, value, edit, whom); !set) { return set; }
    }
    return Ok{};
}

Status change_members(json& object, const Edit& edit, const std::string& whom) {
    json& members = object["members"];
    if (!members.is_array()) { members = json::array(); }
    for (const json& member : edit.members) {
        const auto found = std::find(members.begin(), members.end(), member);
        if (edit.op == EditOp::kAddMember && found == members.end()) {
            members.push_back(member);
        } else if (edit.op == EditOp::kAddMember) {
            return Error{Errc::kExists, whom + ": has member " + shown(member) + " already", whom};
        } else if (found != members.end()) {
            members.erase(found);
        } else {
            return Error{Errc::kNotFound, whom + ": has no member " + shown(member), whom};
        }
    }
    return Ok{};
}

/// The object as it is to be. `now` is null for what is added.
Result<json> edited(const json& now, const Edit& edit, const std::string& whom) {
    json object = edit.op == EditOp::kAdd ? edit.object : now;
    Status done = set_paths(object, edit, whom);
    if (done && !edit.members.empty()) { done = change_members(object, edit, whom); }
    if (!done) { return done.error(); }
    return object;
}

/// Index at which an object goes into `list`, which does not hold it; `as_is` without a wish.
Result<std::size_t> place_in(const json& list, const Edit& edit, std::size_t as_is,
                             const std::string& whom) {
    switch (edit.place) {
        case EditPlace::kAsIs: return as_is;
        case EditPlace::kFirst: return std::size_t{0};
        case EditPlace::kLast: return list.size();
        case EditPlace::kBefore:
        case EditPlace::kAfter: break;
    }
    const std::size_t neighbour = index_of(list, edit.neighbour);
    if (neighbour == list.size()) {
        return Error{Errc::kNotFound,
                     whom + ": its neighbour " + edit.neighbour + " does not exist", whom};
    }
    return neighbour + (edit.place == EditPlace::kAfter ? 1U : 0U);
}

void insert_at(json& list, std::size_t index, json value) {
    list.insert(list.begin() + static_cast<std::ptrdiff_t>(index), std::move(value));
}

json take_at(json& list, std::size_t index) {
    json value = std::move(list[index]);
    list.erase(list.begin() + static_cast<std::ptrdiff_t>(index));
    return value;
}

Result<EditUndo> edit_single(json& document, const Edit& edit, std::vector<std::string> path) {
    json* object = walk(document, path, false, true);
    if (object == nullptr) { return invalid(edit.kind + " is not an object", edit.kind); }
    Result<json> next = edited(*object, edit, edit.kind);
    if (!next) { return next.error(); }
    EditUndo undo{std::move(path), std::nullopt, std::nullopt, std::move(*object)};
    *object = std::move(next).value();
    return undo;
}

Result<EditUndo> edit_listed(json& list, const Edit& edit, std::vector<std::string> path) {
    const std::string whom = subject_of(edit);
    const std::string command = [&] {
        std::string words(edit.kind);
        std::replace(words.begin(), words.end(), '_', '-');
        return words;
    }();
    const std::size_t index = index_of(list, edit.name, find_kind(edit.kind)->key);
    const bool is_there = index < list.size();
    if (is_there && edit.op == EditOp::kAdd) {
        return Error{Errc::kExists, whom + " exists already: use `" + command + " set`", whom};
    }
    if (!is_there && edit.op != EditOp::kAdd) {
        return Error{Errc::kNotFound, whom + " does not exist", whom};
    }
    EditUndo undo{std::move(path), std::nullopt, std::nullopt, nullptr};
    Result<json> next = json();
    if (edit.op != EditOp::kDelete) {
        next = edited(is_there ? list[index] : json(), edit, whom);
        if (!next) { return next.error(); }
    }
    if (is_there) {
        undo.old = take_at(list, index);
        undo.insert_at = index;
    }
    if (edit.op == EditOp::kDelete) { return undo; }
    const Result<std::size_t> place = place_in(list, edit, is_there ? index : list.size(), whom);
    if (!place) {
        if (is_there) { insert_at(list, index, std::move(undo.old)); }
        return place.error();
    }
    insert_at(list, place.value(), std::move(next).value());
    undo.erase_at = place.value();
    return undo;
}

}  // namespace

std::string list_key(const std::string& kind) {
    const KindRow* row = find_kind(kind);
    return row == nullptr || !row->path[1].empty() ? "" : std::string(row->path[0]);
}

std::string subject_of(const Edit& edit) {
    return subject(edit.kind, edit.parent.empty() ? edit.name : edit.parent + "/" + edit.name);
}

Result<EditUndo> make_edit(json& document, const Edit& edit) {
    const KindRow& row = *find_kind(edit.kind);
    std::vector<std::string> path = path_of(row, edit.parent);
    if (row.is_single()) { return edit_single(document, edit, std::move(path)); }
    const std::string whom = subject_of(edit);
    if (!row.parent_kind.empty()) {
        std::vector<std::string> to_parent(path.begin(), path.end() - 1);
        if (walk(document, to_parent, false, false) == nullptr) {
            return Error{Errc::kNotFound, subject(row.parent_kind, edit.parent) + " does not exist",
                         whom};
        }
    }
    json* list = walk(document, path, true, edit.op == EditOp::kAdd);
    if (list == nullptr) { return Error{Errc::kNotFound, whom + " does not exist", whom}; }
    return edit_listed(*list, edit, std::move(path));
}

void take_back(json& document, EditUndo undo) {
    const bool is_list = undo.erase_at || undo.insert_at;
    json* at = walk(document, undo.path, is_list, false);
    if (at == nullptr) { return; }
    if (undo.erase_at) { static_cast<void>(take_at(*at, *undo.erase_at)); }
    if (undo.insert_at) { insert_at(*at, *undo.insert_at, std::move(undo.old)); }
    if (!is_list) { *at = std::move(undo.old); }
}

}  // namespace sluice::agent
