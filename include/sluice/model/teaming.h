// SPDX-License-Identifier: Apache-2.0
// model::Teaming: how a switch, or one port group of it, shares out its uplinks. Plain value, any
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::model {

/// Which active uplink a vNIC's frames leave by.
enum class TeamingPolicy : std::uint8_t {
    kPortId,     ///< By the vNIC: each keeps one uplink.
    kSourceMac,  ///< By the frame's source MAC.
    kIpHash,     ///< By both addresses and ports of the packet; the fabric must have a LAG there.
    kLoad,       ///< By the vNIC, moved away from an uplink that is loaded more than the others.
    kExplicit,   ///< The first of `active` that works.
};

/// How a failed uplink is noticed.
enum class FailureDetection : std::uint8_t {
    kLink,   ///< Its carrier.
    kProbe,  ///< Also beacons that the host's own uplinks send each other through the fabric.
};

enum class Lacp : std::uint8_t { kOff, kActive, kPassive };

/// Names are the switch's uplinks.
struct Teaming {
    TeamingPolicy policy = TeamingPolicy::kPortId;
    std::vector<std::string> active = {};   ///< Empty: every uplink of the switch but `standby`.
    std::vector<std::string> standby = {};  ///< Used in order while an active one is missing.
    bool failback = true;                   ///< A recovered active uplink is used again.
    std::uint32_t failback_hold_s = 10;     ///< How long it must have worked before.
    FailureDetection detection = FailureDetection::kLink;
    Lacp lacp = Lacp::kOff;  ///< The active uplinks are one LAG (IEEE 802.1AX). Of a switch only.

    bool operator==(const Teaming&) const = default;
};

}  // namespace sluice::model
