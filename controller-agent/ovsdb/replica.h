// SPDX-License-Identifier: Apache-2.0
// Replica: the rows of a database that a client holds, and how <table-updates2> change them
// (ovsdb-server(7) §4.1.14). A message counts whole or not at all: what is wrong in it leaves the
// rows as they were. One owner, no I/O.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "controller-agent/ovsdb/schema.h"
#include "controller-agent/ovsdb/value.h"
#include "sluice/base/result.h"

namespace sluice::ovsdb {

class Replica {
public:
    [[nodiscard]] const Tables& tables() const noexcept { return tables_; }
    void set_schema(Schema schema) { schema_ = std::move(schema); }
    [[nodiscard]] const Schema& schema() const noexcept { return schema_; }

    /// Rows that came, went or changed. An inserted row that is known replaces it, a deleted one
    /// that is unknown is nothing; a difference of an unknown row is an error: the replica is not
    /// what the server takes it for.
    [[nodiscard]] Result<std::vector<RowChange>> merge(const nlohmann::json& updates);
    /// `updates` is everything. What differs from the rows held is told, what is as it was keeps
    /// its pointer.
    [[nodiscard]] Result<std::vector<RowChange>> replace(const nlohmann::json& updates);

private:
    [[nodiscard]] Result<std::vector<RowChange>> read(const nlohmann::json& updates) const;
    [[nodiscard]] Status read_table(const std::string& name, const nlohmann::json& rows,
                                    std::vector<RowChange>& changes) const;
    [[nodiscard]] RowPtr find(const std::string& table, const Uuid& id) const;
    void commit(const std::vector<RowChange>& changes);

    Schema schema_;
    Tables tables_;
};

}  // namespace sluice::ovsdb
