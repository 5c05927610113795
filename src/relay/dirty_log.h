// SPDX-License-Identifier: Apache-2.0
// The dirty log of live migration, as one session's front-end sets it up: librte_vhost marks there
// each page of guest memory that the device wrote, a bit a page, while LOG_ALL is negotiated. A log
// that is too small would leave pages unmarked, and one that shrinks would fault in a worker: both
// are refused here, before the library sees them. Owned by one session. The control thread.
#pragma once

#include <cstdint>
#include <optional>

#include "relay/protocol.h"
#include "relay/refusal.h"

namespace sluice::relay {

inline constexpr std::uint64_t kLogBytesMax = std::uint64_t{1} << 30U;  ///< For 32 TiB of guest.

class DirtyLog {
public:
    /// Judges a checked request (check.h) against what the session said before, and remembers it:
    /// SET_FEATURES, SET_MEM_TABLE, SET_LOG_BASE; others pass. A log must be a memfd that is sealed
    /// against shrinking, from offset 0, with a bit for each page up to the highest guest address;
    /// memory may outgrow it only while LOG_ALL is off.
    /// @return kBadMemory with a sentence, nullopt if all is well
    [[nodiscard]] std::optional<Refusal> judge(const Message& message);

private:
    [[nodiscard]] std::optional<Refusal> judge_area(const Message& message);
    [[nodiscard]] std::optional<Refusal> judge_cover(const Message& message) const;

    std::uint64_t guest_end_ = 0;  // First guest address that no region has; 0: no memory yet.
    std::uint64_t log_bytes_ = 0;  // 0: no log yet.
    bool is_logging_ = false;      // LOG_ALL is negotiated.
};

}  // namespace sluice::relay
