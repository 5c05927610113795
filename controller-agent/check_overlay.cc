// SPDX-License-Identifier: Apache-2.0
// The checks of tunnels: VTEPs are on uplinks and have addresses of their own, what they carry fits
// the underlay, remote VTEPs can be reached, a VNI means one network. Called by check_document.cc.
#include "controller-agent/check_overlay.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "controller-agent/check_addresses.h"
#include "controller-agent/write_json.h"
#include "sluice/base/limits.h"
#include "sluice/model/segment.h"
#include "sluice/model/service_path.h"

namespace sluice::agent {
namespace {

using model::Document;
using model::PortGroup;
using model::Switch;
using model::Vtep;

/// One run over a document. The first fault sticks.
class Overlay {
public:
    Overlay(const Document& document, Fault& fault) : document_(document), fault_(fault) {
        for (const Switch& each : document.switches) {
            for (const std::string& uplink : each.uplinks) { switches_.emplace(uplink, &each); }
        }
        for (const Vtep& vtep : document.vteps) {
            const auto on = switches_.find(vtep.uplink);
            if (on != switches_.end()) { vteps_[on->second->name].push_back(&vtep); }
            own_.emplace(vtep.address.ip, &vtep);
        }
    }

    void check_vteps(const NameOwner& owner_of) {
        std::map<IpAddr, std::string> addresses;
        std::map<MacAddr, std::string> macs;
        for (const model::Port& port : document_.ports) {
            macs.emplace(port.mac, "port " + port.name);
        }
        for (const Vtep& vtep : document_.vteps) {
            const std::string object = "vtep " + vtep.name;
            check_name(vtep, owner_of, object);
            check_place(vtep, object);
            check_address(vtep, object);
            once(addresses, vtep.address.ip, object, "ip " + to_string(vtep.address.ip));
            once(macs, vtep.mac, object, "mac " + to_string(vtep.mac));
        }
    }

    void check_groups() {
        std::map<std::uint32_t, const PortGroup*> first;  // Of each VNI.
        for (const PortGroup& group : document_.port_groups) {
            if (group.vni == 0) { continue; }
            const std::string object = "port_group " + group.name;
            check_replication(group, object);
            const auto [other, is_new] = first.try_emplace(group.vni, &group);
            if (!is_new) { check_same(group, *other->second, object); }
            for (const Vtep* vtep : vteps_[group.switch_name]) { check_mtu(*vtep, group); }
        }
    }

    void check_remotes() {
        for (const Switch& each : document_.switches) {
            const std::string object = "switch " + each.name;
            std::set<IpAddr> seen;
            for (const IpAddr& ip : each.remote_vteps) {
                const std::string what = "remote_vteps holds " + to_string(ip);
                if (!seen.insert(ip).second) {
                    fault_.refuse(Errc::kExists, object, what + " twice");
                }
                check_remote(ip, each.name, object, what);
            }
        }
    }

    /// @param what  "vtep 172.16.0.2"
    void check_remote(const IpAddr& ip, const std::string& on, const std::string& object,
                      const std::string& what) {
        if (fault_.any()) { return; }
        if (!is_unicast(ip)) {
            fault_.refuse(Errc::kInvalid, object, what + ", which is not a unicast address");
        }
        if (const auto own = own_.find(ip); own != own_.end()) {
            fault_.refuse(Errc::kInvalid, object,
                          what + ", which is vtep " + own->second->name + " of this host");
        }
        check_reach(ip, on, object, what);
        const auto [other, is_new] = remotes_.try_emplace(ip, on);
        if (!is_new && other->second != on) {
            fault_.refuse(Errc::kExists, object,
                          what + ", which is a remote VTEP of switch " +
                              std::string(other->second) + ", expected one of switch " + on);
        }
        if (remotes_.size() > kRemoteVtepMax) {
            fault_.refuse(Errc::kLimit, object,
                          what + ", with which the host has more than " +
                              std::to_string(kRemoteVtepMax) + " remote VTEPs");
        }
    }

    /// Services elsewhere: behind a remote VTEP of a switch, or one that the first switch with a
    /// VTEP reaches.
    void check_services() {
        static const std::string kNowhere;
        const model::Switch* carrier = model::service_switch(document_);
        const std::string& on = carrier == nullptr ? kNowhere : carrier->name;
        model::each_instance(document_, [&](const auto& chain, const auto& rule,
                                            const model::ServiceInstance& instance) {
            if (!instance.vtep || remotes_.contains(*instance.vtep)) { return; }
            check_remote(
                *instance.vtep, on,
                "service_chain " + chain.name + " rule " + rule.name + " instance " + instance.name,
                "vtep " + to_string(*instance.vtep));
        });
    }

    void check_floods() {
        for (const PortGroup& group : document_.port_groups) {
            const std::string object = "port_group " + group.name;
            std::set<IpAddr> seen;
            for (const IpAddr& ip : group.flood_vteps) {
                const std::string what = "flood_vteps holds " + to_string(ip);
                if (!seen.insert(ip).second) {
                    fault_.refuse(Errc::kExists, object, what + " twice");
                }
                check_named(ip, group.switch_name, object, what);
            }
        }
    }

    // One that `remote_vteps` may have left out.
    void check_named(const IpAddr& ip, const std::string& on, const std::string& object,
                     const std::string& what) {
        const auto known = remotes_.find(ip);
        if (known == remotes_.end() || known->second != on) { check_remote(ip, on, object, what); }
    }

    void check_bindings() {
        std::unordered_map<std::string_view, const PortGroup*> groups;
        for (const PortGroup& group : document_.port_groups) { groups.emplace(group.name, &group); }
        std::map<std::pair<std::uint32_t, MacAddr>, const model::Binding*> places;
        for (const model::Binding& binding : document_.bindings) {
            if (fault_.any()) { return; }
            if (!binding.vtep) { continue; }
            const PortGroup& group = *groups.at(binding.port_group);
            if (group.vni == 0) {
                fault_.refuse(Errc::kInvalid, "binding " + binding.name,
                              "vtep " + to_string(*binding.vtep) + " is given, port_group " +
                                  group.name + " has no vni");
                return;
            }
            check_named(*binding.vtep, group.switch_name, "binding " + binding.name,
                        "vtep is " + to_string(*binding.vtep));
            const auto [other, is_new] = places.try_emplace({group.vni, binding.mac}, &binding);
            if (!is_new && other->second->vtep != binding.vtep) {
                fault_.refuse(Errc::kExists, "binding " + binding.name,
                              "mac " + to_string(binding.mac) + " is behind vtep " +
                                  to_string(*binding.vtep) + ", binding " + other->second->name +
                                  " has it behind vtep " + to_string(*other->second->vtep));
            }
        }
    }

private:
    void check_name(const Vtep& vtep, const NameOwner& owner_of, const std::string& object) {
        std::string owner = owner_of(vtep.name);
        for (const model::Uplink& uplink : document_.uplinks) {
            if (uplink.name == vtep.name) { owner = "uplink " + uplink.name; }
        }
        if (owner.empty()) { return; }
        fault_.refuse(Errc::kExists, object,
                      "the name " + shown(std::string_view(vtep.name)) + " is taken by " + owner);
    }

    void check_place(const Vtep& vtep, const std::string& object) {
        if (switches_.contains(vtep.uplink)) { return; }
        const bool exists =
            std::any_of(document_.uplinks.begin(), document_.uplinks.end(),
                        [&](const model::Uplink& uplink) { return uplink.name == vtep.uplink; });
        fault_.refuse(Errc::kInvalid, object,
                      "uplink " + shown(std::string_view(vtep.uplink)) +
                          (exists ? " belongs to no switch" : " does not exist"));
    }

    void check_address(const Vtep& vtep, const std::string& object) {
        if (!is_unicast(vtep.address.ip) || is_link_local(vtep.address.ip)) {
            fault_.refuse(Errc::kInvalid, object,
                          "ip " + to_text(vtep.address) + " is not a routable unicast address");
        }
        if (!is_unicast(vtep.mac)) {
            fault_.refuse(Errc::kInvalid, object,
                          "mac " + to_string(vtep.mac) + " is not a unicast address");
        }
        if (!vtep.gateway) { return; }
        const IpPrefix subnet = model::subnet_of(vtep.address);
        if (!subnet.contains(*vtep.gateway)) {
            fault_.refuse(Errc::kInvalid, object,
                          "gateway " + to_string(*vtep.gateway) + " is outside of " +
                              to_string(subnet) + ", the subnet of its ip");
        }
        if (*vtep.gateway == vtep.address.ip) {
            fault_.refuse(Errc::kInvalid, object,
                          "gateway " + to_string(*vtep.gateway) + " is its own ip");
        }
    }

    template <typename Key>
    void once(std::map<Key, std::string>& taken, const Key& key, const std::string& object,
              const std::string& what) {
        const auto [other, added] = taken.try_emplace(key, object);
        if (!added) {
            fault_.refuse(Errc::kExists, object, what + " is used by " + other->second + " too");
        }
    }

    void check_mtu(const Vtep& vtep, const PortGroup& group) {
        const Switch& on = *switches_.at(vtep.uplink);
        const unsigned overhead = model::vxlan_overhead(vtep.address.ip.family);
        if (vtep.mtu >= on.mtu + overhead) { return; }
        fault_.refuse(Errc::kInvalid, "vtep " + vtep.name,
                      "mtu " + std::to_string(vtep.mtu) + " is too small for port_group " +
                          group.name + ": the mtu " + std::to_string(on.mtu) + " of switch " +
                          on.name + " and " + std::to_string(overhead) + " bytes of VXLAN need " +
                          std::to_string(on.mtu + overhead));
    }

    void check_replication(const PortGroup& group, const std::string& object) {
        const bool needs_group = model::uses_multicast(group.replication);
        if (needs_group && !group.multicast_group) {
            fault_.refuse(Errc::kInvalid, object,
                          std::string("multicast_group is missing, replication ") +
                              to_text(group.replication) + " needs one");
        }
        if (!group.multicast_group) { return; }
        if (model::uses_flood_vteps(group.replication)) {
            fault_.refuse(Errc::kInvalid, object,
                          std::string("multicast_group has no meaning with replication ") +
                              to_text(group.replication));
        }
        if (!is_multicast(*group.multicast_group)) {
            fault_.refuse(Errc::kInvalid, object,
                          "multicast_group " + to_string(*group.multicast_group) +
                              " is not a multicast address");
        }
        if (!has_family(group.switch_name, group.multicast_group->family)) {
            fault_.refuse(Errc::kInvalid, object,
                          "multicast_group " + to_string(*group.multicast_group) +
                              " needs a vtep with an " +
                              family_text(group.multicast_group->family) + " address, switch " +
                              group.switch_name + " has none");
        }
    }

    void check_same(const PortGroup& group, const PortGroup& other, const std::string& object) {
        const std::string vni = "vni " + std::to_string(group.vni);
        if (group.switch_name != other.switch_name) {
            fault_.refuse(Errc::kExists, object,
                          vni + " is used by port_group " + other.name + " on switch " +
                              other.switch_name + " too, a VNI belongs to one switch");
        } else if (group.replication != other.replication ||
                   group.multicast_group != other.multicast_group ||
                   group.flood_vteps != other.flood_vteps) {
            fault_.refuse(Errc::kInvalid, object,
                          vni + " is that of port_group " + other.name +
                              ", which has another replication, multicast_group or flood_vteps");
        }
    }

    /// True if the switch has a VTEP of that family, or none at all.
    bool has_family(const std::string& on, IpFamily family) {
        const std::vector<const Vtep*>& vteps = vteps_[on];
        return vteps.empty() || std::any_of(vteps.begin(), vteps.end(), [&](const Vtep* vtep) {
                   return vtep->address.ip.family == family;
               });
    }

    void check_reach(const IpAddr& ip, const std::string& on, const std::string& object,
                     const std::string& what) {
        if (!has_family(on, ip.family)) {
            fault_.refuse(Errc::kInvalid, object,
                          what + ", and no vtep of switch " + on + " has an " +
                              family_text(ip.family) + " address");
            return;
        }
        const std::vector<const Vtep*>& vteps = vteps_[on];
        const bool is_near = std::any_of(vteps.begin(), vteps.end(), [&](const Vtep* vtep) {
            return vtep->address.ip.family == ip.family &&
                   (vtep->gateway || model::subnet_of(vtep->address).contains(ip));
        });
        if (vteps.empty() || is_near) { return; }
        fault_.refuse(Errc::kInvalid, object,
                      what + ", which is in no subnet of a vtep of switch " + on +
                          ", and none has a gateway");
    }

    const Document& document_;
    Fault& fault_;
    std::unordered_map<std::string_view, const Switch*> switches_;          // By uplink.
    std::unordered_map<std::string_view, std::vector<const Vtep*>> vteps_;  // By switch.
    std::map<IpAddr, const Vtep*> own_;
    std::map<IpAddr, std::string_view> remotes_;  // To the switch that has it.
};

void check_overrides(const Document& document, Fault& fault) {
    std::unordered_map<std::string_view, const PortGroup*> groups;
    for (const PortGroup& group : document.port_groups) { groups.emplace(group.name, &group); }
    for (const model::Port& port : document.ports) {
        const auto at = groups.find(port.port_group);
        if (at == groups.end()) { continue; }  // A service's leg.
        const PortGroup& group = *at->second;
        if (group.vni == 0 || !port.overrides.vlan) { continue; }
        fault.refuse(Errc::kInvalid, "port " + port.name,
                     "overrides.vlan has no meaning, port_group " + group.name + " has vni " +
                         std::to_string(group.vni));
    }
}

}  // namespace

void check_overlay(const Document& document, const NameOwner& owner_of, Fault& fault) {
    if (fault.any()) { return; }
    Overlay overlay(document, fault);
    overlay.check_vteps(owner_of);
    if (!fault.any()) { overlay.check_groups(); }
    overlay.check_remotes();
    overlay.check_floods();
    overlay.check_services();
    if (!fault.any()) { overlay.check_bindings(); }
    if (!fault.any()) { check_overrides(document, fault); }
}

}  // namespace sluice::agent
