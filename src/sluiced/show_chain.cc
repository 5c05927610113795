// SPDX-License-Identifier: Apache-2.0
// show chain, show rules, show acls.
#include "controller-agent/write_json.h"
#include "sluice/model/resolve.h"
#include "src/host/compile_chains.h"
#include "src/host/compile_services.h"
#include "src/sluiced/show_service.h"
#include "src/sluiced/worker_requests.h"

namespace sluice::daemon {
namespace {

using nlohmann::json;

const char* slot_state(const ChainProgram& chain, std::size_t slot) {
    if (kSlots[slot].kind == SlotKind::kReserved) { return "reserved"; }
    return chain.slots[slot] ? chain.slots[slot]->state() : "empty";
}

const char* action_text(model::DfwAction action) {
    switch (action) {
        case model::DfwAction::kAllow: return "allow";
        case model::DfwAction::kDrop: return "drop";
        case model::DfwAction::kReject: return "reject";
    }
    return "drop";
}

const char* to_text(model::AclAction action) {
    switch (action) {
        case model::AclAction::kPermit: return "permit";
        case model::AclAction::kDeny: return "deny";
        case model::AclAction::kCount: return "count";
    }
    return "deny";
}

// Without a port: to whomever.
bool applies(const model::Resolver& resolver, const model::Document& document,
             const std::vector<std::string>& applied_to, const std::string& port) {
    if (port.empty()) { return true; }
    for (const std::size_t i : resolver.ports(applied_to)) {
        if (document.ports[i].name == port) { return true; }
    }
    return false;
}

}  // namespace

boost::asio::awaitable<void> ShowService::fold() {
    co_await run_on_workers<datapath::FoldCommand>(dataplane_);
}

AnswerLater ShowService::chain(std::string port) {
    co_await fold();
    const Result<PortIndex> index = index_of(port);
    if (!index) { co_return index.error(); }
    const ChainProgram& program = *dataplane_.snapshot().port(index.value())->chain;
    json slots = json::array();
    for (std::size_t slot = 0; slot < kSlotCount; ++slot) {
        const auto figures = [&](std::size_t direction) {
            return json{{"packets", sum(index.value(),
                                        [=](const PortCounters& c) -> const Counter& {
                                            return c.slots[slot][direction].packets;
                                        })},
                        {"drops", sum(index.value(), [=](const PortCounters& c) -> const Counter& {
                             return c.slots[slot][direction].drops;
                         })}};
        };
        slots.push_back({{"slot", slot},
                         {"name", kSlots[slot].name},
                         {"state", slot_state(program, slot)},
                         {"on_failure", kSlots[slot].on_failure},
                         {"from_vm", figures(0)},
                         {"to_vm", figures(1)}});
    }
    co_return json{{"port", port}, {"slots", slots}};
}

json ShowService::rule_figures(const std::string& section, const std::string& name) const {
    const RuleId id = config_.registries().rules.find({section, name});
    std::uint64_t hits = 0, packets = 0, bytes = 0;
    for (unsigned w = 0; id.value != 0 && w < dataplane_.worker_count(); ++w) {
        const RuleCounters& counters =
            std::as_const(dataplane_).worker(w).context().rules[rule_slot(id)];
        hits += counters.hits.get();
        packets += counters.packets.get();
        bytes += counters.bytes.get();
    }
    return {{"hits", hits}, {"packets", packets}, {"bytes", bytes}};
}

// With a port: the rules that apply to it.
AnswerLater ShowService::rules(std::string port) {
    co_await fold();
    if (!port.empty()) {
        if (const Result<PortIndex> index = index_of(port); !index) { co_return index.error(); }
    }
    const model::Document& document = config_.document();
    const model::Resolver resolver(document);
    json rows = json::array();
    const auto add = [&](const std::string& section, const std::string& name, const char* action) {
        json row = rule_figures(section, name);
        row.update({{"section", section}, {"name", name}, {"action", action}});
        rows.push_back(std::move(row));
    };
    for (const model::Section& section : document.dfw.sections) {
        for (const model::Rule& rule : section.rules) {
            if (applies(resolver, document, rule.applied_to, port)) {
                add(section.name, rule.name, action_text(rule.action));
            }
        }
    }
    for (const model::ServiceChain& chain : document.service_chains) {
        for (const model::ServiceRule& rule : chain.rules) {
            if (applies(resolver, document, rule.applied_to, port)) {
                add(host::service_section(chain.name), rule.name, agent::to_text(rule.action));
            }
        }
    }
    for (const model::EncryptionRule& rule : document.encryption.rules) {
        if (applies(resolver, document, rule.applied_to, port)) {
            add(host::kEncryptionSection, rule.name, agent::to_text(rule.action));
        }
    }
    add(host::kDefaultRule, host::kDefaultRule, action_text(document.dfw.default_action));
    co_return rows;
}

AnswerLater ShowService::acls(std::string port) {
    co_await fold();
    if (!port.empty()) {
        if (const Result<PortIndex> index = index_of(port); !index) { co_return index.error(); }
    }
    const model::Document& document = config_.document();
    const model::Resolver resolver(document);
    json rows = json::array();
    for (const model::Acl& acl : document.acls) {
        if (!applies(resolver, document, acl.applied_to, port)) { continue; }
        for (const model::AclRule& rule : acl.rules) {
            json row = rule_figures("acl " + acl.name, rule.name);
            row.update({{"acl", acl.name}, {"name", rule.name}, {"action", to_text(rule.action)}});
            rows.push_back(std::move(row));
        }
    }
    co_return rows;
}

std::string ShowService::rule_text(RuleId rule) const {
    const auto* key = config_.registries().rules.name_of(rule);
    if (key == nullptr) { return rule.value == 0 ? "" : "(deleted)"; }
    return key->first == host::kDefaultRule ? key->first : key->first + "/" + key->second;
}

}  // namespace sluice::daemon
