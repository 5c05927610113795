// SPDX-License-Identifier: Apache-2.0
// Interest: which rows of a database a client replicates. Plain values and a pure function, any
// thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace sluice::ovsdb {

/// Rows of one table that the client replicates.
struct Interest {
    std::string table;
    std::vector<std::string> columns;  ///< Empty: all.
    /// Conditions (RFC 7047 §5.1) of which one must hold, or `true`, or `false` for no row.
    nlohmann::json where = true;

    bool operator==(const Interest&) const = default;
};

/// Interest of one table, its conditions always a list (of which one must hold).
struct TableInterest {
    std::vector<std::string> columns;
    nlohmann::json where;

    bool operator==(const TableInterest&) const = default;
};
using InterestMap = std::map<std::string, TableInterest>;

/// Several interests of one table are joined: all their columns, rows of either.
[[nodiscard]] InterestMap interest_map(const std::vector<Interest>& interest);

}  // namespace sluice::ovsdb
