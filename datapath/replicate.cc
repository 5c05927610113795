// SPDX-License-Identifier: Apache-2.0
// Replicate: broadcast, multicast and promiscuous copies. The source half of the frame's way was
// decided once; each copy looks up its destination half by egress port (FlowKey::copy_port), except
// inspected frames and copies of a tracked flow, which are decided each time. A copy is a real
// copy: steps rewrite it.
#include <rte_mbuf.h>

#include "datapath/stages.h"
#include "datapath/teaming.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {
namespace {

struct Half {
    Program program;
    RuleId rule;
    AclTrail acl;
    bool by_flags = false;  // Of this packet alone.
};

Half decide_half(WorkerContext& context, const Packet& packet, const PortConfig& out,
                 PortIndex egress, std::uint16_t domain, const ConnectionView* view) noexcept {
    const bool is_inspected = packet.frame.frame_class == FrameClass::kInspect;
    const BindingView bindings = view_bindings(context, domain, packet.frame.key);
    Half half;
    DecideInput input{packet.frame.key, Direction::kToVm, view, bindings};
    input.tcp_flags = packet.frame.tcp_flags;
    input.acl = &half.acl;
    input.is_from_fabric = context.snapshot->port(packet.frame.key.port)->is_uplink;
    input.sealed_with = sealed_with(packet.frame.key.tunnel);
    const Decision decision =
        is_inspected ? inspect(*out.chain, packet.frame, Direction::kToVm, nullptr,
                               packet.is_related, context.now_ns, bindings, {nullptr, &half.acl})
                     : decide(*out.chain, input);
    half.by_flags = decision.by_flags;
    half.program.output = egress;
    half.program.domain = domain;
    half.program.decided_to = decision.decided;
    half.program.flags = kProgramHitsByPacket;
    half.rule = decision.rule;
    if (decision.verdict == Verdict::kDrop) {
        half.program.reason = decision.reason;
        half.program.set_drop_slot(decision.slot, Direction::kToVm);
        return half;
    }
    half.program.ending = Ending::kOutput;
    half.program.steps.vlan =
        egress_vlan_step(out, context.snapshot->domains[domain], packet.frame.key);
    if (out.vtep != kNoVtep) { half.program.steps.remote = kEveryRemote; }
    set_marks(half.program, packet.frame.key, kNoDscp, decision.set_dscp);
    return half;
}

void account_half(WorkerContext& context, const Packet& packet, const Half& half) noexcept {
    const std::uint32_t size = packet.frame.frame_size;
    account(context, packet.frame.key.port, half.program, RuleId{}, half.rule, 1, size);
    count_acl(context, half.acl.all(), 1, size);
}

// The destination half from the flow table, decided and inserted on a miss.
Program cached_half(WorkerContext& context, const Packet& packet, const PortConfig& out,
                    PortIndex egress, std::uint16_t domain) noexcept {
    FlowKey key = packet.frame.key;
    key.side = KeySide::kEgressCopy;
    key.copy_port = egress.value;
    const std::uint64_t hash = context.flows.hash(key);
    std::uint32_t index = context.flows.find(key, hash);
    if (index != kNoFlow && !still_holds(context, key, context.flows.entry(index).state)) {
        context.flows.remove(index);
        index = kNoFlow;
    }
    if (index == kNoFlow) {
        const Half half = decide_half(context, packet, out, egress, domain, nullptr);
        if (!half.by_flags) { index = context.flows.insert(key, hash, half.program); }
        if (index == kNoFlow) {
            account_half(context, packet, half);
            return half.program;
        }
        if (has_acl(half.program)) { context.flows.set_acl(index, half.acl); }
        context.flows.cold(index).rule_to = half.rule;
        context.flows.entry(index).state.set_stamp(context.stamp);
    }
    FlowState& state = context.flows.entry(index).state;
    ++state.packets;
    state.bytes += packet.frame.frame_size;
    state.last_used_ms = context.now_ms;
    return state.program;
}

// A copy that ends before it was made.
void lose_copy(WorkerContext& context, const Packet& packet, const Program& half,
               DropReason reason) noexcept {
    if (context.capture.set != nullptr) {
        capture_lost(context, *packet.mbuf, half.output, reason, half.drop_slot, half.decided_to);
        context.capture.drop_slot = kNoSlot;
    }
    count_drop(context, packet.frame.key.port, reason);
}

// A copy that would leave by an uplink, in the clear, where a rule wants it sealed.
bool must_stay(const WorkerContext& context, const Program& half) noexcept {
    if ((half.key_policy & kSealRequired) == 0) [[likely]] { return false; }
    const PortConfig& out = *context.snapshot->port(half.output);
    return out.is_uplink && out.vtep == kNoVtep;
}

// @param key_policy  as the source's half has it
void send_copy(WorkerContext& context, const Packet& packet, Program half,
               std::uint8_t key_policy) noexcept {
    half.key_policy = key_policy;
    context.counters.created.add(1);
    if (must_stay(context, half)) {
        count_slot_drop(context, packet.frame.key.port, Direction::kFromVm,
                        static_cast<std::uint8_t>(kSlotEncrypt));
        return lose_copy(context, packet, half, DropReason::kPolicyClear);
    }
    if (half.ending == Ending::kDrop) {
        count_slot_drop(context, half.output, Direction::kToVm, half.drop_slot);
        return lose_copy(context, packet, half, half.reason);
    }
    if (context.capture.set != nullptr) {
        capture_judged(context, *packet.mbuf, half.output, Direction::kToVm, half.decided_to, true);
    }
    rte_mbuf* copy = rte_pktmbuf_copy(packet.mbuf, context.options.pool, 0, UINT32_MAX);
    if (copy == nullptr) { return lose_copy(context, packet, half, DropReason::kNoBuffer); }
    copy->port = packet.frame.key.port.value;
    const DropReason reason = run_steps(context, *copy, packet.frame, half);
    if (reason != DropReason::kNone) { return drop_towards(context, copy, half.output, reason); }
    output(context, copy, half.output);
}

const std::vector<PortIndex>& receivers(const Domain& domain, const Program& program) noexcept {
    if (program.ending == Ending::kReplicate) { return domain.members; }
    return (program.flags & kProgramFlood) != 0 ? domain.flood : domain.promiscuous;
}

// Null: everybody.
const GroupPorts* wanted_ports(WorkerContext& context, const Packet& packet,
                               std::uint16_t domain) noexcept {
    const MacAddr& group = packet.frame.key.destination_mac;
    if (group.is_broadcast()) { return nullptr; }
    const GroupPorts& ports = group_ports(context, domain, group);
    return ports.everybody ? nullptr : &ports;
}

// Whether the fabric has sent a copy of the frame to each of several uplinks or VTEPs.
bool comes_from_fabric(const WorkerContext& context, const Packet& packet,
                       const Program& program) noexcept {
    const bool is_for_all =
        program.ending == Ending::kReplicate || (program.flags & kProgramFlood) != 0;
    return is_for_all && context.snapshot->domains[program.domain].fabric.size() > 1 &&
           context.snapshot->port(packet.frame.key.port)->is_uplink;
}

}  // namespace

DropReason why_no_copy(const WorkerContext& context, const Packet& packet,
                       const Program& program) noexcept {
    const Domain& domain = context.snapshot->domains[program.domain];
    const bool has_receivers = !receivers(domain, program).empty();
    if (has_receivers && comes_from_fabric(context, packet, program)) {
        return DropReason::kOtherUplink;
    }
    return program.ending == Ending::kReplicate ? DropReason::kNoDestination
                                                : DropReason::kUnknownUnicast;
}

std::size_t replicate(WorkerContext& context, const Packet& packet, const Program& program,
                      PortIndex except, const GroupPorts* only) noexcept {
    const Domain& domain = context.snapshot->domains[program.domain];
    const bool is_group = program.ending == Ending::kReplicate;
    if (is_group && only == nullptr) { only = wanted_ports(context, packet, program.domain); }
    ConnectionView view{};
    FlowKey parent_key;
    const bool is_of_connection = program.tracked || (program.flags & kProgramReturned) != 0;
    const bool has_view =
        is_of_connection && (program.flags & kProgramForeign) == 0 &&
        view_connection(context, program.connection, program.side, parent_key, view);
    const bool may_cache =
        context.options.flow_cache && !has_view && packet.frame.frame_class == FrameClass::kFlow;
    const bool is_shared = comes_from_fabric(context, packet, program);
    std::size_t count = 0;
    const auto send_to = [&](PortIndex egress) {
        if (egress == packet.frame.key.port || egress == except) { return; }  // Split horizon.
        if (only != nullptr && !only->ports[egress.value]) { return; }
        if (is_shared && !takes_from_fabric(*context.snapshot, context.reach, program.domain,
                                            packet.frame.key, egress)) {
            return;
        }
        ++count;
        const PortConfig& out = *context.snapshot->port(egress);
        if (may_cache) {
            send_copy(context, packet, cached_half(context, packet, out, egress, program.domain),
                      program.key_policy);
            return;
        }
        const Half half =
            decide_half(context, packet, out, egress, program.domain, has_view ? &view : nullptr);
        account_half(context, packet, half);
        send_copy(context, packet, half.program, program.key_policy);
    };
    for (const PortIndex egress : receivers(domain, program)) { send_to(egress); }
    if (is_group && !context.snapshot->port(packet.frame.key.port)->is_uplink) {
        const PortIndex out =
            way_out(context, program.domain, packet.frame.key.port, packet.frame.key);
        if (out != kNoPort) { send_to(out); }
    }
    return count;
}

}  // namespace sluice::datapath
