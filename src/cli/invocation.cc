// SPDX-License-Identifier: Apache-2.0
// See invocation.h.
#include "invocation.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <map>

#include "help.h"
#include "suggest.h"

namespace sluice::cli {
namespace {

// Of the global options those that take the next word.
bool takes_value(const std::string& arg) {
    return arg == "-o" || arg == "--output" || arg == "--socket" || arg == "--timeout" ||
           arg == kDatabaseOption.names || arg == kStatusOption.names || arg == kKeyOption.names ||
           arg == kCertificateOption.names || arg == kCaOption.names;
}

bool begins_command(const std::string& words) {
    return find_command(words) != nullptr || !next_words(words).empty();
}

bool asks(const std::vector<std::string>& args, const char* shorter, const char* longer) {
    return std::any_of(args.begin(), args.end(),
                       [&](const std::string& arg) { return arg == shorter || arg == longer; });
}

Failure usage(const std::string& message) { return {"usage", message, ""}; }

// "show" alone, "shwo", "ports" (which is "show ports").
Failure wrong_words(const Words& words) {
    const auto choices = next_words(words.found);
    if (words.unknown.empty()) {
        std::string list;
        for (const auto& choice : choices) { list += (list.empty() ? "" : ", ") + choice; }
        return usage(words.found.empty() ? "no command: expected one of " + list
                                         : words.found + " needs one more word: " + list);
    }
    const std::string typed =
        words.found.empty() ? words.unknown : words.found + " " + words.unknown;
    std::string hint;
    for (const auto& command : all_commands()) {
        if (!hint.empty() || !words.found.empty()) { break; }
        const auto space = command.words.rfind(' ');
        if (space != std::string::npos && command.words.substr(space + 1) == words.unknown) {
            hint = ": did you mean " + command.words + "?";
        }
    }
    if (hint.empty()) { hint = did_you_mean(words.unknown, choices); }
    return usage("unknown command " + typed + (hint.empty() ? ": see sluice --help" : hint));
}

// What CLI11 writes to while it parses one command.
struct Values {
    std::string output = "table";
    Endpoint endpoint;
    DatabaseOptions database;
    double timeout_s = 120;
    std::map<std::string, std::string> texts;
    std::map<std::string, std::vector<std::string>> lists;
    std::map<std::string, std::uint64_t> counts;
    std::map<std::string, bool> flags;
};

// Checks of our own, because CLI11's let -1 pass as a count and put C++ types into --help.
std::string check_count(const std::string& text) {
    const bool digits = !text.empty() && text.size() <= 18 &&
                        text.find_first_not_of("0123456789") == std::string::npos;
    return digits ? "" : text + " is not a whole number from 0 on";
}
std::string check_output(const std::string& text) {
    return text == "table" || text == "json" ? "" : text + " is neither table nor json";
}
std::string check_seconds(const std::string& text) {
    char* end = nullptr;
    const double value = std::strtod(text.c_str(), &end);
    const bool good = end != text.c_str() && *end == '\0' && value >= 0.001 && value <= 86400.0;
    return good ? "" : text + " is not a number of seconds from 0.001 to 86400";
}

bool is_flag(Kind kind) {
    return kind == Kind::kFlag || kind == Kind::kFlagOff || kind == Kind::kSuffix;
}

void add_argument(CLI::App& app, const Argument& argument, Values& values) {
    CLI::Option* option = nullptr;
    const std::string names =
        argument.brief.empty() ? argument.name : argument.brief + "," + argument.name;
    if (argument.kind == Kind::kSeconds) {
        option = app.add_flag(names, values.texts[argument.name], argument.help);
        option->type_name("[SECONDS]");
    } else if (is_flag(argument.kind)) {
        option = app.add_flag(names, values.flags[argument.name], argument.help);
    } else if (argument.kind == Kind::kCount) {
        option = app.add_option(names, values.counts[argument.name], argument.help);
        option->type_name("N")->check(CLI::Validator(check_count, ""))->take_last();
    } else if (argument.kind == Kind::kTexts) {
        option = app.add_option(names, values.lists[argument.name], argument.help);
        option->type_name(argument.is_option() ? argument.metavar : "")
            ->allow_extra_args(!argument.is_option());
    } else {
        option = app.add_option(names, values.texts[argument.name], argument.help);
        option->type_name(argument.is_option() ? argument.metavar : "");
    }
    option->required(argument.required);
}

bool has_own_socket(const Command& command) {
    return std::any_of(command.arguments.begin(), command.arguments.end(),
                       [](const Argument& argument) { return argument.name == "--socket"; });
}

// A command with a --socket of its own (a port's): the daemon's stands before the command's words.
void take_daemon_socket(Words& words, Endpoint& endpoint) {
    if (const char* path = std::getenv("SLUICE_SOCKET"); path != nullptr) {
        endpoint.socket_path = path;
    }
    const std::string option = "--socket";
    auto& rest = words.rest;
    for (std::size_t i = 0; i < words.before;) {
        const bool apart = rest[i] == option && i + 1 < words.before;
        const bool joined = rest[i].rfind(option + "=", 0) == 0;
        if (!apart && !joined) {
            ++i;
            continue;
        }
        endpoint.socket_path = apart ? rest[i + 1] : rest[i].substr(option.size() + 1);
        const auto at = rest.begin() + static_cast<std::ptrdiff_t>(i);
        rest.erase(at, at + (apart ? 2 : 1));
        words.before -= apart ? 2 : 1;
    }
}

void add_globals(CLI::App& app, Values& values, bool with_socket) {
    constexpr const char* kGroup = "Every command";
    app.add_option(kOutputOption.names, values.output, kOutputOption.help)
        ->check(CLI::Validator(check_output, ""))
        ->take_last()
        ->type_name("table|json")
        ->group(kGroup);
    if (with_socket) {
        app.add_option(kSocketOption.names, values.endpoint.socket_path, kSocketOption.help)
            ->envname("SLUICE_SOCKET")
            ->take_last()
            ->type_name("PATH")
            ->group(kGroup);
    }
    app.add_option(kTimeoutOption.names, values.timeout_s, kTimeoutOption.help)
        ->check(CLI::Validator(check_seconds, ""))
        ->take_last()
        ->type_name("SECONDS")
        ->group(kGroup);
}

void add_database(CLI::App& app, const Command& command, Values& values) {
    const auto add = [&](const GlobalOption& option, std::string& value, const char* type) {
        return app.add_option(option.names, value, option.help)
            ->take_last()
            ->type_name(type)
            ->group("A fleet's database");
    };
    add(kDatabaseOption, values.database.remotes, "REMOTES")->required(command.needs_database);
    add(kStatusOption, values.database.status_remotes, "REMOTES");
    add(kKeyOption, values.database.private_key, "FILE");
    add(kCertificateOption, values.database.certificate, "FILE");
    add(kCaOption, values.database.ca_certificate, "FILE");
}

// "--wait 30" becomes "--wait=30": what follows a flag is no value of it, and may be a file.
void join_seconds(const Command& command, std::vector<std::string>& rest) {
    for (const auto& argument : command.arguments) {
        if (argument.kind != Kind::kSeconds) { continue; }
        for (std::size_t i = 0; i + 1 < rest.size(); ++i) {
            if (rest[i] != argument.name || !check_seconds(rest[i + 1]).empty()) { continue; }
            rest[i] += "=" + rest[i + 1];
            rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
    }
}

Outcome<double> seconds_of(const Argument& argument, const std::string& text) {
    if (text == "true") { return 0.0; }
    if (const std::string why = check_seconds(text); !why.empty()) {
        return usage(argument.name + ": " + why);
    }
    return std::strtod(text.c_str(), nullptr);
}

std::string unexpected(const CLI::App& app, const Command& command) {
    const auto left = app.remaining();
    const std::string arg = left.empty() ? "" : left.front();
    if (arg.rfind('-', 0) != 0) { return command.words + ": unexpected argument " + arg; }
    std::vector<std::string> options{"--output", "--socket", "--timeout", "--help"};
    if (command.on_database != nullptr) { options.emplace_back(kDatabaseOption.names); }
    for (const auto& argument : command.arguments) {
        if (argument.is_option()) { options.push_back(argument.name); }
    }
    return command.words + ": unknown option " + arg + did_you_mean(arg, options);
}

void take_argument(const Argument& argument, Values& values, Invocation& invocation) {
    switch (argument.kind) {
        case Kind::kText: invocation.params[argument.param] = values.texts[argument.name]; break;
        case Kind::kCount: invocation.params[argument.param] = values.counts[argument.name]; break;
        case Kind::kTexts: invocation.params[argument.param] = values.lists[argument.name]; break;
        case Kind::kFlag: invocation.params[argument.param] = true; break;
        case Kind::kFlagOff: invocation.params[argument.param] = false; break;
        case Kind::kDocument: invocation.document_path = values.texts[argument.name]; break;
        case Kind::kSuffix: invocation.method += "." + argument.param; break;
        case Kind::kSeconds: break;  // Checked by the caller.
    }
}

Outcome<Invocation> parse_command(const Command& command, Words words) {
    CLI::App app(command.summary, "sluice " + command.words);
    Values values;
    for (const auto& argument : command.arguments) { add_argument(app, argument, values); }
    const bool own_socket = has_own_socket(command);
    if (own_socket) { take_daemon_socket(words, values.endpoint); }
    add_globals(app, values, !own_socket);
    if (command.on_database != nullptr) { add_database(app, command, values); }
    std::vector<std::string> rest = std::move(words.rest);
    join_seconds(command, rest);
    app.footer(examples_text(command));
    try {
        std::reverse(rest.begin(), rest.end());  // CLI11 takes from the end.
        app.parse(std::move(rest));
    } catch (const CLI::CallForHelp&) {
        Invocation invocation;
        invocation.text = app.help();
        return invocation;
    } catch (const CLI::ExtrasError&) {
        return usage(unexpected(app, command));
    } catch (const CLI::ParseError& error) { return usage(command.words + ": " + error.what()); }

    Invocation invocation;
    invocation.command = &command;
    invocation.endpoint = values.endpoint;
    invocation.endpoint.timeout =
        std::chrono::milliseconds(static_cast<std::int64_t>(values.timeout_s * 1000));
    invocation.json = values.output == "json";
    invocation.method = command.words;
    std::replace(invocation.method.begin(), invocation.method.end(), ' ', '.');
    for (const auto& argument : command.arguments) {
        if (app.count(argument.name) == 0) { continue; }
        take_argument(argument, values, invocation);
        if (argument.kind != Kind::kSeconds) { continue; }
        auto seconds = seconds_of(argument, values.texts[argument.name]);
        if (!seconds.ok()) { return seconds.failure(); }
        invocation.params[argument.param] = seconds.value();
    }
    invocation.database = values.database;
    if (command.prepare != nullptr) {
        if (auto done = command.prepare(invocation); !done.ok()) { return done.failure(); }
    }
    return invocation;
}

}  // namespace

Words split_words(const std::vector<std::string>& args) {
    Words words;
    std::size_t i = 0;
    while (i < args.size() && find_command(words.found) == nullptr) {
        const std::string& arg = args[i++];
        if (arg.size() > 1 && arg.front() == '-') {
            words.rest.push_back(arg);
            if (takes_value(arg) && i < args.size()) { words.rest.push_back(args[i++]); }
            continue;
        }
        const std::string longer = words.found.empty() ? arg : words.found + " " + arg;
        if (!begins_command(longer)) {
            words.unknown = arg;
            break;
        }
        words.found = longer;
        words.before = words.rest.size();
    }
    words.rest.insert(words.rest.end(), args.begin() + static_cast<std::ptrdiff_t>(i), args.end());
    return words;
}

Outcome<Invocation> parse_arguments(const std::vector<std::string>& args) {
    if (!args.empty() && args.front() == "help") {  // As "show conns --help".
        std::vector<std::string> asked(args.begin() + 1, args.end());
        asked.emplace_back("--help");
        return parse_arguments(asked);
    }
    const Words words = split_words(args);
    if (const Command* command = find_command(words.found); command != nullptr) {
        return parse_command(*command, words);
    }
    Invocation invocation;
    if (asks(words.rest, "-h", "--help") && words.unknown.empty()) {
        invocation.text = overview_text(words.found);
        return invocation;
    }
    if (words.found.empty() && words.unknown.empty() && asks(words.rest, "-V", "--version")) {
        invocation.text = "sluice " SLUICE_VERSION "\n";
        return invocation;
    }
    return wrong_words(words);
}

bool wants_json(const std::vector<std::string>& args) {
    for (std::size_t i = 0; i < args.size(); ++i) {
        if (args[i] == "-ojson" || args[i] == "-o=json" || args[i] == "--output=json") {
            return true;
        }
        if (i > 0 && args[i] == "json" && (args[i - 1] == "-o" || args[i - 1] == "--output")) {
            return true;
        }
    }
    return false;
}

}  // namespace sluice::cli
