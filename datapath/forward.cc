// SPDX-License-Identifier: Apache-2.0
// Forward: where a unicast frame goes, by its destination MAC: to the router of its domain
// (route.cc), or to whoever has the MAC (learn.cc). First packets, unicast conversations, and
// programs that are looked at again. Workers.
#include "datapath/moved.h"
#include "datapath/stages.h"

namespace sluice::datapath {

Path find_path(const WorkerContext& context, std::uint16_t index, const FlowKey& key) noexcept {
    const Snapshot& snapshot = *context.snapshot;
    const Domain& domain = snapshot.domains[index];
    if (domain.router != kNoRouter && is_router_mac(snapshot, domain, key.destination_mac)) {
        return route(context, index, key);
    }
    Path path;
    path.domain = index;
    path.to = find_destination(context, index, key);
    return path;
}

// From the fabric to the fabric only by a router: that is another network; or after a VM that has
// left for another host.
DropReason refusal(const WorkerContext& context, const FlowKey& key, const Path& path) noexcept {
    const PortIndex to = path.to.port;
    if (to == kNoPort) { return DropReason::kNoUplink; }
    const Snapshot& snapshot = *context.snapshot;
    const bool is_back = snapshot.port(key.port)->is_uplink && snapshot.port(to)->is_uplink;
    const bool is_refused =
        is_back ? !path.is_routed && !is_hairpin(snapshot.domains[path.domain], key, path.to.remote)
                : to == key.port;
    return is_refused ? DropReason::kSamePort : DropReason::kNone;
}

FlowKey leaving_key(const FlowKey& key, const Path& path) noexcept {
    FlowKey out = key;
    if (path.is_routed) {
        out.source_mac = path.source_mac;
        out.destination_mac = path.destination_mac;
    }
    return out;
}

std::uint16_t acquire_rewrite(WorkerContext& context, const Path& path) noexcept {
    return context.rewrites.acquire(
        {path.destination_mac, path.source_mac, context.snapshot->domains[path.domain].vni});
}

namespace {

// What a dropping program was told about the way.
bool refusal_holds(const WorkerContext& context, const Path& path, const FlowKey& key,
                   const Program& program) noexcept {
    switch (program.reason) {
        case DropReason::kSamePort:
            return path.to.is_known && refusal(context, key, path) == DropReason::kSamePort;
        case DropReason::kUnknownUnicast: return !path.to.is_known && path.to.port == kNoPort;
        case DropReason::kNoUplink: return path.to.is_teamed && path.to.port == kNoPort;
        case DropReason::kNoRoute:
        case DropReason::kNotForRouter:
        case DropReason::kRouteBlackhole: return path.reason == program.reason;
        default: break;
    }
    return path.to.port == program.output;
}

}  // namespace

bool path_holds(const WorkerContext& context, std::uint16_t index, const FlowKey& key,
                const Program& program) noexcept {
    const Path path = find_path(context, index, key);
    const bool is_at_router = program.ending == Ending::kRouter;
    if (is_at_router || path.kind == PathKind::kRouter) {
        return is_at_router && path.kind == PathKind::kRouter;
    }
    if (path.kind == PathKind::kWait) { return false; }
    const bool was_routed = (program.flags & kProgramRouted) != 0;
    if (path.is_routed != was_routed) { return false; }
    if (program.ending == Ending::kDrop) { return refusal_holds(context, path, key, program); }
    if (path.kind == PathKind::kDrop) { return false; }
    if (was_routed) {
        const Rewrite hop{path.destination_mac, path.source_mac,
                          context.snapshot->domains[path.domain].vni};
        if (!(context.rewrites.row(program.steps.rewrite) == hop)) { return false; }
        // The next hop may have its MAC in several VLANs of one uplink.
        const Snapshot& snapshot = *context.snapshot;
        const PortConfig* out = snapshot.port(path.to.port);
        if (out == nullptr ||
            egress_vlan_step(*out, snapshot.domains[path.domain], key) != program.steps.vlan) {
            return false;
        }
    }
    const bool was_known = (program.flags & kProgramFlood) == 0;
    return path.to.port == program.output && path.to.is_known == was_known &&
           path.to.remote == program.steps.remote;
}

}  // namespace sluice::datapath
