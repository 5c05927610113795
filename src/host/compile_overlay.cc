// SPDX-License-Identifier: Apache-2.0
// Compile overlay: see compile_overlay.h.
#include "src/host/compile_overlay.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "datapath/vtep_port.h"
#include "sluice/base/assert.h"
#include "sluice/base/limits.h"
#include "sluice/model/service_path.h"
#include "src/host/compile.h"
#include "src/host/lag_plan.h"

namespace sluice::host {
namespace {

using datapath::PortConfig;
using datapath::RemoteVtep;
using datapath::Snapshot;
using datapath::VtepConfig;

constexpr std::uint64_t kVtepMacAgeNs = 300 * kSecond;  // Of what is learned behind remote VTEPs.

/// VTEPs of this document, those of the snapshot before in its order: their indices grow stale
/// only if an earlier one goes.
std::vector<const model::Vtep*> in_order(const Compilation& compilation) {
    std::vector<const model::Vtep*> ordered;
    for (const model::Vtep& vtep : compilation.document.vteps) { ordered.push_back(&vtep); }
    const Snapshot& previous = compilation.previous;
    const auto rank = [&](const model::Vtep* vtep) {
        const PortConfig* old = previous.port(compilation.registries.ports.find(vtep->name));
        const bool was_there = old != nullptr && old->vtep != datapath::kNoVtep;
        return was_there ? old->vtep : std::size_t{datapath::kNoVtep};
    };
    std::stable_sort(ordered.begin(), ordered.end(),
                     [&](const auto* a, const auto* b) { return rank(a) < rank(b); });
    return ordered;
}

const model::Switch* switch_with(const model::Document& document, const std::string& uplink) {
    for (const model::Switch& on : document.switches) {
        const auto& names = on.uplinks;
        if (std::find(names.begin(), names.end(), uplink) != names.end()) { return &on; }
    }
    return nullptr;
}

VtepConfig describe_vtep(const model::Vtep& vtep, const model::Switch& on) {
    VtepConfig config;
    config.switch_name = on.name;
    config.mac = vtep.mac;
    config.ip = vtep.address.ip;
    config.prefix_length = vtep.address.prefix_length;
    config.gateway = vtep.gateway;
    config.vlan = vtep.vlan;
    config.mtu = vtep.mtu;
    config.udp_port = vtep.udp_port;
    config.bfd_interval_ms = on.bfd.enabled ? on.bfd.interval_ms : 0;
    config.bfd_multiplier = on.bfd.multiplier;
    return config;
}

/// The device that it had: nothing is behind it, but a port with another one is another port.
std::shared_ptr<datapath::Port> device_of(const Snapshot& previous, PortIndex index) {
    const PortConfig* old = previous.port(index);
    if (old != nullptr && old->vtep != datapath::kNoVtep) { return old->device; }
    return std::make_shared<datapath::VtepPort>();
}

PortConfig describe_vtep_port(const model::Vtep& vtep, const model::Switch& on, PortIndex uplink) {
    PortConfig config = describe_fabric_port(vtep.name, on);
    config.mac = vtep.mac;
    config.learning.learns = true;
    config.learning.limit = kMacLearningMax;
    config.learning.age_ns = kVtepMacAgeNs;
    config.shape += "|vtep on " + std::to_string(uplink.value);
    return config;
}

/// Calls visit(address, switch, whether it gets the switch's floods) for each VTEP of another host
/// that the document names.
template <typename Visit>
void each_remote(const Compilation& compilation, const Visit& visit) {
    const model::Document& document = compilation.document;
    for (const model::Switch& on : document.switches) {
        for (const IpAddr& ip : on.remote_vteps) { visit(ip, on.name, true); }
    }
    for (const model::PortGroup& group : document.port_groups) {
        for (const IpAddr& ip : group.flood_vteps) { visit(ip, group.switch_name, false); }
    }
    for (const model::Binding& binding : document.bindings) {
        if (!binding.vtep) { continue; }
        const model::PortGroup* group = compilation.resolver.port_group(binding.port_group);
        visit(*binding.vtep, group->switch_name, false);
    }
    const model::Switch* carrier = model::service_switch(document);
    const std::string carried_by = carrier == nullptr ? "" : carrier->name;
    model::each_instance(document, [&](const auto&, const auto&, const auto& instance) {
        if (instance.vtep) { visit(*instance.vtep, carried_by, false); }
    });
}

}  // namespace

std::size_t Remotes::Hash::operator()(const IpAddr& ip) const noexcept {
    std::array<std::uint64_t, 2> words{};
    std::memcpy(words.data(), ip.bytes.data(), sizeof words);
    const std::uint64_t mixed = (words[0] * 0x9e3779b97f4a7c15ULL) ^ words[1];
    return static_cast<std::size_t>((mixed ^ (mixed >> 32U)) * 0xff51afd7ed558ccdULL);
}

Remotes::Remotes(const Compilation& compilation) : next_(compilation.next) {
    next_.remotes = compilation.previous.remotes;
    if (next_.remotes.empty()) { next_.remotes.emplace_back(); }
    std::unordered_map<IpAddr, std::uint16_t, Hash> before;
    for (std::size_t i = 1; i < next_.remotes.size(); ++i) {
        RemoteVtep& remote = next_.remotes[i];
        if (remote.ip != IpAddr{}) { before.emplace(remote.ip, static_cast<std::uint16_t>(i)); }
        remote = {};
    }
    each_remote(compilation, [&](const IpAddr& ip, const std::string&, bool) {
        const auto at = before.find(ip);
        if (at == before.end()) { return; }
        next_.remotes[at->second].ip = ip;
        indices_.emplace(ip, at->second);
    });
    each_remote(compilation, [this](const IpAddr& ip, const std::string& switch_name,
                                    bool gets_floods) { add(ip, switch_name, gets_floods); });
}

void Remotes::add(const IpAddr& ip, const std::string& switch_name, bool gets_floods) {
    const auto [at, is_new] = indices_.try_emplace(ip, std::uint16_t{0});
    if (is_new && next_.remotes.size() <= kRemoteVtepMax) {
        at->second = static_cast<std::uint16_t>(next_.remotes.size());
        next_.remotes.emplace_back();
    } else if (is_new) {  // A document names so many that there is a free one (check_overlay).
        while (next_.remotes[free_].ip != IpAddr{}) { ++free_; }
        at->second = static_cast<std::uint16_t>(free_);
    }
    RemoteVtep& remote = next_.remotes[at->second];
    remote.ip = ip;
    if (remote.switch_name.empty()) { remote.switch_name = switch_name; }
    remote.gets_floods = remote.gets_floods || gets_floods;
}

std::uint16_t Remotes::find(const std::optional<IpAddr>& ip) const {
    return ip ? indices_.at(*ip) : std::uint16_t{0};
}

Status compile_vteps(const Compilation& compilation, Switching& switching) {
    Snapshot& next = compilation.next;
    for (const model::Vtep* vtep : in_order(compilation)) {
        const PortIndex uplink =
            compilation.registries.ports.find(port_of_uplink(compilation.document, vtep->uplink));
        if (next.port(uplink) == nullptr) { continue; }  // It has no device.
        const model::Switch& on = *switch_with(compilation.document, vtep->uplink);
        const PortIndex index = compilation.registries.ports.acquire(vtep->name);
        if (index == kNoPort) { return too_many_ports("vtep " + vtep->name); }
        PortConfig& port = add_port(next, index);
        port = describe_vtep_port(*vtep, on, uplink);
        port.device = device_of(compilation.previous, index);
        port.worker = next.port(uplink)->worker;
        port.vtep = static_cast<std::uint16_t>(next.vteps.size());
        next.ports[uplink.value]->has_vteps = true;
        VtepConfig config = describe_vtep(*vtep, on);
        config.port = index;
        config.uplink = uplink;
        config.underlay = compilation.registries.domains.acquire_named("vtep " + vtep->name);
        next.vteps.push_back(std::move(config));
        switching.join_vtep(index, port.vtep, on.name);
        set_fabric_epoch(compilation.previous, next, index);
    }
    return Ok{};
}

}  // namespace sluice::host
