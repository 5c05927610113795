// SPDX-License-Identifier: Apache-2.0
// Commands about the daemon itself and about this program.
#include <filesystem>

#include "cli.h"
#include "command.h"
#include "commands_database.h"
#include "health.h"
#include "invocation.h"
#include "labelled.h"

namespace sluice::cli {
namespace {

using nlohmann::json;

// Of a fleet's database: since when, what of it runs, and what is wrong.
void render_source(const json& source, const View& view) {
    if (!source.is_object() || !source.contains("since_s")) { return; }
    print_labelled(view, "  since", as_duration(value_at(source, "since_s")));
    print_labelled(view, "  remote", as_text(value_at(source, "remote")));
    print_labelled(view, "  generation", as_text(value_at(source, "generation")));
    for (const char* key : {"problems", "bindings"}) {
        print_labelled(view, (std::string("  ") + key).c_str(), as_count(value_at(source, key)));
    }
    if (source.contains("why")) { print_labelled(view, "  why", as_text(source["why"])); }
    for (const json& fault : source.value("faults", json::array())) {
        print_labelled(
            view, "  fault",
            as_text(value_at(fault, "object")) + " " + as_text(value_at(fault, "reason")));
    }
    for (const json& alarm : source.value("alarms", json::array())) {
        print_labelled(view, "  alarm", as_text(alarm));
    }
}

void render_status(const json& result, const View& view) {
    const json source = value_at(result, "source");
    print_labelled(view, "version", as_text(value_at(result, "version")));
    print_labelled(view, "uptime", as_duration(value_at(result, "uptime_s")));
    print_labelled(view, "generation", as_text(value_at(result, "generation")));
    print_labelled(
        view, "source",
        as_text(value_at(source, "kind")) + " (" + as_text(value_at(source, "state")) + ")");
    render_source(source, view);
    for (const char* key : {"workers", "ports", "flows", "connections"}) {
        print_labelled(view, key, as_count(value_at(result, key)));
    }
    for (const json& alarm : value_at(result, "alarms")) {
        print_labelled(view, "alarm", alarm_text(alarm));
    }
}

Outcome<json> run_upgrade(const Invocation& invocation, const Streams& streams) {
    json params = invocation.params;
    if (params.contains("binary")) {  // The daemon has a folder of its own.
        std::error_code failed;
        const auto path = std::filesystem::absolute(params.value("binary", ""), failed);
        if (!failed) { params["binary"] = path.string(); }
    }
    Dialogue dialogue(invocation.endpoint);
    if (auto opened = dialogue.open(); !opened.ok()) { return opened.failure(); }
    return dialogue.call(invocation.method, params.dump(), [&streams](const json& progress) {
        streams.err << printable(as_text(value_at(progress, "text"))) << '\n' << std::flush;
    });
}

void render_upgrade(const json& result, const View& view) {
    view.out << "sluiced " << printable(as_text(value_at(result, "version")))
             << " has taken over, pid " << printable(as_text(value_at(result, "pid")))
             << ": nothing was forwarded for " << printable(as_text(value_at(result, "gap_ms")))
             << " ms\n";
}

Command upgrade_command() {
    Argument binary{"--binary",
                    "binary",
                    Kind::kText,
                    false,
                    "another program than the one that runs, as it is installed now",
                    Offer::kFiles};
    binary.metavar = "PATH";
    Argument within{
        "--within", "within_s", Kind::kCount, false,
        "seconds that the new process may take until packets move, and ten times as many "
        "to prepare itself (default: 3)"};
    within.metavar = "S";
    Command upgrade{
        "upgrade",
        "starts the daemon anew beside itself and hands guests over; comes back if that fails",
        {binary, within},
        {"upgrade", "upgrade --binary /opt/sluice/sluiced --within 5"},
        render_upgrade};
    upgrade.answer = run_upgrade;
    return upgrade;
}

void render_version(const json& result, const View& view) {
    print_labelled(view, "sluice", SLUICE_VERSION);
    print_labelled(view, "sluiced",
                   as_text(result.is_object() ? value_at(result, "version") : result));
}

void render_level(const json& result, const View& view) {
    const json level = result.is_object() ? value_at(result, "level") : result;
    view.out << "log level " << printable(as_text(level)) << '\n';
}

}  // namespace

std::vector<Command> daemon_commands() {
    Command status{"status",
                   "version, uptime, generation, source and sizes",
                   {},
                   {"status", "-o json status | jq .generation", "--db tcp:10.0.0.5:6641 status"},
                   render_status};
    status.on_database = fleet_status;
    status.render_database = render_fleet_status;
    return {
        std::move(status),
        top_command(),
        health_command(),
        alarms_command(),
        {"version", "versions of this program and of the daemon", {}, {"version"}, render_version},
        upgrade_command(),
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
