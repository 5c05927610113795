// SPDX-License-Identifier: Apache-2.0
// Compile switching: see compile_switching.h.
#include "src/host/compile_switching.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <memory>
#include <tuple>

#include "sluice/base/limits.h"
#include "src/host/compile.h"

namespace sluice::host {
namespace {

using datapath::Domain;
using datapath::kNoDomain;
using datapath::kNoRouter;
using datapath::kNoTeam;
using datapath::PortConfig;
using datapath::Snapshot;
using Row = datapath::MacTable::Row;

using VlanDomains = std::array<std::uint16_t, 4096>;

std::shared_ptr<VlanDomains> no_domains() {
    auto domains = std::make_shared<VlanDomains>();
    domains->fill(kNoDomain);
    return domains;
}

datapath::DomainMulticast multicast_of(const model::Switch& on, const std::string& host) {
    datapath::DomainMulticast multicast;
    multicast.snooping = on.multicast.snooping;
    multicast.flood_unregistered = on.multicast.flood_unregistered;
    if (on.multicast.snooping && on.multicast.querier.enabled) {
        multicast.querier_interval_s = on.multicast.querier.interval_s;
        multicast.querier_mac = model::default_mac(host + "/" + on.name + "/querier");
    }
    return multicast;
}

/// One row a MAC: that of a port of this host before one elsewhere.
datapath::MacTable mac_table(std::vector<Row> rows) {
    const auto key = [](const Row& row) { return std::tie(row.mac, row.port, row.remote); };
    std::sort(rows.begin(), rows.end(),
              [&](const Row& a, const Row& b) { return key(a) < key(b); });
    const auto is_same = [](const Row& a, const Row& b) { return a.mac == b.mac; };
    rows.erase(std::unique(rows.begin(), rows.end(), is_same), rows.end());
    return datapath::MacTable(std::move(rows));
}

std::vector<std::uint64_t> changed_macs(const datapath::MacTable& a, const datapath::MacTable& b) {
    const auto key = [](const Row& row) { return std::tie(row.mac, row.port, row.remote); };
    std::vector<Row> rows;
    std::set_symmetric_difference(a.rows().begin(), a.rows().end(), b.rows().begin(),
                                  b.rows().end(), std::back_inserter(rows),
                                  [&](const Row& x, const Row& y) { return key(x) < key(y); });
    std::vector<std::uint64_t> macs;
    for (const Row& row : rows) { macs.push_back(row.mac.number()); }
    std::sort(macs.begin(), macs.end());
    macs.erase(std::unique(macs.begin(), macs.end()), macs.end());
    return macs;
}

std::vector<IpAddr> changed_addresses(const AddressTable& a, const AddressTable& b) {
    std::vector<AddressOwner> rows;
    std::set_symmetric_difference(a.rows().begin(), a.rows().end(), b.rows().begin(),
                                  b.rows().end(), std::back_inserter(rows));
    std::vector<IpAddr> addresses;
    for (const AddressOwner& row : rows) { addresses.push_back(row.ip); }
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    return addresses;
}

}  // namespace

bool Switching::join(PortIndex index, const model::Port& port, const model::PortGroup& group) {
    Hearing hearing;
    hearing.is_promiscuous = model::effective_security(port, group).promiscuous;
    hearing.takes_unknown = group.mac_learning.enabled && group.mac_learning.unknown_unicast_flood;
    const model::Vlan& vlan = model::effective_vlan(port, group);
    if (group.vni == 0 && vlan.mode == model::VlanMode::kTrunk) {
        return join_trunk(index, vlan, group, hearing);
    }
    model::Segment segment{group.vni, 0};
    if (group.vni == 0 && vlan.mode == model::VlanMode::kAccess) { segment.vlan = vlan.id; }
    const model::Switch& on = *compilation_.resolver.switch_of(group.switch_name);
    const std::uint16_t domain = open(on, segment, &group);
    compilation_.next.ports[index.value]->vlan.untagged_domain = domain;
    return enter(index, domain, hearing);
}

bool Switching::join_trunk(PortIndex index, const model::Vlan& vlan, const model::PortGroup& group,
                           const Hearing& hearing) {
    const model::Switch& on = *compilation_.resolver.switch_of(group.switch_name);
    const std::shared_ptr<VlanDomains> domains = no_domains();
    for (const model::VlanRange& range : vlan.ranges) {
        for (std::uint32_t vid = range.first; vid <= range.last; ++vid) {
            std::uint16_t& domain = (*domains)[vid];
            if (domain != kNoDomain) { continue; }
            domain = open(on, {0, static_cast<std::uint16_t>(vid)}, &group);
            if (!enter(index, domain, hearing)) { return false; }
        }
    }
    PortConfig& port = *compilation_.next.ports[index.value];
    port.vlan.is_trunk = true;
    port.vlan.tagged_domains = domains;
    return true;
}

bool Switching::hear(PortIndex leg, const model::PortGroup* group) {
    const bool is_trunk =
        group != nullptr && group->vni == 0 && group->vlan.mode == model::VlanMode::kTrunk;
    if (group == nullptr || is_trunk) { return true; }
    const std::uint16_t domain = open(*group);
    compilation_.next.ports[leg.value]->vlan.untagged_domain = domain;
    return domain != kNoDomain;
}

std::uint16_t Switching::open(const model::PortGroup& group) {
    return open(*compilation_.resolver.switch_of(group.switch_name), model::segment_of(group),
                &group);
}

std::uint16_t Switching::open_path(const model::Switch& on, std::uint32_t vni) {
    const std::uint16_t domain = open(on, {vni, 0}, nullptr);
    if (domain != kNoDomain) { compilation_.next.domains[domain].is_service_path = true; }
    return domain;
}

std::uint16_t Switching::open(const model::Switch& on, const model::Segment& segment,
                              const model::PortGroup* group) {
    std::vector<Domain>& domains = compilation_.next.domains;
    const auto [at, is_new] =
        by_key_.try_emplace({on.name, segment}, static_cast<std::uint16_t>(domains.size()));
    if (!is_new) { return at->second; }
    if (domains.size() >= kDomainMax) {
        by_key_.erase(at);
        return kNoDomain;
    }
    Domain domain;
    domain.id = compilation_.registries.domains.acquire(on.name, segment);
    domain.tracking = domain.id;
    domain.switch_name = on.name;
    domain.vlan = segment.vlan;
    domain.vni = segment.vni;
    domain.multicast = multicast_of(on, compilation_.document.host.name);
    if (segment.vni != 0 && group != nullptr) {
        domain.replication = group->replication;
        domain.multicast_group = group->multicast_group.value_or(IpAddr{});
    }
    domains.push_back(std::move(domain));
    macs_.emplace_back();
    owners_.emplace_back();
    return at->second;
}

bool Switching::enter(PortIndex index, std::uint16_t at, const Hearing& hearing) {
    if (at == kNoDomain) { return false; }
    const PortConfig& port = *compilation_.next.ports[index.value];
    Domain& domain = compilation_.next.domains[at];
    macs_[at].push_back({port.mac, index});
    for (const IpAddr& ip : port.ips) { owners_[at].push_back({ip, index, port.mac}); }
    if (port.is_enabled) {
        domain.members.push_back(index);
        if (hearing.is_promiscuous) { domain.promiscuous.push_back(index); }
        if (hearing.is_promiscuous || hearing.takes_unknown) { domain.flood.push_back(index); }
    }
    if (port.learning.is_on()) { domain.learners.push_back(index); }
    return true;
}

void Switching::flood_to(const model::PortGroup& group, std::vector<std::uint16_t> remotes) {
    const auto at = by_key_.find({group.switch_name, model::segment_of(group)});
    if (at == by_key_.end()) { return; }
    compilation_.next.domains[at->second].flood_remotes = std::move(remotes);
}

void Switching::bind(const model::Binding& binding, const model::PortGroup& group,
                     std::uint16_t remote) {
    if (&group != last_group_ || binding.vlan) {
        const auto at = by_key_.find({group.switch_name, model::segment_of(binding, group)});
        last_domain_ = at == by_key_.end() ? kNoDomain : at->second;
        last_group_ = binding.vlan ? nullptr : &group;
    }
    if (last_domain_ == kNoDomain) { return; }
    owners_[last_domain_].push_back({binding.ip, kNoPort, binding.mac});
    if (remote != 0) { macs_[last_domain_].push_back({binding.mac, kNoPort, remote}); }
}

void Switching::join_uplink(PortIndex index, const std::string& switch_name) {
    PortConfig& port = *compilation_.next.ports[index.value];
    const std::shared_ptr<VlanDomains> tagged = no_domains();
    std::vector<Domain>& domains = compilation_.next.domains;
    for (std::size_t i = 0; i < domains.size(); ++i) {
        Domain& domain = domains[i];
        if (domain.switch_name != switch_name || domain.vni != 0) { continue; }
        domain.fabric.push_back(index);
        std::uint16_t& at = domain.vlan == 0 ? port.vlan.untagged_domain : (*tagged)[domain.vlan];
        at = static_cast<std::uint16_t>(i);
    }
    port.vlan.is_trunk = true;
    port.vlan.tagged_domains = tagged;
}

void Switching::join_vtep(PortIndex index, std::uint16_t vtep, const std::string& switch_name) {
    auto vnis = std::make_shared<std::vector<std::pair<std::uint32_t, std::uint16_t>>>();
    std::vector<Domain>& domains = compilation_.next.domains;
    for (std::size_t i = 0; i < domains.size(); ++i) {
        Domain& domain = domains[i];
        if (domain.switch_name != switch_name || domain.vni == 0) { continue; }
        domain.fabric.push_back(index);
        domain.vteps.push_back(vtep);
        vnis->emplace_back(domain.vni, static_cast<std::uint16_t>(i));
    }
    std::sort(vnis->begin(), vnis->end());
    compilation_.next.ports[index.value]->vlan.vnis = std::move(vnis);
}

std::vector<datapath::DomainDifference> Switching::finish(
    const std::vector<bool>& is_changed_router) {
    std::map<DomainId, const Domain*> old;
    for (const Domain& domain : compilation_.previous.domains) { old.emplace(domain.id, &domain); }
    std::vector<datapath::DomainDifference> differences;
    std::vector<Domain>& domains = compilation_.next.domains;
    for (std::size_t i = 0; i < domains.size(); ++i) {
        Domain& domain = domains[i];
        domain.macs = mac_table(std::move(macs_[i]));
        for (AddressOwner& owner : owners_[i]) {
            if (owner.port == kNoPort) { owner.port = domain.macs.find(owner.mac); }
        }
        domain.owners = AddressTable(std::move(owners_[i]));
        domain.epoch = compilation_.next.generation;
        const auto at = old.find(domain.id);
        if (at == old.end() || !is_alike(domain, *at->second, is_changed_router)) { continue; }
        domain.epoch = at->second->epoch;
        datapath::DomainDifference difference{domain.id,
                                              changed_macs(domain.macs, at->second->macs),
                                              changed_addresses(domain.owners, at->second->owners)};
        if (!difference.macs.empty() || !difference.addresses.empty()) {
            differences.push_back(std::move(difference));
        }
    }
    std::sort(differences.begin(), differences.end(),
              [](const auto& a, const auto& b) { return a.domain < b.domain; });
    return differences;
}

// But for static MACs; for members, whom only group frames reach, which look them up; and for what
// a VTEP's worker looks up for each frame.
bool Switching::is_alike(const Domain& a, const Domain& b,
                         const std::vector<bool>& is_changed_router) const {
    const Snapshot& before = compilation_.previous;
    const auto team = [](const Snapshot& of, const Domain& domain) {
        return domain.team == kNoTeam ? datapath::Team{} : of.teams[domain.team];
    };
    const bool has_same_router =
        (a.router == kNoRouter) == (b.router == kNoRouter) &&
        (a.router == kNoRouter ||
         (!is_changed_router[a.router] && a.interface == b.interface &&
          before.routers[b.router].name == compilation_.next.routers[a.router].name));
    return has_same_router && a.tracking == b.tracking && a.promiscuous == b.promiscuous &&
           a.flood == b.flood && a.learners == b.learners && a.fabric == b.fabric &&
           a.multicast == b.multicast && team(compilation_.next, a) == team(before, b);
}

}  // namespace sluice::host
