// SPDX-License-Identifier: Apache-2.0
// See completion.h.
#include "completion.h"

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>

#include "client.h"
#include "command.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

constexpr std::chrono::milliseconds kPatience{500};  // Somebody is waiting at a prompt.
constexpr const char* kFiles = ":files";

Endpoint endpoint_of(const std::vector<std::string>& words) {
    Endpoint endpoint;
    endpoint.timeout = kPatience;
    if (const char* path = std::getenv("SLUICE_SOCKET"); path != nullptr) {
        endpoint.socket_path = path;
    }
    for (std::size_t i = 1; i < words.size(); ++i) {
        if (words[i - 1] == "--socket") { endpoint.socket_path = words[i]; }
    }
    return endpoint;
}

std::vector<std::string> ask_ports(const Endpoint& endpoint, const char* key) {
    auto ports = call(endpoint, "show.ports", "{}");
    std::set<std::string> names;
    if (!ports.ok() || !ports.value().is_array()) { return {}; }
    for (const auto& port : ports.value()) {
        if (const auto name = value_at(port, key); name.is_string()) { names.insert(name); }
    }
    return {names.begin(), names.end()};
}

void add_names(const nlohmann::json& list, const std::string& prefix,
               std::vector<std::string>& names, const char* key = "name") {
    if (!list.is_array()) { return; }
    for (const auto& item : list) {
        if (const auto name = value_at(item, key); name.is_string()) {
            names.push_back(prefix + name.get<std::string>());
        }
    }
}

/// Objects inside the objects of a list, and the key that names them.
struct Inner {
    const char* list;
    const char* key = "name";
};

// Names in a list of the running document; of inner objects, with what holds them before a slash.
std::vector<std::string> ask_names(const Endpoint& endpoint, const char* list,
                                   std::optional<Inner> inner = {}) {
    auto document = call(endpoint, "export", "{}");
    std::vector<std::string> names;
    if (!document.ok()) { return names; }
    const auto items = value_at(document.value(), list);
    if (!inner) {
        add_names(items, "", names);
    } else if (items.is_array()) {
        for (const auto& item : items) {
            const auto name = value_at(item, "name");
            add_names(value_at(item, inner->list), as_text(name) + "/", names, inner->key);
        }
    }
    return names;
}

std::vector<std::string> offers(Offer offer, const Endpoint& endpoint) {
    switch (offer) {
        case Offer::kPorts: return ask_ports(endpoint, "name");
        case Offer::kPortGroups: return ask_ports(endpoint, "port_group");
        case Offer::kFiles: return {kFiles};
        case Offer::kLevels: return {"trace", "debug", "info", "warn", "error", "critical", "off"};
        case Offer::kShells: return {"bash", "zsh", "fish"};
        case Offer::kSortKeys: return {"packets", "bytes", "cycles", "drops"};
        case Offer::kSwitches: return ask_names(endpoint, "switches");
        case Offer::kUplinks: return ask_names(endpoint, "uplinks");
        case Offer::kVteps: return ask_names(endpoint, "vteps");
        case Offer::kRouters: return ask_names(endpoint, "routers");
        case Offer::kInterfaces: return ask_names(endpoint, "routers", Inner{"interfaces"});
        case Offer::kRoutes: return ask_names(endpoint, "routers", Inner{"routes", "prefix"});
        case Offer::kAddressSets: return ask_names(endpoint, "address_sets");
        case Offer::kGroups: return ask_names(endpoint, "groups");
        case Offer::kAcls: return ask_names(endpoint, "acls");
        case Offer::kAclRules: return ask_names(endpoint, "acls", Inner{"rules"});
        case Offer::kSections: return ask_names(endpoint, "dfw.sections");
        case Offer::kRules: return ask_names(endpoint, "dfw.sections", Inner{"rules"});
        case Offer::kKeyPolicies: return ask_names(endpoint, "encryption.key_policies");
        case Offer::kDirections: return {"from-vm", "to-vm", "both"};
        case Offer::kNothing: break;
    }
    return {};
}

std::vector<std::string> options_of(const Command* command) {
    std::vector<std::string> options{"--help", "--output", "--socket", "--timeout"};
    if (command == nullptr) {
        options.emplace_back("--version");
        return options;
    }
    for (const auto& argument : command->arguments) {
        if (argument.is_option()) { options.push_back(argument.name); }
    }
    if (command->on_database != nullptr) {
        for (const auto& option :
             {kDatabaseOption, kStatusOption, kKeyOption, kCertificateOption, kCaOption}) {
            options.emplace_back(option.names);
        }
    }
    return options;
}

bool has_value(Kind kind) {
    return kind == Kind::kCount || kind == Kind::kText || kind == Kind::kTexts;
}

bool is_file_option(const std::string& option) {
    return option == kKeyOption.names || option == kCertificateOption.names ||
           option == kCaOption.names;
}

// The value that `option` waits for; nothing for a flag.
bool value_of(const std::string& option, const Command* command, const Endpoint& endpoint,
              std::vector<std::string>& values) {
    if (option == "-o" || option == "--output") {
        values = {"table", "json"};
    } else if (option == "--socket") {
        values = {kFiles};
    } else if (option == "--timeout" || option == kDatabaseOption.names ||
               option == kStatusOption.names) {
        values = {};
    } else if (is_file_option(option)) {
        values = {kFiles};
    } else {
        if (command == nullptr) { return false; }
        const auto found =
            std::find_if(command->arguments.begin(), command->arguments.end(),
                         [&](const Argument& argument) { return argument.name == option; });
        if (found == command->arguments.end() || !has_value(found->kind)) { return false; }
        values = offers(found->offer, endpoint);
    }
    return true;
}

bool takes_value(const std::string& option, const Command& command) {
    if (option == "-o" || option == "--output" || option == "--socket" || option == "--timeout" ||
        option == kDatabaseOption.names || option == kStatusOption.names ||
        is_file_option(option)) {
        return true;
    }
    return std::any_of(command.arguments.begin(), command.arguments.end(),
                       [&](const Argument& argument) {
                           return argument.name == option && has_value(argument.kind);
                       });
}

std::vector<std::string> next_positional(const Command& command,
                                         const std::vector<std::string>& rest,
                                         const Endpoint& endpoint) {
    std::size_t given = 0;
    for (std::size_t i = 0; i < rest.size(); ++i) {
        const bool option = rest[i].size() > 1 && rest[i].front() == '-';
        if (!option) { ++given; }
        if (option && takes_value(rest[i], command)) { ++i; }
    }
    for (const auto& argument : command.arguments) {
        if (argument.is_option()) { continue; }
        if (given-- == 0) { return offers(argument.offer, endpoint); }
    }
    return {};
}

std::vector<std::string> candidates(const std::vector<std::string>& before,
                                    const std::string& current) {
    const Words words = split_words(before);
    const Command* command = find_command(words.found);
    std::vector<std::string> values;
    if (!before.empty() && value_of(before.back(), command, endpoint_of(before), values)) {
        return values;
    }
    if (!words.unknown.empty()) { return {}; }
    if (current.rfind('-', 0) == 0) { return options_of(command); }
    if (command == nullptr) { return next_words(words.found); }
    return next_positional(*command, words.rest, endpoint_of(before));
}

}  // namespace

std::vector<std::string> complete(const std::vector<std::string>& words) {
    const std::string current = words.empty() ? "" : words.back();
    std::vector<std::string> before(words.begin(), words.empty() ? words.end() : words.end() - 1);
    auto list = candidates(before, current);
    std::erase_if(list, [&](const std::string& candidate) {
        return candidate != kFiles && candidate.rfind(current, 0) != 0;
    });
    return list;
}

std::string bash_completion() {
    return R"(# bash completion for sluice; load with: source <(sluice completion bash)
_sluice() {
    local current=${COMP_WORDS[COMP_CWORD]} program=${COMP_WORDS[0]/#\~/$HOME} line
    local -a lines
    COMPREPLY=()
    mapfile -t lines < <("$program" completion words -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    for line in "${lines[@]}"; do
        if [[ $line == :files ]]; then
            compopt -o filenames 2>/dev/null
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
        else
            COMPREPLY+=("$line")
        fi
    done
}
complete -F _sluice sluice
)";
}

}  // namespace sluice::cli
