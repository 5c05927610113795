// SPDX-License-Identifier: Apache-2.0
// model::Vlan: which tags a port speaks. Used by port groups and by a port's overrides. Plain
// value, any thread.
#pragma once

#include <cstdint>
#include <vector>

namespace sluice::model {

/// How a port group meets VLAN tags (IEEE 802.1Q).
enum class VlanMode : std::uint8_t {
    kNone,    ///< Untagged frames only; a tagged one is dropped.
    kAccess,  ///< The VM speaks untagged, the domain is VLAN `id`.
    kTrunk,   ///< The VM tags; the tags in `ranges` pass.
};

/// VLAN ids first..last, both included, 1..4094.
struct VlanRange {
    std::uint16_t first = 1;
    std::uint16_t last = 4094;

    bool operator==(const VlanRange&) const = default;
    [[nodiscard]] constexpr bool contains(std::uint16_t id) const noexcept {
        return first <= id && id <= last;
    }
};

/// VLAN setting of a port group or a port.
struct Vlan {
    VlanMode mode = VlanMode::kNone;
    std::uint16_t id = 0;           ///< 1..4094 in access mode, else 0.
    std::vector<VlanRange> ranges;  ///< Trunk mode only: sorted, disjoint, never empty there.

    bool operator==(const Vlan&) const = default;
    /// True if a trunk lets this tag pass. False in the other modes.
    [[nodiscard]] bool trunks(std::uint16_t tag) const noexcept {
        for (const VlanRange& range : ranges) {
            if (range.contains(tag)) { return mode == VlanMode::kTrunk; }
        }
        return false;
    }
};

}  // namespace sluice::model
