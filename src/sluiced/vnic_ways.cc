// SPDX-License-Identifier: Apache-2.0
// VnicWays: see vnic_ways.h.
#include "src/sluiced/vnic_ways.h"

#include <algorithm>

#include "datapath/teaming.h"

namespace sluice::daemon {
namespace {

using datapath::kNoDomain;
using datapath::PortConfig;
using datapath::Snapshot;

constexpr std::uint64_t kBalanceBytesMin = 125000;  // Less is not worth a move.

// The first domain of a port: its way in all of them is one, by its team.
std::uint16_t first_domain(const PortConfig& port) {
    if (port.vlan.untagged_domain != kNoDomain || !port.vlan.tagged_domains) {
        return port.vlan.untagged_domain;
    }
    const auto& domains = *port.vlan.tagged_domains;
    const auto at = std::find_if(domains.begin(), domains.end(),
                                 [](std::uint16_t domain) { return domain != kNoDomain; });
    return at == domains.end() ? kNoDomain : *at;
}

bool is_vnic(const PortConfig* port) {
    return port != nullptr && !port->is_uplink && port->is_enabled;
}

}  // namespace

void VnicWays::take_snapshot() {
    const Snapshot& snapshot = dataplane_.snapshot();
    if (generation_ == snapshot.generation) { return; }
    generation_ = snapshot.generation;
    vnics_.resize(kPortMax);
    for (std::uint16_t i = 0; i < kPortMax; ++i) {
        const PortConfig* port = snapshot.port(PortIndex{i});
        Vnic& vnic = vnics_[i];
        const std::string name = is_vnic(port) ? port->name : "";
        if (name != vnic.name) {  // Another one has the index now.
            vnic = Vnic{};
            vnic.name = name;
            dataplane_.reach().prefer(PortIndex{i}, kNoPort);
        }
        vnic.domain = name.empty() ? kNoDomain : first_domain(*port);
    }
}

void VnicWays::look() {
    take_snapshot();
    for (std::uint16_t i = 0; i < vnics_.size(); ++i) {
        if (!vnics_[i].name.empty()) { look_at(PortIndex{i}, vnics_[i]); }
    }
    look_at_routers();
}

// Only the MAC: the addresses are every host's.
void VnicWays::look_at_routers() {
    const Snapshot& snapshot = dataplane_.snapshot();
    std::map<DomainId, PortIndex> next;
    for (std::uint16_t i = 0; i < snapshot.domains.size(); ++i) {
        const datapath::Domain& domain = snapshot.domains[i];
        if (domain.router == datapath::kNoRouter) { continue; }
        FlowKey key;
        key.source_mac = snapshot.routers[domain.router].pmac;
        const PortIndex way = datapath::find_way_out(snapshot, dataplane_.reach(), i, kNoPort, key);
        next[domain.id] = way;
        const auto former = routers_.find(domain.id);
        const bool has_moved = former == routers_.end() || former->second != way;
        if (has_moved && way != kNoPort) { announcer_.router_moved(domain.id, key.source_mac); }
    }
    routers_ = std::move(next);
}

void VnicWays::look_at(PortIndex index, Vnic& vnic) {
    const Snapshot& snapshot = dataplane_.snapshot();
    const PortConfig& port = *snapshot.port(index);
    FlowKey key;
    key.source_mac = port.mac;
    const PortIndex way =
        vnic.domain == kNoDomain
            ? kNoPort
            : datapath::find_way_out(snapshot, dataplane_.reach(), vnic.domain, index, key);
    const PortIndex former = std::exchange(vnic.way, way);
    const bool was_up = std::exchange(vnic.is_up, port.device->is_up());
    if (way == kNoPort || !vnic.is_up) { return; }
    if (!was_up) { return announcer_.appeared(index); }
    if (way != former) { announcer_.moved(index); }
}

unsigned VnicWays::count_of(PortIndex way) const {
    return static_cast<unsigned>(
        std::count_if(vnics_.begin(), vnics_.end(),
                      [way](const Vnic& vnic) { return !vnic.name.empty() && vnic.way == way; }));
}

PortIndex VnicWays::way_of(PortIndex vnic) const {
    return vnic.value < vnics_.size() ? vnics_[vnic.value].way : kNoPort;
}

std::uint64_t VnicWays::bytes_of(PortIndex port) const {
    std::uint64_t sum = 0;
    for (unsigned worker = 0; worker < dataplane_.worker_count(); ++worker) {
        const PortCounters& counters = dataplane_.worker(worker).context().ports[port.value];
        sum += counters.rx_bytes.get() + counters.tx_bytes.get();
    }
    return sum;
}

void VnicWays::measure() {
    bytes_.resize(kPortMax);
    carried_.resize(kPortMax);
    for (std::uint16_t i = 0; i < dataplane_.snapshot().ports.size(); ++i) {
        const std::uint64_t bytes = bytes_of(PortIndex{i});
        carried_[i] = bytes - std::exchange(bytes_[i], bytes);
    }
}

std::uint64_t VnicWays::load_bps(PortIndex port) const {
    return port.value < carried_.size() ? carried_[port.value] * 8 * 1000 / kBalanceMs : 0;
}

bool VnicWays::balance() {
    measure();
    const auto& teams = dataplane_.snapshot().teams;
    bool has_moved = false;
    for (std::uint16_t i = 0; i < teams.size(); ++i) {
        if (teams[i].policy == model::TeamingPolicy::kLoad) { has_moved |= balance_team(i); }
    }
    return has_moved;
}

bool VnicWays::balance_team(std::uint16_t index) {
    const Snapshot& snapshot = dataplane_.snapshot();
    std::vector<UplinkLoad> uplinks;
    for (const PortIndex uplink : snapshot.teams[index].active) {
        if (!dataplane_.reach().works(uplink)) { continue; }
        uplinks.push_back({uplink, carried_[uplink.value]});
    }
    std::vector<VnicLoad> vnics;
    for (std::uint16_t i = 0; i < vnics_.size(); ++i) {
        const Vnic& vnic = vnics_[i];
        if (vnic.name.empty() || vnic.domain == kNoDomain) { continue; }
        const PortIndex port{i};
        if (datapath::team_of(snapshot, snapshot.domains[vnic.domain], port) != index) { continue; }
        vnics.push_back({port, vnic.way, carried_[i]});
    }
    const std::optional<LoadMove> move = next_move(uplinks, vnics, kBalanceBytesMin);
    return move && dataplane_.reach().prefer(move->vnic, move->uplink);
}

}  // namespace sluice::daemon
