// SPDX-License-Identifier: Apache-2.0
// Model -> JSON, one function a noun. Serves export (what differs from the defaults), diff and the
// table of defaults (everything). Key order is the interface's, so that output is stable. Any
// thread, pure.
#pragma once

#include <nlohmann/json.hpp>

#include "sluice/model/document.h"

namespace sluice::agent {

/// How much is written.
enum class Detail : std::uint8_t {
    kDifferent,  ///< Identity and references always, the rest if it is not the default.
    kAll,        ///< Every key.
};

using Json = nlohmann::ordered_json;

[[nodiscard]] Json to_json_value(const model::Host& host, Detail detail);
[[nodiscard]] Json to_json_value(const model::Uplink& uplink, Detail detail);
[[nodiscard]] Json to_json_value(const model::Teaming& teaming, Detail detail);
[[nodiscard]] Json to_json_value(const model::Bfd& bfd, Detail detail);
[[nodiscard]] Json to_json_value(const model::Vtep& vtep, Detail detail);
[[nodiscard]] Json to_json_value(const model::Switch& item, Detail detail);
[[nodiscard]] Json to_json_value(const model::PortGroup& group, Detail detail);
[[nodiscard]] Json to_json_value(const model::Port& port, Detail detail);
[[nodiscard]] Json to_json_value(const model::AddressSet& set, Detail detail);
[[nodiscard]] Json to_json_value(const model::Group& group, Detail detail);
[[nodiscard]] Json to_json_value(const model::AclRule& rule, Detail detail);
[[nodiscard]] Json to_json_value(const model::Acl& acl, Detail detail);
[[nodiscard]] Json to_json_value(const model::Rule& rule, Detail detail);
[[nodiscard]] Json to_json_value(const model::Section& section, Detail detail);
[[nodiscard]] Json to_json_value(const model::Dfw& dfw, Detail detail);
[[nodiscard]] Json to_json_value(const model::RouterInterface& interface, Detail detail);
[[nodiscard]] Json to_json_value(const model::Route& route, Detail detail);
[[nodiscard]] Json to_json_value(const model::Router& router, Detail detail);
[[nodiscard]] Json to_json_value(const model::ServiceInstance& instance, Detail detail);
[[nodiscard]] Json to_json_value(const model::ServiceRule& rule, Detail detail);
[[nodiscard]] Json to_json_value(const model::ServiceChain& chain, Detail detail);
[[nodiscard]] Json to_json_value(const model::KeyPolicy& policy, Detail detail);
[[nodiscard]] Json to_json_value(const model::EncryptionRule& rule, Detail detail);
[[nodiscard]] Json to_json_value(const model::Encryption& encryption, Detail detail);
[[nodiscard]] Json to_json_value(const model::Binding& binding, Detail detail);
[[nodiscard]] Json to_json_value(const model::Document& document, Detail detail);

/// Words of the interface for the model's choices.
[[nodiscard]] const char* to_text(model::VlanMode mode);
[[nodiscard]] const char* to_text(model::SpoofGuard mode);
[[nodiscard]] const char* to_text(model::PortKind kind);
[[nodiscard]] const char* to_text(model::SocketMode mode);
[[nodiscard]] const char* to_text(model::AclAction action);
[[nodiscard]] const char* to_text(model::DfwAction action);
[[nodiscard]] const char* to_text(model::RuleDirection direction);
[[nodiscard]] const char* to_text(model::Alg alg);
[[nodiscard]] const char* to_text(model::Replication replication);
[[nodiscard]] const char* to_text(model::TeamingPolicy policy);
[[nodiscard]] const char* to_text(model::FailureDetection detection);
[[nodiscard]] const char* to_text(model::Lacp lacp);
[[nodiscard]] const char* to_text(model::ServiceAction action);
[[nodiscard]] const char* to_text(model::Initiator initiator);
[[nodiscard]] const char* to_text(model::OnFailure on_failure);
[[nodiscard]] const char* to_text(model::Encapsulation encapsulation);
[[nodiscard]] const char* to_text(model::KeyAlgorithm algorithm);
[[nodiscard]] const char* to_text(model::EncryptionAction action);

}  // namespace sluice::agent
