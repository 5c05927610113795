// SPDX-License-Identifier: Apache-2.0
// Compile ports: see compile_ports.h.
#include "src/host/compile_ports.h"

#include <algorithm>

#include "sluice/base/limits.h"

namespace sluice::host {
namespace {

using datapath::PortConfig;
using datapath::Snapshot;

/// A port keeps its worker for life; a new one goes to the worker with the fewest ports.
unsigned choose_worker(const Snapshot& previous, const Snapshot& next, PortIndex index,
                       const std::string& name) {
    const PortConfig* old = previous.port(index);
    if (old != nullptr && old->name == name) { return old->worker; }
    const auto least =
        std::min_element(next.worker_ports.begin(), next.worker_ports.end(),
                         [](const auto& a, const auto& b) { return a.size() < b.size(); });
    return static_cast<unsigned>(least - next.worker_ports.begin());
}

std::string shape_of(const model::Port& port, const model::PortGroup& group,
                     const model::Switch& on) {
    const model::Vlan& vlan = model::effective_vlan(port, group);
    std::string shape = on.name + "|" + std::to_string(on.mtu) + "|" +
                        std::to_string(static_cast<int>(vlan.mode)) + "|" + std::to_string(vlan.id);
    for (const auto& range : vlan.ranges) {
        shape += "," + std::to_string(range.first) + "-" + std::to_string(range.last);
    }
    const model::MacLearning& learning = group.mac_learning;
    const model::Security security = model::effective_security(port, group);
    for (const std::uint64_t number :
         {std::uint64_t{port.enabled}, std::uint64_t{learning.enabled},
          std::uint64_t{security.mac_changes}, std::uint64_t{learning.limit},
          std::uint64_t{learning.age_s}}) {
        shape += "|" + std::to_string(number);
    }
    return shape;
}

datapath::PortLearning learning_of(const model::Port& port, const model::PortGroup& group) {
    datapath::PortLearning learning;
    learning.learns = group.mac_learning.enabled;
    learning.follows = !learning.learns && model::effective_security(port, group).mac_changes;
    learning.limit = group.mac_learning.limit;
    learning.age_ns = group.mac_learning.age_s * kSecond;
    return learning;
}

}  // namespace

PortConfig& add_port(Snapshot& next, PortIndex index) {
    if (next.ports.size() <= index.value) { next.ports.resize(std::size_t{index.value} + 1U); }
    return next.ports[index.value].emplace();
}

void give_worker(const Snapshot& previous, Snapshot& next, PortIndex index) {
    PortConfig& config = *next.ports[index.value];
    config.worker = choose_worker(previous, next, index, config.name);
    next.worker_ports[config.worker].push_back(index);
}

PortConfig describe_port(const model::Port& port, const model::PortGroup& group,
                         const model::Switch& on) {
    PortConfig config;
    config.is_enabled = port.enabled;
    config.name = port.name;
    config.port_group = port.port_group;
    config.mac = port.mac;
    config.ips = model::own_ips(port);
    config.frame_size_max = on.mtu + kEthernetHeaderBytes;
    config.flow_quota = group.limits.flows;
    config.bindings = {group.bindings.arp, group.bindings.nd, group.bindings.age_s * kSecond};
    config.has_group_limits = group.limits.broadcast_pps != 0 || group.limits.multicast_pps != 0;
    config.shape = shape_of(port, group, on);
    config.learning = learning_of(port, group);
    config.arp_suppression = group.arp_suppression;
    config.lists_refused = group.spoofguard == model::SpoofGuard::kManual;
    config.may_advertise = !group.guards.ra;
    return config;
}

PortConfig describe_fabric_port(const std::string& name, const model::Switch& on) {
    static const auto kNoSlots = std::make_shared<const ChainProgram>();
    PortConfig config;
    config.name = name;
    config.is_uplink = true;
    config.frame_size_max = on.mtu + kEthernetHeaderBytes;
    config.shape = on.name + "|" + std::to_string(on.mtu) + "|uplink";
    config.chain = kNoSlots;
    return config;
}

PolicyChange policy_change(const PortConfig& a, const PortConfig& b, const PolicyImage* before,
                           const PolicyImage* after) {
    if (a.name != b.name || a.shape != b.shape || a.mac != b.mac || a.device != b.device) {
        return PolicyChange::kOther;
    }
    PolicyChange change = PolicyChange::kNone;
    for (std::size_t slot = 0; slot < kSlotCount; ++slot) {
        const auto& x = a.chain->slots[slot];
        const auto& y = b.chain->slots[slot];
        if (!x != !y) { return PolicyChange::kOther; }
        if (!x || x->fingerprint() == y->fingerprint()) { continue; }
        if (before == nullptr) { return PolicyChange::kOther; }
        const bool is_rules =
            slot == kSlotDvfilter || (slot == kSlotDfw && before->rest == after->rest);
        if (!is_rules) { return PolicyChange::kOther; }
        change = PolicyChange::kRules;
    }
    return change;
}

void set_fabric_epoch(const Snapshot& previous, Snapshot& next, PortIndex index) {
    PortConfig& config = *next.ports[index.value];
    const PortConfig* old = previous.port(index);
    const bool is_same =
        old != nullptr && policy_change(config, *old, nullptr, nullptr) == PolicyChange::kNone;
    config.policy_epoch = is_same ? old->policy_epoch : next.generation;
}

Error too_many_ports(const std::string& object) {
    return Error{Errc::kLimit,
                 object + ": more than " + std::to_string(kPortMax) + " ports, uplinks and VTEPs",
                 object};
}

}  // namespace sluice::host
