// SPDX-License-Identifier: Apache-2.0
// The manual page sluice(1): it names every command and option, and no text becomes a macro.
#include "cli/manual.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>

#include "cli/command.h"
#include "cli/completion.h"

namespace sluice::cli {
namespace {

std::string escaped_dashes(std::string text) {
    for (std::size_t at = 0; (at = text.find('-', at)) != std::string::npos; at += 2) {
        text.insert(at, 1, '\\');
    }
    return text;
}

TEST(Manual, NamesEveryCommandAndOption) {
    const std::string page = manual_page();
    for (const Command& command : all_commands()) {
        EXPECT_NE(page.find(".It Cm \"" + escaped_dashes(command.words) + "\""), std::string::npos)
            << command.words;
        for (const Argument& argument : command.arguments) {
            const std::string name = argument.is_option() ? argument.name.substr(1) : argument.name;
            EXPECT_NE(page.find("\"" + escaped_dashes(name) + "\""), std::string::npos) << name;
        }
    }
}

TEST(Manual, BeginsNoLineOfTextWithAControlCharacter) {
    const std::set<std::string> macros{".Dd", ".Dt", ".Os", ".Sh", ".Nm", ".Nd", ".Op",
                                       ".Ar", ".Xr", ".Sy", ".Bl", ".It", ".El", ".Ev",
                                       ".Fl", ".Pa", ".Pp", ".Bd", ".Ed"};
    std::istringstream lines(manual_page());
    for (std::string line; std::getline(lines, line);) {
        if (line.empty()) { continue; }
        EXPECT_NE(line[0], '\'') << line;
        if (line[0] == '.') { EXPECT_TRUE(macros.contains(line.substr(0, 3))) << line; }
    }
}

TEST(Manual, LeavesNoListOpen) {
    std::istringstream lines(manual_page());
    int depth = 0;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with(".Bl")) { ++depth; }
        if (line.starts_with(".El")) { --depth; }
        ASSERT_GE(depth, 0);
    }
    EXPECT_EQ(depth, 0);
}

TEST(CompletionScripts, AskThisProgram) {
    for (const std::string& script : {bash_completion(), zsh_completion(), fish_completion()}) {
        EXPECT_NE(script.find("completion words --"), std::string::npos);
        EXPECT_NE(script.find(":files"), std::string::npos);
    }
}

}  // namespace
}  // namespace sluice::cli
