// SPDX-License-Identifier: Apache-2.0
// VnicWays: by which uplink or VTEP each vNIC leaves the host, as the workers choose it. Notices
// who moved and who came up, and has that announced; moves vNICs for the policy `load`. Control
// thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "datapath/dataplane.h"
#include "src/sluiced/announcer.h"
#include "src/sluiced/uplink_load.h"

namespace sluice::daemon {

class VnicWays {
public:
    VnicWays(datapath::Dataplane& dataplane, Announcer& announcer)
        : dataplane_(dataplane), announcer_(announcer) {}

    /// Compares with what it was at the last look. After Reach or the snapshot changed, and often
    /// enough to see guests come.
    void look();
    /// Measures what was carried since the last call, each kBalanceMs. The policy `load`: prefers
    /// another uplink for a vNIC of each unbalanced team. True if it did.
    bool balance();
    static constexpr std::uint64_t kBalanceMs = 10000;
    /// Bit/s of a port, both ways, between the last two calls.
    [[nodiscard]] std::uint64_t load_bps(PortIndex port) const;

    /// vNICs that leave by an uplink or VTEP.
    [[nodiscard]] unsigned count_of(PortIndex way) const;
    /// kNoPort: none, or none works.
    [[nodiscard]] PortIndex way_of(PortIndex vnic) const;

private:
    struct Vnic {
        std::string name;  ///< Empty: no vNIC.
        std::uint16_t domain = datapath::kNoDomain;
        PortIndex way = kNoPort;
        bool is_up = false;
    };

    void take_snapshot();
    void look_at(PortIndex index, Vnic& vnic);
    void look_at_routers();
    void measure();
    [[nodiscard]] std::uint64_t bytes_of(PortIndex port) const;
    bool balance_team(std::uint16_t team);

    datapath::Dataplane& dataplane_;
    Announcer& announcer_;
    std::uint32_t generation_ = 0;
    std::map<DomainId, PortIndex> routers_;  // By domain: by which its router's frames leave.
    std::vector<Vnic> vnics_;                // By PortIndex.
    std::vector<std::uint64_t> bytes_;       // By PortIndex: at the last balance().
    std::vector<std::uint64_t> carried_;     // By PortIndex: between the last two.
};

}  // namespace sluice::daemon
