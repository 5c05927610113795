// SPDX-License-Identifier: Apache-2.0
// "Did you mean": the word nearest to a mistyped one. Pure function.
#pragma once

#include <string>
#include <vector>

namespace sluice::cli {

/// The word of `words` that is at most two typing slips (a third of its length) away, or that
/// `typed` begins; empty if none is.
[[nodiscard]] std::string nearest(const std::string& typed, const std::vector<std::string>& words);

/// ": did you mean X?" or nothing.
[[nodiscard]] std::string did_you_mean(const std::string& typed,
                                       const std::vector<std::string>& words);

}  // namespace sluice::cli
