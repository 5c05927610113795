// SPDX-License-Identifier: Apache-2.0
// What a command is: its words, its arguments and how its result looks. The command line, the call
// to the daemon,
// --help and completion all follow from this; adding a command is adding one entry to one
// commands_*.cc. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "table.h"

namespace sluice::cli {

/// What an argument takes and where it goes.
enum class Kind {
    kText,      ///< A string parameter.
    kCount,     ///< A number parameter, from 0 on.
    kFlag,      ///< A parameter that is true when given.
    kDocument,  ///< A file whose JSON object becomes the parameters.
    kSuffix,    ///< A flag that calls METHOD.PARAM instead.
};

/// What completion offers for an argument.
enum class Offer { kNothing, kPorts, kPortGroups, kFiles, kLevels, kShells };

/// A positional ("PORT") or an option ("--top").
struct Argument {
    std::string name;
    std::string param;  ///< Its key in the parameters.
    Kind kind = Kind::kText;
    bool required = false;
    std::string help;
    Offer offer = Offer::kNothing;

    [[nodiscard]] bool is_option() const { return name.rfind("--", 0) == 0; }
};

/// One command. Its method is its words joined by dots.
struct Command {
    std::string words;
    std::string summary;
    std::vector<Argument> arguments;
    std::vector<std::string> examples;  ///< What follows "sluice ".
    void (*render)(const nlohmann::json& result, const View& view) = nullptr;
    bool local = false;  ///< Answered by this program, without the daemon.
};

/// Every command, in the order of --help.
[[nodiscard]] const std::vector<Command>& all_commands();

// The parts, each in its own file.
[[nodiscard]] std::vector<Command> change_commands();
[[nodiscard]] std::vector<Command> show_commands();
[[nodiscard]] std::vector<Command> daemon_commands();

/// Distinct next words of the commands that begin with `prefix` ("" or "show").
[[nodiscard]] std::vector<std::string> next_words(const std::string& prefix);
/// The command of exactly these words, or null.
[[nodiscard]] const Command* find_command(const std::string& words);

}  // namespace sluice::cli
