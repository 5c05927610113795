// SPDX-License-Identifier: Apache-2.0
// The manual page sluice(1), written from the table of commands, so that it knows what this version
// knows. Used by the build (program sluice_manual) and its tests, never by `sluice` itself. One
// thread.
#pragma once

#include <string>

namespace sluice::cli {

/// Source of sluice(1) in mdoc(7), every command with its options and examples.
[[nodiscard]] std::string manual_page();

}  // namespace sluice::cli
