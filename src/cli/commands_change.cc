// SPDX-License-Identifier: Apache-2.0
// Commands about the document (apply, diff, export, rollback) and about learned and tracked state
// (flush).
#include "command.h"
#include "commands_database.h"
#include "format.h"

namespace sluice::cli {
namespace {

using nlohmann::json;

// "+ port vm3", "- acl old", "~ port vm1 (mac, ips)".
void render_diff(const json& result, const View& view) {
    if (!result.is_array() || result.empty()) {
        view.out << "no differences\n";
        return;
    }
    for (const auto& change : result) {
        const std::string op = as_text(value_at(change, "op"));
        const bool add = op == "add" || op == "create";
        const bool remove = op == "remove" || op == "delete";
        const Color color = add ? Color::kGreen : remove ? Color::kRed : Color::kYellow;
        std::string line = add ? "+ " : remove ? "- " : "~ ";
        line += as_text(value_at(change, "kind")) + " " + as_text(value_at(change, "name"));
        std::string details;
        for (const auto& [key, value] : change.items()) {
            if (key == "op" || key == "kind" || key == "name") { continue; }
            details += (details.empty() ? "" : ", ");
            details += key == "fields" ? as_text(value) : key + " " + as_text(value);
        }
        if (!details.empty()) { line += " (" + details + ")"; }
        view.out << paint(view, color, printable(line)) << '\n';
    }
}

void render_document(const json& result, const View& view) {
    view.out << result.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
}

void render_removed(const json& result, const View& view) {
    view.out << "removed " << as_count(value_at(result, "removed")) << '\n';
}

}  // namespace

void render_applied(const json& result, const View& view) {
    const auto changed = number_of(value_at(result, "changed"));
    const bool dry_run = view.method == "apply.dry_run";
    if (changed == 0) {
        view.out << "nothing to change";
    } else {
        view.out << (dry_run ? "would change " : "changed ") << format_count(changed)
                 << (changed == 1 ? " object" : " objects");
    }
    view.out << ", generation " << as_text(value_at(result, "generation")) << '\n';
}

std::vector<Command> change_commands() {
    const Argument file{
        "FILE", "", Kind::kDocument, true, "the document, - for standard input", Offer::kFiles};
    const Argument port{"PORT", "port", Kind::kText, false, "only of this port", Offer::kPorts};
    const Argument group{
        "PORT_GROUP",      "port_group", Kind::kText, false, "only of this port group",
        Offer::kPortGroups};
    const Argument dry_run{"--dry-run", "dry_run", Kind::kSuffix, false,
                           "check and count, change nothing"};
    const Argument wait{"--wait", "wait", Kind::kSeconds, false,
                        "with --db: until every reachable host runs it, --timeout if no number"};
    const Argument mass_delete{"--allow-mass-delete", "allow_mass_delete", Kind::kFlag, false,
                               "with --db: hosts need not hold back a mass deletion"};
    Command apply{
        "apply",
        "make a document the whole desired state, or change nothing",
        {file, dry_run, wait, mass_delete},
        {"apply vms.json", "apply --dry-run vms.json", "export | jq '...' | sluice apply -",
         "--db tcp:10.0.0.5:6641 apply fleet.json --wait 30"},
        render_applied};
    apply.prepare = prepare_apply;
    apply.on_database = apply_fleet;
    apply.render_database = render_fleet_applied;
    Command diff{
        "diff",
        "what apply would change, one object a line: + - ~",
        {file},
        {"diff vms.json", "-o json diff vms.json", "--db tcp:10.0.0.5:6641 diff fleet.json"},
        render_diff};
    diff.on_database = diff_fleet;
    Command exported{"export",
                     "the running document",
                     {},
                     {"export > vms.json", "--db tcp:10.0.0.5:6641 export > fleet.json"},
                     render_document};
    exported.on_database = export_fleet;
    exported.render_database = render_fleet_document;
    return {
        std::move(apply),
        std::move(diff),
        std::move(exported),
        {"rollback",
         "go back to the document that was applied before this one",
         {},
         {"rollback"},
         render_applied},
        {"flush conns",
         "forget tracked connections; what the rules still allow opens again",
         {port},
         {"flush conns", "flush conns vm1"},
         render_removed},
        {"flush macs",
         "forget learned MAC addresses",
         {group},
         {"flush macs", "flush macs web"},
         render_removed},
        {"flush bindings",
         "forget learned addresses, and those that wait or were rejected; under SpoofGuard auto "
         "the VM claims them anew",
         {port},
         {"flush bindings", "flush bindings vm1"},
         render_removed},
        {"flush flows",
         "empty the flow tables; every flow is decided anew",
         {port},
         {"flush flows", "flush flows vm1"},
         render_removed},
    };
}

}  // namespace sluice::cli
