// SPDX-License-Identifier: Apache-2.0
// Tunnel, membership: VTEPs join the underlay's groups of their VNIs (hybrid and multicast
// replication), so that switches and routers of the fabric send those here: IGMPv3 (RFC 3376),
// IGMPv2 where an older querier speaks (RFC 3376 §7.2.1), MLDv2 (RFC 3810). Of each VNI one VTEP of
// the host joins, its first that works. Reports are sent when the groups change,
// kMembershipReportMs later once more, in answer to queries, and now and then for networks without
// a querier. There is no report of leaving: a membership ends by its own timer (RFC 3376 §8.4).
// Thread: its worker.
#pragma once

#include <array>
#include <cstdint>
#include <limits>

#include "sluice/base/ids.h"
#include "sluice/base/limits.h"

struct rte_mbuf;

namespace sluice::datapath {

struct WorkerContext;
struct VtepConfig;

class TunnelMemberships {
public:
    /// Once a poll. Most often one comparison.
    void look(WorkerContext& context) noexcept;
    /// A frame that may be a query came by the uplink of `vtep` (index). It stays the caller's.
    void note_query(const WorkerContext& context, std::uint16_t vtep,
                    const rte_mbuf& frame) noexcept;

private:
    void enter(const WorkerContext& context) noexcept;
    void report(WorkerContext& context) noexcept;

    std::uint32_t generation_ = 0;
    std::uint64_t groups_ = 0;  // Digest of what was last joined; 0 = nothing.
    std::uint64_t due_ns_ = std::numeric_limits<std::uint64_t>::max();
    std::size_t at_ = 0;        // Domain of the running round.
    std::uint8_t repeats_ = 0;  // Rounds that follow soon.
    bool is_change_ = false;    // The round tells of a change, not of a state.
    std::array<std::uint64_t, kVtepMax> old_until_ns_{};  // An IGMPv2 querier was heard.
};

}  // namespace sluice::datapath
