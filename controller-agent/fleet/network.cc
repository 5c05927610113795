// SPDX-License-Identifier: Apache-2.0
// Networks of JSON objects: see network.h.
#include "controller-agent/fleet/network.h"

#include <algorithm>

#include "controller-agent/fleet/segment_name.h"
#include "controller-agent/service_text.h"
#include "sluice/net/address_text.h"

namespace sluice::fleet {
namespace {

using nlohmann::json;

constexpr std::uint64_t kVniMax = 0xffffff;

std::uint64_t number_of(const json& object, const char* key) {
    const auto at = object.find(key);
    return at != object.end() && at->is_number_integer() ? at->get<std::uint64_t>() : 0;
}

void read_vlan(const json& vlan, Network& out) {
    out.segment = {};
    out.ranges.clear();
    const std::string mode = text_of(vlan, "mode");
    if (mode == "access") {
        out.segment.vlan = static_cast<std::uint16_t>(number_of(vlan, "id") & 0xfffU);
    } else if (mode == "trunk") {
        for (const json& item : list_of(vlan, "ranges")) {
            if (!item.is_string()) { continue; }
            const auto range = agent::parse_vlan_range(item.get_ref<const std::string&>());
            if (range) { out.ranges.push_back(*range); }
        }
        if (out.ranges.empty()) { out.ranges.push_back(model::VlanRange{}); }
    }
}

}  // namespace

std::string text_of(const json& object, std::string_view key) {
    const auto at = object.find(key);
    return at != object.end() && at->is_string() ? at->get<std::string>() : std::string();
}

const json& list_of(const json& object, std::string_view key) {
    static const json kEmpty = json::array();
    const auto at = object.find(key);
    return at != object.end() && at->is_array() ? *at : kEmpty;
}

const json& object_of(const json& object, std::string_view key) {
    static const json kEmpty = json::object();
    const auto at = object.find(key);
    return at != object.end() && at->is_object() ? *at : kEmpty;
}

bool Network::reaches(const model::Segment& other) const noexcept {
    if (!is_trunk()) { return segment == other; }
    return other.vni == 0 && std::any_of(ranges.begin(), ranges.end(), [&](const auto& range) {
               return range.first <= other.vlan && other.vlan <= range.last;
           });
}

Network network_of(const json& port_group) {
    Network out;
    out.switch_name = text_of(port_group, "switch");
    read_vlan(object_of(port_group, "vlan"), out);
    if (const std::uint64_t vni = number_of(port_group, "vni"); vni != 0 && vni <= kVniMax) {
        out.segment = {static_cast<std::uint32_t>(vni), 0};
        out.ranges.clear();
    }
    return out;
}

Network network_of(const json& port, const json& port_group) {
    Network out = network_of(port_group);
    const json& overrides = object_of(port, "overrides");
    if (out.segment.vni == 0 && overrides.contains("vlan")) {
        read_vlan(object_of(overrides, "vlan"), out);
    }
    return out;
}

std::string scope_of(const Network& network) {
    if (network.is_trunk()) { return network.switch_name + "/trunk"; }
    return segment_name(network.switch_name, network.segment);
}

std::string binding_name(const json& binding) {
    const std::uint64_t vlan = number_of(binding, "vlan");
    const std::string ip = text_of(binding, "ip");
    const auto parsed = parse_ip(ip);
    return text_of(binding, "port_group") + (vlan == 0 ? "" : "." + std::to_string(vlan)) + "/" +
           (parsed ? to_string(*parsed) : ip);
}

}  // namespace sluice::fleet
