// SPDX-License-Identifier: Apache-2.0
// Files that hold keys: read only if nobody else may, written so that they are whole and on disk,
// or not there. Block on the disk: the command line, or a helper thread.
#pragma once

#include <string>
#include <string_view>

#include "sluice/base/result.h"

namespace sluice::keys {

/// Whole content of a regular file of at most kKeyFileMax bytes that only its owner (and its
/// group) may read.
/// @param whom  what a sentence begins with: "key_policy kp1"
[[nodiscard]] Result<std::string> read_private_file(const std::string& path,
                                                    const std::string& whom);
/// A new file, mode 0600; kExists if there is one.
[[nodiscard]] Status create_private_file(const std::string& path, std::string_view text);
/// In place of what was there, mode 0600.
[[nodiscard]] Status replace_private_file(const std::string& path, std::string_view text);

/// Without blanks and line breaks at its end.
[[nodiscard]] std::string_view trimmed(std::string_view text);

}  // namespace sluice::keys
