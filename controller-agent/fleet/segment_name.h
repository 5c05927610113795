// SPDX-License-Identifier: Apache-2.0
// Segment names: what a layer-2 domain is called between hosts, the same on all of them:
// "SWITCH/vni5001", "SWITCH/vlan10", "SWITCH/vlan0" for untagged. Pure, any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sluice/model/segment.h"

namespace sluice::fleet {

struct SwitchSegment {
    std::string switch_name;
    model::Segment segment;

    bool operator==(const SwitchSegment&) const = default;
};

[[nodiscard]] std::string segment_name(std::string_view switch_name, const model::Segment& segment);
/// nullopt: not of that form, or out of range.
[[nodiscard]] std::optional<SwitchSegment> parse_segment_name(std::string_view name);

}  // namespace sluice::fleet
