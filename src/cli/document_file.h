// SPDX-License-Identifier: Apache-2.0
// The document as a file or standard input: read, checked to be one JSON object, and made fit for
// one line. What it means is the daemon's business. One thread.
#pragma once

#include <istream>
#include <string>

#include "failure.h"

namespace sluice::cli {

/// Reads `path` (`-` = `in`) and returns its text without line breaks.
/// Failures: "io" or "not_found" if it cannot be read, "limit" over 256 MiB, "invalid" with line
/// and column.
[[nodiscard]] Outcome<std::string> read_document(const std::string& path, std::istream& in);

/// The check alone. `name` is what the sentence calls the text.
[[nodiscard]] Outcome<std::string> check_document(std::string text, const std::string& name);

}  // namespace sluice::cli
