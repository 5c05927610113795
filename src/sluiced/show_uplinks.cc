// SPDX-License-Identifier: Apache-2.0
// show uplinks.
#include "sluice/net/address_text.h"
#include "src/sluiced/show_service.h"

namespace sluice::daemon {
namespace {

using nlohmann::json;

std::string switch_of(const model::Document& document, const std::string& uplink) {
    for (const model::Switch& each : document.switches) {
        for (const std::string& name : each.uplinks) {
            if (name == uplink) { return each.name; }
        }
    }
    return "";
}

// Of a member of a LAG: what it carried itself. The LAG's port, drops included, is the first one's.
void add_lag(json& row, const LagState& lag) {
    const bool has_partner = !lag.partner.is_zero();
    row["lacp"] = {{"state", lag.state},
                   {"partner", has_partner ? json(to_string(lag.partner)) : json()},
                   {"partner_key", lag.partner_key},
                   {"partner_port", lag.partner_port}};
    row["works"] = lag.is_used();
    row["rx_packets"] = lag.rx_packets;
    row["rx_bytes"] = lag.rx_bytes;
    row["tx_packets"] = lag.tx_packets;
    row["tx_bytes"] = lag.tx_bytes;
}

void add_team(json& row, const TeamPart& part) {
    row["role"] = part.role;
    row["works"] = part.is_used;
    row["why_unused"] = part.why;
    row["vnics"] = part.vnics;
    row["load_bps"] = part.load_bps;
    row["lacp"] = nullptr;
}

}  // namespace

// rx is from the fabric, tx to it. The device's own drops never were the switch's: they are not in
// the books.
Answer ShowService::uplinks() const {
    json rows = json::array();
    for (const model::Uplink& uplink : config_.document().uplinks) {
        const UplinkState state = uplinks_.state(uplink.name);
        const PortIndex index = config_.registries().ports.find(uplink.name);
        const auto figure = [&](Counter PortCounters::*which) {
            return index == kNoPort ? 0
                                    : sum(index, [which](const PortCounters& c) -> const Counter& {
                                          return c.*which;
                                      });
        };
        rows.push_back({{"name", uplink.name},
                        {"device", uplink.device},
                        {"switch", switch_of(config_.document(), uplink.name)},
                        {"state", state.why.empty() ? "up" : "down"},
                        {"why", state.why},
                        {"mac", to_string(state.mac)},
                        {"mtu", state.mtu},
                        {"speed_mbps", state.speed_mbps == 0 ? json() : json(state.speed_mbps)},
                        {"rx_packets", figure(&PortCounters::rx_packets)},
                        {"rx_bytes", figure(&PortCounters::rx_bytes)},
                        {"tx_packets", figure(&PortCounters::tx_packets)},
                        {"tx_bytes", figure(&PortCounters::tx_bytes)},
                        {"drops", index == kNoPort ? json::object() : drops_of(index)},
                        {"device_drops",
                         {{"rx_missed", state.figures.missed},
                          {"rx_errors", state.figures.rx_errors},
                          {"tx_errors", state.figures.tx_errors}}}});
        add_team(rows.back(), teams_.part(uplink.name));
        if (state.lag) { add_lag(rows.back(), *state.lag); }
    }
    return rows;
}

}  // namespace sluice::daemon
