// SPDX-License-Identifier: Apache-2.0
// Inside of rows: which layer-2 domains the port groups and ports of a JSON document are in, read
// leniently: what is malformed is in none. Pure, any thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/model/segment.h"

namespace sluice::fleet {

/// Where a port is, or would be in its group.
struct Network {
    std::string switch_name;
    model::Segment segment;                ///< Of no trunk.
    std::vector<model::VlanRange> ranges;  ///< Of a trunk.

    [[nodiscard]] bool is_trunk() const noexcept { return !ranges.empty(); }
    /// True if what is here meets `segment` of its switch.
    [[nodiscard]] bool reaches(const model::Segment& other) const noexcept;
};

/// A key's text, list or object; empty if it is absent or of another type.
[[nodiscard]] std::string text_of(const nlohmann::json& object, std::string_view key);
[[nodiscard]] const nlohmann::json& list_of(const nlohmann::json& object, std::string_view key);
[[nodiscard]] const nlohmann::json& object_of(const nlohmann::json& object, std::string_view key);

[[nodiscard]] Network network_of(const nlohmann::json& port_group);
/// A port's `overrides.vlan` counts before its group's.
[[nodiscard]] Network network_of(const nlohmann::json& port, const nlohmann::json& port_group);
/// "SWITCH/vni5001"; of a trunk "SWITCH/trunk".
[[nodiscard]] std::string scope_of(const Network& network);
/// "GROUP/IP" or "GROUP.VLAN/IP", as agent::read_document calls a binding.
[[nodiscard]] std::string binding_name(const nlohmann::json& binding);

}  // namespace sluice::fleet
