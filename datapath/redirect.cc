// SPDX-License-Identifier: Apache-2.0
// Redirect: the endings of frames whose connection passes services. kRedirect hands one to the next
// service, out by its leg with the tag of the domain that it entered; it comes back by the leg's
// port, and its program there ends with kRedirect again, or with kResume behind the last one: the
// tag goes off, and it is sent as if it had never been away.
// docs/adr/0039-a-connection-is-pinned-to-its-services.md. Called by ingress.cc; worker.
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include <cstring>

#include "datapath/nsh.h"
#include "datapath/service_module.h"
#include "datapath/stages.h"
#include "datapath/tunnel.h"

namespace sluice::datapath {
namespace {

constexpr std::uint16_t kTagBytes = sizeof(rte_vlan_hdr);
constexpr unsigned kPlaceCount = 2 * kSlotCount;

// Where a slot stands on a frame's way: the sender's 0 to 15, then the receiver's 15 to 0.
constexpr unsigned place_of(bool is_senders, unsigned slot) noexcept {
    return is_senders ? slot : kPlaceCount - 1U - slot;
}

bool is_senders(const ServiceHop& hop, ConnectionSide side) noexcept {
    return hop.of_receiver == (side == ConnectionSide::kResponder);
}

unsigned place_of(const ServiceHop& hop, ConnectionSide side) noexcept {
    return place_of(is_senders(hop, side), hop.slot);
}

const ServiceHop* hop_of(const WorkerContext& context, const Program& program,
                         std::uint16_t instance) noexcept {
    const ServicePins& pins = context.pins.of(program.connection);
    for (std::size_t i = 0; i < pins.count && i < pins.hops.size(); ++i) {
        if (pins.hops[i].instance == instance) { return &pins.hops[i]; }
    }
    return nullptr;
}

bool is_module(const WorkerContext& context, const ServiceHop& hop) noexcept {
    const auto& all = context.snapshot->service_instances;
    return hop.instance < all.size() && all[hop.instance].module != 0;
}

// The first service behind `instance` that is not in this process. nullptr: none.
const ServiceHop* stop_behind(const WorkerContext& context, const Program& program,
                              std::uint16_t instance) noexcept {
    const ServiceHop* hop = hop_behind(context, program.connection, program.side, instance);
    while (hop != nullptr && is_module(context, *hop)) {
        hop = hop_behind(context, program.connection, program.side, hop->instance);
    }
    return hop;
}

// Of one vNIC's slots those whose place is in [begin, end).
std::uint16_t keep_places(std::uint16_t slots, bool is_senders, unsigned begin,
                          unsigned end) noexcept {
    std::uint16_t kept = 0;
    for (unsigned slot = 0; slot < kSlotCount; ++slot) {
        const unsigned place = place_of(is_senders, slot);
        if (place >= begin && place < end) { kept = static_cast<std::uint16_t>(kept | 1U << slot); }
    }
    return slots & kept;
}

std::uint16_t back_from(const WorkerContext& context, const Packet& packet) noexcept {
    const bool is_back = (packet.flow->program.flags & kProgramReturned) != 0;
    return is_back ? instance_behind(context, packet.frame.key) : kNoService;
}

// The tag of a frame becomes `vid`, its priority stays.
void set_vid(rte_mbuf& frame, std::uint16_t vid) noexcept {
    auto* tag = rte_pktmbuf_mtod_offset(&frame, std::uint8_t*, 2 * RTE_ETHER_ADDR_LEN + 2);
    tag[0] = static_cast<std::uint8_t>((tag[0] & 0xf0U) | vid >> 8U);
    tag[1] = static_cast<std::uint8_t>(vid);
}

void count_rule(WorkerContext& context, const ServiceHop& hop, std::uint64_t bytes) noexcept {
    if (hop.rule >= context.snapshot->service_rules.size()) { return; }
    const RuleId rule = context.snapshot->service_rules[hop.rule].id;
    if (rule.value == 0) { return; }
    RuleCounters& counters = context.rules[rule_slot(rule)];
    counters.packets.add(1);
    counters.bytes.add(bytes);
}

void count_handed(WorkerContext& context, const Packet& packet, const ServiceHop& hop) noexcept {
    const std::uint64_t bytes = packet.frame.frame_size;
    ServiceCounters& counters = context.service_counters[hop.instance];
    counters.sent_packets.add(1);
    counters.sent_bytes.add(bytes);
    count_rule(context, hop, bytes);
}

// Out by the leg of its direction.
void send_by_leg(WorkerContext& context, const Packet& packet,
                 const ServiceInstanceConfig& service) noexcept {
    const Program& program = packet.flow->program;
    const std::uint16_t vid = context.snapshot->domains[program.domain].service_vid;
    const PortIndex leg = program.side == ConnectionSide::kOpener ? service.in : service.out;
    if (vid == 0) { return drop(context, packet.mbuf, DropReason::kServiceDown); }
    if (packet.frame.key.has(kKeyTagged)) {
        set_vid(*packet.mbuf, vid);
    } else if (!run_vlan_step(*packet.mbuf, static_cast<std::uint16_t>(Steps::kVlanPush | vid))) {
        return drop(context, packet.mbuf, DropReason::kNoBuffer);
    }
    output(context, packet.mbuf, leg);
}

// In an envelope, without any tag.
[[gnu::noinline]] void send_enveloped(WorkerContext& context, Packet& packet,
                                      const ServiceHop& hop) noexcept {
    const Program& program = packet.flow->program;
    if (packet.frame.key.has(kKeyTagged) && !run_vlan_step(*packet.mbuf, Steps::kVlanPop)) {
        return drop(context, packet.mbuf, DropReason::kNoBuffer);
    }
    NshContext what;
    what.port = source_port(context, packet);
    what.service_vid = context.snapshot->domains[program.domain].service_vid;
    what.slot = hop.slot;
    what.direction = is_senders(hop, program.side) ? Direction::kFromVm : Direction::kToVm;
    what.side = program.side;
    what.connection = program.connection;
    send_in_nsh(context, packet.mbuf, hop.instance, what);
}

// To another host it would go in the clear.
bool is_sealed_on_its_way(const WorkerContext& context, const Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    return context.pins.of(program.connection).is_sealed || is_covered(packet.frame.key, program);
}

void hand_over(WorkerContext& context, Packet& packet, const ServiceHop& hop) noexcept {
    const ServiceInstanceConfig& service = context.snapshot->service_instances[hop.instance];
    if (service.remote != 0 && is_sealed_on_its_way(context, packet)) [[unlikely]] {
        return drop(context, packet.mbuf, DropReason::kPolicyClear);
    }
    count_handed(context, packet, hop);
    const bool is_plain =
        service.remote == 0 && service.encapsulation == model::Encapsulation::kPlain;
    if (is_plain) [[likely]] { return send_by_leg(context, packet, service); }
    send_enveloped(context, packet, hop);
}

// A rule that fails closed has no instance: the drop is its slot's.
// @param from  the service before it
[[gnu::noinline]] void end_refused(WorkerContext& context, Packet& packet, std::uint16_t from,
                                   DropReason reason) noexcept {
    const Program& program = packet.flow->program;
    const ServiceHop* hop = hop_behind(context, program.connection, program.side, from);
    if (hop != nullptr) {
        const bool is_source = is_senders(*hop, program.side);
        const PortIndex port =
            is_source ? sender_of(context, program.connection, program.side) : program.output;
        const Direction direction = is_source ? Direction::kFromVm : Direction::kToVm;
        if (port != kNoPort) { count_slot_drop(context, port, direction, hop->slot); }
    }
    drop(context, packet.mbuf, reason);
}

// Takes back what finish() has counted of a packet with a program of its own: counters are numbers
// modulo 2^64.
void uncount(WorkerContext& context, const Packet& packet) noexcept {
    const PacketAside& aside = *packet.aside;
    const std::uint64_t bytes = packet.frame.frame_size;
    account(context, source_port(context, packet), aside.state.program, aside.rule_from,
            aside.rule_to, ~std::uint64_t{0}, ~bytes + 1U);
    if (has_acl(aside.state.program)) {
        count_acl(context, aside.acl.all(), ~std::uint64_t{0}, ~bytes + 1U);
    }
}

// Hops were skipped since its program was made: that is made anew. Each time there is one less.
// @param handle  of the connection, from now on
[[gnu::noinline]] void end_anew(WorkerContext& context, Packet& packet,
                                ConnectionHandle handle) noexcept {
    if (packet.flow != &packet.aside->state) {  // Counted already, to be counted again.
        --packet.flow->packets;
        packet.flow->bytes -= packet.frame.frame_size;
    } else {
        packet.flow->program.connection = handle;
        uncount(context, packet);
    }
    decide_packet(context, packet);
    finish_packet(context, packet);
}

// The frame as it entered first, its parse with it. False: no room.
bool undress(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    ParsedFrame& frame = packet.frame;
    if ((program.flags & kProgramEnteredTagged) != 0) {
        set_vid(*packet.mbuf, context.snapshot->domains[program.domain].vlan);
        return true;
    }
    if (!run_vlan_step(*packet.mbuf, Steps::kVlanPop)) { return false; }
    frame.data = rte_pktmbuf_mtod(packet.mbuf, const std::uint8_t*);
    frame.data_size = static_cast<std::uint16_t>(frame.data_size - kTagBytes);
    frame.frame_size -= kTagBytes;
    if (frame.l3_offset != 0) {
        frame.l3_offset = static_cast<std::uint16_t>(frame.l3_offset - kTagBytes);
    }
    if (frame.l4_offset != 0) {
        frame.l4_offset = static_cast<std::uint16_t>(frame.l4_offset - kTagBytes);
    }
    frame.key.flags &= static_cast<std::uint8_t>(~kKeyTagged);
    frame.key.vlan = 0;
    return true;
}

// Copies and errors go by where it entered first.
[[gnu::noinline]] void take_key_back(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    const PortIndex sender = sender_of(context, program.connection, program.side);
    if (const auto entered = entered_key(context, packet.frame.key, program.domain, sender)) {
        packet.frame.key = *entered;
    }
}

// No service is left: to where it goes. It is as it entered first.
void go_on(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    const Domain& domain = context.snapshot->domains[program.domain];
    const bool is_copied = (program.flags & kProgramFlood) != 0 || !domain.promiscuous.empty();
    const bool needs_key = is_copied || program.steps.rewrite != 0;
    if (needs_key && (program.flags & kProgramReturned) != 0) [[unlikely]] {
        take_key_back(context, packet);
    }
    send_on(context, packet, is_copied);
}

struct ModuleCall {
    WorkerContext& context;
    Packet& packet;
    ServiceHop& hop;
    ModuleVerdict verdict = ModuleVerdict::kFailed;
};

void call_module(void* argument) noexcept {
    auto& call = *static_cast<ModuleCall*>(argument);
    const Program& program = call.packet.flow->program;
    call.verdict =
        inspect_by_module(call.context, call.packet, program.connection, call.hop, program.side);
}

// What a module says; kFailed becomes what its rule says to failures. True: on to the next one.
bool ask_module(WorkerContext& context, Packet& packet, const ServiceHop& hop,
                std::uint16_t from) noexcept {
    const Program& program = packet.flow->program;
    ServicePins& pins = context.pins.of(program.connection);
    ServiceHop& own = pins.hops[static_cast<std::size_t>(&hop - pins.hops.data())];
    ModuleCall call{context, packet, own};
    context.connections.run_locked(program.connection, call_module, &call);
    if (call.verdict == ModuleVerdict::kPass) { return true; }
    if (call.verdict == ModuleVerdict::kBypass) {
        bypass_services(context, program.connection);
        return true;
    }
    const auto& rules = context.snapshot->service_rules;
    const bool is_closed =
        hop.rule < rules.size() && rules[hop.rule].on_failure == model::OnFailure::kClosed;
    ServiceCounters& counters = context.service_counters[hop.instance];
    if (call.verdict == ModuleVerdict::kFailed && !is_closed) {
        counters.skipped_packets.add(1);
        return true;
    }
    const bool is_denied = call.verdict == ModuleVerdict::kDrop;
    if (!is_denied) { counters.dropped_packets.add(1); }
    end_refused(context, packet, from,
                is_denied ? DropReason::kServiceDeny : DropReason::kServiceDown);
    return false;
}

// In-process services, one after the other, and then out by a leg or to where it goes. The program
// was made for all of them (keep_slots_between()).
[[gnu::noinline]] void run_modules(WorkerContext& context, Packet& packet, const ServiceHop* hop,
                                   std::uint16_t from) noexcept {
    const Program& program = packet.flow->program;
    if (from != kNoService && !undress(context, packet)) {
        return drop(context, packet.mbuf, DropReason::kNoBuffer);
    }
    while (hop != nullptr && is_module(context, *hop)) {
        count_handed(context, packet, *hop);
        if (!ask_module(context, packet, *hop, from)) { return; }
        context.service_counters[hop->instance].returned_packets.add(1);
        from = hop->instance;
        DropReason reason = DropReason::kNone;
        ConnectionHandle handle = program.connection;
        hop = next_hop(context, handle, program.side, from, reason);
        if (reason != DropReason::kNone) { return end_refused(context, packet, from, reason); }
    }
    if (hop != nullptr) { return hand_over(context, packet, *hop); }
    go_on(context, packet);
}

}  // namespace

bool is_covered(const FlowKey& key, const Program& program) noexcept {
    return (program.flags & kProgramLocal) != 0 || program.key_policy != 0 ||
           sealed_with(key.tunnel) != 0;
}

bool keep_slots_between(const WorkerContext& context, Program& program,
                        std::uint16_t instance) noexcept {
    unsigned begin = 0;
    unsigned end = kPlaceCount;
    if (instance != kNoService) {
        const ServiceHop* behind = hop_of(context, program, instance);
        if (behind != nullptr) { begin = place_of(*behind, program.side) + 1U; }
    }
    if (program.ending == Ending::kRedirect) {
        const ServiceHop* next = stop_behind(context, program, instance);
        if (next != nullptr) { end = place_of(*next, program.side) + 1U; }
    }
    program.decided_from = keep_places(program.decided_from, true, begin, end);
    program.decided_to = keep_places(program.decided_to, false, begin, end);
    return end == kPlaceCount;
}

void end_redirected(WorkerContext& context, Packet& packet) noexcept {
    const Program& program = packet.flow->program;
    const std::uint16_t from = back_from(context, packet);
    DropReason reason = DropReason::kNone;
    ConnectionHandle handle = program.connection;
    const ServiceHop* hop = next_hop(context, handle, program.side, from, reason);
    if (hop == nullptr || !(handle == program.connection)) [[unlikely]] {
        return reason == DropReason::kNone ? end_anew(context, packet, handle)
                                           : end_refused(context, packet, from, reason);
    }
    if (from != kNoService) { context.service_counters[from].returned_packets.add(1); }
    if (is_module(context, *hop)) [[unlikely]] { return run_modules(context, packet, hop, from); }
    hand_over(context, packet, *hop);
}

void end_resumed(WorkerContext& context, Packet& packet) noexcept {
    context.service_counters[back_from(context, packet)].returned_packets.add(1);
    if (!undress(context, packet)) { return drop(context, packet.mbuf, DropReason::kNoBuffer); }
    go_on(context, packet);
}

}  // namespace sluice::datapath
