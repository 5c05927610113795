// SPDX-License-Identifier: Apache-2.0
// The checks of `bindings`: their groups exist, VLANs fit, addresses are those of hosts, and no
// domain has one twice. Called by check_document.cc, when the names of all else are known to be
// right.
#include "controller-agent/check_bindings.h"

#include <algorithm>
#include <map>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "controller-agent/check_addresses.h"
#include "sluice/model/segment.h"
#include "sluice/net/address_text.h"

namespace sluice::agent {
namespace {

using model::Binding;
using model::PortGroup;
using model::Segment;

bool is_in_trunk(const model::Vlan& vlan, std::uint16_t id) {
    return std::any_of(vlan.ranges.begin(), vlan.ranges.end(), [id](const model::VlanRange& range) {
        return range.first <= id && id <= range.last;
    });
}

void check_vlan(const Binding& binding, const PortGroup& group, Fault& fault) {
    const std::string object = "binding " + binding.name;
    const bool is_trunk = group.vlan.mode == model::VlanMode::kTrunk;
    if (is_trunk && !binding.vlan) {
        fault.refuse(Errc::kInvalid, object,
                     "vlan is missing, port_group " + group.name + " is a trunk");
    }
    if (!is_trunk && binding.vlan) {
        fault.refuse(Errc::kInvalid, object,
                     "vlan " + std::to_string(*binding.vlan) + " is given, port_group " +
                         group.name + " is no trunk");
    }
    if (is_trunk && binding.vlan && !is_in_trunk(group.vlan, *binding.vlan)) {
        fault.refuse(
            Errc::kInvalid, object,
            "vlan " + std::to_string(*binding.vlan) + " is not one of port_group " + group.name);
    }
}

void check_addresses(const Binding& binding, Fault& fault) {
    const std::string object = "binding " + binding.name;
    if (!is_unicast(binding.mac)) {
        fault.refuse(Errc::kInvalid, object,
                     "mac " + to_string(binding.mac) + " is not a unicast address");
    }
    if (!is_unicast(binding.ip)) {
        fault.refuse(Errc::kInvalid, object,
                     "ip " + to_string(binding.ip) + " is not a unicast address");
    }
}

}  // namespace

void check_bindings(const model::Document& document, Fault& fault) {
    std::unordered_map<std::string_view, const PortGroup*> groups;
    for (const PortGroup& group : document.port_groups) { groups.emplace(group.name, &group); }
    std::map<std::tuple<std::string_view, Segment, IpAddr>, const Binding*> taken;
    for (const Binding& binding : document.bindings) {
        if (fault.any()) { return; }
        const auto group = groups.find(binding.port_group);
        if (group == groups.end()) {
            fault.refuse(
                Errc::kInvalid, "binding " + binding.name,
                "port_group " + shown(std::string_view(binding.port_group)) + " does not exist");
            return;
        }
        check_vlan(binding, *group->second, fault);
        check_addresses(binding, fault);
        const Segment segment = model::segment_of(binding, *group->second);
        const auto [other, is_new] =
            taken.try_emplace({group->second->switch_name, segment, binding.ip}, &binding);
        if (!is_new) {
            fault.refuse(Errc::kExists, "binding " + binding.name,
                         "ip " + to_string(binding.ip) + " is bound by binding " +
                             other->second->name + " too");
        }
    }
}

}  // namespace sluice::agent
