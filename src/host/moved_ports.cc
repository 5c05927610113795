// SPDX-License-Identifier: Apache-2.0
// Moved ports: see moved_ports.h.
#include "src/host/moved_ports.h"

#include <algorithm>

#include "datapath/moved.h"

namespace sluice::host {
namespace {

using datapath::Domain;
using datapath::kNoDomain;
using datapath::MacTable;
using datapath::Snapshot;

/// Indices of a port's domains.
std::vector<std::uint16_t> domains_of(const datapath::PortConfig& port) {
    std::vector<std::uint16_t> found;
    if (port.vlan.untagged_domain != kNoDomain) { found.push_back(port.vlan.untagged_domain); }
    if (!port.vlan.tagged_domains) { return found; }
    for (const std::uint16_t domain : *port.vlan.tagged_domains) {
        if (domain != kNoDomain) { found.push_back(domain); }
    }
    return found;
}

}  // namespace

std::uint16_t remote_index(const Snapshot& snapshot, const IpAddr& vtep) {
    const auto& remotes = snapshot.remotes;
    const auto at = std::find_if(remotes.begin(), remotes.end(),
                                 [&](const auto& remote) { return remote.ip == vtep; });
    const bool is_known = vtep.family != IpFamily::kNone && at != remotes.end();
    return is_known ? static_cast<std::uint16_t>(at - remotes.begin()) : std::uint16_t{0};
}

void place_port(Snapshot& next, PortIndex port, const std::optional<MovedTo>& to) {
    const datapath::PortConfig* config = next.port(port);
    if (config == nullptr) { return; }
    const std::uint16_t remote = to ? remote_index(next, to->vtep) : std::uint16_t{0};
    for (const std::uint16_t index : domains_of(*config)) {
        Domain& domain = next.domains[index];
        if (to && domain.vni != 0 && remote == 0) { continue; }
        std::vector<MacTable::Row> rows = domain.macs.rows();
        const auto row = std::find_if(rows.begin(), rows.end(),
                                      [&](const auto& each) { return each.mac == config->mac; });
        if (row == rows.end()) { continue; }
        const unsigned behind = domain.vni != 0 ? remote : 0U;
        const unsigned mark = to && !to->is_awaited ? datapath::kMovedRow : 0U;
        row->port = to ? kNoPort : port;
        row->remote = to ? static_cast<std::uint16_t>(behind | mark) : std::uint16_t{0};
        std::vector<AddressOwner> owners = domain.owners.rows();
        for (AddressOwner& owner : owners) {
            if (owner.mac == config->mac) { owner.port = row->port; }
        }
        domain.macs = MacTable(std::move(rows));
        domain.owners = AddressTable(std::move(owners));
        domain.epoch = next.generation;
    }
}

std::optional<MovedTo> placed(const Snapshot& snapshot, PortIndex port) {
    const datapath::PortConfig* config = snapshot.port(port);
    if (config == nullptr || config->is_uplink) { return std::nullopt; }
    for (const std::uint16_t index : domains_of(*config)) {
        const MacTable::Row* row = snapshot.domains[index].macs.row(config->mac);
        if (row == nullptr || row->port != kNoPort) { continue; }
        return MovedTo{
            snapshot.remotes.empty() ? IpAddr{} : snapshot.remotes[datapath::remote_of(*row)].ip,
            !datapath::is_moved(*row)};
    }
    return std::nullopt;
}

}  // namespace sluice::host
