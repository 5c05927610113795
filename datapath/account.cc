// SPDX-License-Identifier: Apache-2.0
// Account: figures that cached programs carry reach the slots, rules and connections lazily: when a
// flow is forgotten or decided again, by the sweep, and before control reads them. Per packet only
// the flow's own line is written.
#include <bit>

#include "datapath/stages.h"

namespace sluice::datapath {
namespace {

void add_rule(WorkerContext& context, RuleId rule, bool counts_hits, std::uint64_t packets,
              std::uint64_t bytes) noexcept {
    if (rule.value == 0) { return; }
    RuleCounters& counters = context.rules[rule_slot(rule)];
    if (counts_hits) { counters.hits.add(packets); }
    counters.packets.add(packets);
    counters.bytes.add(bytes);
}

}  // namespace

void count_slots(WorkerContext& context, PortIndex port, Direction direction, std::uint16_t slots,
                 std::uint64_t packets) noexcept {
    auto& counters = context.ports[port.value].slots;
    for (unsigned mask = slots; mask != 0; mask &= mask - 1U) {
        counters[static_cast<unsigned>(std::countr_zero(mask))][static_cast<std::size_t>(direction)]
            .packets.add(packets);
    }
}

void count_slot_drop(WorkerContext& context, PortIndex port, Direction direction,
                     std::uint8_t slot) noexcept {
    if (slot == kNoSlot) { return; }
    if (context.capture.set != nullptr) { capture_drop_slot(context, port, direction, slot); }
    context.ports[port.value].slots[slot][static_cast<std::size_t>(direction)].drops.add(1);
}

void count_acl(WorkerContext& context, std::span<const RuleId> rules, std::uint64_t packets,
               std::uint64_t bytes) noexcept {
    for (const RuleId rule : rules) { add_rule(context, rule, true, packets, bytes); }
}

void account(WorkerContext& context, PortIndex ingress, const Program& program, RuleId rule_from,
             RuleId rule_to, std::uint64_t packets, std::uint64_t bytes) noexcept {
    if (packets == 0) { return; }
    if (ingress != kNoPort) {
        count_slots(context, ingress, Direction::kFromVm, program.decided_from, packets);
    }
    if (program.output != kNoPort) {
        count_slots(context, program.output, Direction::kToVm, program.decided_to, packets);
    }
    const bool counts_hits = (program.flags & kProgramHitsByPacket) != 0;
    add_rule(context, rule_from, counts_hits, packets, bytes);
    if (rule_to != rule_from) { add_rule(context, rule_to, counts_hits, packets, bytes); }
    if ((program.flags & kProgramLocal) != 0) { context.counters.unsealed_local.add(packets); }
    if (program.tracked) { context.connections.account(program.connection, packets, bytes); }
}

void fold(WorkerContext& context, std::uint32_t index) noexcept {
    const FlowEntry& entry = context.flows.entry(index);
    FlowCold& cold = context.flows.cold(index);
    const std::uint64_t packets = (entry.state.packets - cold.folded_packets) & kFoldedPacketsMask;
    const std::uint64_t bytes = entry.state.bytes - cold.folded_bytes;
    const bool is_returned = (entry.state.program.flags & kProgramReturned) != 0;
    account(context, is_returned ? cold.sender() : entry.key.port, entry.state.program,
            cold.rule_from, cold.rule_to, packets, bytes);
    if (packets > 0 && has_acl(entry.state.program)) {
        count_acl(context, context.flows.acl(index).all(), packets, bytes);
    }
    if (packets > 0) { keep_binding(context, entry.key, entry.state.last_used_ms); }
    if (packets > 0 && (entry.state.program.flags & kProgramLearnedFrom) != 0) {
        touch_source(context, entry.key, entry.state.last_used_ms);
    }
    cold.folded_packets = entry.state.packets & kFoldedPacketsMask;
    cold.folded_bytes = entry.state.bytes;
}

}  // namespace sluice::datapath
