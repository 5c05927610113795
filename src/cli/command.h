// SPDX-License-Identifier: Apache-2.0
// What a command is: its words, its arguments and how its result looks. The command line, the call
// to the daemon,
// --help and completion all follow from this; adding a command is adding one entry to one
// commands_*.cc. Commands that are more than one question have a drive() of their own. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "failure.h"
#include "table.h"

namespace sluice::cli {

struct Invocation;
struct Streams;

/// What an argument takes and where it goes.
enum class Kind {
    kText,      ///< A string parameter.
    kCount,     ///< A number parameter, from 0 on.
    kFlag,      ///< A parameter that is true when given.
    kFlagOff,   ///< A parameter that is false when given.
    kTexts,     ///< A list of strings: an option that may be repeated, or all further words.
    kDocument,  ///< A file whose JSON object becomes the parameters.
    kSuffix,    ///< A flag that calls METHOD.PARAM instead.
    kSeconds,   ///< A flag that may be followed by a number of seconds; 0 if it is not.
};

/// What completion offers for an argument.
enum class Offer {
    kNothing,
    kPorts,
    kPortGroups,
    kFiles,
    kLevels,
    kShells,
    kSortKeys,
    kSwitches,
    kUplinks,
    kVteps,
    kRouters,
    kInterfaces,
    kRoutes,
    kAddressSets,
    kGroups,
    kAcls,
    kAclRules,
    kSections,
    kRules,
    kDirections,
    kKeyPolicies,
};

/// A positional ("PORT") or an option ("--top").
struct Argument {
    std::string name;
    std::string param;  ///< Its key in the parameters.
    Kind kind = Kind::kText;
    bool required = false;
    std::string help;
    Offer offer = Offer::kNothing;
    std::string brief = {};    ///< An option's short name: "-c".
    std::string metavar = {};  ///< What its value is called in --help: "FILE".

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
    /// Runs the command in place of ask, render; null: one question, one answer.
    Outcome<bool> (*drive)(const Invocation& invocation, const Streams& streams) = nullptr;
    /// Makes method and parameters from those that the arguments gave; null: they are right as they
    /// are. Failures: code "usage".
    Outcome<bool> (*prepare)(Invocation& invocation) = nullptr;
    /// Asks other daemons about an answer; null: it is the result..
    Outcome<nlohmann::json> (*follow)(const Invocation& invocation,
                                      nlohmann::json answer) = nullptr;
    /// With --db: asks a fleet's database in place of the daemon; null: the command has no --db.
    Outcome<nlohmann::json> (*on_database)(const Invocation& invocation,
                                           const Streams& streams) = nullptr;
    void (*render_database)(const nlohmann::json& result,
                            const View& view) = nullptr;  ///< Null: render.
    /// Answers in this program, which may ask the daemon itself; null: one question, one answer.
    Outcome<nlohmann::json> (*answer)(const Invocation& invocation,
                                      const Streams& streams) = nullptr;
    bool needs_database = false;  ///< There is no daemon to ask.
};

/// Every command, in the order of --help.
[[nodiscard]] const std::vector<Command>& all_commands();

/// "changed 3 objects, generation 7", of `apply` and of edits.
void render_applied(const nlohmann::json& result, const View& view);

// The parts, each in its own file.
[[nodiscard]] std::vector<Command> change_commands();
[[nodiscard]] std::vector<Command> edit_commands();
[[nodiscard]] std::vector<Command> show_commands();
[[nodiscard]] std::vector<Command> daemon_commands();
[[nodiscard]] Command show_conns_command();
[[nodiscard]] Command show_services_command();
[[nodiscard]] Command top_command();
[[nodiscard]] Command trace_command();
[[nodiscard]] std::vector<Command> capture_commands();
[[nodiscard]] std::vector<Command> spoofguard_commands();
[[nodiscard]] std::vector<Command> key_commands();
[[nodiscard]] std::vector<Command> fleet_commands();

/// Distinct next words of the commands that begin with `prefix` ("" or "show").
[[nodiscard]] std::vector<std::string> next_words(const std::string& prefix);
/// The command of exactly these words, or null.
[[nodiscard]] const Command* find_command(const std::string& words);

}  // namespace sluice::cli
