// SPDX-License-Identifier: Apache-2.0
// The checks of uplinks: devices are devices and used once, an uplink belongs to one switch, and
// teaming names uplinks of its switch. Called by check_document.cc.
#include "controller-agent/check_uplinks.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>

#include "controller-agent/write_json.h"
#include "sluice/base/limits.h"

namespace sluice::agent {
namespace {

using model::Document;
using model::Switch;
using model::Teaming;

std::string quoted(const std::string& text) { return shown(std::string_view(text)); }

/// Printable, without blanks, begins with a name.
bool is_device(const std::string& text) {
    return !text.empty() && text.front() != ',' && text.size() <= kDeviceStringMax &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

void check_devices(const Document& document, const NameOwner& owner_of, Fault& fault) {
    std::map<std::string_view, std::string> devices;
    std::map<std::string_view, std::string> interfaces;
    const auto once = [&](auto& taken, std::string_view what, const std::string& object,
                          const std::string& uplink, const char* noun) {
        const auto [other, added] = taken.try_emplace(what, uplink);
        if (added) { return; }
        fault.refuse(
            Errc::kExists, object,
            std::string(noun) + " " + shown(what) + " is used by uplink " + other->second + " too");
    };
    for (const model::Uplink& uplink : document.uplinks) {
        const std::string object = "uplink " + uplink.name;
        if (const std::string owner = owner_of(uplink.name); !owner.empty()) {
            fault.refuse(Errc::kExists, object,
                         "the name " + quoted(uplink.name) + " is taken by " + owner);
        }
        if (!is_device(uplink.device)) {
            fault.refuse(Errc::kInvalid, object,
                         "device " + quoted(uplink.device) +
                             " is not a DPDK device like \"net_af_packet0,iface=eth1\"");
        }
        once(devices, model::device_name(uplink.device), object, uplink.name, "device");
        const std::string_view interface = model::device_interface(uplink.device);
        if (!interface.empty()) { once(interfaces, interface, object, uplink.name, "iface"); }
    }
}

void check_switches(const Document& document, Fault& fault) {
    std::unordered_map<std::string_view, std::string_view> switches;  // Of uplinks.
    for (const model::Uplink& uplink : document.uplinks) { switches.emplace(uplink.name, ""); }
    for (const Switch& each : document.switches) {
        const std::string object = "switch " + each.name;
        for (const std::string& name : each.uplinks) {
            const auto found = switches.find(name);
            if (found == switches.end()) {
                fault.refuse(Errc::kInvalid, object,
                             "uplinks holds " + quoted(name) + ", which does not exist");
                return;
            }
            if (found->second == each.name) {
                fault.refuse(Errc::kExists, object, "uplinks holds " + quoted(name) + " twice");
            } else if (!found->second.empty()) {
                fault.refuse(Errc::kExists, object,
                             "uplink " + name + " belongs to switch " + std::string(found->second) +
                                 " too, an uplink belongs to one switch");
            }
            found->second = each.name;
        }
    }
}

void check_names(const std::string& object, const Teaming& teaming, const Switch& on,
                 Fault& fault) {
    std::set<std::string_view> seen;
    for (const auto& [key, names] : {std::pair{"teaming.active", &teaming.active},
                                     std::pair{"teaming.standby", &teaming.standby}}) {
        for (const std::string& name : *names) {
            const std::string what = std::string(key) + " holds " + quoted(name);
            if (std::find(on.uplinks.begin(), on.uplinks.end(), name) == on.uplinks.end()) {
                fault.refuse(Errc::kInvalid, object,
                             what + ", which is no uplink of switch " + on.name);
            } else if (!seen.insert(name).second) {
                fault.refuse(Errc::kExists, object,
                             what + ", an uplink stands once in active or standby");
            }
        }
    }
}

void check_one(const std::string& object, const Teaming& teaming, const Switch& on, Fault& fault) {
    check_names(object, teaming, on, fault);
    if (teaming.policy == model::TeamingPolicy::kExplicit && teaming.active.empty()) {
        fault.refuse(Errc::kInvalid, object,
                     "teaming.policy explicit needs teaming.active, in the order of preference");
    }
    const bool all_wait = teaming.active.empty() && !on.uplinks.empty() &&
                          teaming.standby.size() == on.uplinks.size();
    if (all_wait) {
        fault.refuse(Errc::kInvalid, object,
                     "teaming.standby holds every uplink of switch " + on.name +
                         ", expected one at least to be active");
    }
}

void check_lacp(const std::string& object, const Teaming& teaming, Fault& fault) {
    if (teaming.lacp == model::Lacp::kOff) { return; }
    if (teaming.policy == model::TeamingPolicy::kIpHash) { return; }
    fault.refuse(Errc::kInvalid, object,
                 std::string("teaming.lacp ") + to_text(teaming.lacp) +
                     " needs teaming.policy ip_hash, it is " + to_text(teaming.policy));
}

void check_group(const model::PortGroup& group, const Switch& on, Fault& fault) {
    const std::string object = "port_group " + group.name;
    if (group.teaming->lacp != model::Lacp::kOff) {
        fault.refuse(Errc::kInvalid, object,
                     std::string("teaming.lacp ") + to_text(group.teaming->lacp) +
                         " belongs to the teaming of a switch, a port group's has lacp off");
    }
    if (on.teaming.lacp != model::Lacp::kOff) {
        fault.refuse(Errc::kInvalid, object,
                     "teaming is set, but switch " + on.name + " has lacp " +
                         to_text(on.teaming.lacp) + ", which makes its uplinks one link");
    }
    check_one(object, *group.teaming, on, fault);
}

}  // namespace

void check_uplinks(const Document& document, const NameOwner& owner_of, Fault& fault) {
    check_devices(document, owner_of, fault);
    check_switches(document, fault);
}

void check_teaming(const Document& document, Fault& fault) {
    std::unordered_map<std::string_view, const Switch*> switches;
    for (const Switch& each : document.switches) {
        switches.emplace(each.name, &each);
        const std::string object = "switch " + each.name;
        check_one(object, each.teaming, each, fault);
        check_lacp(object, each.teaming, fault);
    }
    for (const model::PortGroup& group : document.port_groups) {
        if (fault.any()) { return; }
        if (group.teaming) { check_group(group, *switches.at(group.switch_name), fault); }
    }
}

}  // namespace sluice::agent
