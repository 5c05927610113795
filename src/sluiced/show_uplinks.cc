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
    }
    return rows;
}

}  // namespace sluice::daemon
