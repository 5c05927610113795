// SPDX-License-Identifier: Apache-2.0
// ConnectionWalk: goes through the connection table in steps of bounded work, so that a listing of
// millions never holds the control loop up: its caller lets other requests run between two steps.
// A walk ends at its limit or at the table's end; `cursor()` is where the next one goes on. Records
// that come and go meanwhile may be seen or not. Control thread.
#pragma once

#include <cstdint>
#include <utility>

#include "sluice/iochain/connection_table.h"
#include "src/host/connection_filter.h"

namespace sluice::host {

inline constexpr std::uint32_t kWalkRecordMax = 8192;  ///< Records looked at in a step: under 1 ms.
inline constexpr std::uint32_t kWalkRowMax = 256;      ///< Rows shown in a step: about 1 ms.

class ConnectionWalk {
public:
    struct Options {
        PortIndex port = kNoPort;  ///< Only connections of this vNIC, seen from its side.
        std::uint32_t cursor = 0;
        std::uint64_t limit = 0;   ///< Rows at most; 0 = none.
        std::uint64_t offset = 0;  ///< Rows that are left out at the beginning.
        std::uint64_t now_ns = 0;
    };
    ConnectionWalk(const ConnectionTable& table, ConnectionFilter filter, const Options& options)
        : table_(table),
          filter_(std::move(filter)),
          options_(options),
          view_from_(options.port != kNoPort ? options.port : filter_.port()),
          cursor_(options.cursor) {}

    /// Calls show(connection, view) for some rows. Returns false when the walk has ended.
    template <typename Show>
    [[nodiscard]] bool step(Show&& show) {
        const std::uint32_t used = table_.used_count();
        std::uint32_t shown = 0;
        for (std::uint32_t looked = 0; looked < kWalkRecordMax && shown < kWalkRowMax; ++looked) {
            if (cursor_ >= used || is_full()) { return false; }
            table_.for_each(cursor_++, 1, options_.now_ns, [&](const Connection& connection) {
                if (!is_wanted(connection)) { return; }
                const ConnectionView view = view_of(connection, view_from_);
                if (!filter_.matches(connection, view)) { return; }
                if (skipped_ < options_.offset) {
                    ++skipped_;
                    return;
                }
                ++row_count_;
                ++shown;
                show(connection, view);
            });
        }
        return cursor_ < used && !is_full();
    }

    [[nodiscard]] std::uint32_t cursor() const noexcept { return cursor_; }
    [[nodiscard]] bool at_end() const noexcept { return cursor_ >= table_.used_count(); }
    [[nodiscard]] std::uint64_t row_count() const noexcept { return row_count_; }

private:
    [[nodiscard]] bool is_full() const noexcept {
        return options_.limit != 0 && row_count_ >= options_.limit;
    }
    [[nodiscard]] bool is_wanted(const Connection& connection) const noexcept {
        return options_.port == kNoPort || connection.opener_port == options_.port ||
               connection.responder_port == options_.port;
    }

    const ConnectionTable& table_;
    const ConnectionFilter filter_;
    const Options options_;
    const PortIndex view_from_;
    std::uint32_t cursor_;
    std::uint64_t skipped_ = 0;
    std::uint64_t row_count_ = 0;
};

}  // namespace sluice::host
