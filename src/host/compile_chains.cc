// SPDX-License-Identifier: Apache-2.0
// Compile chains: see compile_chains.h. Names are resolved here; slots get addresses and numbers
// only.
#include "src/host/compile_chains.h"

#include <algorithm>
#include <map>
#include <string>

#include "sluice/iochain/dfw.h"
#include "sluice/iochain/dvfilter.h"
#include "sluice/iochain/swsec.h"
#include "src/host/compile_services.h"
#include "src/host/rule_names.h"

namespace sluice::host {
namespace {

struct Compiler {
    const model::Document& document;
    const model::Resolver& resolver;
    RuleRegistry& registry;
    Expressions expressions;
    Targets targets;
    PolicyImage image;
    ChainSet result;

    RuleId rule_id(const std::string& section, const std::string& name) {
        const RuleId id = registry.acquire({section, name});
        result.rules.insert(result.rules.end(), id);  // They mostly come in order.
        return id;
    }

    std::vector<std::shared_ptr<const SlotProgram>> compile_dvfilters();
    DvfilterRule dvfilter_rule(const model::Acl& acl, const model::AclRule& rule);
    std::vector<std::shared_ptr<const SlotProgram>> compile_firewall();
    std::shared_ptr<const SlotProgram> compile_security(const model::Port& port);
};

DvfilterRule Compiler::dvfilter_rule(const model::Acl& acl, const model::AclRule& rule) {
    DvfilterRule out;
    out.id = rule_id("acl " + acl.name, rule.name);
    out.permit = rule.action != model::AclAction::kDeny;
    out.goes_on = rule.action == model::AclAction::kCount;
    out.direction = rule.direction;
    out.source = expressions.of(rule.source);
    out.destination = expressions.of(rule.destination);
    out.services = rule.services;
    out.source_mac = rule.source_mac;
    out.destination_mac = rule.destination_mac;
    out.ethertype = rule.ethertype;
    out.vlan = rule.vlan;
    out.dscp = rule.dscp;
    out.tcp_flags = rule.tcp_flags;
    out.set_dscp = rule.set_dscp;
    return out;
}

// Ports to which the same ACLs apply share one program.
std::vector<std::shared_ptr<const SlotProgram>> Compiler::compile_dvfilters() {
    std::vector<std::vector<std::size_t>> acls_of(document.ports.size());
    std::vector<std::vector<DvfilterRule>> rules_of;
    for (std::size_t a = 0; a < document.acls.size(); ++a) {
        const model::Acl& acl = document.acls[a];
        std::vector<DvfilterRule>& rules = rules_of.emplace_back();
        const Target& target = targets.of(acl.applied_to);
        for (const model::AclRule& rule : acl.rules) {
            rules.push_back(dvfilter_rule(acl, rule));
            image.rules.push_back(policy_rule(rules.back(), target.set));
        }
        result.reads_dscp = result.reads_dscp || reads_dscp(rules);
        for (const std::size_t port : target.ports) { acls_of[port].push_back(a); }
    }
    std::map<std::vector<std::size_t>, std::shared_ptr<const SlotProgram>> programs;
    std::vector<std::shared_ptr<const SlotProgram>> of_port;
    for (const auto& acls : acls_of) {
        const auto [at, is_new] = programs.try_emplace(acls);
        if (is_new && !acls.empty()) {
            std::vector<DvfilterRule> rules;
            for (const std::size_t a : acls) {
                rules.insert(rules.end(), rules_of[a].begin(), rules_of[a].end());
            }
            at->second = compile_dvfilter(rules);
        }
        of_port.push_back(at->second);
    }
    return of_port;
}

// Null for ports that the firewall excludes.
std::vector<std::shared_ptr<const SlotProgram>> Compiler::compile_firewall() {
    DfwInput input;
    input.default_allow = document.dfw.default_action == model::DfwAction::kAllow;
    input.default_reject = document.dfw.default_action == model::DfwAction::kReject;
    input.default_rule = rule_id(kDefaultRule, kDefaultRule);
    std::vector<std::vector<std::uint32_t>> applied(document.ports.size());
    for (const model::Section& section : document.dfw.sections) {
        for (const model::Rule& rule : section.rules) {
            DfwRule out;
            out.id = rule_id(section.name, rule.name);
            out.allow = rule.action == model::DfwAction::kAllow;
            out.reject = rule.action == model::DfwAction::kReject;
            out.log = rule.log;
            if (rule.log) { result.logged.emplace(out.id, RuleName{section.name, rule.name}); }
            out.direction = rule.direction;
            out.source = expressions.of(rule.source);
            out.destination = expressions.of(rule.destination);
            out.negate_source = rule.negate_source;
            out.negate_destination = rule.negate_destination;
            out.services = rule.services;
            out.stateful = section.stateful;
            out.tcp_strict = section.tcp_strict;
            out.alg = rule.alg;
            const auto index = static_cast<std::uint32_t>(input.rules.size());
            const Target& target = targets.of(rule.applied_to);
            for (const std::size_t port : target.ports) { applied[port].push_back(index); }
            image.rules.push_back(policy_rule(out, target.set));
            input.rules.push_back(std::move(out));
        }
    }
    image.rest = {input.default_rule.value,
                  (input.default_allow ? 1U : 0U) | (input.default_reject ? 2U : 0U)};
    DfwCompiler compiler(input);
    const model::PortIndices excluded = resolver.excluded();
    std::vector<std::shared_ptr<const SlotProgram>> of_port;
    for (std::size_t port = 0; port < applied.size(); ++port) {
        const bool is_excluded =
            std::find(excluded.begin(), excluded.end(), port) != excluded.end();
        of_port.push_back(is_excluded ? nullptr : compiler.compile(applied[port]));
    }
    return of_port;
}

std::shared_ptr<const SlotProgram> Compiler::compile_security(const model::Port& port) {
    const model::PortGroup& group = *resolver.port_group(port.port_group);
    SwsecInput input;
    input.mac = port.mac;
    input.ips = model::own_ips(port);
    input.spoofguard = group.spoofguard != model::SpoofGuard::kOff;
    input.first_use = group.spoofguard == model::SpoofGuard::kAuto;
    input.bindings = group.bindings;
    const model::Security security = model::effective_security(port, group);
    input.forged_transmits =
        security.forged_transmits || security.mac_changes || group.mac_learning.enabled;
    input.guards = group.guards;
    input.limits = group.limits;
    return compile_swsec(input);
}

}  // namespace

ChainSet compile_chains(const model::Document& document, const model::Resolver& resolver,
                        RuleRegistry& registry, const std::vector<PortIndex>& indices,
                        std::vector<datapath::ServiceRuleConfig>& service_rules) {
    Compiler compiler{
        document, resolver, registry, Expressions(resolver, indices), Targets(resolver, indices),
        {},       {}};
    const auto dvfilters = compiler.compile_dvfilters();
    const auto firewalls = compiler.compile_firewall();
    std::vector<SlotPrograms> services(document.ports.size());
    const ServiceNames names{document, compiler.expressions, compiler.targets,
                             [&](const std::string& section, const std::string& name) {
                                 return compiler.rule_id(section, name);
                             }};
    compile_redirect(names, service_rules, services);
    compile_encryption(names, services);
    for (std::size_t i = 0; i < document.ports.size(); ++i) {
        auto chain = std::make_shared<ChainProgram>();
        chain->slots = std::move(services[i]);
        chain->slots[kSlotDvfilter] = dvfilters[i];
        if (document.ports[i].kind != model::PortKind::kService) {  // A leg has all its tenants'.
            chain->slots[kSlotSwsec] = compiler.compile_security(document.ports[i]);
        }
        chain->slots[kSlotDfw] = firewalls[i];
        chain->reads_dscp = compiler.result.reads_dscp;
        compiler.result.of_port.push_back(std::move(chain));
    }
    compiler.result.follows_bindings = compiler.expressions.follows_bindings;
    compiler.result.image = std::make_shared<const PolicyImage>(std::move(compiler.image));
    return std::move(compiler.result);
}

}  // namespace sluice::host
