// SPDX-License-Identifier: Apache-2.0
// Building of a RuleTable from resolved rules. Control thread's compile helper; linear but for
// sorting.
#include "iochain/dfw/rule_table.h"
#include "iochain/fingerprint.h"
#include "sluice/base/assert.h"

namespace sluice::iochain {
namespace {

void add(Fingerprint& print, const model::Service& service) noexcept {
    const ServiceRange destination = destination_range(service);
    const ServiceRange source = source_range(service);
    print.add((std::uint64_t{destination.first} << 32U) | destination.last);
    print.add((std::uint64_t{source.first} << 32U) | source.last);
}

void add(Fingerprint& print, const AddressList& list, bool negate) noexcept {
    print.add((list.size() << 1U) | (negate ? 1U : 0U));
    for (const auto& expression : list) { print.add(expression->fingerprint()); }
}

/// Services of a rule; nothing if any service will do.
std::span<const model::Service> services_of(const DfwRule& rule) noexcept {
    for (const model::Service& service : rule.services) {
        if (service.any) { return {}; }
    }
    return rule.services;
}

bool names_source_ports(std::span<const model::Service> services) noexcept {
    for (const model::Service& service : services) {
        if (has_source_ports(service)) { return true; }
    }
    return false;
}

std::array<std::uint64_t, 2> fingerprint_of(const DfwRule& rule) noexcept {
    Fingerprint print;
    print.add(rule.id.value);
    print.add((rule.allow ? 1U : 0U) | (rule.stateful ? 2U : 0U) |
              (rule.stateful && rule.tcp_strict ? 4U : 0U) |
              (!rule.allow && rule.reject ? 8U : 0U) | (rule.log ? 64U : 0U) |
              (static_cast<unsigned>(rule.alg) << 8U) |
              (static_cast<unsigned>(rule.direction) << 4U));
    add(print, rule.source, rule.negate_source);
    add(print, rule.destination, rule.negate_destination);
    const auto services = services_of(rule);
    print.add(services.size());
    for (const model::Service& service : services) { add(print, service); }
    return print.value();
}

}  // namespace

RuleTable::RuleTable(const DfwInput& input) {
    SLUICE_ASSERT(input.rules.size() <= kRuleBitsMax);
    outcomes_.reserve(input.rules.size() + 1);
    for (const DfwRule& rule : input.rules) {
        outcomes_.push_back({rule.id, rule.allow, !rule.allow && rule.reject, rule.log,
                             rule.stateful, rule.stateful && rule.tcp_strict, rule.alg});
        directions_.push_back(rule.direction);
        fingerprints_.push_back(fingerprint_of(rule));
    }
    outcomes_.push_back({input.default_rule, input.default_allow,
                         !input.default_allow && input.default_reject, false, true, true,
                         model::Alg::kNone});
    compile_addresses(input);
    compile_services(input);
}

void RuleTable::compile_addresses(const DfwInput& input) {
    ExpressionAtoms atoms;
    Lists& sources = lists(Lane::kSource);
    Lists& destinations = lists(Lane::kDestination);
    for (const DfwRule& rule : input.rules) {
        sources.start(rule.source.empty() || rule.negate_source);
        for (const auto& expression : rule.source) { sources.add(atoms.atom_of(*expression)); }
        destinations.start(rule.destination.empty() || rule.negate_destination);
        for (const auto& expression : rule.destination) {
            destinations.add(atoms.atom_of(*expression));
        }
    }
    const auto atom_count = static_cast<std::uint32_t>(atoms.expressions().size());
    sources.finish(atom_count);
    destinations.finish(atom_count);
    addresses_ = AddressIndex(atoms.expressions());
}

void RuleTable::compile_services(const DfwInput& input) {
    RangeAtoms destination_atoms, source_atoms;
    Lists& destinations = lists(Lane::kService);
    Lists& sources = lists(Lane::kSourcePort);
    exact_first_.reserve(input.rules.size() + 1U);
    for (const DfwRule& rule : input.rules) {
        const auto services = services_of(rule);
        const bool names_sources = names_source_ports(services);
        destinations.start(services.empty());
        sources.start(!names_sources);
        exact_first_.push_back(static_cast<std::uint32_t>(exact_.size()));
        for (const model::Service& service : services) {
            destinations.add(destination_atoms.atom_of(destination_range(service)));
            if (names_sources) { sources.add(source_atoms.atom_of(source_range(service))); }
        }
        if (names_sources) { compile_exact(services); }
    }
    exact_first_.push_back(static_cast<std::uint32_t>(exact_.size()));
    destinations.finish(destination_atoms.count());
    sources.finish(source_atoms.count());
    destination_ports_ = destination_atoms.build();
    source_ports_ = source_atoms.build();
}

void RuleTable::compile_exact(std::span<const model::Service> services) {
    if (services.size() < 2) { return; }  // One service: its lanes are exact.
    for (const model::Service& service : services) {
        exact_.push_back({destination_range(service), source_range(service)});
    }
}

}  // namespace sluice::iochain
