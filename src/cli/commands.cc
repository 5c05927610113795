// SPDX-License-Identifier: Apache-2.0
// The whole list of commands, and looking them up.
#include <algorithm>
#include <iterator>

#include "command.h"
#include "commands_migrate.h"

namespace sluice::cli {

const std::vector<Command>& all_commands() {
    static const std::vector<Command> all = [] {
        std::vector<Command> list;
        for (auto part : {change_commands(), edit_commands(), migrate_commands(), show_commands(),
                          spoofguard_commands(), daemon_commands(), capture_commands(),
                          key_commands(), fleet_commands()}) {
            std::move(part.begin(), part.end(), std::back_inserter(list));
        }
        return list;
    }();
    return all;
}

std::vector<std::string> next_words(const std::string& prefix) {
    const std::string start = prefix.empty() ? "" : prefix + " ";
    std::vector<std::string> words;
    for (const auto& command : all_commands()) {
        if (command.words.rfind(start, 0) != 0) { continue; }
        const auto end = command.words.find(' ', start.size());
        std::string word = command.words.substr(start.size(), end - start.size());
        if (std::find(words.begin(), words.end(), word) == words.end()) {
            words.push_back(std::move(word));
        }
    }
    return words;
}

const Command* find_command(const std::string& words) {
    const auto& all = all_commands();
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Command& command) { return command.words == words; });
    return found == all.end() ? nullptr : &*found;
}

}  // namespace sluice::cli
