// SPDX-License-Identifier: Apache-2.0
// See health_methods.h.
#include "src/sluiced/health_methods.h"

namespace sluice::daemon {
namespace {

using admin::Access;
using admin::Peer;
using nlohmann::json;

Answer status(const ShowService& show, const HealthWatch& health) {
    Answer answer = show.status();
    if (answer) { answer.value()["alarms"] = to_json(health.alarms().raised()); }
    return answer;
}

// What ports and uplinks are down stands beside it: that is the guests' or the fabric's matter, and
// the switch is well.
Answer how_it_is(const ShowService& show, const HealthWatch& health) {
    Answer down = show.health();
    if (!down) { return down; }
    json out = health.answer();
    out.update(down.value());
    return out;
}

Answer alarms(const HealthWatch& health) {
    json rows = to_json(health.alarms().raised());
    for (const Alarm& alarm : health.alarms().history()) { rows.push_back(to_json(alarm)); }
    return rows;
}

}  // namespace

void add_health_methods(admin::AdminServer& server, const ShowService& show,
                        const HealthWatch& health) {
    server.add("status", Access::kRead,
               [&](const json&, const Peer&) { return status(show, health); });
    server.add("health", Access::kRead,
               [&](const json&, const Peer&) { return how_it_is(show, health); });
    server.add("show.alarms", Access::kRead,
               [&](const json&, const Peer&) { return alarms(health); });
}

}  // namespace sluice::daemon
