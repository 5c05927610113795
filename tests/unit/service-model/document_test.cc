// SPDX-License-Identifier: Apache-2.0
// service_chains and encryption of the document: what is read, defaulted, written, told as a
// difference, edited.
#include <gtest/gtest.h>

#include "controller-agent/diff.h"
#include "controller-agent/document_json.h"
#include "controller-agent/edit.h"
#include "tests/unit/service-model/documents.h"

namespace sluice::agent {
namespace {

using nlohmann::json;

model::Document read(const json& document) {
    auto read = read_document(document);
    EXPECT_TRUE(read.ok()) << (read.ok() ? "" : read.error().message);
    return read.ok() ? std::move(read).value() : model::Document{};
}

TEST(ServiceDocument, IsReadWithItsDefaults) {
    const model::Document document = read(test::with_services());
    ASSERT_EQ(document.service_chains.size(), 1u);
    const auto& rules = document.service_chains[0].rules;
    ASSERT_EQ(rules.size(), 3u);
    EXPECT_EQ(rules[0].action, model::ServiceAction::kBypass);
    EXPECT_EQ(rules[0].slot, 4);
    EXPECT_EQ(rules[0].initiator, model::Initiator::kBoth);
    EXPECT_EQ(rules[1].initiator, model::Initiator::kIn);
    EXPECT_EQ(rules[1].on_failure, model::OnFailure::kClosed);
    ASSERT_EQ(rules[1].instances.size(), 2u);
    EXPECT_EQ(rules[1].instances[0].weight, 3u);
    EXPECT_EQ(rules[1].instances[0].out, "ids1-out");
    EXPECT_EQ(rules[1].instances[0].encapsulation, model::Encapsulation::kPlain);
    EXPECT_EQ(rules[1].instances[1].vni, 9001u);
    EXPECT_EQ(rules[2].slot, 7);
    EXPECT_EQ(rules[2].on_failure, model::OnFailure::kOpen);
    EXPECT_EQ(rules[2].instances[0].path, 77u);
    EXPECT_TRUE(document.ports[2].port_group.empty()) << "a leg is in no port group";
}

TEST(ServiceDocument, EncryptionIsReadWithItsDefaults) {
    const model::Encryption encryption = read(test::with_services()).encryption;
    ASSERT_EQ(encryption.key_policies.size(), 2u);
    EXPECT_EQ(encryption.key_policies[0].algorithm, model::KeyAlgorithm::kAes128Gcm);
    EXPECT_EQ(encryption.key_policies[0].rotate_s, 86400u);
    EXPECT_EQ(encryption.key_policies[1].keys.size(), 2u);
    EXPECT_EQ(encryption.key_policies[1].keys[0].hosts.at("cHVi"), "c2VhbGVk");
    ASSERT_EQ(encryption.rules.size(), 3u);
    EXPECT_TRUE(encryption.rules[0].required);
    EXPECT_EQ(encryption.rules[0].action, model::EncryptionAction::kEncrypt);
    EXPECT_FALSE(encryption.rules[1].required);
    EXPECT_FALSE(encryption.rules[2].required) << "what is clear is not required to be sealed";
}

TEST(ServiceDocument, OneLegNamedTwiceIsOneLeg) {
    json document = test::with_services();
    json& instance = document["service_chains"][0]["rules"][2]["instances"][0];
    instance["out"] = "av-leg";
    EXPECT_EQ(read(document), read(test::with_services()));
}

TEST(ServiceDocument, SurvivesItsExport) {
    const model::Document document = read(test::with_services());
    const auto again = parse_document(export_document(document));
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(again.value(), document);
    EXPECT_EQ(diff(again.value(), document).size(), 0u);
}

TEST(ServiceDocument, DifferencesNameRulesAndPolicies) {
    const model::Document before = read(test::with_services());
    json changed = test::with_services();
    json& rules = changed["service_chains"][0]["rules"];
    rules[1]["on_failure"] = "open";
    rules.erase(2);
    changed["encryption"]["key_policies"][0]["rotate_s"] = 60U;
    std::swap(changed["encryption"]["rules"][0], changed["encryption"]["rules"][1]);
    std::vector<std::string> told;
    for (const Change& change : diff(read(changed), before)) {
        std::string text = std::string(to_text(change.op)) + " " + change.kind + " " + change.name;
        for (const std::string& field : change.fields) { text += " [" + field + "]"; }
        told.push_back(text);
    }
    EXPECT_EQ(told, (std::vector<std::string>{
                        "remove service_rule ids/scan",
                        "modify service_rule ids/inspect [on_failure: closed -> open]",
                        "modify encryption  [order of rules]",
                        "modify key_policy kp1 [rotate_s: 86400 -> 60]"}));
}

TEST(ServiceDocument, EditsReachRulesAndPolicies) {
    json document = test::with_services();
    const auto make = [&](const char* params) {
        const auto edit = read_edit(json::parse(params));
        ASSERT_TRUE(edit.ok()) << edit.error().message;
        const auto undo = make_edit(document, edit.value());
        ASSERT_TRUE(undo.ok()) << undo.error().message;
    };
    make(
        R"({"op":"set","kind":"service_rule","name":"ids/inspect","patch":{"on_failure":"open"}})");
    make(R"({"op":"del","kind":"encryption_rule","name":"e2"})");
    make(R"({"op":"set","kind":"key_policy","name":"kp1","patch":{"rotate_s":3600}})");
    const model::Document edited = read(document);
    EXPECT_EQ(edited.service_chains[0].rules[1].on_failure, model::OnFailure::kOpen);
    EXPECT_EQ(edited.encryption.rules.size(), 2u);
    EXPECT_EQ(edited.encryption.key_policies[0].rotate_s, 3600u);
}

}  // namespace
}  // namespace sluice::agent
