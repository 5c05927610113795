// SPDX-License-Identifier: Apache-2.0
// RemoteMacs: see remote_macs.h.
#include "controller-agent/vtep/remote_macs.h"

#include <algorithm>

#include "controller-agent/check_addresses.h"
#include "sluice/base/limits.h"
#include "sluice/net/address_text.h"

namespace sluice::vtep {
namespace {

using fleet::BindingChange;
using fleet::FleetBinding;
using ovsdb::Uuid;

constexpr const char* kTable = "Ucast_Macs_Remote";

void release(std::map<IpAddr, std::size_t>& used, const IpAddr& ip) {
    const auto at = used.find(ip);
    if (at != used.end() && --at->second == 0) { used.erase(at); }
}

}  // namespace

void RemoteMacs::remember(const std::vector<FleetBinding>& told) {
    for (const FleetBinding& binding : told) {
        const Key key{binding.segment, binding.mac};
        if (told_.emplace(key, binding).second) { ++used_[binding.vtep]; }
        dirty_.insert(key);
    }
}

void RemoteMacs::rebuild(const ovsdb::Tables& tables, const Networks& networks) {
    while (!lines_.empty()) { drop(lines_.begin()->first); }
    bad_.clear();
    const auto table = tables.find(kTable);
    if (table == tables.end()) { return; }
    for (const auto& [id, row] : table->second) { put(tables, networks, id); }
}

void RemoteMacs::change(const ovsdb::Tables& tables, const Networks& networks,
                        const std::set<Uuid>& rows) {
    for (const Uuid& id : rows) {
        drop(id);
        put(tables, networks, id);
    }
}

void RemoteMacs::drop(const Uuid& id) {
    bad_.erase(id);
    const auto line = lines_.find(id);
    if (line == lines_.end()) { return; }
    const auto rows = rows_.find(line->second.key);
    rows->second.erase(id);
    if (rows->second.empty()) { rows_.erase(rows); }
    release(used_, line->second.vtep);
    dirty_.insert(line->second.key);
    lines_.erase(line);
}

void RemoteMacs::put(const ovsdb::Tables& tables, const Networks& networks, const Uuid& id) {
    const ovsdb::Row* row = find_row(tables, kTable, id);
    const auto of = row != nullptr ? reference(*row, "logical_switch") : std::nullopt;
    const auto network = of ? networks.by_id.find(*of) : networks.by_id.end();
    if (network != networks.by_id.end()) { read(tables, network->second, *row, id); }
}

void RemoteMacs::read(const ovsdb::Tables& tables, const Network& network, const ovsdb::Row& row,
                      const Uuid& id) {
    const std::string text = ovsdb::column(row, "MAC").text();
    const std::string object = "ucast_mac " + text;
    const auto mac = parse_mac(text);
    if (!mac || !agent::is_unicast(*mac)) {
        bad_.emplace(id, Problem{object, "is not a unicast MAC address"});
        return;
    }
    const auto locator = reference(row, "locator");
    const auto vtep = locator ? locator_ip(tables, *locator) : std::nullopt;
    if (!vtep) {
        bad_.emplace(id, Problem{object, "has a locator without an address, or with a tunnel_key"});
        return;
    }
    if (own_.has_vtep(*vtep)) { return; }  // A port of ours, told back to us.
    if (const std::string why = own_.why_unreachable(*vtep); !why.empty()) {
        bad_.emplace(id, Problem{object, "is behind " + to_string(*vtep) + ", which " + why});
        return;
    }
    Line line{{network.segment, *mac}, *vtep, {}};
    const std::string address = ovsdb::column(row, "ipaddr").text();
    const auto ip = parse_ip(address);
    if (ip && agent::is_unicast(*ip)) {
        line.ip = *ip;
    } else if (!address.empty()) {
        bad_.emplace(id,
                     Problem{object, "has ipaddr " + address + ", which is no unicast address"});
    }
    rows_[line.key].insert(id);
    ++used_[line.vtep];
    dirty_.insert(line.key);
    lines_.emplace(id, std::move(line));
}

FleetBinding RemoteMacs::binding_of(const Key& key, const std::set<Uuid>& rows) const {
    FleetBinding out;
    out.segment = key.first;
    out.mac = key.second;
    out.vtep = lines_.at(*rows.begin()).vtep;
    for (const Uuid& id : rows) {
        const Line& line = lines_.at(id);
        const bool counts = line.vtep == out.vtep && line.ip.family != IpFamily::kNone;
        if (counts && out.ips.size() < kPortIpMax) { out.ips.push_back(line.ip); }
    }
    std::sort(out.ips.begin(), out.ips.end());
    out.ips.erase(std::unique(out.ips.begin(), out.ips.end()), out.ips.end());
    return out;
}

std::vector<BindingChange> RemoteMacs::take_changes() {
    std::vector<BindingChange> out;
    for (const Key& key : std::exchange(dirty_, {})) {
        const auto rows = rows_.find(key);
        const auto told = told_.find(key);
        if (rows == rows_.end()) {
            if (told == told_.end()) { continue; }
            out.push_back({{key.first, key.second, {}, {}}, true});
            release(used_, told->second.vtep);
            told_.erase(told);
            continue;
        }
        FleetBinding now = binding_of(key, rows->second);
        if (told != told_.end()) {
            if (told->second == now) { continue; }
            release(used_, told->second.vtep);
        }
        ++used_[now.vtep];
        told_[key] = now;
        out.push_back({std::move(now), false});
    }
    return out;
}

std::vector<FleetBinding> RemoteMacs::told() const {
    std::vector<FleetBinding> out;
    out.reserve(told_.size());
    for (const auto& [key, binding] : told_) { out.push_back(binding); }
    return out;
}

std::set<IpAddr> RemoteMacs::vteps() const {
    std::set<IpAddr> out;
    for (const auto& [ip, count] : used_) { out.insert(ip); }
    return out;
}

std::vector<Problem> RemoteMacs::problems() const {
    std::vector<Problem> out;
    for (const auto& [id, problem] : bad_) {
        if (out.size() < kFleetProblemMax) { out.push_back(problem); }
    }
    for (const auto& [key, rows] : rows_) {
        if (rows.size() < 2 || out.size() >= kFleetProblemMax) { continue; }
        const IpAddr& vtep = lines_.at(*rows.begin()).vtep;
        const bool agree = std::all_of(rows.begin(), rows.end(),
                                       [&](const Uuid& id) { return lines_.at(id).vtep == vtep; });
        if (agree) { continue; }
        out.push_back(
            {"ucast_mac " + to_string(key.second),
             "is behind several locators in " + key.first + ", " + to_string(vtep) + " counts"});
    }
    return out;
}

}  // namespace sluice::vtep
