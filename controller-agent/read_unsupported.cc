// SPDX-License-Identifier: Apache-2.0
// Nouns of the interface that this version does not implement: legal when empty, refused by name
// when not.
#include "controller-agent/document_reader.h"

namespace sluice::agent {
namespace {

using nlohmann::json;

/// "vtep tep0" if the object has a name, else "vteps[0]".
std::string object_of(const json& item, std::string_view list, std::string_view kind) {
    if (item.is_object() && item.contains("name") && item["name"].is_string()) {
        return std::string(kind) + " " + item["name"].get_ref<const std::string&>();
    }
    return std::string(list) + "[0]";
}

void refuse_list(Fields& parent, Fault& fault, std::string_view list, std::string_view kind) {
    const json* items = parent.list(list, kRuleMax);
    if (items == nullptr || items->empty()) { return; }
    fault.refuse(Errc::kUnsupported, object_of(items->front(), list, kind),
                 std::string(list) + " are not supported yet");
}

}  // namespace

void read_unsupported(Fields& root, Fault& fault) {
    refuse_list(root, fault, "vteps", "vtep");
    refuse_list(root, fault, "service_chains", "service_chain");
    refuse_list(root, fault, "routers", "router");
    Fields encryption(root.take("encryption"), "encryption", "", fault);
    refuse_list(encryption, fault, "key_policies", "encryption key_policy");
    refuse_list(encryption, fault, "rules", "encryption rule");
    encryption.finish();
}

}  // namespace sluice::agent
