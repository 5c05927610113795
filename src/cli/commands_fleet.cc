// SPDX-License-Identifier: Apache-2.0
// `sluice fleet ...`: what the hosts of a fleet report, and what of the fleet is not in its
// document. Each asks the databases that --db names.
#include <array>

#include "cli.h"
#include "command.h"
#include "commands_database.h"
#include "controller-agent/fleet/commit_plan.h"
#include "controller-agent/fleet/items.h"
#include "fleet_commit.h"
#include "fleet_reports.h"
#include "format.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
constexpr Align kRight = Align::kRight;

Outcome<bool> open_for(Database& reports, const Invocation& invocation,
                       const std::set<std::string>& tables) {
    return open_reports(reports, invocation.database, tables, deadline_of(invocation));
}

/// What the database says that runs, and on which hosts.
struct Wanted {
    std::int64_t generation = 0;
    std::vector<std::string> status_remotes;
    std::set<std::string> hosts;
};

Outcome<Wanted> wanted_of(const Invocation& invocation) {
    Database config("Sluice_Config", deadline_of(invocation));
    auto opened = config.open(invocation.database.remotes, invocation.database,
                              {{fleet::kGlobalTable, {}, true}, {"Host", {}, true}}, false);
    if (!opened.ok()) { return opened.failure(); }
    const fleet::GlobalState global = fleet::global_state(config.tables());
    Wanted wanted{global.generation, global.status_remotes, {}};
    for (const auto& [key, row] : fleet::packed_rows(config.tables())) {
        if (key.table != "Host") { continue; }
        for (const auto& [name, text] : row.items) { wanted.hosts.insert(name); }
    }
    return wanted;
}

std::string age_text(const json& value) {
    return value.is_null() ? "never" : format_duration(number_of(value)) + " ago";
}

json age_of(std::int64_t at_ms, std::int64_t now_ms) {
    if (at_ms == 0) { return nullptr; }
    return std::max<std::int64_t>(0, (now_ms - at_ms) / 1000);
}

json host_row(const std::string& name, const HostReport& host, const Wanted& wanted,
              std::int64_t now) {
    json vteps = json::object();
    for (const auto& [vtep, text] : host.vteps) {
        json value = json::parse(text, nullptr, false);
        vteps[vtep] = value.is_object() ? value : json(text);
    }
    return {{"host", name},
            {"state", host.state.empty() ? json() : json(host.state)},
            {"reachable", host.is_reachable(now)},
            {"heard_s", age_of(host.heard_ms, now)},
            {"since_s", age_of(host.since_ms, now)},
            {"generation", host.generation},
            {"wanted_generation", wanted.generation},
            {"in_step", host.is_reachable(now) && host.generation == wanted.generation},
            {"in_document", wanted.hosts.contains(name)},
            {"ports", host.ports},
            {"problems", host.problems},
            {"alarms", host.alarms},
            {"vteps", std::move(vteps)},
            {"version", host.version}};
}

/// Hosts of the document and those that report, or only `only`.
Outcome<json> host_rows(const Invocation& invocation, Database& reports,
                        const std::set<std::string>& tables) {
    auto wanted = wanted_of(invocation);
    if (!wanted.ok()) { return wanted.failure(); }
    auto opened = open_reports(reports, invocation.database, wanted.value().status_remotes, tables);
    if (!opened.ok()) { return opened.failure(); }
    auto hosts = host_reports(reports.tables());
    for (const std::string& name : wanted.value().hosts) { hosts[name]; }
    const std::string only = invocation.params.value("host", "");
    if (!only.empty() && !hosts.contains(only)) {
        return Failure{"not_found", "host " + only + " is not in the document and never reported",
                       "host " + only};
    }
    json rows = json::array();
    const std::int64_t now = unix_now_ms();
    for (const auto& [name, host] : hosts) {
        if (only.empty() || name == only) {
            rows.push_back(host_row(name, host, wanted.value(), now));
        }
    }
    return rows;
}

Outcome<json> fleet_hosts(const Invocation& invocation, const Streams&) {
    Database reports("Sluice_Status", deadline_of(invocation));
    return host_rows(invocation, reports, {"Host", "Heartbeat"});
}

Outcome<json> fleet_realized(const Invocation& invocation, const Streams&) {
    Database reports("Sluice_Status", deadline_of(invocation));
    auto rows = host_rows(invocation, reports, {"Host", "Heartbeat", "Problem"});
    if (!rows.ok()) { return rows; }
    auto problems = problem_reports(reports.tables());
    for (json& row : rows.value()) {
        json list = json::array();
        for (const auto& [object, reason] : problems[row["host"].get<std::string>()]) {
            list.push_back({{"object", object}, {"reason", reason}});
        }
        row["problems"] = std::move(list);
    }
    return rows;
}

Outcome<json> fleet_ports(const Invocation& invocation, const Streams&) {
    Database reports("Sluice_Status", deadline_of(invocation));
    auto opened = open_for(reports, invocation, {"Port"});
    if (!opened.ok()) { return opened.failure(); }
    return port_reports(reports.tables(), invocation.params.value("host", ""));
}

Outcome<json> fleet_bindings(const Invocation& invocation, const Streams&) {
    Database reports("Sluice_Status", deadline_of(invocation));
    auto opened = open_for(reports, invocation, {"Binding"});
    if (!opened.ok()) { return opened.failure(); }
    return binding_reports(reports.tables(), invocation.params.value("segment", ""));
}

/// A host that is gone for good leaves rows behind, which nobody else may delete.
Outcome<json> fleet_forget(const Invocation& invocation, const Streams&) {
    const std::string host = invocation.params.value("host", "");
    const std::set<std::string> tables{"Host", "Heartbeat", "Port", "Binding", "Problem"};
    Database reports("Sluice_Status", deadline_of(invocation));
    auto opened = open_for(reports, invocation, tables);
    if (!opened.ok()) { return opened.failure(); }
    const auto hosts = host_reports(reports.tables());
    const auto at = hosts.find(host);
    if (at != hosts.end() && at->second.is_reachable(unix_now_ms())) {
        return Failure{"state",
                       "host " + host +
                           " gives signs of life, it would report again at once: stop "
                           "it first",
                       "host " + host};
    }
    json operations = json::array();
    for (const std::string& table : tables) {
        operations.push_back({{"op", "delete"},
                              {"table", table},
                              {"where", json::array({json::array({"host", "==", host})})}});
    }
    const ovsdb::TransactResult done = reports.transact(std::move(operations));
    if (done.outcome != ovsdb::Outcome::kCommitted) {
        return Failure{"io", "the database refused to forget host " + host + ": " + done.error, ""};
    }
    std::uint64_t count = 0;
    for (const json& result : done.results) { count += number_of(value_at(result, "count")); }
    return json{{"removed", count}};
}

/// Shows or sets where reports go.
Outcome<json> fleet_remotes(const Invocation& invocation, const Streams&) {
    Database config("Sluice_Config", deadline_of(invocation));
    auto opened = config.open(invocation.database.remotes, invocation.database,
                              {{fleet::kGlobalTable, {}, true}}, true);
    if (!opened.ok()) { return opened.failure(); }
    const fleet::GlobalState global = fleet::global_state(config.tables());
    const auto wanted = invocation.params.value("remotes", std::vector<std::string>{});
    if (wanted.empty()) { return json{{"status_remotes", global.status_remotes}}; }
    for (const std::string& remote : wanted) {
        if (const auto parsed = ovsdb::parse_remotes(remote); !parsed) {
            return failure_of(parsed.error());
        }
    }
    const json row{{"status_remotes", ovsdb::to_json(ovsdb::datum(wanted))}};
    json operation{{"table", fleet::kGlobalTable}, {"row", row}};
    if (global.exists) {
        operation["op"] = "update";
        operation["where"] = json::array();
    } else {
        operation["op"] = "insert";
    }
    const auto done = config.transact(json::array({operation}));
    if (done.outcome != ovsdb::Outcome::kCommitted) {
        return Failure{"io", "the database refused the remotes: " + done.error, ""};
    }
    return json{{"status_remotes", wanted}};
}

std::string yes_no(const json& value) { return value == true ? "yes" : "no"; }

constexpr std::array kHostFields{
    Field{"HOST", "host", as_text},
    Field{"STATE", "state", as_text},
    Field{"REACHABLE", "reachable", yes_no},
    Field{"HEARD", "heard_s", age_text},
    Field{"GENERATION", "generation", as_text, kRight},
    Field{"WANTED", "wanted_generation", as_text, kRight},
    Field{"PORTS", "ports", as_count, kRight},
    Field{"PROBLEMS", "problems", as_count, kRight},
    Field{"ALARMS", "alarms", as_text},
};
constexpr std::array kPortFields{
    Field{"PORT", "name", as_text},     Field{"HOST", "host", as_text},
    Field{"STATE", "state", as_text},   Field{"MAC", "mac", as_text},
    Field{"ADDRESSES", "ips", as_text}, Field{"SEGMENT", "segment", as_text},
};
constexpr std::array kBindingFields{
    Field{"SEGMENT", "segment", as_text}, Field{"MAC", "mac", as_text},
    Field{"ADDRESSES", "ips", as_text},   Field{"HOST", "host", as_text},
    Field{"VTEP", "vtep", as_text},       Field{"SEQUENCE", "sequence", as_text, kRight},
    Field{"STATE", "state", as_text},
};

void render_hosts(const json& result, const View& view) {
    print_rows(result, kHostFields, view, "no hosts");
}
void render_fleet_ports(const json& result, const View& view) {
    print_rows(result, kPortFields, view, "no ports");
}
void render_fleet_bindings(const json& result, const View& view) {
    print_rows(result, kBindingFields, view, "no bindings");
}

/// "h1: generation 7 of 7, live", and what it left out below.
void render_realized(const json& result, const View& view) {
    if (result.empty()) { view.out << "no hosts\n"; }
    for (const json& row : result) {
        const bool is_reachable = row["reachable"] == true;
        const bool is_good = row["in_step"] == true && row["problems"].empty();
        std::string text = as_text(row["host"]) + ": generation " + as_text(row["generation"]) +
                           " of " + as_text(row["wanted_generation"]) + ", " +
                           as_text(row["state"]);
        if (!is_reachable) { text += ", not reachable, heard " + age_text(row["heard_s"]); }
        const Color color = is_good ? Color::kGreen : Color::kRed;
        view.out << paint(view, color, printable(text)) << '\n';
        for (const json& alarm : row["alarms"]) {
            view.out << "  ! " << printable(as_text(alarm)) << '\n';
        }
        for (const json& problem : row["problems"]) {
            view.out << "  - "
                     << printable(as_text(problem["object"]) + ": " + as_text(problem["reason"]))
                     << '\n';
        }
    }
}

void render_forgotten(const json& result, const View& view) {
    view.out << "removed " << as_count(result["removed"]) << " rows\n";
}

void render_remotes(const json& result, const View& view) {
    for (const json& remote : result["status_remotes"]) {
        view.out << printable(as_text(remote)) << '\n';
    }
}

Command database_command(const char* words, const char* summary, std::vector<Argument> arguments,
                         std::vector<std::string> examples,
                         void (*render)(const json& result, const View& view),
                         Outcome<json> (*ask)(const Invocation&, const Streams&)) {
    Command command{words, summary, std::move(arguments), std::move(examples), render};
    command.on_database = ask;
    command.needs_database = true;
    return command;
}

}  // namespace

std::vector<Command> fleet_commands() {
    const Argument host{"--host",        "host", Kind::kText, false, "only of this host",
                        Offer::kNothing, "",     "HOST"};
    return {
        database_command("fleet hosts",
                         "every host of a fleet: state, generation that it runs, last sign of life",
                         {host},
                         {"--db tcp:10.0.0.5:6641 fleet hosts",
                          "--db tcp:10.0.0.5:6641 -o json fleet hosts --host h1"},
                         render_hosts, fleet_hosts),
        database_command("fleet ports", "ports that hosts report, with their addresses", {host},
                         {"--db tcp:10.0.0.5:6641 fleet ports --host h1"}, render_fleet_ports,
                         fleet_ports),
        database_command(
            "fleet bindings",
            "where each MAC and its addresses are, as hosts claim it; duplicate claims too",
            {{"SEGMENT", "segment", Kind::kText, false, "only of this one: SWITCH/vni5001"}},
            {"--db tcp:10.0.0.5:6641 fleet bindings dvs0/vni5001"}, render_fleet_bindings,
            fleet_bindings),
        database_command(
            "fleet realized", "what each host has applied, and what it had to leave out and why",
            {host}, {"--db tcp:10.0.0.5:6641 fleet realized"}, render_realized, fleet_realized),
        database_command("fleet forget", "delete what a host reported that is gone for good",
                         {{"HOST", "host", Kind::kText, true, "a host that is not running"}},
                         {"--db tcp:10.0.0.5:6641 fleet forget h9"}, render_forgotten,
                         fleet_forget),
        database_command("fleet remotes", "show, or set, the servers that hosts report to",
                         {{"REMOTE", "remotes", Kind::kTexts, false,
                           "one or several: tcp:HOST:PORT, ssl:HOST:PORT, unix:PATH"}},
                         {"--db tcp:10.0.0.5:6641 fleet remotes",
                          "--db tcp:10.0.0.5:6641 fleet remotes ssl:10.0.0.5:6643"},
                         render_remotes, fleet_remotes),
    };
}

}  // namespace sluice::cli
