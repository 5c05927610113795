// SPDX-License-Identifier: Apache-2.0
// Compile: see compile.h. Switching (domains, VLANs) is here; the chains' programs are in
// compile_chains.cc.
#include "src/host/compile.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <tuple>

#include "sluice/base/limits.h"
#include "sluice/model/resolve.h"
#include "src/host/compile_chains.h"

namespace sluice::host {
namespace {

using datapath::Domain;
using datapath::kNoDomain;
using datapath::PortConfig;
using datapath::Snapshot;

constexpr std::uint32_t kEthernetHeaderBytes = 14;
constexpr std::uint64_t kSecond = 1000000000;

using DomainKey = std::pair<std::string, std::uint16_t>;

/// What a port receives beside its own frames, and how its switch treats multicast.
struct Hearing {
    bool is_promiscuous = false;
    bool takes_unknown = false;
    datapath::DomainMulticast multicast;
};

/// Builds the layer-2 side of a snapshot.
class Switching {
public:
    Switching(Snapshot& snapshot, DomainRegistry& registry)
        : snapshot_(snapshot), registry_(registry) {}

    /// Puts a port into its domains. False if there are too many.
    bool join(PortIndex index, const std::string& switch_name, const model::Vlan& vlan,
              const Hearing& hearing) {
        PortConfig& port = *snapshot_.ports[index.value];
        if (vlan.mode != model::VlanMode::kTrunk) {
            port.vlan.untagged_domain = enter(
                index,
                {switch_name, vlan.mode == model::VlanMode::kAccess ? vlan.id : std::uint16_t{0}},
                hearing);
            return port.vlan.untagged_domain != kNoDomain;
        }
        auto domains = std::make_shared<std::array<std::uint16_t, 4096>>();
        domains->fill(kNoDomain);
        for (const model::VlanRange& range : vlan.ranges) {
            for (std::uint32_t vid = range.first; vid <= range.last; ++vid) {
                if ((*domains)[vid] != kNoDomain) { continue; }
                (*domains)[vid] =
                    enter(index, {switch_name, static_cast<std::uint16_t>(vid)}, hearing);
                if ((*domains)[vid] == kNoDomain) { return false; }
            }
        }
        port.vlan.is_trunk = true;
        port.vlan.tagged_domains = std::move(domains);
        return true;
    }

    /// Makes a port the way out of every domain of a switch that ports have entered: a trunk, with
    /// the untagged domain, too.
    void join_uplink(PortIndex index, const std::string& switch_name) {
        PortConfig& port = *snapshot_.ports[index.value];
        auto domains = std::make_shared<std::array<std::uint16_t, 4096>>();
        domains->fill(kNoDomain);
        for (std::size_t i = 0; i < snapshot_.domains.size(); ++i) {
            Domain& domain = snapshot_.domains[i];
            if (domain.switch_name != switch_name) { continue; }
            domain.uplink = index;
            std::uint16_t& at =
                domain.vlan == 0 ? port.vlan.untagged_domain : (*domains)[domain.vlan];
            at = static_cast<std::uint16_t>(i);
        }
        port.vlan.is_trunk = true;
        port.vlan.tagged_domains = std::move(domains);
    }

    /// Puts a binding of the document into its domain, if a port has entered it. After the ports.
    void bind(const model::Binding& binding, const model::PortGroup& group) {
        const auto at = by_key_.find({group.switch_name, model::vlan_of(binding, group)});
        if (at == by_key_.end()) { return; }
        owners_[at->second].push_back({binding.ip, kNoPort, binding.mac});
    }

    /// Gives the domains their MACs, owners of addresses and epochs. Returns what describes the
    /// changed ones of those domains that keep their epoch.
    [[nodiscard]] std::vector<datapath::DomainDifference> finish(const Snapshot& previous) {
        std::map<DomainId, const Domain*> old;
        for (const Domain& domain : previous.domains) { old.emplace(domain.id, &domain); }
        std::vector<datapath::DomainDifference> differences;
        for (std::size_t i = 0; i < snapshot_.domains.size(); ++i) {
            Domain& domain = snapshot_.domains[i];
            domain.macs = datapath::MacTable(std::move(macs_[i]));
            for (AddressOwner& owner : owners_[i]) {
                if (owner.port == kNoPort) { owner.port = domain.macs.find(owner.mac); }
            }
            domain.owners = AddressTable(std::move(owners_[i]));
            domain.epoch = snapshot_.generation;
            const auto at = old.find(domain.id);
            if (at == old.end() || !switch_alike(domain, *at->second)) { continue; }
            domain.epoch = at->second->epoch;
            datapath::DomainDifference difference{
                domain.id, changed_macs(domain.macs, at->second->macs),
                changed_addresses(domain.owners, at->second->owners)};
            if (!difference.macs.empty() || !difference.addresses.empty()) {
                differences.push_back(std::move(difference));
            }
        }
        std::sort(differences.begin(), differences.end(),
                  [](const auto& a, const auto& b) { return a.domain < b.domain; });
        return differences;
    }

private:
    std::uint16_t enter(PortIndex index, const DomainKey& key, const Hearing& hearing) {
        const auto [at, is_new] =
            by_key_.try_emplace(key, static_cast<std::uint16_t>(snapshot_.domains.size()));
        if (is_new) {
            if (snapshot_.domains.size() >= kDomainMax) { return kNoDomain; }
            Domain domain;
            domain.id = registry_.acquire(key.first, key.second);
            domain.switch_name = key.first;
            domain.vlan = key.second;
            domain.multicast = hearing.multicast;
            snapshot_.domains.push_back(std::move(domain));
            macs_.emplace_back();
            owners_.emplace_back();
        }
        const PortConfig& port = *snapshot_.ports[index.value];
        Domain& domain = snapshot_.domains[at->second];
        macs_[at->second].push_back({port.mac, index});
        for (const IpAddr& ip : port.ips) { owners_[at->second].push_back({ip, index, port.mac}); }
        if (port.is_enabled) {
            domain.members.push_back(index);
            if (hearing.is_promiscuous) { domain.promiscuous.push_back(index); }
            if (hearing.is_promiscuous || hearing.takes_unknown) { domain.flood.push_back(index); }
        }
        if (port.learning.is_on()) { domain.learners.push_back(index); }
        return at->second;
    }

    // But for static MACs; and for members, whom only group frames reach, which look them up.
    static bool switch_alike(const Domain& a, const Domain& b) {
        return a.promiscuous == b.promiscuous && a.flood == b.flood && a.learners == b.learners &&
               a.uplink == b.uplink && a.multicast == b.multicast;
    }

    static std::vector<std::uint64_t> changed_macs(const datapath::MacTable& a,
                                                   const datapath::MacTable& b) {
        using Row = datapath::MacTable::Row;
        std::vector<Row> rows;
        std::set_symmetric_difference(a.rows().begin(), a.rows().end(), b.rows().begin(),
                                      b.rows().end(), std::back_inserter(rows),
                                      [](const Row& x, const Row& y) {
                                          return std::tie(x.mac, x.port) < std::tie(y.mac, y.port);
                                      });
        std::vector<std::uint64_t> macs;
        for (const Row& row : rows) { macs.push_back(row.mac.number()); }
        std::sort(macs.begin(), macs.end());
        macs.erase(std::unique(macs.begin(), macs.end()), macs.end());
        return macs;
    }

    static std::vector<IpAddr> changed_addresses(const AddressTable& a, const AddressTable& b) {
        std::vector<AddressOwner> rows;
        std::set_symmetric_difference(a.rows().begin(), a.rows().end(), b.rows().begin(),
                                      b.rows().end(), std::back_inserter(rows));
        std::vector<IpAddr> addresses;
        for (const AddressOwner& row : rows) { addresses.push_back(row.ip); }
        addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
        return addresses;
    }

    Snapshot& snapshot_;
    DomainRegistry& registry_;
    std::map<DomainKey, std::uint16_t> by_key_;
    std::vector<std::vector<datapath::MacTable::Row>> macs_;
    std::vector<std::vector<AddressOwner>> owners_;
};

/// A port keeps its worker for life; a new one goes to the worker with the fewest ports.
unsigned choose_worker(const Snapshot& previous, const Snapshot& next, PortIndex index,
                       const std::string& name) {
    const PortConfig* old = previous.port(index);
    if (old != nullptr && old->name == name) { return old->worker; }
    const auto least =
        std::min_element(next.worker_ports.begin(), next.worker_ports.end(),
                         [](const auto& a, const auto& b) { return a.size() < b.size(); });
    return static_cast<unsigned>(least - next.worker_ports.begin());
}

std::string shape_of(const model::Port& port, const model::PortGroup& group,
                     const model::Switch& on) {
    const model::Vlan& vlan = model::effective_vlan(port, group);
    std::string shape = on.name + "|" + std::to_string(on.mtu) + "|" +
                        std::to_string(static_cast<int>(vlan.mode)) + "|" + std::to_string(vlan.id);
    for (const auto& range : vlan.ranges) {
        shape += "," + std::to_string(range.first) + "-" + std::to_string(range.last);
    }
    const model::MacLearning& learning = group.mac_learning;
    const model::Security security = model::effective_security(port, group);
    for (const std::uint64_t number :
         {std::uint64_t{port.enabled}, std::uint64_t{learning.enabled},
          std::uint64_t{security.mac_changes}, std::uint64_t{learning.limit},
          std::uint64_t{learning.age_s}}) {
        shape += "|" + std::to_string(number);
    }
    return shape;
}

datapath::PortLearning learning_of(const model::Port& port, const model::PortGroup& group) {
    datapath::PortLearning learning;
    learning.learns = group.mac_learning.enabled;
    learning.follows = !learning.learns && model::effective_security(port, group).mac_changes;
    learning.limit = group.mac_learning.limit;
    learning.age_ns = group.mac_learning.age_s * kSecond;
    return learning;
}

Hearing hearing_of(const model::Port& port, const model::PortGroup& group, const model::Switch& on,
                   const std::string& host) {
    Hearing hearing;
    hearing.is_promiscuous = model::effective_security(port, group).promiscuous;
    hearing.takes_unknown = group.mac_learning.enabled && group.mac_learning.unknown_unicast_flood;
    hearing.multicast.snooping = on.multicast.snooping;
    hearing.multicast.flood_unregistered = on.multicast.flood_unregistered;
    if (on.multicast.snooping && on.multicast.querier.enabled) {
        hearing.multicast.querier_interval_s = on.multicast.querier.interval_s;
        hearing.multicast.querier_mac = model::default_mac(host + "/" + on.name + "/querier");
    }
    return hearing;
}

enum class PolicyChange { kNone, kRules, kOther };

/// What changed of a port. kRules: no more than rules of slots 0 and 2, which a PolicyDifference
/// of the two images describes.
PolicyChange policy_change(const PortConfig& a, const PortConfig& b, const PolicyImage* before,
                           const PolicyImage* after) {
    if (a.name != b.name || a.shape != b.shape || a.mac != b.mac || a.device != b.device) {
        return PolicyChange::kOther;
    }
    PolicyChange change = PolicyChange::kNone;
    for (std::size_t slot = 0; slot < kSlotCount; ++slot) {
        const auto& x = a.chain->slots[slot];
        const auto& y = b.chain->slots[slot];
        if (!x != !y) { return PolicyChange::kOther; }
        if (!x || x->fingerprint() == y->fingerprint()) { continue; }
        if (before == nullptr) { return PolicyChange::kOther; }
        const bool is_rules =
            slot == kSlotDvfilter || (slot == kSlotDfw && before->rest == after->rest);
        if (!is_rules) { return PolicyChange::kOther; }
        change = PolicyChange::kRules;
    }
    return change;
}

ConnectionTimeouts timeouts_of(const model::Timeouts& t) {
    return ConnectionTimeouts{t.tcp_syn_sent_s * kSecond,
                              t.tcp_syn_received_s * kSecond,
                              t.tcp_established_s * kSecond,
                              t.tcp_fin_wait_s * kSecond,
                              t.tcp_close_wait_s * kSecond,
                              t.tcp_last_ack_s * kSecond,
                              t.tcp_time_wait_s * kSecond,
                              t.tcp_close_s * kSecond,
                              t.udp_s * kSecond,
                              t.udp_stream_s * kSecond,
                              t.icmp_s * kSecond,
                              t.other_s * kSecond};
}

/// Everything of a port but its chain, epoch and domains.
PortConfig describe_port(const model::Port& port, const model::PortGroup& group,
                         const model::Switch& on) {
    PortConfig config;
    config.is_enabled = port.enabled;
    config.name = port.name;
    config.port_group = port.port_group;
    config.mac = port.mac;
    config.ips = model::own_ips(port);
    config.frame_size_max = on.mtu + kEthernetHeaderBytes;
    config.flow_quota = group.limits.flows;
    config.bindings = {group.bindings.arp, group.bindings.nd, group.bindings.age_s * kSecond};
    config.has_group_limits = group.limits.broadcast_pps != 0 || group.limits.multicast_pps != 0;
    config.shape = shape_of(port, group, on);
    config.learning = learning_of(port, group);
    config.arp_suppression = group.arp_suppression;
    config.lists_refused = group.spoofguard == model::SpoofGuard::kManual;
    config.may_advertise = !group.guards.ra;
    return config;
}

/// An uplink has no policy: its chain is empty.
PortConfig describe_uplink(const model::Uplink& uplink, const model::Switch& on) {
    static const auto kNoSlots = std::make_shared<const ChainProgram>();
    PortConfig config;
    config.name = uplink.name;
    config.is_uplink = true;
    config.frame_size_max = on.mtu + kEthernetHeaderBytes;
    config.shape = on.name + "|" + std::to_string(on.mtu) + "|uplink";
    config.chain = kNoSlots;
    return config;
}

Error too_many_ports(const std::string& object) {
    return Error{Errc::kLimit,
                 object + ": more than " + std::to_string(kPortMax) + " ports and uplinks", object};
}

/// The uplinks of all switches, behind the ports that made the domains.
Status compile_uplinks(const model::Document& document, const Snapshot& previous, Snapshot& next,
                       Registries& registries, const UplinkSource& uplinks, Switching& switching) {
    for (const model::Switch& on : document.switches) {
        for (const model::Uplink& uplink : document.uplinks) {
            const bool is_of = std::count(on.uplinks.begin(), on.uplinks.end(), uplink.name) > 0;
            std::shared_ptr<datapath::Port> device = is_of ? uplinks(uplink.name) : nullptr;
            if (device == nullptr) { continue; }
            const PortIndex index = registries.ports.acquire(uplink.name);
            if (index == kNoPort) { return too_many_ports("uplink " + uplink.name); }
            if (next.ports.size() <= index.value) {
                next.ports.resize(std::size_t{index.value} + 1U);
            }
            PortConfig& config = next.ports[index.value].emplace(describe_uplink(uplink, on));
            config.device = std::move(device);
            config.worker = choose_worker(previous, next, index, uplink.name);
            next.worker_ports[config.worker].push_back(index);
            switching.join_uplink(index, on.name);
            const PortConfig* old = previous.port(index);
            const bool is_same = old != nullptr && policy_change(config, *old, nullptr, nullptr) ==
                                                       PolicyChange::kNone;
            config.policy_epoch = is_same ? old->policy_epoch : next.generation;
        }
    }
    return Ok{};
}

/// Epochs of the ports; returns those whose change in rules is to be described.
PortSet set_policy_epochs(const model::Document& document, const std::vector<PortIndex>& indices,
                          const Snapshot& previous, Snapshot& next) {
    PortSet described;
    for (std::size_t i = 0; i < document.ports.size(); ++i) {
        PortConfig& config = *next.ports[indices[i].value];
        const PortConfig* old = previous.port(indices[i]);
        const PolicyChange change =
            old == nullptr ? PolicyChange::kOther
                           : policy_change(config, *old, previous.policy.get(), next.policy.get());
        config.policy_epoch = change == PolicyChange::kOther ? next.generation : old->policy_epoch;
        if (change == PolicyChange::kRules) { described.set(indices[i].value); }
    }
    return described;
}

/// Programs older than a difference that is not remembered any more are decided anew.
void forget(const datapath::Difference& difference, Snapshot& next) {
    for (std::size_t i = 0; i < next.ports.size(); ++i) {
        const PortIndex port{static_cast<std::uint16_t>(i)};
        if (!next.ports[i] || !difference.policy || !difference.policy->concerns(port)) {
            continue;
        }
        std::uint32_t& epoch = next.ports[i]->policy_epoch;
        epoch = std::max(epoch, difference.generation);
    }
    for (Domain& domain : next.domains) {
        const auto is_its = [&](const auto& each) { return each.domain == domain.id; };
        if (std::any_of(difference.domains.begin(), difference.domains.end(), is_its)) {
            domain.epoch = std::max(domain.epoch, difference.generation);
        }
    }
}

/// Remembers what this generation changed, and forgets what is too old.
void describe_changes(const Snapshot& previous, Snapshot& next, const PortSet& ports,
                      std::vector<datapath::DomainDifference> domains) {
    next.differences = previous.differences;
    if (ports.none() && domains.empty()) { return; }
    auto difference = std::make_shared<datapath::Difference>();
    difference->generation = next.generation;
    difference->domains = std::move(domains);
    if (ports.any()) {
        difference->policy =
            std::make_unique<const PolicyDifference>(*previous.policy, *next.policy, ports);
    }
    next.differences.push_back(std::move(difference));
    if (next.differences.size() <= kDifferenceMax) { return; }
    forget(*next.differences.front(), next);
    next.differences.erase(next.differences.begin());
}

}  // namespace

Result<Compiled> compile(const model::Document& document, const Snapshot& previous,
                         unsigned worker_count, Registries& registries, const DeviceSource& devices,
                         const UplinkSource& uplinks) {
    Compiled compiled;
    compiled.snapshot = std::make_unique<Snapshot>();
    Snapshot& next = *compiled.snapshot;
    next.generation = previous.generation + 1;
    next.worker_ports.resize(worker_count);
    next.timeouts = timeouts_of(document.dfw.timeouts);
    next.fragment_timeouts = {document.dfw.timeouts.fragment_v4_s * kSecond,
                              document.dfw.timeouts.fragment_v6_s * kSecond};
    next.limits = {document.dfw.limits.connections_per_port, document.dfw.limits.half_open_per_port,
                   document.dfw.limits.connections, document.dfw.grace_s * kSecond};

    const model::Resolver resolver(document);
    std::vector<PortIndex> indices;
    for (const model::Port& port : document.ports) {
        indices.push_back(registries.ports.acquire(port.name));
        if (indices.back() == kNoPort) { return too_many_ports("port " + port.name); }
    }
    const ChainSet chains = compile_chains(document, resolver, registries.rules, indices);
    next.policy = chains.image;
    compiled.rules = chains.rules;
    compiled.logged = chains.logged;
    next.reads_dscp = chains.reads_dscp;
    next.follows_bindings = chains.follows_bindings;

    Switching switching(next, registries.domains);
    for (std::size_t i = 0; i < document.ports.size(); ++i) {
        const model::Port& port = document.ports[i];
        const model::PortGroup& group = *resolver.port_group(port.port_group);
        const PortIndex index = indices[i];
        Result<std::shared_ptr<datapath::Port>> device = devices(port);
        if (!device) { return device.error(); }
        if (next.ports.size() <= index.value) { next.ports.resize(std::size_t{index.value} + 1U); }
        PortConfig& config = next.ports[index.value].emplace(
            describe_port(port, group, *resolver.switch_of(group.switch_name)));
        config.device = std::move(device).value();
        config.chain = chains.of_port[i];
        config.worker = choose_worker(previous, next, index, port.name);
        next.worker_ports[config.worker].push_back(index);
        const Hearing hearing =
            hearing_of(port, group, *resolver.switch_of(group.switch_name), document.host.name);
        if (!switching.join(index, group.switch_name, model::effective_vlan(port, group),
                            hearing)) {
            return Error{Errc::kLimit,
                         "port " + port.name + ": the host would have more than " +
                             std::to_string(kDomainMax) + " layer-2 domains",
                         "port " + port.name};
        }
    }
    for (const model::Binding& binding : document.bindings) {
        switching.bind(binding, *resolver.port_group(binding.port_group));
    }
    const PortSet described = set_policy_epochs(document, indices, previous, next);
    if (uplinks) {
        const Status done =
            compile_uplinks(document, previous, next, registries, uplinks, switching);
        if (!done) { return done.error(); }
    }
    describe_changes(previous, next, described, switching.finish(previous));
    return compiled;
}

}  // namespace sluice::host
