// SPDX-License-Identifier: Apache-2.0
// Compile: see compile.h. The parts are in files of their own: chains, ports, switching, uplinks,
// overlay, routers; here is their order, and what a generation changed.
#include "src/host/compile.h"

#include <algorithm>

#include "datapath/remote_index.h"
#include "sluice/base/limits.h"
#include "sluice/model/resolve.h"
#include "src/host/compile_chains.h"
#include "src/host/compile_overlay.h"
#include "src/host/compile_routers.h"
#include "src/host/compile_services.h"
#include "src/host/compile_uplinks.h"

namespace sluice::host {
namespace {

using datapath::Domain;
using datapath::PortConfig;
using datapath::Snapshot;

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

/// The vNICs' ports, in their domains.
Status compile_ports(const Compilation& compilation, const DeviceSource& devices,
                     const ChainSet& chains, const std::vector<PortIndex>& indices,
                     Switching& switching) {
    const model::Resolver& resolver = compilation.resolver;
    for (std::size_t i = 0; i < indices.size(); ++i) {
        const model::Port& port = compilation.document.ports[i];
        const model::PortGroup* group = resolver.port_group(port.port_group);
        const bool is_leg = port.kind == model::PortKind::kService;
        Result<std::shared_ptr<datapath::Port>> device = devices(port);
        if (!device) { return device.error(); }
        PortConfig& config = add_port(compilation.next, indices[i]);
        config = is_leg ? describe_leg(compilation, port)
                        : describe_port(port, *group, *resolver.switch_of(group->switch_name));
        config.device = std::move(device).value();
        config.chain = chains.of_port[i];
        give_worker(compilation.previous, compilation.next, indices[i]);
        const bool has_room =
            is_leg ? switching.hear(indices[i], group) : switching.join(indices[i], port, *group);
        if (has_room) { continue; }
        return Error{Errc::kLimit,
                     "port " + port.name + ": the host would have more than " +
                         std::to_string(kDomainMax) + " layer-2 domains",
                     "port " + port.name};
    }
    return Ok{};
}

void bind_all(const Compilation& compilation, const Remotes& remotes, Switching& switching) {
    for (const model::PortGroup& group : compilation.document.port_groups) {
        std::vector<std::uint16_t> indices;
        for (const IpAddr& ip : group.flood_vteps) { indices.push_back(remotes.find(ip)); }
        if (!indices.empty()) { switching.flood_to(group, std::move(indices)); }
    }
    for (const model::Binding& binding : compilation.document.bindings) {
        switching.bind(binding, *compilation.resolver.port_group(binding.port_group),
                       remotes.find(binding.vtep));
    }
}

}  // namespace

Result<Compiled> compile(const model::Document& document, const Snapshot& previous,
                         unsigned worker_count, Registries& registries, const DeviceSource& devices,
                         const UplinkSource& uplinks, const ModuleSource& modules) {
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
    number_services(document, previous, next);
    const ChainSet chains =
        compile_chains(document, resolver, registries.rules, indices, next.service_rules);
    next.policy = chains.image;
    compiled.rules = chains.rules;
    compiled.logged = chains.logged;
    next.reads_dscp = chains.reads_dscp;
    next.follows_bindings = chains.follows_bindings;

    const Compilation compilation{document, resolver, previous, next, registries};
    Switching switching(compilation);
    if (Status done = compile_ports(compilation, devices, chains, indices, switching); !done) {
        return done.error();
    }
    const Result<std::vector<bool>> is_changed_router = compile_routers(compilation, switching);
    if (!is_changed_router) { return is_changed_router.error(); }
    const Remotes remotes(compilation);
    bind_all(compilation, remotes, switching);
    if (uplinks) {
        if (Status opened = open_service_paths(compilation, switching); !opened) {
            return opened.error();
        }
        Status done = compile_uplinks(compilation, uplinks, switching);
        if (done) { done = compile_vteps(compilation, switching); }
        if (!done) { return done.error(); }
    }
    if (!next.remotes.empty()) {
        next.remote_index = std::make_shared<const datapath::RemoteIndex>(next.vteps, next.remotes);
    }
    if (Status placed = place_services(compilation, remotes, modules); !placed) {
        return placed.error();
    }
    compile_teams(compilation, indices);
    const PortSet described = set_policy_epochs(document, indices, previous, next);
    describe_changes(previous, next, described, switching.finish(is_changed_router.value()));
    return compiled;
}

}  // namespace sluice::host
