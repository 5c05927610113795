// SPDX-License-Identifier: Apache-2.0
// Learn: where MACs live. Static rows of the snapshot come first, then what controllers told
// (fleet.cc), then what ports taught, VTEPs among them; what nobody knows is in the fabric, if the
// domain has a way there. First packets, inspected frames, and programs that were made before
// something changed.
#include <algorithm>

#include "datapath/moved.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

bool is_member(const PortConfig& port, std::uint16_t index, const Domain& domain) noexcept {
    if (port.vtep != kNoVtep) {
        return std::find(domain.vteps.begin(), domain.vteps.end(), port.vtep) != domain.vteps.end();
    }
    if (!port.vlan.is_trunk) { return port.vlan.untagged_domain == index; }
    return port.vlan.untagged_domain == index ||
           (port.vlan.tagged_domains != nullptr &&
            (*port.vlan.tagged_domains)[domain.vlan & 0xfffU] == index);
}

// Where a MAC was learned.
struct LearnedPlace {
    PortIndex port = kNoPort;
    std::uint16_t remote = 0;  // Behind a VTEP's port.
};

// A row counts only as long as its port would still teach it.
LearnedPlace learned_place(const WorkerContext& context, std::uint16_t index,
                           const MacAddr& mac) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    const auto row = context.learned.find(LearnedKey::mac(domain.id, mac), context.now_ns);
    if (!row) { return {}; }
    const PortConfig* port = context.snapshot->port(row->port);
    const bool counts =
        port != nullptr && port->learning.is_on() && is_member(*port, index, domain);
    return counts ? LearnedPlace{row->port, row->remote} : LearnedPlace{};
}

bool is_fabric(const WorkerContext& context, PortIndex port) noexcept {
    const PortConfig* config = context.snapshot->port(port);
    return config != nullptr && config->is_uplink;
}

// The way to a remote VTEP is the sender's; the row's port is only where it was heard.
Destination behind(const WorkerContext& context, std::uint16_t index, const FlowKey& key,
                   std::uint16_t remote) noexcept {
    Destination to;
    to.port = way_out(context, index, key.port, key);
    to.remote = remote;
    to.is_teamed = true;
    return to;
}

// A straggler of a VLAN goes back by the uplink that it came by: whoever sent it there by mistake
// has learned better by then, and another uplink could lead it round in a circle.
Destination moved_to(const WorkerContext& context, std::uint16_t index, const FlowKey& key,
                     const MacTable::Row& row) noexcept {
    Destination to = behind(context, index, key, remote_of(row));
    if (remote_of(row) == 0 && is_fabric(context, key.port)) { to.port = key.port; }
    return to;
}

// Where a row says that a MAC was heard. Behind tunnels the remote VTEP counts, whichever of this
// host's it was heard by: the first stands for all.
PortIndex heard_at(const WorkerContext& context, std::uint16_t index, const FlowKey& key) noexcept {
    const auto& vteps = context.snapshot->domains[index].vteps;
    return key.tunnel == 0 || vteps.empty() ? key.port : context.snapshot->vteps[vteps[0]].port;
}

std::uint64_t expiry(const PortConfig& port, std::uint64_t seen_ns) noexcept {
    return port.learning.age_ns == 0 ? 0 : seen_ns + port.learning.age_ns;
}

// A vNIC that may change its MAC has one at a time: the newest.
void forget_former(WorkerContext& context, PortIndex port, const LearnedKey& key) noexcept {
    LearnedKey& former = context.changed_macs[port.value];
    if (former.kind != LearnedKind::kNone && !(former == key)) {
        const auto row = context.learned.find(former, context.now_ns);
        if (row && row->port == port) { context.learned.forget(former); }
    }
    former = key;
}

}  // namespace

bool is_foreign(const PortConfig& in, const Domain& domain, const MacAddr& source) noexcept {
    return in.learning.is_on() && in.leg_of == kNoService && source != in.mac &&
           domain.macs.row(source) == nullptr;
}

Destination find_destination(const WorkerContext& context, std::uint16_t index,
                             const FlowKey& key) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    Destination to;
    if (const MacTable::Row* row = domain.macs.row(key.destination_mac)) {
        if (row->port == kNoPort) { return moved_to(context, index, key, *row); }
        to.port = row->port;
        return to;
    }
    if (const std::uint16_t remote = told_remote(context, index, key.destination_mac)) {
        to = behind(context, index, key, remote);
        to.is_static = false;
        to.is_told = true;
        return to;
    }
    const LearnedPlace place = learned_place(context, index, key.destination_mac);
    if (place.remote != 0 && is_remote_usable(context, index, place.remote)) {
        to = behind(context, index, key, place.remote);
    } else if (place.remote == 0) {
        to.port = place.port;
    }
    to.is_static = false;
    if (to.port != kNoPort) { return to; }
    to.is_known = false;
    if (domain.fabric.empty() || is_fabric(context, key.port)) { return to; }
    to.port = way_out(context, index, key.port, key);
    to.remote = domain.vni != 0 ? kEveryRemote : std::uint16_t{0};
    to.is_teamed = true;
    return to;
}

bool is_reflected(const WorkerContext& context, std::uint16_t index, const MacAddr& mac) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    if (domain.macs.find(mac) != kNoPort) { return true; }
    if (is_router_mac(*context.snapshot, domain, mac)) { return true; }
    if (told_remote(context, index, mac) != 0) { return false; }
    const PortIndex port = learned_place(context, index, mac).port;
    return port != kNoPort && !is_fabric(context, port);
}

DropReason learn_source(WorkerContext& context, const PortConfig& in, std::uint16_t index,
                        const FlowKey& key) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    if (!is_foreign(in, domain, key.source_mac)) { return DropReason::kNone; }
    const LearnedKey row = LearnedKey::mac(domain.id, key.source_mac);
    const bool follows = !in.learning.learns;
    if (follows) { forget_former(context, key.port, row); }
    LearnedValue value;
    value.port = heard_at(context, index, key);
    if (key.tunnel != 0) { value.remote = key.vlan; }
    value.expires_ns = expiry(in, context.now_ns);
    const LearnResult result =
        context.learned.learn(row, value, follows ? 0 : in.learning.limit, context.now_ns);
    context.refresh_stamp();
    const bool is_refused = result == LearnResult::kLimit || result == LearnResult::kFull;
    return is_refused ? DropReason::kMacLimit : DropReason::kNone;
}

void touch_source(WorkerContext& context, const FlowKey& key, std::uint32_t used_ms) noexcept {
    const PortConfig* in = context.snapshot->port(key.port);
    if (in == nullptr || !in->learning.is_on()) { return; }
    const std::uint16_t index = ingress_domain(*in, key);
    if (index == kNoDomain) { return; }
    const LearnedKey row = LearnedKey::mac(context.snapshot->domains[index].id, key.source_mac);
    const auto value = context.learned.find(row, context.now_ns);
    if (!value || value->port != heard_at(context, index, key) ||
        (key.tunnel != 0 && value->remote != key.vlan)) {
        return;
    }
    const std::uint64_t idle_ns = std::uint64_t{context.now_ms - used_ms} * 1000000U;
    const std::uint64_t seen_ns = context.now_ns - std::min(idle_ns, context.now_ns);
    context.learned.touch(row, seen_ns, expiry(*in, seen_ns), context.now_ns);
}

namespace {

bool source_holds(const WorkerContext& context, const PortConfig& in, std::uint16_t index,
                  const FlowKey& key, const Program& program) noexcept {
    if (in.is_uplink) {
        const bool was_reflected = program.reason == DropReason::kReflected ||
                                   program.reason == DropReason::kTunnelSpoofedMac;
        if (is_reflected(context, index, key.source_mac) != was_reflected) { return false; }
        if (!is_foreign(in, context.snapshot->domains[index], key.source_mac) || was_reflected) {
            return true;
        }
    }
    if (program.reason == DropReason::kMacLimit) { return false; }  // There may be room by now.
    const DomainId domain = context.snapshot->domains[index].id;
    const auto row = context.learned.find(LearnedKey::mac(domain, key.source_mac), context.now_ns);
    return row && row->port == heard_at(context, index, key) &&
           (key.tunnel == 0 || row->remote == key.vlan);
}

// Both vNICs' policies may have followed bindings: their own, seldom those of a third port. Then
// any change may be one of that.
bool bindings_changed(const WorkerContext& context, std::uint16_t index, const FlowKey& key,
                      const FlowState& state) noexcept {
    const Program& program = state.program;
    const LearnedTable& learned = context.learned;
    if (learned.has_changed(key.port, state.learned) ||
        (program.output != kNoPort && learned.has_changed(program.output, state.learned))) {
        return true;
    }
    return (program.flags & kProgramHeldAside) != 0 ||
           is_held_aside(holders_of(context, index, key), key.port, program.output);
}

}  // namespace

bool learned_holds(const WorkerContext& context, const PortConfig& in, std::uint16_t index,
                   const FlowKey& key, const FlowState& state) noexcept {
    const Program& program = state.program;
    if (bindings_changed(context, index, key, state)) { return false; }
    constexpr std::uint16_t kLearnedTo = kProgramLearnedTo | kProgramTeamed | kProgramRouted;
    if ((program.flags & (kProgramLearnedFrom | kLearnedTo)) == 0) { return true; }
    if (index == kNoDomain) { return false; }
    if ((program.flags & kProgramLearnedFrom) != 0 &&
        !source_holds(context, in, index, key, program)) {
        return false;
    }
    return (program.flags & kLearnedTo) == 0 || path_holds(context, index, key, program);
}

}  // namespace sluice::datapath
