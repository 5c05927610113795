// SPDX-License-Identifier: Apache-2.0
// Writers of write_json.h: service chains and encryption.
#include "controller-agent/json_writer.h"

namespace sluice::agent {

Json to_json_value(const model::ServiceInstance& instance, Detail detail) {
    const model::ServiceInstance standard;
    Writer out(detail);
    out.always("name", instance.name);
    out.put("in", instance.in, standard.in);
    out.put("out", instance.out, standard.out);
    out.put("weight", instance.weight, standard.weight);
    out.word("encapsulation", instance.encapsulation, standard.encapsulation);
    if (instance.vtep) { out.always("vtep", to_string(*instance.vtep)); }
    if (instance.vni != 0) { out.always("vni", instance.vni); }
    if (instance.path != 0) { out.always("path", instance.path); }
    out.put("module", instance.module, standard.module);
    return std::move(out).take();
}

Json to_json_value(const model::ServiceRule& rule, Detail detail) {
    const model::ServiceRule standard;
    Writer out(detail);
    out.always("name", rule.name);
    out.always("action", to_text(rule.action));
    out.word("initiator", rule.initiator, standard.initiator);
    out.part("source", names_or_any(rule.source, detail));
    out.part("destination", names_or_any(rule.destination, detail));
    out.part("services", services_or_any(rule.services, detail));
    out.part("applied_to", names_or_any(rule.applied_to, detail));
    out.put("slot", rule.slot, standard.slot);
    out.word("on_failure", rule.on_failure, standard.on_failure);
    out.part("instances", objects(rule.instances, detail));
    return std::move(out).take();
}

Json to_json_value(const model::ServiceChain& chain, Detail detail) {
    Writer out(detail);
    out.always("name", chain.name);
    out.part("rules", objects(chain.rules, detail));
    return std::move(out).take();
}

Json to_json_value(const model::KeyPolicy& policy, Detail detail) {
    const model::KeyPolicy standard;
    Writer out(detail);
    out.always("name", policy.name);
    out.always("algorithm", to_text(policy.algorithm));
    out.put("rotate_s", policy.rotate_s, standard.rotate_s);
    out.put("key_file", policy.key_file, standard.key_file);
    if (policy.id != 0) { out.always("id", policy.id); }
    out.part("keys", texts(policy.keys, [](const model::SealedKey& key) {
                 return Json{{"epoch", key.epoch}, {"hosts", key.hosts}};
             }));
    return std::move(out).take();
}

Json to_json_value(const model::EncryptionRule& rule, Detail detail) {
    const model::EncryptionRule standard;
    Writer out(detail);
    out.always("name", rule.name);
    out.always("action", to_text(rule.action));
    out.put("required", rule.required, rule.action != model::EncryptionAction::kClear);
    out.put("key_policy", rule.key_policy, standard.key_policy);
    out.part("source", names_or_any(rule.source, detail));
    out.part("destination", names_or_any(rule.destination, detail));
    out.part("services", services_or_any(rule.services, detail));
    out.part("applied_to", names_or_any(rule.applied_to, detail));
    return std::move(out).take();
}

Json to_json_value(const model::Encryption& encryption, Detail detail) {
    Writer out(detail);
    out.part("key_policies", objects(encryption.key_policies, detail));
    out.part("rules", objects(encryption.rules, detail));
    return std::move(out).take();
}

}  // namespace sluice::agent
