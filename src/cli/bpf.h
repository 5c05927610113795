// SPDX-License-Identifier: Apache-2.0
// Filters as tcpdump takes them, compiled here and not in the daemon: names in them may have to be
// asked for. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "failure.h"

namespace sluice::cli {

/// The filter as a BPF program for Ethernet frames: a list of [code, jt, jf, k]; empty text gives
/// an empty list. Failure "invalid": "filter: ...".
[[nodiscard]] Outcome<nlohmann::json> compile_filter(const std::string& text);

}  // namespace sluice::cli
