// SPDX-License-Identifier: Apache-2.0
// See check_services.h: encryption.
#include <algorithm>
#include <map>
#include <string>

#include "controller-agent/check_services.h"
#include "controller-agent/write_json.h"

namespace sluice::agent {
namespace {

using model::EncryptionAction;
using model::KeyAlgorithm;
using model::KeyPolicy;

std::string quoted(const std::string& text) { return shown(std::string_view(text)); }

void check_key_policy(const KeyPolicy& policy, Fault& fault) {
    const std::string object = "key_policy " + policy.name;
    if (!policy.key_file.empty() &&
        (policy.key_file.front() != '/' || policy.key_file.back() == '/' ||
         policy.key_file.find('\0') != std::string::npos)) {
        fault.refuse(Errc::kInvalid, object,
                     "key_file " + quoted(policy.key_file) + " is not an absolute path of a file");
    }
    if (!policy.key_file.empty() && !policy.keys.empty()) {
        fault.refuse(Errc::kInvalid, object, "has key_file and keys, expected one of them");
    }
}

using Policies = std::map<std::string, const KeyPolicy*>;

void check_rule(const model::EncryptionRule& rule, const Policies& policies, Fault& fault) {
    const std::string object = "encryption rule " + rule.name;
    const auto refuse = [&](const std::string& why) { fault.refuse(Errc::kInvalid, object, why); };
    if (rule.action == EncryptionAction::kClear) {
        if (rule.required) { refuse("required true needs action encrypt or integrity"); }
        if (!rule.key_policy.empty()) {
            refuse("key_policy " + quoted(rule.key_policy) + " is given, action clear takes none");
        }
        return;
    }
    const std::string action = std::string("action ") + to_text(rule.action);
    if (rule.key_policy.empty()) {
        refuse("key_policy is missing, " + action + " needs one");
        return;
    }
    const auto at = policies.find(rule.key_policy);
    if (at == policies.end()) {
        refuse("key_policy " + quoted(rule.key_policy) + " does not exist");
        return;
    }
    const KeyPolicy& policy = *at->second;
    const bool is_gmac = policy.algorithm == KeyAlgorithm::kAes128Gmac;
    if (is_gmac != (rule.action == EncryptionAction::kIntegrity)) {
        refuse("key_policy " + quoted(rule.key_policy) + " has algorithm " +
               to_text(policy.algorithm) + ", " + action + " needs " +
               (is_gmac ? "aes-128-gcm or aes-256-gcm" : "aes-128-gmac"));
    }
    if (rule.required && policy.key_file.empty() && policy.keys.empty()) {
        fault.refuse(Errc::kInvalid, "key_policy " + policy.name,
                     "has no key, " + object + " has required true: expected key_file or keys");
    }
}

}  // namespace

void check_encryption(const model::Document& document, Fault& fault) {
    Policies policies;
    std::map<unsigned, std::string> ids;
    for (const KeyPolicy& policy : document.encryption.key_policies) {
        check_key_policy(policy, fault);
        policies.emplace(policy.name, &policy);
        const unsigned id = model::id_of(policy);
        const auto [at, is_new] = ids.try_emplace(id, policy.name);
        if (!is_new) {
            fault.refuse(Errc::kExists, "key_policy " + policy.name,
                         "id " + std::to_string(id) + " is that of key_policy " + at->second +
                             " too, expected one of its own (id)");
        }
    }
    for (const model::EncryptionRule& rule : document.encryption.rules) {
        if (fault.any()) { return; }
        check_rule(rule, policies, fault);
    }
}

}  // namespace sluice::agent
