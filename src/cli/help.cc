// SPDX-License-Identifier: Apache-2.0
// See help.h.
#include "help.h"

#include <algorithm>

namespace sluice::cli {
namespace {

constexpr std::ptrdiff_t kOptionShownMax = 3;  // Of more, the overview says that there are some.

std::string synopsis(const Command& command) {
    std::string text = command.words;
    const auto options = std::count_if(command.arguments.begin(), command.arguments.end(),
                                       [](const Argument& a) { return a.is_option(); });
    for (const auto& argument : command.arguments) {
        std::string name = argument.name;
        if (argument.is_option() && options > kOptionShownMax) { continue; }
        if (argument.is_option() && !argument.brief.empty()) { name = argument.brief; }
        if (argument.is_option() && argument.kind == Kind::kCount) { name += " N"; }
        if (argument.is_option() && argument.kind == Kind::kText) {
            name += " " + argument.metavar;
        }
        if (argument.kind == Kind::kTexts) { name += "..."; }
        if (argument.kind == Kind::kSeconds) { name += " [SECONDS]"; }
        text += argument.required ? " " + name : " [" + name + "]";
    }
    return options > kOptionShownMax ? text + " [OPTIONS]" : text;
}

}  // namespace

std::string overview_text(const std::string& prefix) {
    const std::string start = prefix.empty() ? "" : prefix + " ";
    std::size_t width = 0;
    for (const auto& command : all_commands()) {
        if (command.words.rfind(start, 0) == 0) {
            width = std::max(width, synopsis(command).size());
        }
    }
    std::string text =
        prefix.empty() ? "Drives sluiced, the host virtual switch, over its socket.\n\n" : "";
    text += "Usage: sluice [--socket PATH] [-o table|json] [--timeout SECONDS] " + start +
            "COMMAND\n\nCommands:\n";
    for (const auto& command : all_commands()) {
        if (command.words.rfind(start, 0) != 0) { continue; }
        std::string left = synopsis(command);
        left.resize(width, ' ');
        text += "  " + left + "  " + command.summary + "\n";
    }
    text +=
        "\nsluice COMMAND --help shows options and examples.\n"
        "Exit status: 0 done, 1 refused or failed (one sentence on stderr), 2 bad usage.\n";
    return text;
}

std::string examples_text(const Command& command) {
    std::string text = "Examples:";
    for (const auto& example : command.examples) { text += "\n  sluice " + example; }
    return text;
}

}  // namespace sluice::cli
