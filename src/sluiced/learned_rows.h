// SPDX-License-Identifier: Apache-2.0
// Learned rows: what listings of the learned table share. Workers go on beside a reader; rows come
// in slices, with a breath of the control loop between them. Control thread.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "sluice/base/result.h"
#include "sluice/iochain/learned_table.h"
#include "src/host/registry.h"
#include "src/sluiced/worker_clock.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {

inline constexpr std::uint32_t kLearnedSlice = 8192;  ///< Records: some milliseconds' work.
inline constexpr std::size_t kToldRowsMax = 100000;   ///< Of a controller's, in one listing.
inline constexpr std::uint64_t kNsPerSecond = 1'000'000'000;

/// One word for how a row became known; `data` for what plain frames taught.
[[nodiscard]] const char* source_text(LearnedSource source, const char* data) noexcept;

/// The domain of an id; nullptr if the snapshot has it no more.
[[nodiscard]] const datapath::Domain* domain_of(const datapath::Snapshot& snapshot,
                                                DomainId id) noexcept;

/// Where a row is: "switch", and "vlan" (0 = untagged) or "vni"; the other one is null.
void set_network(nlohmann::json& row, const datapath::Domain& domain);

/// The port of a name, or the sentence that says that there is none.
[[nodiscard]] Result<PortIndex> find_port(const host::PortRegistry& ports,
                                          const datapath::Snapshot& snapshot,
                                          const std::string& name);

/// Lets the control loop see to others.
inline boost::asio::awaitable<void> breathe() {
    co_await wait_until([first = true]() mutable { return !std::exchange(first, false); });
}

/// Calls visit(const LearnedRow&) for every live row. `visit` outlives the call: name it.
template <typename Visit>
boost::asio::awaitable<void> for_each_learned(const LearnedTable& table, const Visit& visit) {
    for (std::uint32_t at = 0; at < table.used_count(); at += kLearnedSlice) {
        table.for_each(at, kLearnedSlice, worker_now_ns(), visit);
        co_await breathe();
    }
}

}  // namespace sluice::daemon
