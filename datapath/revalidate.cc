// SPDX-License-Identifier: Apache-2.0
// Revalidate: whether a program that was made under an older snapshot still holds. Called by the
// lookup for an entry whose stamp is not the running one: once a flow after each published change,
// so it has to be cheap. What does not hold is decided anew (first_packet.cc).
#include <algorithm>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

// An unknown unicast was judged for all who receive it.
bool receivers_hold(const Snapshot& snapshot, const Domain& domain,
                    const FlowState& state) noexcept {
    if ((state.program.flags & kProgramFlood) == 0) { return true; }
    return std::none_of(domain.flood.begin(), domain.flood.end(), [&](PortIndex member) {
        return snapshot.port(member)->policy_epoch > state.generation;
    });
}

// A packet without a connection: it might open one for the sake of services that its answers would
// pass, so that the rules for those count too.
bool asks_for_answers(const WorkerContext& context, const Program& program,
                      bool is_tracked) noexcept {
    return context.snapshot->service_rules.size() > 1 && !is_tracked &&
           program.ending != Ending::kDrop;
}

bool changed_rules(const WorkerContext& context, const PolicyDifference& policy,
                   std::uint16_t domain, const FlowKey& key, const Program& program) noexcept {
    const bool is_flooded = (program.flags & kProgramFlood) != 0;  // To more ports than `output`.
    if (!policy.concerns(key.port) && !policy.concerns(program.output) && !is_flooded) {
        return false;
    }
    // Judged by the key of the connection that announced it.
    const bool is_tracked = program.tracked || (program.flags & kProgramTracks) != 0;
    if (is_tracked && context.connections.is_related(program.connection)) { return true; }
    const AddressHolders holders =
        policy.follows_ports() ? find_holders(context, domain, key) : AddressHolders{};
    const bool is_turned = program.side == ConnectionSide::kResponder ||
                           asks_for_answers(context, program, is_tracked);
    return policy.matches(key, is_turned, holders);
}

// SpoofGuard asks for the owner of a source; an answer goes by its opener's.
bool changed_addresses(const std::vector<IpAddr>& changed, const FlowKey& key) noexcept {
    return !changed.empty() && key.is_ip() &&
           (std::binary_search(changed.begin(), changed.end(), key.source()) ||
            std::binary_search(changed.begin(), changed.end(), key.destination()));
}

bool changed_hosts(const Difference& difference, const Domain& domain,
                   const FlowKey& key) noexcept {
    const auto at = std::lower_bound(
        difference.domains.begin(), difference.domains.end(), domain.id,
        [](const DomainDifference& each, DomainId id) { return each.domain < id; });
    if (at == difference.domains.end() || at->domain != domain.id) { return false; }
    return std::binary_search(at->macs.begin(), at->macs.end(), key.source_mac.number()) ||
           std::binary_search(at->macs.begin(), at->macs.end(), key.destination_mac.number()) ||
           changed_addresses(at->addresses, key);
}

// A routed packet's destination is a host of another domain, whichever.
bool changed_destinations(const Difference& difference, const FlowKey& key) noexcept {
    return std::any_of(
        difference.domains.begin(), difference.domains.end(),
        [&](const DomainDifference& each) { return changed_addresses(each.addresses, key); });
}

// Whether one of the changes since the program was made may concern it. Newest first: most programs
// lack that one only.
bool is_concerned(const WorkerContext& context, std::uint16_t index, const FlowKey& key,
                  const FlowState& state) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const Domain* domain = index == kNoDomain ? nullptr : &snapshot.domains[index];
    const bool is_to_router =
        domain != nullptr && is_router_mac(snapshot, *domain, key.destination_mac);
    // Dropped before it was routed, maybe for who has the address where the route led then.
    if (is_to_router && (state.program.flags & kProgramRouted) == 0 &&
        snapshot.routers[domain->router].epoch > state.generation) {
        return true;
    }
    for (auto at = snapshot.differences.rbegin(); at != snapshot.differences.rend(); ++at) {
        const Difference& difference = **at;
        if (difference.generation <= state.generation) { return false; }
        if (difference.policy &&
            changed_rules(context, *difference.policy, index, key, state.program)) {
            return true;
        }
        if (domain != nullptr && changed_hosts(difference, *domain, key)) { return true; }
        if (is_to_router && changed_destinations(difference, key)) { return true; }
    }
    return false;
}

}  // namespace

namespace {

// What a service returned holds as long as what was decided where it entered first.
bool revalidate_returned(const WorkerContext& context, const FlowKey& key,
                         FlowState& state) noexcept {
    const PortConfig* leg = context.snapshot->port(key.port);
    if (leg == nullptr || leg->policy_epoch > state.generation) { return false; }
    const Program& program = state.program;
    const PortIndex sender = sender_of(context, program.connection, program.side);
    const auto entered = entered_key(context, key, ingress_domain(*leg, key), sender);
    return entered && revalidate(context, *entered, state);
}

}  // namespace

bool revalidate(const WorkerContext& context, const FlowKey& key, FlowState& state) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    if ((state.program.flags & kProgramReturned) != 0 &&
        instance_behind(context, key) != kNoService) [[unlikely]] {
        return revalidate_returned(context, key, state);
    }
    const PortConfig* in = snapshot.port(key.port);
    if (in == nullptr || in->policy_epoch > state.generation) { return false; }
    if (state.program.output != kNoPort) {
        const PortConfig* out = snapshot.port(state.program.output);
        if (out == nullptr || out->policy_epoch > state.generation) { return false; }
    }
    const std::uint16_t index = ingress_domain(*in, key);
    const Domain* domain = index == kNoDomain ? nullptr : &snapshot.domains[index];
    if (domain != nullptr &&
        (domain->epoch > state.generation || !receivers_hold(snapshot, *domain, state))) {
        return false;
    }
    if (is_concerned(context, index, key, state)) { return false; }
    if (state.learned != static_cast<std::uint32_t>(context.stamp >> 32U) &&
        !learned_holds(context, *in, index, key, state)) {
        return false;
    }
    if ((state.program.flags & kProgramRouted) != 0 && state.generation != snapshot.generation &&
        !path_holds(context, index, key, state.program)) {
        return false;
    }
    state.program.domain = index;
    state.set_stamp(context.stamp);
    return true;
}

}  // namespace sluice::datapath
