// SPDX-License-Identifier: Apache-2.0
// Asking a RuleTable. Workers, for the first packet of a flow.
#include "iochain/dfw/rule_table.h"

namespace sluice::iochain {

RuleTable::Searches RuleTable::begin(const FlowQuery& query) const noexcept {
    const bool has_ports = model::has_ports(query.protocol);
    const std::uint16_t low = has_ports ? query.destination_port : query.source_port;
    return {{addresses_.begin(query.destination, query.family),
             addresses_.begin(query.source, query.family)},
            {destination_ports_.begin(service_point(query.protocol, low)),
             source_ports_.begin(service_point(query.protocol, query.source_port))}};
}

Places RuleTable::finish(const Searches& searches) const noexcept {
    const Places places = {searches.addresses[0].finish(), searches.addresses[1].finish(),
                           searches.services[0].finish(), searches.services[1].finish()};
    for (std::size_t i = 0; i < 2; ++i) {
        addresses_.classes(searches.addresses[i].is_v4).prefetch(places[i]);
    }
    destination_ports_.classes().prefetch(places[2]);
    return places;
}

std::array<LaneAtoms, kLaneCount> RuleTable::atoms_at(
    const Places& places, IpFamily family, const AddressHolders& holders) const noexcept {
    const AtomClasses& addresses = addresses_.classes(family == IpFamily::kV4);
    return {{{&addresses, places[0], addresses_.of_port(holders.destination)},
             {&addresses, places[1], addresses_.of_port(holders.source)},
             {&destination_ports_.classes(), places[2], {}},
             {&source_ports_.classes(), places[3], {}}}};
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
