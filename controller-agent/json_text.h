// SPDX-License-Identifier: Apache-2.0
// JSON text -> JSON value, stricter than the library: a key given twice in one object, nesting
// deeper than kDocumentDepthMax and text longer than kDocumentBytesMax are refused, and a syntax
// error says line and column. Used for the document and for what the admin socket receives. Any
// thread, no shared state.
#pragma once

#include <nlohmann/json.hpp>
#include <string_view>

#include "sluice/base/result.h"

namespace sluice::agent {

/// Parses one JSON value that fills `text`. Error.object is "document". Throws nothing but
/// std::bad_alloc.
/// @return kInvalid for bad syntax or a doubled key, kLimit for size and depth.
[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text);

}  // namespace sluice::agent
