// SPDX-License-Identifier: Apache-2.0
// The document between its JSON form (docs, INTERFACE, the state file, `apply` and `export`) and
// model::Document. Reading checks everything: after it names resolve, ranges hold and sockets can
// be created. Control thread or a helper of it; no shared state.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "controller-agent/check_document.h"
#include "sluice/base/result.h"
#include "sluice/model/document.h"

namespace sluice::agent {

/// Whole desired state from JSON text. Nothing is taken over unless all of it is valid.
/// @return the first fault as one sentence with its object; kUnsupported for legal keys and values
/// of the
///         interface that this version does not implement, else kInvalid, kExists or kLimit
[[nodiscard]] Result<model::Document> parse_document(std::string_view text,
                                                     const CheckOptions& options = {});

/// The same from a value that parse_json gave (it has refused doubled keys).
[[nodiscard]] Result<model::Document> read_document(const nlohmann::json& value,
                                                    const CheckOptions& options = {});

/// JSON value of a document: names, references, sockets and MACs always, the rest where it differs
/// from its default. Keys in the order of the interface's text. Reading it back gives an equal
/// Document.
[[nodiscard]] nlohmann::ordered_json document_to_json(const model::Document& document);

/// document_to_json as text, indented by 2, with a final newline.
[[nodiscard]] std::string export_document(const model::Document& document);

}  // namespace sluice::agent
