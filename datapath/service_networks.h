// SPDX-License-Identifier: Apache-2.0
// ServiceNetworks: networks of other hosts whose frames pass plain services of this one. A plain
// service tells networks apart by VLAN tag; each (host, its service VID) has a tag of its own here,
// from the top of the range down, so that what comes back says whose it is: nothing is kept a flow.
// A tag that carried nothing for kServiceNetworkIdleS is given away when another is wanted. One a
// dataplane. Any worker: a row is one atomic word.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "sluice/base/limits.h"

namespace sluice::datapath {

class ServiceNetworks {
public:
    /// A host, by index into Snapshot::remotes, and the VID that it has for one of its domains.
    struct Network {
        std::uint16_t remote = 0;
        std::uint16_t vid = 0;
        bool operator==(const Network&) const = default;
    };
    using OwnVids = std::array<std::uint16_t, 4096>;  ///< As PortVlan::tagged_domains.

    /// The tag of a network, the same as long as it is used. 0: all are taken.
    /// @param own    tags of this host's own domains, which are not given; null: none
    /// @param now_s  monotonic
    [[nodiscard]] std::uint16_t tag_of(const Network& network, const OwnVids* own,
                                       std::uint32_t now_s) noexcept;
    /// Whose frames carry `tag`; nothing: nobody's.
    [[nodiscard]] std::optional<Network> find(std::uint16_t tag) const noexcept;

private:
    // remote (16) | VID (12) | 0 (4) | used_s (32); 0 = free.
    std::array<std::atomic<std::uint64_t>, 4096> rows_{};
};

}  // namespace sluice::datapath
