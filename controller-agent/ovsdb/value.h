// SPDX-License-Identifier: Apache-2.0
// Values of an OVSDB database (RFC 7047 §5.1) and how they change: sets, maps and the symmetric
// differences in which `update3` tells of them (ovsdb-server(7) §4.1.14). Plain values and pure
// functions, any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "sluice/base/result.h"

namespace sluice::ovsdb {

/// Of a row; its text has 36 characters.
struct Uuid {
    std::array<std::uint8_t, 16> bytes{};

    auto operator<=>(const Uuid&) const = default;
    [[nodiscard]] static Result<Uuid> parse(std::string_view text);
    [[nodiscard]] std::string text() const;
};

using Atom = std::variant<std::int64_t, double, bool, std::string, Uuid>;

/// A column of a row: a set, or a map of `keys[i]` to `values[i]`. Keys ascend and are distinct.
struct Datum {
    bool is_map = false;
    std::vector<Atom> keys;
    std::vector<Atom> values;  ///< Of a map as many as keys, else empty.

    bool operator==(const Datum&) const = default;

    /// The one atom of a column that holds one; the type's empty value if it has none or another
    /// type: what a server sends must never throw.
    [[nodiscard]] std::int64_t integer() const;
    [[nodiscard]] std::string text() const;
    [[nodiscard]] bool boolean() const;
    /// Texts of a set; what is no text is left out.
    [[nodiscard]] std::vector<std::string> texts() const;
    /// A map of text to text; other entries are left out.
    [[nodiscard]] std::map<std::string, std::string> text_map() const;
};

[[nodiscard]] Datum datum(std::int64_t value);
[[nodiscard]] Datum datum(const std::string& value);
[[nodiscard]] Datum datum(bool value);
[[nodiscard]] Datum datum(const std::vector<std::string>& set);
[[nodiscard]] Datum datum(const std::map<std::string, std::string>& map);

/// The wire's form (["set",[...]], ["map",[[k,v],...]], ["uuid","..."], or one bare atom).
[[nodiscard]] Result<Datum> parse_datum(const nlohmann::json& value);
[[nodiscard]] nlohmann::json to_json(const Datum& datum);

/// What of a column's type differences hang on.
struct ColumnType {
    bool is_map = false;
    bool is_scalar = false;  ///< At most one entry: a difference is the new value.
};

/// `old` after `change`. Set: members of one but not of both. Map: an entry of both with one value
/// goes, with another value is replaced, of one stays or comes.
[[nodiscard]] Datum apply_difference(const Datum& old, const Datum& change, ColumnType type);
/// The `change` for which apply_difference(old, change) is `now`.
[[nodiscard]] Datum difference(const Datum& old, const Datum& now, ColumnType type);

using Row = std::map<std::string, Datum>;  ///< By column.
using RowPtr = std::shared_ptr<const Row>;

/// A row that came (no `before`), went (no `after`) or changed.
struct RowChange {
    std::string table;
    Uuid id;
    RowPtr before, after;
};

/// Rows of a database as far as a client looks at it.
using Table = std::map<Uuid, RowPtr>;
using Tables = std::map<std::string, Table>;

/// A row's column; an empty one if it lacks it.
[[nodiscard]] const Datum& column(const Row& row, const std::string& name);

}  // namespace sluice::ovsdb
