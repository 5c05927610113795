// SPDX-License-Identifier: Apache-2.0
// Reader of encryption: key policies, the group keys that they hold sealed, and rules. What is in
// keys and key files is the key service's business.
#include <limits>

#include "controller-agent/document_reader.h"

namespace sluice::agent {
namespace {

using model::EncryptionAction;
using model::KeyAlgorithm;

constexpr std::size_t kSealedTextMax = 1024;  // Bytes of one key, sealed, in base64.

void read_hosts(Fields hosts, model::SealedKey& key) {
    for (const auto& [host, sealed] : hosts.members()) {
        if (!sealed->is_string() || host.empty() || host.size() > kSealedTextMax ||
            sealed->get_ref<const std::string&>().size() > kSealedTextMax) {
            hosts.refuse(Errc::kInvalid, host, "is not a public key and a key sealed to it");
            return;
        }
        key.hosts.emplace(host, sealed->get<std::string>());
    }
    if (key.hosts.size() > kKeyHostMax) {
        hosts.refuse(Errc::kLimit, "hosts",
                     "has " + std::to_string(key.hosts.size()) + " members, at most " +
                         std::to_string(kKeyHostMax) + " are allowed");
    }
}

void read_keys(Fields& fields, Fault& fault, model::KeyPolicy& policy) {
    const nlohmann::json* items = fields.list("keys", kSealedKeyMax);
    if (items == nullptr) { return; }
    for (std::size_t i = 0; i < items->size(); ++i) {
        Fields item(&(*items)[i], fields.object(), "keys[" + std::to_string(i) + "]", fault);
        model::SealedKey key;
        if (!item.number("epoch", key.epoch, 0, std::numeric_limits<std::uint64_t>::max())) {
            item.refuse(Errc::kInvalid, "epoch", "is missing, expected a whole number");
        }
        read_hosts(item.nested("hosts"), key);
        item.finish();
        if (fault.any()) { return; }
        if (!policy.keys.empty() && policy.keys.back().epoch >= key.epoch) {
            fields.refuse(Errc::kInvalid, "keys",
                          "holds epoch " + std::to_string(key.epoch) + " behind " +
                              std::to_string(policy.keys.back().epoch) + ", they ascend");
            return;
        }
        policy.keys.push_back(std::move(key));
    }
}

void read_key_policy(Fields& fields, std::string name, Fault& fault,
                     model::Encryption& encryption) {
    model::KeyPolicy policy;
    policy.name = std::move(name);
    fields.choice("algorithm", policy.algorithm,
                  {{"aes-128-gcm", KeyAlgorithm::kAes128Gcm},
                   {"aes-256-gcm", KeyAlgorithm::kAes256Gcm},
                   {"aes-128-gmac", KeyAlgorithm::kAes128Gmac}});
    fields.number("rotate_s", policy.rotate_s, 1, kKeyRotateMaxS);
    fields.text("key_file", policy.key_file);
    fields.number("id", policy.id, 1, kKeyPolicyMax);
    read_keys(fields, fault, policy);
    encryption.key_policies.push_back(std::move(policy));
}

void read_rule(Fields& fields, std::string name, model::Encryption& encryption) {
    model::EncryptionRule rule;
    rule.name = std::move(name);
    fields.choice("action", rule.action,
                  {{"encrypt", EncryptionAction::kEncrypt},
                   {"integrity", EncryptionAction::kIntegrity},
                   {"clear", EncryptionAction::kClear}});
    rule.required = rule.action != EncryptionAction::kClear;
    fields.flag("required", rule.required);
    fields.text("key_policy", rule.key_policy);
    read_items(fields, "source", rule.source);
    read_items(fields, "destination", rule.destination);
    read_services(fields, rule.services);
    read_items(fields, "applied_to", rule.applied_to);
    encryption.rules.push_back(std::move(rule));
}

}  // namespace

void read_encryption(Fields& root, Fault& fault, model::Document& document) {
    model::Encryption& encryption = document.encryption;
    Fields fields(root.take("encryption"), "encryption", "", fault);
    each_named(fields, "key_policies", "key_policy", kKeyPolicyMax, fault,
               [&](Fields& f, std::string name) {
                   read_key_policy(f, std::move(name), fault, encryption);
               });
    each_named(fields, "rules", "encryption rule", kEncryptionRuleMax, fault,
               [&](Fields& f, std::string name) { read_rule(f, std::move(name), encryption); });
    fields.finish();
}

}  // namespace sluice::agent
