// SPDX-License-Identifier: Apache-2.0
// Inspect: frames that are conversations with the switch (ARP, ND, DHCP, MLD, ICMP errors...). Each
// walks both chains' inspect() and is switched at once; nothing is cached. Slot 1's rate limits
// bound what a vNIC can cost here.
#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

// One vNIC has judged. False: dropped.
bool accept(WorkerContext& context, Packet& packet, PortIndex index, Direction direction,
            const Decision& decision) noexcept {
    count_slots(context, index, direction, decision.decided, 1);
    if (decision.verdict == Verdict::kPass) { return true; }
    count_slot_drop(context, index, direction, decision.slot);
    drop(context, packet.mbuf, decision.reason);
    return false;
}

bool leave_source(WorkerContext& context, Packet& packet, const PortConfig& in,
                  DomainId domain) noexcept {
    const PortIndex index = packet.frame.key.port;
    const BindingView bindings{&context.learned, domain, context.now_ns};
    BindingClaims claims;
    const Decision decision =
        inspect(*in.chain, packet.frame, Direction::kFromVm, &context.chains[index.value],
                packet.is_related, context.now_ns, bindings, &claims);
    if (!accept(context, packet, index, Direction::kFromVm, decision)) { return false; }
    learn_claims(context, packet.frame.key, domain, claims);
    return true;
}

bool enter_destination(WorkerContext& context, Packet& packet, const PortConfig& out,
                       PortIndex index) noexcept {
    const Decision decision = inspect(*out.chain, packet.frame, Direction::kToVm, nullptr,
                                      packet.is_related, context.now_ns);
    return accept(context, packet, index, Direction::kToVm, decision);
}

void send_copies(WorkerContext& context, Packet& packet, Ending ending, std::uint16_t domain,
                 DropReason if_none) noexcept {
    Program program;
    program.ending = ending;
    program.domain = domain;
    if (replicate(context, packet, program, kNoPort) == 0) {
        drop(context, packet.mbuf, if_none);
    } else {
        consume(context, packet.mbuf);
    }
}

void send_unicast(WorkerContext& context, Packet& packet, std::uint16_t domain_index,
                  PortIndex egress) noexcept {
    const Domain& domain = context.snapshot->domains[domain_index];
    const PortConfig& out = *context.snapshot->port(egress);
    if (!out.is_enabled) { return drop(context, packet.mbuf, DropReason::kPortDisabled); }
    Program program;
    program.ending = Ending::kMirrored;
    program.domain = domain_index;
    if (!domain.promiscuous.empty()) { replicate(context, packet, program, egress); }
    if (!enter_destination(context, packet, out, egress)) { return; }
    if (const auto step = egress_vlan_step(out, domain, packet.frame.key)) {
        program.steps[program.step_count++] = *step;
    }
    if (!run_vlan_steps(*packet.mbuf, program)) {
        return drop(context, packet.mbuf, DropReason::kNoBuffer);
    }
    output(context, packet.mbuf, egress);
}

// False: dropped. An error that quotes no connection goes on: slot 2 of each vNIC says what that
// means.
bool relate_icmp_error(WorkerContext& context, Packet& packet, DomainId domain) noexcept {
    if (packet.frame.inspect_kind != InspectKind::kIcmpError) { return true; }
    const DropReason reason =
        judge_icmp_error(context.connections, packet.frame, domain, context.now_ns);
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
    const DomainId domain = context.snapshot->domains[index].id;
    return relate_icmp_error(context, packet, domain) && leave_source(context, packet, in, domain);
}

void inspect_packet(WorkerContext& context, Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    const std::uint16_t index = ingress_domain(*context.snapshot->port(key.port), key);
    const Domain& domain = context.snapshot->domains[index];
    if (key.destination_mac.is_group()) {
        if (is_reserved_group(key.destination_mac)) {
            return drop(context, packet.mbuf, DropReason::kReservedMac);
        }
        return send_copies(context, packet, Ending::kReplicate, index, DropReason::kNoDestination);
    }
    const PortIndex egress = destination_of(domain, key);
    if (egress == kNoPort) {
        return send_copies(context, packet, Ending::kMirrored, index, DropReason::kUnknownUnicast);
    }
    if (egress == key.port) { return drop(context, packet.mbuf, DropReason::kSamePort); }
    send_unicast(context, packet, index, egress);
}

}  // namespace sluice::datapath
