// SPDX-License-Identifier: Apache-2.0
// model::Switch: the noun `switches`. Two switches never exchange a frame. Plain value, any thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sluice/model/teaming.h"
#include "sluice/net/address.h"

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

/// Liveness of remote VTEPs (RFC 5880, RFC 5881).
struct Bfd {
    bool enabled = true;
    std::uint32_t interval_ms = 300;  ///< Between control packets, each way.
    std::uint8_t multiplier = 3;      ///< So many missed in a row: the peer is down.

    bool operator==(const Bfd&) const = default;
};

/// A virtual switch (VDS): the home of port groups.
struct Switch {
    std::string name;
    std::vector<std::string> uplinks = {};  ///< Names of Uplinks.
    std::uint16_t mtu = 1500;               ///< Bytes of layer 3 in the largest frame.
    Multicast multicast;
    std::vector<IpAddr> remote_vteps = {};  ///< VTEPs of other hosts: who may send, and gets BUM.
    Bfd bfd;
    Teaming teaming;

    bool operator==(const Switch&) const = default;
};

}  // namespace sluice::model
