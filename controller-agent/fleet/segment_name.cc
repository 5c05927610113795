// SPDX-License-Identifier: Apache-2.0
// Segment names: see segment_name.h.
#include "controller-agent/fleet/segment_name.h"

#include <charconv>

namespace sluice::fleet {
namespace {

constexpr std::string_view kVni = "/vni";
constexpr std::string_view kVlan = "/vlan";
constexpr std::uint32_t kVniMax = 0xffffff, kVlanMax = 4094;

std::optional<std::uint32_t> number(std::string_view text, std::uint32_t max) {
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size() || value > max) {
        return std::nullopt;
    }
    return value;
}

}  // namespace

std::string segment_name(std::string_view switch_name, const model::Segment& segment) {
    const bool is_vni = segment.vni != 0;
    return std::string(switch_name) + std::string(is_vni ? kVni : kVlan) +
           std::to_string(is_vni ? segment.vni : segment.vlan);
}

std::optional<SwitchSegment> parse_segment_name(std::string_view name) {
    const std::size_t slash = name.rfind('/');
    if (slash == std::string_view::npos || slash == 0) { return std::nullopt; }
    SwitchSegment out;
    out.switch_name = name.substr(0, slash);
    const std::string_view rest = name.substr(slash);
    if (rest.starts_with(kVni)) {
        const auto vni = number(rest.substr(kVni.size()), kVniMax);
        if (!vni || *vni == 0) { return std::nullopt; }
        out.segment.vni = *vni;
        return out;
    }
    if (!rest.starts_with(kVlan)) { return std::nullopt; }
    const auto vlan = number(rest.substr(kVlan.size()), kVlanMax);
    if (!vlan) { return std::nullopt; }
    out.segment.vlan = static_cast<std::uint16_t>(*vlan);
    return out;
}

}  // namespace sluice::fleet
