// SPDX-License-Identifier: Apache-2.0
// Compile services: see compile_services.h.
#include "src/host/compile_services.h"

#include <algorithm>
#include <map>
#include <set>

#include "sluice/base/assert.h"
#include "sluice/base/limits.h"
#include "sluice/iochain/encrypt.h"
#include "sluice/iochain/redirect.h"
#include "sluice/model/service_path.h"
#include "src/host/compile.h"

namespace sluice::host {
namespace {

using datapath::Domain;
using datapath::kNoDomain;
using datapath::kNoService;
using datapath::PortConfig;
using datapath::ServiceInstanceConfig;
using datapath::ServiceRuleConfig;
using datapath::Snapshot;

constexpr std::uint32_t kNshBytes = 38;  // Ethernet, base and path headers, four context words.

/// Numbers from 1 on: a name keeps that of `before`; a number that was used is used again last.
template <typename Config>
class Numbers {
public:
    Numbers(const std::set<std::string>& names, const std::vector<Config>& before,
            std::size_t max) {
        std::set<std::uint16_t> taken;
        for (std::size_t i = 1; i < before.size(); ++i) {
            if (!names.contains(before[i].name)) { continue; }
            by_name_[before[i].name] = static_cast<std::uint16_t>(i);
            taken.insert(static_cast<std::uint16_t>(i));
        }
        size_ = std::max<std::size_t>(1, before.size());
        for (const std::string& name : names) {
            if (by_name_.contains(name)) { continue; }
            by_name_[name] =
                size_ <= max ? static_cast<std::uint16_t>(size_++) : reused(before, taken);
        }
    }
    [[nodiscard]] std::uint16_t of(const std::string& name) const { return by_name_.at(name); }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }

private:
    /// One that was free before, if there is one: pins may name the others.
    static std::uint16_t reused(const std::vector<Config>& before, std::set<std::uint16_t>& taken) {
        for (const bool was_free : {true, false}) {
            for (std::size_t i = 1; i < before.size(); ++i) {
                const auto number = static_cast<std::uint16_t>(i);
                if (before[i].name.empty() == was_free && taken.insert(number).second) {
                    return number;
                }
            }
        }
        SLUICE_ASSERT(false);  // A document names at most `max`.
        return 0;
    }

    std::map<std::string, std::uint16_t> by_name_;
    std::size_t size_ = 1;
};

std::string name_of(const model::ServiceChain& chain, const model::ServiceRule& rule) {
    return chain.name + "/" + rule.name;
}

bool redirects(const model::ServiceRule& rule) {
    return rule.action == model::ServiceAction::kRedirect;
}

void number_instances(const model::Document& document, const Snapshot& previous, Snapshot& next) {
    std::set<std::string> names;
    model::each_instance(document, [&](const auto&, const auto&, const auto& instance) {
        names.insert(instance.name);
    });
    const Numbers<ServiceInstanceConfig> numbers(names, previous.service_instances,
                                                 kServiceInstanceMax);
    next.service_instances.resize(numbers.size());
    model::each_instance(document, [&](const auto&, const auto&, const auto& instance) {
        ServiceInstanceConfig& config = next.service_instances[numbers.of(instance.name)];
        const bool takes_new = !config.name.empty() && config.takes_new;
        config.name = instance.name;
        config.encapsulation = instance.encapsulation;
        config.vni = instance.vni;
        config.path = instance.path != 0 ? instance.path : model::default_path(instance.name);
        config.takes_new = takes_new || instance.weight != 0;
    });
}

void number_rules(const model::Document& document, const Snapshot& previous, Snapshot& next) {
    std::set<std::string> names;
    for (const model::ServiceChain& chain : document.service_chains) {
        for (const model::ServiceRule& rule : chain.rules) {
            if (redirects(rule)) { names.insert(name_of(chain, rule)); }
        }
    }
    std::map<std::string, std::uint16_t> instances;
    for (std::size_t i = 1; i < next.service_instances.size(); ++i) {
        instances[next.service_instances[i].name] = static_cast<std::uint16_t>(i);
    }
    const Numbers<ServiceRuleConfig> numbers(names, previous.service_rules, kServiceRuleMax);
    next.service_rules.resize(numbers.size());
    for (const model::ServiceChain& chain : document.service_chains) {
        for (const model::ServiceRule& rule : chain.rules) {
            if (!redirects(rule)) { continue; }
            const std::string name = name_of(chain, rule);
            ServiceRuleConfig& config = next.service_rules[numbers.of(name)];
            config.name = name;
            config.slot = rule.slot;
            config.on_failure = rule.on_failure;
            for (const model::ServiceInstance& instance : rule.instances) {
                config.instances.push_back({instances.at(instance.name), instance.weight});
            }
        }
    }
}

const model::ServiceInstance* instance_of(const model::Document& document,
                                          const std::string& name) {
    for (const model::ServiceChain& chain : document.service_chains) {
        for (const model::ServiceRule& rule : chain.rules) {
            for (const model::ServiceInstance& each : rule.instances) {
                if (each.name == name) { return &each; }
            }
        }
    }
    return nullptr;
}

void make_leg(Snapshot& next, PortIndex leg, std::uint16_t instance) {
    PortConfig& port = *next.ports[leg.value];
    port.leg_of = instance;
    const bool is_nsh =
        next.service_instances[instance].encapsulation == model::Encapsulation::kNsh;
    if (is_nsh) { port.frame_size_max += kNshBytes; }
    port.shape += "|leg of " + std::to_string(instance) + (is_nsh ? " nsh" : "");
}

/// Index of a module in the snapshot.
Result<std::uint16_t> add_module(Snapshot& next, const ModuleSource& modules,
                                 const std::string& name) {
    if (!modules) {
        return Error{Errc::kNotFound, "service module " + name + ": there are none here",
                     "service module " + name};
    }
    Result<std::shared_ptr<datapath::ServiceModule>> loaded = modules(name);
    if (!loaded) { return loaded.error(); }
    std::shared_ptr<datapath::ServiceModule> module = std::move(loaded).value();
    auto& all = next.service_modules;
    if (all.empty()) { all.emplace_back(); }
    const auto at = std::find(all.begin(), all.end(), module);
    const auto index = static_cast<std::uint16_t>(at - all.begin());
    if (at == all.end()) {
        if (index > kServiceModuleMax) {
            return Error{Errc::kLimit,
                         "service module " + name + ": more than " +
                             std::to_string(kServiceModuleMax) + " in-process services",
                         "service module " + name};
        }
        all.push_back(std::move(module));
    }
    return index;
}

Status place_instances(const Compilation& compilation, const Remotes& remotes,
                       const ModuleSource& modules) {
    Snapshot& next = compilation.next;
    for (std::size_t i = 1; i < next.service_instances.size(); ++i) {
        ServiceInstanceConfig& config = next.service_instances[i];
        if (config.name.empty()) { continue; }
        const auto number = static_cast<std::uint16_t>(i);
        const model::ServiceInstance& instance = *instance_of(compilation.document, config.name);
        config.remote = remotes.find(instance.vtep);
        if (!instance.in.empty()) {
            const PortRegistry& ports = compilation.registries.ports;
            config.in = ports.find(instance.in);
            config.out = instance.out.empty() ? config.in : ports.find(instance.out);
            make_leg(next, config.in, number);
            if (config.out != config.in) { make_leg(next, config.out, number); }
        }
        if (instance.module.empty()) { continue; }
        const Result<std::uint16_t> module = add_module(next, modules, instance.module);
        if (!module) { return module.error(); }
        config.module = module.value();
    }
    return Ok{};
}

bool needs_tag(const Domain& domain) {
    return !domain.is_service_path &&
           (!domain.members.empty() || domain.router != datapath::kNoRouter);
}

/// Tags of domains: those that they had, then such as nobody had.
Status tag_domains(const Snapshot& previous, Snapshot& next) {
    std::map<DomainId, std::uint16_t> before;
    std::set<std::uint16_t> taken, used;
    for (const Domain& domain : previous.domains) {
        if (domain.service_vid == 0) { continue; }
        before.emplace(domain.id, domain.service_vid);
        used.insert(domain.service_vid);
    }
    for (Domain& domain : next.domains) {
        const auto at = before.find(domain.id);
        if (at == before.end() || !needs_tag(domain)) { continue; }
        domain.service_vid = at->second;
        taken.insert(at->second);
    }
    std::uint16_t fresh = kVlanMin, freed = kVlanMin;
    for (Domain& domain : next.domains) {
        if (domain.service_vid != 0 || !needs_tag(domain)) { continue; }
        while (fresh <= kVlanMax && used.contains(fresh)) { ++fresh; }
        while (freed <= kVlanMax && taken.contains(freed)) { ++freed; }
        if (freed > kVlanMax) {
            return Error{Errc::kLimit,
                         "service_chains: more than " + std::to_string(kVlanMax) +
                             " layer-2 domains with ports or routers, each needs a tag on the legs",
                         "service_chains"};
        }
        domain.service_vid = fresh <= kVlanMax ? fresh : freed;
        used.insert(domain.service_vid);
        taken.insert(domain.service_vid);
    }
    return Ok{};
}

void trunk_legs(Snapshot& next) {
    auto domains = std::make_shared<std::array<std::uint16_t, 4096>>();
    domains->fill(kNoDomain);
    for (std::size_t i = 0; i < next.domains.size(); ++i) {
        const std::uint16_t vid = next.domains[i].service_vid;
        if (vid != 0) { (*domains)[vid] = static_cast<std::uint16_t>(i); }
    }
    for (auto& port : next.ports) {
        if (!port) { continue; }
        const bool is_leg = port->leg_of != kNoService;
        if (is_leg) { port->vlan.is_trunk = true; }
        // What services elsewhere send back is tagged, too, once it is out of its envelope.
        if (is_leg || port->vtep != datapath::kNoVtep) { port->vlan.tagged_domains = domains; }
    }
}

std::vector<std::vector<std::uint32_t>> nothing_applied(const model::Document& document) {
    return std::vector<std::vector<std::uint32_t>>(document.ports.size());
}

}  // namespace

void number_services(const model::Document& document, const Snapshot& previous, Snapshot& next) {
    number_instances(document, previous, next);
    number_rules(document, previous, next);
    const bool has_keys = !document.encryption.key_policies.empty();
    next.key_policies.resize(has_keys ? kKeyPolicyMax + 1U : 0U);
    for (const model::KeyPolicy& policy : document.encryption.key_policies) {
        next.key_policies[model::id_of(policy)] = {policy.name, policy.algorithm};
    }
}

void compile_redirect(const ServiceNames& names, std::vector<ServiceRuleConfig>& rules,
                      std::vector<SlotPrograms>& of_port) {
    std::map<std::string, std::uint16_t> numbers;
    for (std::size_t i = 1; i < rules.size(); ++i) {
        numbers[rules[i].name] = static_cast<std::uint16_t>(i);
    }
    for (std::uint8_t slot = kServiceSlotMin; slot <= kServiceSlotMax; ++slot) {
        std::vector<RedirectRule> compiled;
        auto applied = nothing_applied(names.document);
        for (const model::ServiceChain& chain : names.document.service_chains) {
            for (const model::ServiceRule& rule : chain.rules) {
                if (rule.slot != slot) { continue; }
                RedirectRule out;
                out.id = names.rule_id(service_section(chain.name), rule.name);
                out.redirects = redirects(rule);
                out.initiator = rule.initiator;
                out.source = names.expressions.of(rule.source);
                out.destination = names.expressions.of(rule.destination);
                out.services = rule.services;
                if (out.redirects) {
                    out.number = numbers.at(name_of(chain, rule));
                    rules[out.number].id = out.id;
                }
                const auto index = static_cast<std::uint32_t>(compiled.size());
                for (const std::size_t port : names.targets.of(rule.applied_to).ports) {
                    applied[port].push_back(index);
                }
                compiled.push_back(std::move(out));
            }
        }
        if (compiled.empty()) { continue; }
        RedirectCompiler compiler(slot, compiled);
        for (std::size_t port = 0; port < applied.size(); ++port) {
            if (names.document.ports[port].kind == model::PortKind::kService) { continue; }
            of_port[port][slot] = compiler.compile(applied[port]);
        }
    }
}

void compile_encryption(const ServiceNames& names, std::vector<SlotPrograms>& of_port) {
    const model::Encryption& encryption = names.document.encryption;
    if (encryption.rules.empty()) { return; }
    std::map<std::string, std::uint8_t> ids;
    for (const model::KeyPolicy& policy : encryption.key_policies) {
        ids[policy.name] = model::id_of(policy);
    }
    std::vector<EncryptRule> compiled;
    auto applied = nothing_applied(names.document);
    for (const model::EncryptionRule& rule : encryption.rules) {
        EncryptRule out;
        out.id = names.rule_id(kEncryptionSection, rule.name);
        if (rule.action != model::EncryptionAction::kClear) {
            out.key_policy = ids.at(rule.key_policy);
            out.required = rule.required;
        }
        out.source = names.expressions.of(rule.source);
        out.destination = names.expressions.of(rule.destination);
        out.services = rule.services;
        const auto index = static_cast<std::uint32_t>(compiled.size());
        for (const std::size_t port : names.targets.of(rule.applied_to).ports) {
            applied[port].push_back(index);
        }
        compiled.push_back(std::move(out));
    }
    EncryptCompiler compiler(compiled);
    for (std::size_t port = 0; port < applied.size(); ++port) {
        of_port[port][kSlotEncrypt] = compiler.compile(applied[port]);
    }
}

PortConfig describe_leg(const Compilation& compilation, const model::Port& port) {
    std::uint32_t mtu = model::Switch{}.mtu;  // A leg carries frames of all switches.
    for (const model::Switch& on : compilation.document.switches) {
        mtu = std::max<std::uint32_t>(mtu, on.mtu);
    }
    PortConfig config;
    config.is_enabled = port.enabled;
    config.name = port.name;
    config.port_group = port.port_group;
    config.mac = port.mac;
    config.ips = port.ips;
    config.frame_size_max = mtu + kEthernetHeaderBytes;
    config.shape = "service|" + std::to_string(mtu) + "|" + std::to_string(port.enabled ? 1 : 0) +
                   "|" + port.port_group;
    return config;
}

Status open_service_paths(const Compilation& compilation, Switching& switching) {
    const model::Document& document = compilation.document;
    for (const std::uint32_t vni : model::service_vnis(document)) {
        for (const model::Switch& on : document.switches) {
            if (!model::has_vtep(document, on)) { continue; }
            const std::uint16_t domain = switching.open_path(on, vni);
            if (domain == kNoDomain) {
                return Error{Errc::kLimit,
                             "service_chains: the host would have more than " +
                                 std::to_string(kDomainMax) + " layer-2 domains",
                             "service_chains"};
            }
        }
    }
    return Ok{};
}

Status place_services(const Compilation& compilation, const Remotes& remotes,
                      const ModuleSource& modules) {
    if (Status placed = place_instances(compilation, remotes, modules); !placed) { return placed; }
    const bool has_rules =
        std::any_of(compilation.next.service_rules.begin(), compilation.next.service_rules.end(),
                    [](const ServiceRuleConfig& rule) { return !rule.name.empty(); });
    if (!has_rules) { return Ok{}; }
    if (Status tagged = tag_domains(compilation.previous, compilation.next); !tagged) {
        return tagged;
    }
    trunk_legs(compilation.next);
    return Ok{};
}

}  // namespace sluice::host
