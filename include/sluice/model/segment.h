// SPDX-License-Identifier: Apache-2.0
// model::Segment: which layer-2 domain of a switch is meant: a VLAN, or a VNI. Plain value and pure
// functions, any thread.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <string>

#include "sluice/model/binding.h"
#include "sluice/model/port.h"
#include "sluice/model/port_group.h"

namespace sluice::model {

struct Segment {
    std::uint32_t vni = 0;   ///< 0 = VLAN-backed.
    std::uint16_t vlan = 0;  ///< 0 = untagged.

    constexpr auto operator<=>(const Segment&) const noexcept = default;
};

/// Of a group that is no trunk.
[[nodiscard]] inline Segment segment_of(const PortGroup& group) noexcept {
    if (group.vni != 0) { return {group.vni, 0}; }
    return {0, group.vlan.mode == VlanMode::kAccess ? group.vlan.id : std::uint16_t{0}};
}

/// Of the domain that a binding of `group` is in.
[[nodiscard]] inline Segment segment_of(const Binding& binding, const PortGroup& group) noexcept {
    return binding.vlan ? Segment{0, *binding.vlan} : segment_of(group);
}

/// True if a port of `group` meets that domain of its switch.
[[nodiscard]] inline bool is_in(const Segment& segment, const Port& port,
                                const PortGroup& group) noexcept {
    if (group.vni != 0 || segment.vni != 0) { return group.vni == segment.vni; }
    const Vlan& vlan = effective_vlan(port, group);
    if (vlan.mode == VlanMode::kTrunk) { return vlan.trunks(segment.vlan); }
    return segment.vlan == (vlan.mode == VlanMode::kAccess ? vlan.id : 0);
}

/// "untagged", "VLAN 10" or "VNI 5001".
[[nodiscard]] inline std::string to_text(const Segment& segment) {
    if (segment.vni != 0) { return "VNI " + std::to_string(segment.vni); }
    return segment.vlan == 0 ? "untagged" : "VLAN " + std::to_string(segment.vlan);
}

}  // namespace sluice::model
