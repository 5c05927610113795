// SPDX-License-Identifier: Apache-2.0
// Reading the document: nouns first, then what ties them together, then keys that nobody knows.
// Writing it is write_json.cc's.
#include "controller-agent/document_json.h"

#include <nlohmann/json.hpp>

#include "controller-agent/document_reader.h"
#include "controller-agent/json_text.h"
#include "controller-agent/write_json.h"

namespace sluice::agent {

Result<model::Document> read_document(const nlohmann::json& value, const CheckOptions& options) {
    Fault fault;
    Fields root(&value, "document", "", fault);
    model::Document document;
    read_network(root, fault, document);
    read_policy(root, fault, document);
    read_routers(root, fault, document);
    read_static_bindings(root, fault, document);
    read_service_chains(root, fault, document);
    read_encryption(root, fault, document);
    root.finish();
    if (fault.any()) { return fault.error(); }
    Status checked = check_document(document, options);
    if (!checked.ok()) { return checked.error(); }
    return document;
}

Result<model::Document> parse_document(std::string_view text, const CheckOptions& options) {
    const Result<nlohmann::json> value = parse_json(text);
    if (!value.ok()) { return value.error(); }
    return read_document(value.value(), options);
}

nlohmann::ordered_json document_to_json(const model::Document& document) {
    return to_json_value(document, Detail::kDifferent);
}

std::string export_document(const model::Document& document) {
    return document_to_json(document).dump(2) + "\n";
}

}  // namespace sluice::agent
