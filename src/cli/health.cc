// SPDX-License-Identifier: Apache-2.0
// See health.h. Three answers, three exit statuses: 0 healthy, 1 not, 2 nobody answered in time.
#include "health.h"

#include <array>
#include <cstdlib>

#include "cli.h"
#include "client.h"
#include "format.h"
#include "invocation.h"

namespace sluice::cli {
namespace {

using nlohmann::json;

constexpr double kWithinDefaultS = 2;
constexpr double kWithinMaxS = 3600;

std::string state_of(const json& check) {
    const json ok = value_at(check, "ok");
    return ok.is_boolean() && ok.get<bool>() ? "ok" : "FAILED";
}

constexpr std::array kCheckFields{
    Field{"CHECK", "name", as_text},
    Field{"STATE", "", state_of},
    Field{"DETAIL", "detail", as_text},
};

constexpr std::array kAlarmFields{
    Field{"ALARM", "name", as_text},    Field{"OBJECT", "object", as_text},
    Field{"SINCE", "since", as_text},   Field{"CLEARED", "cleared", as_text},
    Field{"DETAIL", "detail", as_text},
};

bool is_true(const json& value) { return value.is_boolean() && value.get<bool>(); }

void render_health(const json& health, const View& view) {
    const json checks = value_at(health, "checks");
    if (is_true(value_at(health, "healthy"))) {
        view.out << paint(view, Color::kGreen, "healthy") << ": packets move\n";
    }
    for (const json& check : checks) {
        if (is_true(value_at(check, "ok"))) { continue; }
        view.out << paint(view, Color::kRed, "not healthy") << ": "
                 << printable(as_text(value_at(check, "detail"))) << '\n';
    }
    print_rows(checks, kCheckFields, view, "no checks");
    for (const char* key : {"uplinks_down", "services_down", "ports_down"}) {
        const json down = value_at(health, key);
        if (down.is_array() && !down.empty()) { print_tree(json{{key, down}}, view); }
    }
}

void render_alarms(const json& rows, const View& view) {
    print_rows(rows, kAlarmFields, view, "no alarms");
}

Outcome<double> within_of(const Invocation& invocation) {
    const std::string text = invocation.params.value("within", "");
    if (text.empty()) { return kWithinDefaultS; }
    char* end = nullptr;
    const double seconds = std::strtod(text.c_str(), &end);
    if (*end != '\0' || !(seconds >= 0.001 && seconds <= kWithinMaxS)) {
        return Failure{
            "usage", "health: --within " + text + " is not a number of seconds from 0.001 to 3600",
            ""};
    }
    return seconds;
}

// A failure without a message: the answer was printed, only the exit status is left to say.
Outcome<bool> drive_health(const Invocation& invocation, const Streams& streams) {
    Outcome<double> seconds = within_of(invocation);
    if (!seconds.ok()) { return seconds.failure(); }
    Endpoint endpoint = invocation.endpoint;
    endpoint.timeout = std::chrono::milliseconds(static_cast<std::int64_t>(seconds.value() * 1000));
    auto answer = call(endpoint, invocation.method, "{}");
    if (!answer.ok()) {
        Failure failure = answer.failure();
        if (failure.code == "io") { failure.code = kUnreachable; }
        return failure;
    }
    const json& health = answer.value();
    if (invocation.json) {
        streams.out << health.dump(2, ' ', false, json::error_handler_t::replace) << '\n';
    } else {
        render_health(health, View{streams.out, streams.color, invocation.method});
    }
    if (!is_true(value_at(health, "healthy"))) { return Failure{"unhealthy", "", ""}; }
    return true;
}

}  // namespace

std::string alarm_text(const json& alarm) {
    return as_text(value_at(alarm, "name")) + ": " + as_text(value_at(alarm, "object")) + ": " +
           as_text(value_at(alarm, "detail")) + " (since " + as_text(value_at(alarm, "since")) +
           ")";
}

Command health_command() {
    Command command{
        "health",
        "whether packets move: exit status 0, or 1 with reasons, or 2 without an answer",
        {{"--within", "within", Kind::kText, false,
          "seconds in which the daemon must answer (default 2)", Offer::kNothing, "", "SECONDS"}},
        {"health", "health --within 0.5 || echo the switch is not well"},
        render_health};
    command.drive = drive_health;
    return command;
}

Command alarms_command() {
    return {"show alarms",
            "what is wrong now, and what was lately",
            {},
            {"show alarms", "-o json show alarms | jq '.[] | select(.cleared == null)'"},
            render_alarms};
}

}  // namespace sluice::cli
