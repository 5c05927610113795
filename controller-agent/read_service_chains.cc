// SPDX-License-Identifier: Apache-2.0
// Reader of service_chains. Whether legs and names exist is check_document's question.
#include "controller-agent/document_reader.h"

namespace sluice::agent {
namespace {

using model::Encapsulation;
using model::Initiator;
using model::OnFailure;
using model::ServiceAction;

void read_instance(Fields& fields, std::string name, model::ServiceRule& rule) {
    model::ServiceInstance instance;
    instance.name = std::move(name);
    fields.text("in", instance.in);
    fields.text("out", instance.out);
    if (instance.out == instance.in) { instance.out.clear(); }  // One leg.
    fields.number("weight", instance.weight, 0, kServiceWeightMax);
    fields.choice("encapsulation", instance.encapsulation,
                  {{"plain", Encapsulation::kPlain}, {"nsh", Encapsulation::kNsh}});
    read_ip(fields, "vtep", instance.vtep);
    fields.number("vni", instance.vni, 1, kVniMax);
    fields.number("path", instance.path, 1, kServicePathMax);
    fields.text("module", instance.module);
    rule.instances.push_back(std::move(instance));
}

void read_rule(Fields& fields, std::string name, Fault& fault, model::ServiceChain& chain) {
    model::ServiceRule rule;
    rule.name = std::move(name);
    fields.choice("action", rule.action,
                  {{"redirect", ServiceAction::kRedirect}, {"bypass", ServiceAction::kBypass}});
    fields.choice("initiator", rule.initiator,
                  {{"both", Initiator::kBoth}, {"in", Initiator::kIn}, {"out", Initiator::kOut}});
    read_items(fields, "source", rule.source);
    read_items(fields, "destination", rule.destination);
    read_services(fields, rule.services);
    read_items(fields, "applied_to", rule.applied_to);
    fields.number("slot", rule.slot, kServiceSlotMin, kServiceSlotMax);
    fields.choice("on_failure", rule.on_failure,
                  {{"open", OnFailure::kOpen}, {"closed", OnFailure::kClosed}});
    each_named(
        fields, "instances", fields.object() + " instance", kServiceInstanceMax, fault,
        [&](Fields& f, std::string instance) { read_instance(f, std::move(instance), rule); });
    chain.rules.push_back(std::move(rule));
}

}  // namespace

void read_service_chains(Fields& root, Fault& fault, model::Document& document) {
    each_named(root, "service_chains", "service_chain", kServiceChainMax, fault,
               [&](Fields& fields, std::string name) {
                   model::ServiceChain chain;
                   chain.name = std::move(name);
                   each_named(fields, "rules", fields.object() + " rule", kServiceRuleMax, fault,
                              [&](Fields& f, std::string rule) {
                                  read_rule(f, std::move(rule), fault, chain);
                              });
                   document.service_chains.push_back(std::move(chain));
               });
}

}  // namespace sluice::agent
