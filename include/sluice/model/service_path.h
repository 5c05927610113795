// SPDX-License-Identifier: Apache-2.0
// Where hosts hand each other frames for services: the switch that carries the VNIs of instances,
// and what VNIs those are. Pure functions over a Document, any thread.
#pragma once

#include <algorithm>
#include <set>

#include "sluice/model/document.h"

namespace sluice::model {

/// Calls visit(chain, rule, instance) for each instance as each rule says it.
template <typename Visit>
void each_instance(const Document& document, Visit visit) {
    for (const ServiceChain& chain : document.service_chains) {
        for (const ServiceRule& rule : chain.rules) {
            for (const ServiceInstance& instance : rule.instances) { visit(chain, rule, instance); }
        }
    }
}

/// True if the host has a VTEP on the switch.
[[nodiscard]] inline bool has_vtep(const Document& document, const Switch& on) {
    return std::any_of(document.vteps.begin(), document.vteps.end(), [&](const Vtep& vtep) {
        return std::find(on.uplinks.begin(), on.uplinks.end(), vtep.uplink) != on.uplinks.end();
    });
}

/// The first switch with a VTEP, over which remote VTEPs of services are reached that no switch
/// names; nullptr if there is none.
[[nodiscard]] inline const Switch* service_switch(const Document& document) {
    for (const Switch& each : document.switches) {
        if (has_vtep(document, each)) { return &each; }
    }
    return nullptr;
}

/// VNIs by which services hand frames from host to host. No port group has one of them.
[[nodiscard]] inline std::set<std::uint32_t> service_vnis(const Document& document) {
    std::set<std::uint32_t> vnis;
    each_instance(document, [&](const auto&, const auto&, const ServiceInstance& instance) {
        if (instance.vni != 0) { vnis.insert(instance.vni); }
    });
    return vnis;
}

}  // namespace sluice::model
