// SPDX-License-Identifier: Apache-2.0
// Inside of rows: a fleet's objects by identity, between the document and the packed rows. What
// differences, merges and views are made of: an object is its JSON text, a scope has an order where
// order counts. Pure functions, any thread.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "controller-agent/fleet/rows.h"

namespace sluice::fleet {

/// How one list of the document is packed.
struct Noun {
    std::string_view table;
    std::string_view key;   ///< Of the list in the document, or in the object that holds it.
    std::string_view kind;  ///< What errors and differences call one object.
    bool is_owned = false;  ///< The scope is the host, which the document's objects name.
    bool is_ordered = false;
    std::string_view parent = {};  ///< Table of the objects that hold the list.
    std::string_view name = "name";
    std::string_view inside = {};  ///< Key of the document's object that holds the list.
};

/// The object of a document that holds a list without a parent.
template <typename Json>
[[nodiscard]] Json* holder_of(const Noun& noun, Json& document) {
    if (noun.inside.empty()) { return &document; }
    const auto at = document.find(noun.inside);
    return at == document.end() ? nullptr : &*at;
}

/// Every packed table of the document, parents before children.
[[nodiscard]] const std::vector<Noun>& nouns();
/// nullptr: not a table of nouns.
[[nodiscard]] const Noun* noun_of(std::string_view table);

inline constexpr const char* kGlobalTable = "Global";
inline constexpr const char* kMemberTable = "Member";
inline constexpr const char* kBindingTable = "Binding";
inline constexpr const char* kSetMemberTable = "Address_Set_Member";

struct ItemKey {
    std::string table;
    std::string scope;
    std::string name;

    auto operator<=>(const ItemKey&) const = default;
};
using Scope = std::pair<std::string, std::string>;  ///< Table and scope.

struct Items {
    std::map<ItemKey, std::string> objects;
    std::map<Scope, std::vector<std::string>> orders;

    bool operator==(const Items&) const = default;
};

/// What rows hold, without the chunks. `keep` says of which; empty: of all.
[[nodiscard]] Items items_of(const PackedRows& rows,
                             const std::function<bool(const RowKey&)>& keep = {});
/// Chunked again. The number of chunks of a scope is that of `before` while it is not twice too
/// large or too small, so that a change of an object touches one row.
[[nodiscard]] PackedRows rows_of(const Items& items, const PackedRows* before);

/// Of a normalised document, without members.
[[nodiscard]] Items items_of(const nlohmann::json& fleet_document);
/// The document of items: lists that have no order by name.
[[nodiscard]] nlohmann::json document_of(const Items& items, std::vector<Problem>& problems);

/// What blanks separate.
[[nodiscard]] std::vector<std::string> words_of(const std::string& text);

/// How errors and differences call an object: "port vm1", "rule app/web-in", "route r1/10.0.0.0/8".
[[nodiscard]] std::string object_name(const ItemKey& key);

}  // namespace sluice::fleet
