// SPDX-License-Identifier: Apache-2.0
// Alarms: see alarms.h.
#include "src/sluiced/alarms.h"

#include <ctime>
#include <vector>

namespace sluice::daemon {
namespace {

constexpr std::array<AlarmRule, kAlarmKindCount> kRules = {{
    {"worker_stalled", 0, 2000, true, "a worker has not polled its ports for a second"},
    {"packets_stuck", 0, 3000, true,
     "a frame of the switch's own did not pass through a worker within two seconds"},
    {"control_stalled", 0, 30000, true, "the control thread stood still for more than a second"},
    {"books_unbalanced", 12000, 12000, true,
     "received + created is not sent + consumed + dropped + held, three looks in a row"},
    {"ring_full", 5000, 10000, true,
     "a ring has been full for five seconds: a guest's receive ring that lets more frames go than "
     "it takes, a ring between workers, a ring of events"},
    {"mempool_low", 3000, 10000, true, "fewer than 5 % of the packet buffers are free"},
    {"connections_full", 3000, 10000, true, "the connection table is filled to 95 %"},
    {"uplink_down", 3000, 3000, false, "an uplink is down"},
    {"source", 1000, 1000, false, "what the source of the configuration reports"},
}};

std::string time_text(std::int64_t unix_s) {
    const auto time = static_cast<std::time_t>(unix_s);
    std::tm parts{};
    gmtime_r(&time, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

constexpr std::uint64_t kMillisecondNs = 1'000'000;

}  // namespace

const AlarmRule& rule_of(AlarmKind kind) noexcept { return kRules[static_cast<std::size_t>(kind)]; }

void Alarms::clear(const State& state, std::int64_t unix_s) {
    Alarm alarm = state.alarm;
    alarm.cleared_s = unix_s;
    tell_(alarm, false);
    history_.push_front(std::move(alarm));
    if (history_.size() > kAlarmHistoryMax) { history_.pop_back(); }
}

void Alarms::look(std::uint64_t now_ns, std::int64_t unix_s, std::span<const Finding> findings) {
    ++looks_;
    for (const Finding& finding : findings) {
        const auto [at, is_new] = states_.try_emplace({finding.kind, finding.object});
        State& state = at->second;
        if (is_new) {
            state.alarm = {finding.kind, finding.object, "", unix_s, 0};
            state.bad_since_ns = now_ns;
        }
        state.alarm.detail = finding.detail;
        state.seen = looks_;
        state.good_since_ns = 0;
        const std::uint64_t wait_ns = rule_of(finding.kind).raise_ms * kMillisecondNs;
        if (!state.is_raised && now_ns - state.bad_since_ns >= wait_ns) {
            state.is_raised = true;
            tell_(state.alarm, true);
        }
    }
    for (auto at = states_.begin(); at != states_.end();) {
        State& state = at->second;
        bool is_over = false;
        if (state.seen != looks_) {
            if (state.good_since_ns == 0) { state.good_since_ns = now_ns; }
            const std::uint64_t wait_ns = rule_of(at->first.first).clear_ms * kMillisecondNs;
            is_over = !state.is_raised || now_ns - state.good_since_ns >= wait_ns;
        }
        if (is_over && state.is_raised) { clear(state, unix_s); }
        at = is_over ? states_.erase(at) : std::next(at);
    }
}

std::vector<Alarm> Alarms::raised() const {
    std::vector<Alarm> out;
    for (const auto& [key, state] : states_) {
        if (state.is_raised) { out.push_back(state.alarm); }
    }
    return out;
}

std::size_t Alarms::count(AlarmKind kind) const {
    std::size_t count = 0;
    for (const auto& [key, state] : states_) {
        if (key.first == kind && state.is_raised) { ++count; }
    }
    return count;
}

nlohmann::json to_json(const Alarm& alarm) {
    nlohmann::json out{{"name", rule_of(alarm.kind).name},
                       {"object", alarm.object},
                       {"since", time_text(alarm.since_s)},
                       {"detail", alarm.detail}};
    if (alarm.cleared_s != 0) { out["cleared"] = time_text(alarm.cleared_s); }
    return out;
}

nlohmann::json to_json(std::span<const Alarm> alarms) {
    nlohmann::json out = nlohmann::json::array();
    for (const Alarm& alarm : alarms) { out.push_back(to_json(alarm)); }
    return out;
}

}  // namespace sluice::daemon
