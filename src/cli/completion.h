// SPDX-License-Identifier: Apache-2.0
// Completion: a script of a few lines for each shell, which asks this program, and the answers. So
// what is offered is always what this version knows, and port names are those that the daemon has
// now. One thread.
#pragma once

#include <string>
#include <vector>

namespace sluice::cli {

/// The script for `complete -F`.
[[nodiscard]] std::string bash_completion();
/// The scripts of the other shells that can be asked for.
[[nodiscard]] std::string zsh_completion();
[[nodiscard]] std::string fish_completion();

/// What could stand in place of the last of `words` (those after "sluice"; the last may be empty).
/// ":files" asks the shell for file names. Never fails: without a daemon there are no port names.
[[nodiscard]] std::vector<std::string> complete(const std::vector<std::string>& words);

}  // namespace sluice::cli
