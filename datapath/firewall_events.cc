// SPDX-License-Identifier: Apache-2.0
// Firewall events: the records that rules with `log` leave in their worker's ring (events.h). First
// packets (first_packet.cc) say what became of them; the connection table says when a logged
// connection ends, whoever ends it: its last packet, a rule, its age, a command. Worker.
#include "datapath/stages.h"

namespace sluice::datapath {

FirewallEvent event_of(const FlowKey& key, std::uint64_t now_ns) noexcept {
    FirewallEvent event;
    event.time_ns = now_ns;
    __builtin_memcpy(event.source_ip, key.source_ip, sizeof event.source_ip);
    __builtin_memcpy(event.destination_ip, key.destination_ip, sizeof event.destination_ip);
    event.source_port = key.source_port.host();
    event.destination_port = key.destination_port.host();
    event.protocol = key.protocol;
    event.family = key.family();
    return event;
}

void log_end(void* context, const Connection& record, ConnectionEnd why,
             std::uint64_t opened_ns) noexcept {
    auto& worker = *static_cast<WorkerContext*>(context);
    FirewallEvent event = event_of(opener_key_of(record), worker.now_ns);
    event.kind = FirewallEventKind::kEnd;
    event.rule = record.opener_rule;
    event.responder_rule = record.responder_rule;
    event.port = event.source_vnic = record.opener_port;
    event.destination_vnic = record.responder_port;
    event.why = why;
    event.opened_ns = opened_ns;
    event.packets = record.packets;
    event.bytes = record.bytes;
    worker.firewall_events.push(event);
}

}  // namespace sluice::datapath
