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

}  // namespace sluice::agent
