// SPDX-License-Identifier: Apache-2.0
// LocalView: see local_view.h.
#include "src/sluiced/local_view.h"

#include <algorithm>

#include "controller-agent/fleet/segment_name.h"
#include "sluice/model/resolve.h"
#include "src/sluiced/worker_clock.h"

namespace sluice::daemon {
namespace {

constexpr std::uint32_t kRowsACall = 8192;  // Some milliseconds' work.

bool is_up(const datapath::PortConfig* config) {
    return config != nullptr && config->is_enabled && config->device->is_up();
}

// Empty of a trunk, and of a port whose group is not there.
std::string segment_of(const model::Resolver& names, const model::Port& port) {
    const model::PortGroup* group = names.port_group(port.port_group);
    if (group == nullptr) { return {}; }
    if (group->vni != 0) { return fleet::segment_name(group->switch_name, {group->vni, 0}); }
    const model::Vlan& vlan = model::effective_vlan(port, *group);
    if (vlan.mode == model::VlanMode::kTrunk) { return {}; }
    const std::uint16_t id = vlan.mode == model::VlanMode::kAccess ? vlan.id : std::uint16_t{0};
    return fleet::segment_name(group->switch_name, {0, id});
}

}  // namespace

fleet::LocalState LocalView::state(std::uint64_t known_epoch) {
    gather();
    if (has_changed()) { ++epoch_; }
    fleet::LocalState out;
    out.epoch = epoch_;
    if (known_epoch == epoch_) { return out; }
    out.ports = ports();
    out.vteps = vteps();
    return out;
}

bool LocalView::has_changed() {
    const std::uint64_t up = ports_up();
    const std::uint64_t generation = config_.generation();
    const bool differs = up != ports_up_ || generation != generation_;
    ports_up_ = up;
    generation_ = generation;
    return differs;
}

// A digest of which ports are up.
std::uint64_t LocalView::ports_up() const {
    std::uint64_t digest = 0xcbf29ce484222325ULL;  // FNV-1a, 64 bits.
    const datapath::Snapshot& snapshot = dataplane_.snapshot();
    for (std::uint16_t i = 0; i < snapshot.ports.size(); ++i) {
        if (is_up(snapshot.port(PortIndex{i}))) { digest = (digest ^ i) * 0x100000001b3ULL; }
    }
    return digest;
}

// Walks the learned table a slice a call, whenever something was learned since the last walk began.
void LocalView::gather() {
    const LearnedTable& table = dataplane_.learned();
    if (!is_gathering_) {
        if (table.epoch() == gathered_at_) { return; }
        gathered_at_ = table.epoch();
        is_gathering_ = true;
        cursor_ = 0;
        gathering_.clear();
    }
    const std::uint64_t now_ns = worker_now_ns();
    table.for_each(cursor_, kRowsACall, now_ns, [&](const LearnedRow& row) { take(row, now_ns); });
    cursor_ += kRowsACall;
    if (cursor_ < table.used_count()) { return; }
    is_gathering_ = false;
    for (auto& [port, ips] : gathering_) { std::sort(ips.begin(), ips.end()); }
    if (gathering_ != learned_) { ++epoch_; }
    learned_.swap(gathering_);
}

// Only what counts in its domain: what another vNIC holds is not told to the fleet as this one's.
void LocalView::take(const LearnedRow& row, std::uint64_t now_ns) {
    if (row.key.kind != LearnedKind::kBinding) { return; }
    const datapath::PortConfig* port = dataplane_.snapshot().port(row.key.port);
    if (port == nullptr || port->is_uplink || row.value.mac != port->mac) { return; }
    const IpAddr ip = row.key.ip_address();
    if (dataplane_.learned().holder(row.key.domain, ip, now_ns) != row.key.port) { return; }
    std::vector<IpAddr>& ips = gathering_[row.key.port.value];
    if (ips.size() < kPortIpMax) { ips.push_back(ip); }
}

std::vector<fleet::LocalPort> LocalView::ports() const {
    std::vector<fleet::LocalPort> out;
    const model::Document& document = config_.document();
    const model::Resolver names(document);
    for (const model::Port& port : document.ports) {
        if (port.kind == model::PortKind::kService) { continue; }
        fleet::LocalPort one;
        one.name = port.name;
        one.segment = segment_of(names, port);
        one.mac = port.mac;
        one.ips = model::own_ips(port);
        const PortIndex index = config_.registries().ports.find(port.name);
        one.is_up = is_up(dataplane_.snapshot().port(index));
        if (const auto learned = learned_.find(index.value); learned != learned_.end()) {
            one.ips.insert(one.ips.end(), learned->second.begin(), learned->second.end());
        }
        std::sort(one.ips.begin(), one.ips.end());
        one.ips.erase(std::unique(one.ips.begin(), one.ips.end()), one.ips.end());
        if (one.ips.size() > kPortIpMax) { one.ips.resize(kPortIpMax); }
        out.push_back(std::move(one));
    }
    return out;
}

std::vector<fleet::LocalVtep> LocalView::vteps() const {
    std::vector<fleet::LocalVtep> out;
    const model::Document& document = config_.document();
    for (const model::Vtep& vtep : document.vteps) {
        for (const model::Switch& on : document.switches) {
            if (std::count(on.uplinks.begin(), on.uplinks.end(), vtep.uplink) == 0) { continue; }
            out.push_back({vtep.name, on.name, vtep.address.ip});
        }
    }
    return out;
}

}  // namespace sluice::daemon
