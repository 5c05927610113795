// SPDX-License-Identifier: Apache-2.0
// A commit of a fleet's document as transactions of the database (docs/adr/0034): each a
// compare-and-set of what its editor read, the last one with the new generation. Controller side
// (src/cli). Pure functions, any thread.
#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "controller-agent/fleet/rows.h"

namespace sluice::fleet {

/// What of the row of Global an editor goes by.
struct GlobalState {
    bool exists = false;
    std::int64_t generation = 0;
    std::int64_t epoch = 0;
    std::int64_t changed_ms = 0;
    std::vector<std::string> status_remotes;
    std::map<std::string, std::string> settings;  ///< "writing" included.
};
[[nodiscard]] GlobalState global_state(const ovsdb::Tables& tables);

/// The mark of a commit on its way: {"by", "since_ms", "at_ms", "step", "steps"}.
struct WritingMark {
    std::string by;
    std::int64_t at_ms = 0;
};
/// nullopt: nobody is writing.
[[nodiscard]] std::optional<WritingMark> writing_mark(const GlobalState& global);

struct CommitOptions {
    std::string editor;        ///< Distinct for each process that writes.
    std::int64_t now_ms = 0;   ///< Unix time.
    bool raise_epoch = false;  ///< A mass deletion is meant.
};

struct CommitPlan {
    std::vector<nlohmann::json> transactions;  ///< Each a list of operations; empty: all is there.
    std::int64_t generation = 0;               ///< Once all are in.
    std::size_t rows = 0;                      ///< That are inserted, changed or deleted.
};

/// What makes the packed rows of the database `desired`. Nothing to do: no transactions, and the
/// generation as it is, unless the epoch is raised or a dead editor's mark is to go.
[[nodiscard]] CommitPlan commit_plan(const ovsdb::Tables& tables, const PackedRows& desired,
                                     const CommitOptions& options);

}  // namespace sluice::fleet
