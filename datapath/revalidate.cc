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

}  // namespace

bool still_holds(const WorkerContext& context, const FlowKey& key, FlowState& state) noexcept {
    if (state.stamp() == context.stamp) [[likely]] { return true; }
    const Snapshot& snapshot = *context.snapshot;
    const PortConfig* in = snapshot.port(key.port);
    if (in == nullptr || in->policy_epoch > state.generation) { return false; }
    if (state.program.output != kNoPort) {
        const PortConfig* out = snapshot.port(state.program.output);
        if (out == nullptr || out->policy_epoch > state.generation) { return false; }
    }
    const std::uint16_t domain = ingress_domain(*in, key);
    if (domain != kNoDomain && (snapshot.domains[domain].epoch > state.generation ||
                                !receivers_hold(snapshot, snapshot.domains[domain], state))) {
        return false;
    }
    if (state.learned != static_cast<std::uint32_t>(context.stamp >> 32U) &&
        !learned_holds(context, *in, domain, key, state)) {
        return false;
    }
    state.program.domain = domain;
    state.set_stamp(context.stamp);
    return true;
}

}  // namespace sluice::datapath
