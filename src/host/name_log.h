// SPDX-License-Identifier: Apache-2.0
// NameLog: what the numbers in the arena's records stand for (ports, domains, rules, services,
// remote VTEPs), kept in the arena's folder, so that the next process gives the same numbers to the
// same names. What a snapshot uses is written before that snapshot is published. Read at the start;
// written on the compile helper, one change at a time.
#pragma once

#include <string>
#include <vector>

#include "datapath/snapshot.h"
#include "src/host/compile.h"
#include "src/host/record_log.h"

namespace sluice::host {

/// Records of the file, at least, before history is left out of it.
inline constexpr std::size_t kNameHistoryMax = 100'000;

class NameLog {
public:
    /// Reads the file, or makes an empty one. kIo.
    /// @param may_rewrite  nobody else has it open: it may be replaced by a shorter one
    [[nodiscard]] Status load(const std::string& path, bool may_rewrite = true);
    [[nodiscard]] bool is_empty() const noexcept { return names_.empty(); }
    /// Gives the numbers that were read to `registries` and, where they are kept in snapshots, to
    /// `previous`, which the first compilation is to be given. Once.
    void restore(Registries& registries, datapath::Snapshot& previous);
    /// Writes what `registries` gave out or took back since the last call, and what differs between
    /// the two snapshots. An error, once: the arena is of no use any more.
    [[nodiscard]] Status write(Registries& registries, const datapath::Snapshot& previous,
                               const datapath::Snapshot& next);
    /// The first of the two alone.
    [[nodiscard]] Status write(Registries& registries);

private:
    /// Writes the file anew, without what is history.
    [[nodiscard]] Status shorten();
    [[nodiscard]] Status append(const std::vector<RecordLog::Record>& records);

    RecordLog log_;
    std::size_t record_count_ = 0;   // In the file.
    std::size_t shorten_at_ = 0;     // So many: it is mostly history, and written anew.
    std::vector<NameChange> names_;  // Until restore().
};

}  // namespace sluice::host
