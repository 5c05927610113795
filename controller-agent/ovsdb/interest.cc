// SPDX-License-Identifier: Apache-2.0
// Interests by table, in one form.
#include "controller-agent/ovsdb/interest.h"

#include <algorithm>

namespace sluice::ovsdb {

namespace {

using nlohmann::json;

json conditions(const json& where) {
    if (where.is_boolean()) { return json::array({where}); }
    if (!where.is_array() || where.empty()) { return json::array({false}); }
    return where;
}

void join(TableInterest& to, const TableInterest& more) {
    for (const json& condition : more.where) { to.where.push_back(condition); }
    if (to.columns.empty() || more.columns.empty()) {
        to.columns.clear();
    } else {
        to.columns.insert(to.columns.end(), more.columns.begin(), more.columns.end());
    }
}

}  // namespace

InterestMap interest_map(const std::vector<Interest>& interest) {
    InterestMap made;
    for (const Interest& one : interest) {
        TableInterest table{one.columns, conditions(one.where)};
        const auto [at, is_new] = made.try_emplace(one.table, table);
        if (!is_new) { join(at->second, table); }
        auto& columns = at->second.columns;
        std::sort(columns.begin(), columns.end());
        columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
    }
    return made;
}

}  // namespace sluice::ovsdb
