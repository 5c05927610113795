// SPDX-License-Identifier: Apache-2.0
// Inspect: frames that are conversations with the switch (ARP, ND, DHCP, MLD, ICMP errors...). Each
// walks both chains' inspect() and is switched at once; nothing is cached. Slot 1's rate limits
// bound what a vNIC can cost here.
#include "datapath/router.h"
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

// One vNIC has judged, its ACL rules in packet.aside. False: dropped.
bool accept(WorkerContext& context, Packet& packet, PortIndex index, Direction direction,
            const Decision& decision) noexcept {
    count_slots(context, index, direction, decision.decided, 1);
    count_acl(context, packet.aside->acl.all(), 1, packet.frame.frame_size);
    if (context.capture.set != nullptr) {
        capture_judged(context, *packet.mbuf, index, direction, decision.decided,
                       decision.verdict == Verdict::kPass);
    }
    if (decision.verdict == Verdict::kPass) {
        mark_dscp(*packet.mbuf, packet.frame, decision.set_dscp);
        return true;
    }
    count_slot_drop(context, index, direction, decision.slot);
    drop(context, packet.mbuf, decision.reason);
    return false;
}

// Learns the source MAC where that is wanted. False: no room, dropped.
bool admit_source(WorkerContext& context, Packet& packet, const PortConfig& in,
                  std::uint16_t domain) noexcept {
    const DropReason reason = learn_source(context, in, domain, packet.frame.key);
    if (reason == DropReason::kNone) { return true; }
    count_slot_drop(context, packet.frame.key.port, Direction::kFromVm,
                    static_cast<std::uint8_t>(kSlotSwsec));
    drop(context, packet.mbuf, reason);
    return false;
}

// What is dropped teaches nothing, but a claim that waits for the address's holder to go.
bool leave_source(WorkerContext& context, Packet& packet, const PortConfig& in,
                  std::uint16_t domain_index) noexcept {
    const PortIndex index = packet.frame.key.port;
    const Domain& domain = context.snapshot->domains[domain_index];
    const BindingView bindings = view_bindings(context, domain_index, packet.frame.key);
    BindingClaims claims;
    packet.aside->acl.clear();
    const Decision decision =
        inspect(*in.chain, packet.frame, Direction::kFromVm, &context.chains[index.value],
                packet.is_related, context.now_ns, bindings, {&claims, &packet.aside->acl});
    packet.aside->state.program.key_policy = static_cast<std::uint8_t>(
        decision.key_policy | (decision.seal_required ? kSealRequired : 0U));
    if (is_spoof(decision.reason)) { note_refused(context, packet.frame.key, domain.id, claims); }
    if (claims.is_contested) { learn_claims(context, packet.frame.key, domain.id, claims); }
    if (!accept(context, packet, index, Direction::kFromVm, decision)) { return false; }
    if (!admit_source(context, packet, in, domain_index)) { return false; }
    learn_claims(context, packet.frame.key, domain.id, claims);
    snoop_dhcp(context, packet.frame, in, domain);
    return true;
}

bool enter_destination(WorkerContext& context, Packet& packet, const PortConfig& out,
                       PortIndex index, const BindingView& bindings) noexcept {
    packet.aside->acl.clear();
    const Decision decision =
        inspect(*out.chain, packet.frame, Direction::kToVm, nullptr, packet.is_related,
                context.now_ns, bindings, {nullptr, &packet.aside->acl});
    return accept(context, packet, index, Direction::kToVm, decision);
}

void send_copies(WorkerContext& context, Packet& packet, Ending ending,
                 std::uint16_t domain) noexcept {
    Program program;
    program.ending = ending;
    program.domain = domain;
    program.key_policy = packet.aside->state.program.key_policy;
    if (ending == Ending::kMirrored) { program.flags = kProgramFlood; }
    if (replicate(context, packet, program, kNoPort) == 0) {
        drop(context, packet.mbuf, why_no_copy(context, packet, program));
    } else {
        consume(context, packet.mbuf);
    }
}

// A report has reached its end here, even if no router is there to be told.
void send_to_routers(WorkerContext& context, Packet& packet, std::uint16_t domain) noexcept {
    Program program;
    program.ending = Ending::kReplicate;
    program.domain = domain;
    replicate(context, packet, program, kNoPort, &router_ports(context, domain));
    consume(context, packet.mbuf);
}

void send_group(WorkerContext& context, Packet& packet, const PortConfig& in,
                std::uint16_t domain) noexcept {
    if (is_reserved_group(packet.frame.key.destination_mac)) {
        return drop(context, packet.mbuf, DropReason::kReservedMac);
    }
    const InspectKind kind = packet.frame.inspect_kind;
    if (kind == InspectKind::kIgmp || kind == InspectKind::kMld) {
        switch (snoop(context, packet, in, domain)) {
            case SnoopResult::kForward: break;
            case SnoopResult::kToRouters: return send_to_routers(context, packet, domain);
            case SnoopResult::kMalformed:
                return drop(context, packet.mbuf, DropReason::kBadMembership);
        }
    }
    send_copies(context, packet, Ending::kReplicate, domain);
}

// An ICMP error that would leave in the clear, about what must be sealed.
void drop_clear(WorkerContext& context, Packet& packet) noexcept {
    count_slot_drop(context, packet.frame.key.port, Direction::kFromVm,
                    static_cast<std::uint8_t>(kSlotEncrypt));
    drop(context, packet.mbuf, DropReason::kPolicyClear);
}

void send_unicast(WorkerContext& context, Packet& packet, std::uint16_t domain_index,
                  const Path& path) noexcept {
    const Domain& domain = context.snapshot->domains[domain_index];
    const PortIndex egress = path.to.port;
    const PortConfig& out = *context.snapshot->port(egress);
    if (!out.is_enabled) {
        return drop_towards(context, packet.mbuf, egress, DropReason::kPortDisabled);
    }
    Program program;
    program.ending = Ending::kMirrored;
    program.domain = domain_index;
    program.key_policy = packet.aside->state.program.key_policy;
    if ((program.key_policy & kSealRequired) != 0 && out.is_uplink && out.vtep == kNoVtep) {
        return drop_clear(context, packet);
    }
    if (!path.to.is_known) { program.flags = kProgramFlood; }
    if (!domain.flood.empty()) { replicate(context, packet, program, egress); }
    BindingView bindings = view_bindings(context, domain_index, packet.frame.key);
    const Domain& leaves_in = context.snapshot->domains[path.domain];
    bindings.domain = leaves_in.id;
    bindings.owners = &leaves_in.owners;
    packet.frame.key = leaving_key(packet.frame.key, path);
    if (!enter_destination(context, packet, out, egress, bindings)) { return; }
    if (path.is_routed) { program.steps.rewrite = acquire_rewrite(context, path); }
    if (path.is_routed && program.steps.rewrite == 0) {
        return drop_towards(context, packet.mbuf, egress, DropReason::kNeighbourQueueFull);
    }
    program.steps.vlan = egress_vlan_step(out, leaves_in, packet.frame.key);
    program.steps.remote = path.to.remote;
    const DropReason reason = run_steps(context, *packet.mbuf, packet.frame, program);
    if (reason == DropReason::kNone) { return output(context, packet.mbuf, egress); }
    drop_towards(context, packet.mbuf, egress, reason);  // Nobody is told: no error on an error.
}

// It is not held, but the next one may pass: a DHCP client that renews its lease asks again.
void drop_unresolved(WorkerContext& context, Packet& packet, const Path& path) noexcept {
    want_neighbour(context, router_question(*context.snapshot, path.domain, path.next_hop));
    drop(context, packet.mbuf, DropReason::kNeighbourUnreachable);
}

// A service's bridge floods what its own kernel says into the domains that it inspects.
// Conversations are never redirected there, so that they can't come back; errors are the leg's own.
bool is_stray_of_service(const PortConfig& in, const Packet& packet) noexcept {
    return in.leg_of != kNoService && packet.frame.key.has(kKeyTagged) &&
           packet.frame.inspect_kind != InspectKind::kIcmpError;
}

// False: dropped. An error that quotes no connection goes on: slot 2 of each vNIC says what that
// means.
bool relate_icmp_error(WorkerContext& context, Packet& packet, DomainId tracking) noexcept {
    if (packet.frame.inspect_kind != InspectKind::kIcmpError) { return true; }
    const DropReason reason =
        judge_icmp_error(context.connections, packet.frame, tracking, context.now_ns);
    packet.is_related = reason == DropReason::kNone;
    if (reason != DropReason::kBadIcmp) { return true; }
    drop(context, packet.mbuf, reason);
    return false;
}

}  // namespace

bool inspect_source(WorkerContext& context, Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    const PortConfig& in = *context.snapshot->port(key.port);
    const std::uint16_t index = ingress_domain(in, key);
    if (index == kNoDomain) {
        drop(context, packet.mbuf, DropReason::kVlanNotAllowed);
        return false;
    }
    if (is_stray_of_service(in, packet)) {
        drop(context, packet.mbuf, DropReason::kServiceReturn);
        return false;
    }
    if (in.is_uplink && is_reflected(context, index, key.source_mac)) {
        drop(context, packet.mbuf, reflected(in));
        return false;
    }
    const DomainId tracking = context.snapshot->domains[index].tracking;
    return relate_icmp_error(context, packet, tracking) && leave_source(context, packet, in, index);
}

void inspect_packet(WorkerContext& context, Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    const PortConfig& in = *context.snapshot->port(key.port);
    const std::uint16_t index = ingress_domain(in, key);
    if (router_inspects(context, packet, in, index)) { return; }
    if (answer_known(context, packet, in, index)) { return; }
    if (key.destination_mac.is_group()) { return send_group(context, packet, in, index); }
    const Path path = find_path(context, index, key);
    switch (path.kind) {
        case PathKind::kForward: break;
        case PathKind::kDrop: return drop(context, packet.mbuf, path.reason);
        case PathKind::kRouter: return drop(context, packet.mbuf, DropReason::kNotForRouter);
        case PathKind::kWait: return drop_unresolved(context, packet, path);
    }
    if (path.to.port == kNoPort && !path.to.is_teamed) {
        return send_copies(context, packet, Ending::kMirrored, index);
    }
    const DropReason reason = refusal(context, key, path);
    if (reason != DropReason::kNone) { return drop(context, packet.mbuf, reason); }
    send_unicast(context, packet, index, path);
}

}  // namespace sluice::datapath
