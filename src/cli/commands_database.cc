// SPDX-License-Identifier: Apache-2.0
// apply, diff, export and status against a fleet's database: see commands_database.h.
#include "commands_database.h"

#include <algorithm>

#include "controller-agent/fleet/changes.h"
#include "controller-agent/fleet/check_fleet.h"
#include "controller-agent/fleet/commit_plan.h"
#include "controller-agent/fleet/items.h"
#include "document_file.h"
#include "fleet_commit.h"
#include "fleet_reports.h"
#include "format.h"
#include "labelled.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using Clock = Database::Clock;
using std::chrono::milliseconds;

constexpr const char* kConfig = "Sluice_Config";
constexpr const char* kReports = "Sluice_Status";
constexpr std::size_t kNamesShownMax = 20;  // Of hosts in a sentence.

Outcome<json> read_fleet(const Invocation& invocation, const Streams& streams) {
    auto text = read_document(invocation.document_path, streams.in);
    if (!text.ok()) { return text.failure(); }
    return parse_fleet(text.value());
}

std::string listed(const std::vector<std::string>& names) {
    std::string text;
    for (std::size_t i = 0; i < names.size() && i < kNamesShownMax; ++i) {
        text += (i == 0 ? "" : ", ") + names[i];
    }
    if (names.size() <= kNamesShownMax) { return text; }
    return text + " and " + std::to_string(names.size() - kNamesShownMax) + " more";
}

/// Generations that a host may run: the one that is asked for, and newer ones of the same database.
struct Generations {
    std::int64_t first = 0, last = 0;

    /// A higher one is of a database that was there before this one.
    [[nodiscard]] bool contains(std::int64_t generation) const {
        return generation >= first && generation <= last;
    }
};

/// How far the hosts of a fleet are with a generation.
struct Progress {
    std::vector<std::string> ready, behind, silent;

    [[nodiscard]] json to_json() const {
        return {{"ready", ready}, {"behind", behind}, {"unreachable", silent}};
    }
};

Progress progress_of(const ovsdb::Tables& reports, const std::set<std::string>& hosts,
                     const Generations& wanted) {
    auto told = host_reports(reports);
    for (const std::string& host : hosts) { told[host]; }
    Progress out;
    const std::int64_t now = unix_now_ms();
    for (const auto& [name, host] : told) {
        if (!host.is_reachable(now)) {
            out.silent.push_back(name);
        } else {
            (wanted.contains(host.generation) ? out.ready : out.behind).push_back(name);
        }
    }
    return out;
}

/// apply --wait.
Outcome<json> wait_for_hosts(const Invocation& invocation, Database& config,
                             std::int64_t generation, double seconds) {
    const auto patience = seconds > 0 ? milliseconds(static_cast<std::int64_t>(seconds * 1000))
                                      : invocation.endpoint.timeout;
    Database reports(kReports, Clock::now() + patience);
    const auto named = fleet::global_state(config.tables()).status_remotes;
    auto opened = open_reports(reports, invocation.database, named, {"Host", "Heartbeat"});
    if (!opened.ok()) { return opened.failure(); }
    std::set<std::string> hosts;
    const json document = stored_document(config).document;
    if (document.contains("hosts")) {
        for (const json& host : document["hosts"]) { hosts.insert(host.value("name", "")); }
    }
    Progress progress;
    const bool is_ready = reports.wait_for(
        [&] {
            config.catch_up();
            const std::int64_t newest = fleet::global_state(config.tables()).generation;
            progress = progress_of(reports.tables(), hosts, {generation, newest});
            return progress.behind.empty();
        },
        patience);
    if (is_ready) { return progress.to_json(); }
    std::string message = "generation " + std::to_string(generation) +
                          " is committed, but does not run yet on " + listed(progress.behind);
    if (!progress.silent.empty()) { message += "; not reachable: " + listed(progress.silent); }
    return Failure{"state", message + " (see sluice fleet realized)", ""};
}

std::size_t size_of(const json& document, const char* key) {
    const auto at = document.find(key);
    return at != document.end() && at->is_array() ? at->size() : 0;
}

std::size_t rule_count(const json& document) {
    std::size_t count = 0;
    const json sections = document.value("dfw", json::object()).value("sections", json::array());
    for (const json& section : sections) { count += size_of(section, "rules"); }
    return count;
}

json count_hosts(const Invocation& invocation, const Database& config, const json& document,
                 std::int64_t generation) {
    Database reports(kReports, deadline_of(invocation));
    const auto named = fleet::global_state(config.tables()).status_remotes;
    auto opened = open_reports(reports, invocation.database, named, {"Host", "Heartbeat"});
    if (!opened.ok()) { return {{"error", opened.failure().message}}; }
    std::set<std::string> hosts;
    for (const json& host : document.value("hosts", json::array())) {
        hosts.insert(host.value("name", ""));
    }
    const Progress progress = progress_of(reports.tables(), hosts, {generation, generation});
    return {{"ready", progress.ready.size()},
            {"behind", progress.behind.size()},
            {"unreachable", progress.silent.size()}};
}

/// People look for the name first, and for hosts before rules.
nlohmann::ordered_json in_order(const json& value, bool is_root) {
    if (value.is_array()) {
        nlohmann::ordered_json list = nlohmann::ordered_json::array();
        for (const json& item : value) { list.push_back(in_order(item, false)); }
        return list;
    }
    if (!value.is_object()) { return value; }
    nlohmann::ordered_json out = nlohmann::ordered_json::object();
    const auto take = [&](const std::string& key) {
        if (value.contains(key) && !out.contains(key)) { out[key] = in_order(value[key], false); }
    };
    if (is_root) {
        for (const fleet::Noun& noun : fleet::nouns()) {
            if (noun.parent.empty()) {
                take(std::string(noun.inside.empty() ? noun.key : noun.inside));
            }
        }
    } else {
        take("name");
        take("host");
    }
    for (const auto& [key, item] : value.items()) { take(key); }
    return out;
}

}  // namespace

Database::Clock::time_point deadline_of(const Invocation& invocation) {
    return Database::Clock::now() + invocation.endpoint.timeout;
}

Outcome<bool> prepare_apply(Invocation& invocation) {
    if (!invocation.database.remotes.empty()) { return true; }
    for (const auto& [param, option] :
         {std::pair{"wait", "--wait"}, {"allow_mass_delete", "--allow-mass-delete"}}) {
        if (!invocation.params.contains(param)) { continue; }
        return Failure{"usage",
                       std::string("apply: ") + option +
                           " is about a fleet and needs --db; a daemon's apply returns when it is "
                           "in force",
                       ""};
    }
    return true;
}

Outcome<json> apply_fleet(const Invocation& invocation, const Streams& streams) {
    auto document = read_fleet(invocation, streams);
    if (!document.ok()) { return document.failure(); }
    Database config(kConfig, deadline_of(invocation));
    auto opened =
        config.open(invocation.database.remotes, invocation.database, config_interest(), true);
    if (!opened.ok()) { return opened.failure(); }
    const bool is_dry = invocation.method == "apply.dry_run";
    const CommitRequest request{is_dry, invocation.params.contains("allow_mass_delete")};
    auto done = commit_fleet(config, document.value(), request, streams.err);
    if (!done.ok() || is_dry || !invocation.params.contains("wait")) { return done; }
    json result = std::move(done.value());
    auto hosts = wait_for_hosts(invocation, config, result["generation"].get<std::int64_t>(),
                                invocation.params["wait"].get<double>());
    if (!hosts.ok()) { return hosts.failure(); }
    result["hosts"] = std::move(hosts.value());
    return result;
}

Outcome<json> diff_fleet(const Invocation& invocation, const Streams& streams) {
    auto document = read_fleet(invocation, streams);
    if (!document.ok()) { return document.failure(); }
    Database config(kConfig, deadline_of(invocation));
    auto opened =
        config.open(invocation.database.remotes, invocation.database, config_interest(), false);
    if (!opened.ok()) { return opened.failure(); }
    const fleet::PackedRows now = fleet::packed_rows(config.tables());
    const fleet::PackedRows desired = fleet::pack(document.value(), &now);
    if (Status checked = fleet::check_fleet(document.value(), desired, &now); !checked) {
        return failure_of(checked.error());
    }
    return fleet::to_json_value(fleet::changes_of(
        fleet::items_of(document.value()), fleet::items_of(stored_document(config).document)));
}

Outcome<json> export_fleet(const Invocation& invocation, const Streams& streams) {
    Database config(kConfig, deadline_of(invocation));
    auto opened =
        config.open(invocation.database.remotes, invocation.database, config_interest(), false);
    if (!opened.ok()) { return opened.failure(); }
    StoredDocument stored = stored_document(config);
    if (stored.problems != 0) {
        streams.err << "sluice: warning: left out " << stored.problems
                    << " objects of the database that make no sense\n";
    }
    if (!fleet::is_whole(config.tables())) {
        streams.err << "sluice: warning: a commit is on its way, or its editor died: this is "
                       "between two generations\n";
    }
    return std::move(stored.document);
}

Outcome<json> fleet_status(const Invocation& invocation, const Streams&) {
    Database config(kConfig, deadline_of(invocation));
    auto opened =
        config.open(invocation.database.remotes, invocation.database, config_interest(), false);
    if (!opened.ok()) { return opened.failure(); }
    const fleet::GlobalState global = fleet::global_state(config.tables());
    const json document = stored_document(config).document;
    json result{{"database", kConfig},
                {"remote", config.remote()},
                {"cluster", config.cluster_id()},
                {"generation", global.generation},
                {"epoch", global.epoch},
                {"changed_ms", global.changed_ms},
                {"is_whole", fleet::is_whole(config.tables())},
                {"status_remotes", global.status_remotes},
                {"ports", size_of(document, "ports")},
                {"port_groups", size_of(document, "port_groups")},
                {"rules", rule_count(document)},
                {"bindings", size_of(document, "bindings")}};
    result["hosts"] = count_hosts(invocation, config, document, global.generation);
    return result;
}

void render_fleet_applied(const json& result, const View& view) {
    render_applied(result, view);
    if (result.value("merged", false)) {
        view.out << "kept what another editor changed at the same time\n";
    }
    if (!result.contains("hosts")) { return; }
    const json& hosts = result["hosts"];
    view.out << "runs on " << format_count(hosts["ready"].size())
             << (hosts["ready"].size() == 1 ? " host" : " hosts");
    if (!hosts["unreachable"].empty()) {
        const auto names = hosts["unreachable"].get<std::vector<std::string>>();
        view.out << "; not reachable: " << printable(listed(names));
    }
    view.out << '\n';
}

void render_fleet_document(const json& result, const View& view) {
    view.out << in_order(result, true).dump(2, ' ', false, json::error_handler_t::replace) << '\n';
}

void render_fleet_status(const json& result, const View& view) {
    print_labelled(view, "database",
                   as_text(result["database"]) + " at " + as_text(result["remote"]));
    print_labelled(view, "generation",
                   as_text(result["generation"]) + ", epoch " + as_text(result["epoch"]));
    const std::int64_t changed = result["changed_ms"].get<std::int64_t>();
    if (changed > 0) {
        const std::int64_t age = std::max<std::int64_t>(0, (unix_now_ms() - changed) / 1000);
        print_labelled(view, "changed", format_duration(static_cast<std::uint64_t>(age)) + " ago");
    }
    if (!result["is_whole"].get<bool>()) {
        print_labelled(view, "writing", "a commit is on its way");
    }
    const json& hosts = result["hosts"];
    if (hosts.contains("error")) {
        print_labelled(view, "hosts", as_text(hosts["error"]));
    } else {
        print_labelled(view, "hosts",
                       as_count(hosts["ready"]) + " run it, " + as_count(hosts["behind"]) +
                           " do not yet, " + as_count(hosts["unreachable"]) + " not reachable");
    }
    for (const char* key : {"ports", "port_groups", "rules", "bindings"}) {
        print_labelled(view, key, as_count(result[key]));
    }
}

}  // namespace sluice::cli
