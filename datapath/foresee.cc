// SPDX-License-Identifier: Apache-2.0
// Foresee: what the first packets of a burst will look up, fetched for all of them before the first
// one is decided, so that they wait for memory together. Has no effect but that. Called by
// ingress.cc; worker.
#include "datapath/stages.h"

namespace sluice::datapath {

void foresee(WorkerContext& context, Packet& packet) noexcept {
    const FlowKey& key = packet.frame.key;
    if (!key.is_ip() || packet.frame.fragment || packet.frame.frame_class != FrameClass::kFlow) {
        return;
    }
    const std::uint16_t index = ingress_domain(*context.snapshot->port(key.port), key);
    if (index == kNoDomain) { return; }
    const Domain& domain = context.snapshot->domains[index];
    packet.aside->tuple = tuple_of(key, domain.tracking);
    packet.aside->foreseen_in = context.burst_number;
    packet.aside->judgement = Judgement{};
    context.connections.prepare(packet.aside->tuple);
    if ((packet.frame.tcp_flags & (kTcpSyn | kTcpAck)) == kTcpSyn && context.options.flow_cache) {
        foresee_reply(context, key, domain);
    }
}

void foresee_rules(WorkerContext& context, std::span<Packet> burst) noexcept {
    std::array<const FlowKey*, kBurstMax> keys;
    std::array<Packet*, kBurstMax> packets;
    std::array<Judgement, kBurstMax> judgements;
    std::size_t count = 0;
    for (Packet& packet : burst) {
        if (packet.flow != nullptr || !is_foreseen(context, packet)) { continue; }
        keys[count] = &packet.frame.key;
        packets[count++] = &packet;
    }
    if (count == 0) { return; }
    foresee(*context.snapshot->port(keys[0]->port)->chain, std::span(keys).first(count),
            std::span(judgements).first(count));
    for (std::size_t i = 0; i < count; ++i) { packets[i]->aside->judgement = judgements[i]; }
}

}  // namespace sluice::datapath
