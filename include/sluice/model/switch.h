// SPDX-License-Identifier: Apache-2.0
// model::Switch: the noun `switches`. Two switches never exchange a frame. Plain value, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::model {

/// Asks who wants which multicast group, in place of a router that does.
struct MulticastQuerier {
    bool enabled = false;
    std::uint32_t interval_s = 125;  ///< Between general queries (RFC 3376 §8.2).

    bool operator==(const MulticastQuerier&) const = default;
};

/// IGMP and MLD snooping: groups reach only the ports that asked for them.
struct Multicast {
    bool snooping = true;            ///< In force while a querier is heard, or our own is enabled.
    bool flood_unregistered = true;  ///< Groups that nobody joined; else to routers and uplinks.
    MulticastQuerier querier;

    bool operator==(const Multicast&) const = default;
};

/// A virtual switch (VDS): the home of port groups.
struct Switch {
    std::string name;
    std::vector<std::string> uplinks = {};  ///< Names of Uplinks; one at most for now.
    std::uint16_t mtu = 1500;               ///< Bytes of layer 3 in the largest frame.
    Multicast multicast;

    bool operator==(const Switch&) const = default;
};

}  // namespace sluice::model
