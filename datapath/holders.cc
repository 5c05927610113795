// SPDX-License-Identifier: Apache-2.0
// Holders: which port an address belongs to by what was learned, so that rules which name a group,
// a port group or a port match its members' learned addresses. Asked for first packets, inspected
// frames and programs that are looked at again; only where some rule wants to know. Workers.
#include "datapath/stages.h"

namespace sluice::datapath {

// An address that the document gives away is its owner's, whatever frames say.
PortIndex learned_holder(const WorkerContext& context, std::uint16_t domain,
                         const IpAddr& ip) noexcept {
    const Domain& in = context.snapshot->domains[domain];
    if (in.owner(ip) != nullptr) { return kNoPort; }
    return context.learned.holder(in.id, ip, context.now_ns);
}

std::uint16_t destination_domain(const WorkerContext& context, std::uint16_t domain,
                                 const FlowKey& key) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const bool is_routed = is_router_mac(snapshot, snapshot.domains[domain], key.destination_mac);
    return is_routed ? route(context, domain, key).domain : domain;
}

AddressHolders holders_of(const WorkerContext& context, std::uint16_t domain,
                          const FlowKey& key) noexcept {
    return context.snapshot->follows_bindings ? find_holders(context, domain, key)
                                              : AddressHolders{};
}

AddressHolders find_holders(const WorkerContext& context, std::uint16_t domain,
                            const FlowKey& key) noexcept {
    if (!key.is_ip() || domain == kNoDomain || context.learned.size() == 0) { return {}; }
    const PortIndex source = learned_holder(context, domain, key.source());
    if (key.destination_mac.is_group()) { return {source, kNoPort}; }
    return {source,
            learned_holder(context, destination_domain(context, domain, key), key.destination())};
}

BindingView view_bindings(const WorkerContext& context, std::uint16_t domain,
                          const FlowKey& key) noexcept {
    const Domain& in = context.snapshot->domains[domain];
    return {&context.learned, in.id, context.now_ns, &in.owners, holders_of(context, domain, key)};
}

bool is_held_aside(const AddressHolders& holders, PortIndex ingress, PortIndex output) noexcept {
    const auto is_aside = [=](PortIndex port) {
        return port != kNoPort && port != ingress && port != output;
    };
    return is_aside(holders.source) || is_aside(holders.destination);
}

// Equality is all that is asked of it: epochs are mixed in, so that any change makes another value.
std::uint32_t judged_under(const WorkerContext& context, PortIndex a, PortIndex b) noexcept {
    const std::uint32_t generation = context.snapshot->generation;
    if (!context.snapshot->follows_bindings) { return generation; }
    const std::uint32_t mixed = generation + context.learned.port_epoch(a) * 0x9e3779b1U +
                                context.learned.port_epoch(b) * 0x85ebca6bU;
    return mixed == 0 ? 1U : mixed;
}

}  // namespace sluice::datapath
