// SPDX-License-Identifier: Apache-2.0
// Asking a RuleTable. Workers, for the first packet of a flow.
#include "iochain/dfw/rule_table.h"

namespace sluice::iochain {

std::array<LaneAtoms, kLaneCount> RuleTable::locate(const FlowQuery& query) const noexcept {
    const bool has_ports = model::has_ports(query.protocol);
    const std::uint16_t low = has_ports ? query.destination_port : query.source_port;
    // All searches begin before the first one waits for memory.
    const auto destination = addresses_.begin(query.destination, query.family);
    const auto source = addresses_.begin(query.source, query.family);
    const auto service = destination_ports_.begin(service_point(query.protocol, low));
    const auto source_port = source_ports_.begin(service_point(query.protocol, query.source_port));
    const std::array<LaneAtoms, kLaneCount> out = {{
        {&destination.classes(), destination.finish(), query.more_destination},
        {&source.classes(), source.finish(), query.more_source},
        {&destination_ports_.classes(), service.finish(), {}},
        {&source_ports_.classes(), source_port.finish(), {}},
    }};
    for (const LaneAtoms& lane : out) { lane.classes->prefetch(lane.code); }
    return out;
}

bool RuleTable::confirm(std::uint32_t rule, const FlowQuery& query) const noexcept {
    if (exact_.empty()) { return true; }
    const std::uint32_t first = exact_first_[rule];
    const std::uint32_t end = exact_first_[rule + 1U];
    if (first == end) { return true; }
    const bool has_ports = model::has_ports(query.protocol);
    const std::uint32_t destination =
        service_point(query.protocol, has_ports ? query.destination_port : query.source_port);
    const std::uint32_t source = service_point(query.protocol, query.source_port);
    for (std::uint32_t i = first; i < end; ++i) {
        if (exact_[i].destination.contains(destination) && exact_[i].source.contains(source)) {
            return true;
        }
    }
    return false;
}

}  // namespace sluice::iochain
