// SPDX-License-Identifier: Apache-2.0
// Schema: what of a database's schema (RFC 7047 §3.2) reading its updates hangs on: the type of
// each column, and the value that an update leaves out. Plain values and pure functions, any
// thread.
#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "controller-agent/ovsdb/value.h"
#include "sluice/base/result.h"

namespace sluice::ovsdb {

struct SchemaColumn {
    ColumnType type;
    Datum standard;              ///< Of a row that does not say.
    bool has_real_keys = false;  ///< A server writes 1.0 as 1.
    bool has_real_values = false;
};

using SchemaTable = std::map<std::string, SchemaColumn>;  ///< By column.
using Schema = std::map<std::string, SchemaTable>;        ///< By table.

/// The datum as a column of that type has it: entries of a map have values, those of a set none,
/// and real numbers are real. Servers that keep to the schema differ in the last only.
void shape(Datum& datum, const SchemaColumn& column);

/// A schema as `_Server` tells it, parsed. Refused if a table or type is not of RFC 7047's form.
[[nodiscard]] Result<Schema> parse_schema(const nlohmann::json& schema);

}  // namespace sluice::ovsdb
