// SPDX-License-Identifier: Apache-2.0
// What a composition (composer.h) leaves behind for rules with `log`. Worker.
#include "datapath/composer.h"

namespace sluice::datapath {

// For rules with `log`: one record a packet that was decided, so one a connection, or a refused
// flow.
void Composer::log(FirewallEventKind kind, const Decision& decision, Direction direction) noexcept {
    if (!decision.log || trace != nullptr) [[likely]] { return; }
    FirewallEvent event = event_of(key, context.now_ns);
    event.rule = decision.rule;
    const bool is_known = direction == Direction::kToVm && program.output != kNoPort;
    event.port = is_known ? program.output : key.port;
    event.kind = kind;
    event.direction = direction;
    event.source_vnic = key.port;
    event.destination_vnic = program.output;
    if (program.output == kNoPort && !key.destination_mac.is_group()) {
        event.destination_vnic = path().to.port;
    }
    context.firewall_events.push(event);
}

// A rule that let it through on both sides speaks once.
void Composer::log_passage(FirewallEventKind kind, const Decision& from,
                           const Decision& to) noexcept {
    log(kind, from, Direction::kFromVm);
    if (to.rule != from.rule) { log(kind, to, Direction::kToVm); }
}

}  // namespace sluice::datapath
