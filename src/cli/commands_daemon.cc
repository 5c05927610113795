// SPDX-License-Identifier: Apache-2.0
// Commands about the daemon itself and about this program.
#include "command.h"
#include "format.h"

namespace sluice::cli {
namespace {

using nlohmann::json;

void line(const View& view, const char* name, const std::string& value) {
    std::string label(name);
    label.resize(13, ' ');
    view.out << paint(view, Color::kBold, label) << printable(value) << '\n';
}

void render_status(const json& result, const View& view) {
    const json source = value_at(result, "source");
    line(view, "version", as_text(value_at(result, "version")));
    line(view, "uptime", as_duration(value_at(result, "uptime_s")));
    line(view, "generation", as_text(value_at(result, "generation")));
    line(view, "source",
         as_text(value_at(source, "kind")) + " (" + as_text(value_at(source, "state")) + ")");
    for (const char* key : {"workers", "ports", "flows", "connections"}) {
        line(view, key, as_count(value_at(result, key)));
    }
}

void render_version(const json& result, const View& view) {
    line(view, "sluice", SLUICE_VERSION);
    line(view, "sluiced", as_text(result.is_object() ? value_at(result, "version") : result));
}

void render_level(const json& result, const View& view) {
    const json level = result.is_object() ? value_at(result, "level") : result;
    view.out << "log level " << printable(as_text(level)) << '\n';
}

void render_tree(const json& result, const View& view) { print_tree(result, view); }

}  // namespace

std::vector<Command> daemon_commands() {
    return {
        {"status",
         "version, uptime, generation, source and sizes",
         {},
         {"status", "-o json status | jq .generation"},
         render_status},
        top_command(),
        {"health", "what works and what does not", {}, {"health"}, render_tree},
        {"version", "versions of this program and of the daemon", {}, {"version"}, render_version},
        {"log-level",
         "how much the daemon logs, until it restarts",
         {{"LEVEL", "level", Kind::kText, true, "trace, debug, info, warn, error, critical or off",
           Offer::kLevels}},
         {"log-level debug"},
         render_level},
        {"completion",
         "a script that completes commands, options and port names",
         {{"SHELL", "", Kind::kText, true, "bash, zsh or fish", Offer::kShells}},
         {"completion bash > /etc/bash_completion.d/sluice"},
         nullptr,
         true},
    };
}

}  // namespace sluice::cli
