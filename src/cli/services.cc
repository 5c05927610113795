// SPDX-License-Identifier: Apache-2.0
// `show services`: a row an instance, with the rule that names it.
#include <array>

#include "command.h"
#include "format.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
constexpr Align kRight = Align::kRight;

constexpr std::array kFields{
    Field{"CHAIN", "chain", as_text},
    Field{"RULE", "rule", as_text},
    Field{"SLOT", "slot", as_count, kRight},
    Field{"ON FAILURE", "on_failure", as_text},
    Field{"INSTANCE", "name", as_text},
    Field{"STATE", "state", as_text},
    Field{"SINCE", "since_s", as_duration, kRight},
    Field{"IN", "in", as_text},
    Field{"OUT", "out", as_text},
    Field{"VTEP", "vtep", as_text},
    Field{"ENCAPSULATION", "encapsulation", as_text},
    Field{"WEIGHT", "weight", as_count, kRight},
    Field{"CONNECTIONS", "connections", as_count, kRight},
    Field{"SENT", "sent_packets", as_count, kRight},
    Field{"RETURNED", "returned_packets", as_count, kRight},
    Field{"SKIPPED", "skipped_packets", as_count, kRight},
    Field{"DROPPED", "dropped_packets", as_count, kRight},
    Field{"HEARTBEAT US", "heartbeat_us", as_count, kRight},
};

void render_services(const json& rules, const View& view) {
    json rows = json::array();
    for (const json& rule : rules) {
        for (const json& instance : value_at(rule, "instances")) {
            if (!instance.is_object()) { continue; }
            json row = instance;
            for (const char* key : {"chain", "rule", "slot", "on_failure"}) {
                row[key] = value_at(rule, key);
            }
            rows.push_back(std::move(row));
        }
    }
    print_rows(rows, kFields, view, "no services");
}

}  // namespace

Command show_services_command() {
    return {
        "show services",
        "instances of services that rules redirect to: whether they work, and what they carried",
        {},
        {"show services",
         "-o json show services | jq '.[].instances[] | select(.state == \"down\")'"},
        render_services};
}

}  // namespace sluice::cli
