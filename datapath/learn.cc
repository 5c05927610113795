// SPDX-License-Identifier: Apache-2.0
// Learn: where MACs live. Static rows of the snapshot come first, then what ports taught; what
// nobody knows is beyond the uplink, if the domain has one. First packets, inspected frames, and
// programs that were made before something changed.
#include <algorithm>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

bool is_member(const PortConfig& port, std::uint16_t index, const Domain& domain) noexcept {
    if (!port.vlan.is_trunk) { return port.vlan.untagged_domain == index; }
    return port.vlan.untagged_domain == index ||
           (port.vlan.tagged_domains != nullptr &&
            (*port.vlan.tagged_domains)[domain.vlan & 0xfffU] == index);
}

// A row counts only as long as its port would still teach it.
PortIndex learned_port(const WorkerContext& context, std::uint16_t index,
                       const MacAddr& mac) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    const auto row = context.learned.find(LearnedKey::mac(domain.id, mac), context.now_ns);
    if (!row) { return kNoPort; }
    const PortConfig* port = context.snapshot->port(row->port);
    const bool counts =
        port != nullptr && port->learning.is_on() && is_member(*port, index, domain);
    return counts ? row->port : kNoPort;
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
    return in.learning.is_on() && source != in.mac && domain.macs.find(source) == kNoPort;
}

Destination find_destination(const WorkerContext& context, std::uint16_t index,
                             const FlowKey& key) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    Destination to;
    to.port = domain.macs.find(key.destination_mac);
    if (to.port != kNoPort) { return to; }
    to.is_static = false;
    to.port = learned_port(context, index, key.destination_mac);
    if (to.port != kNoPort) { return to; }
    to.is_known = false;
    if (domain.uplink != key.port) { to.port = domain.uplink; }
    return to;
}

bool is_reflected(const WorkerContext& context, std::uint16_t index, const MacAddr& mac) noexcept {
    return context.snapshot->domains[index].macs.find(mac) != kNoPort ||
           learned_port(context, index, mac) != kNoPort;
}

DropReason learn_source(WorkerContext& context, const PortConfig& in, std::uint16_t index,
                        const FlowKey& key) noexcept {
    const Domain& domain = context.snapshot->domains[index];
    if (!is_foreign(in, domain, key.source_mac)) { return DropReason::kNone; }
    const LearnedKey row = LearnedKey::mac(domain.id, key.source_mac);
    const bool follows = !in.learning.learns;
    if (follows) { forget_former(context, key.port, row); }
    LearnedValue value;
    value.port = key.port;
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
    if (!value || value->port != key.port) { return; }
    const std::uint64_t idle_ns = std::uint64_t{context.now_ms - used_ms} * 1000000U;
    const std::uint64_t seen_ns = context.now_ns - std::min(idle_ns, context.now_ns);
    context.learned.touch(row, seen_ns, expiry(*in, seen_ns), context.now_ns);
}

namespace {

bool source_holds(const WorkerContext& context, const PortConfig& in, std::uint16_t index,
                  const FlowKey& key, const Program& program) noexcept {
    if (in.is_uplink) {
        return is_reflected(context, index, key.source_mac) ==
               (program.reason == DropReason::kReflected);
    }
    if (program.reason == DropReason::kMacLimit) { return false; }  // There may be room by now.
    const DomainId domain = context.snapshot->domains[index].id;
    const auto row = context.learned.find(LearnedKey::mac(domain, key.source_mac), context.now_ns);
    return row && row->port == key.port;
}

bool destination_holds(const WorkerContext& context, std::uint16_t index, const FlowKey& key,
                       const Program& program) noexcept {
    const Destination to = find_destination(context, index, key);
    if (program.reason == DropReason::kSamePort) { return to.is_known && to.port == key.port; }
    const bool was_known = (program.flags & kProgramFlood) == 0;
    return to.port == program.output && to.is_known == was_known;
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
    if ((program.flags & (kProgramLearnedFrom | kProgramLearnedTo)) == 0) { return true; }
    if (index == kNoDomain) { return false; }
    if ((program.flags & kProgramLearnedFrom) != 0 &&
        !source_holds(context, in, index, key, program)) {
        return false;
    }
    return (program.flags & kProgramLearnedTo) == 0 ||
           destination_holds(context, index, key, program);
}

}  // namespace sluice::datapath
