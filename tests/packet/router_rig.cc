// SPDX-License-Identifier: Apache-2.0
// Router rig: see router_rig.h.
#include "tests/packet/router_rig.h"

#include <algorithm>

namespace sluice::test {

nlohmann::json two_networks() {
    nlohmann::json document = two_vms();
    document["port_groups"][0]["vlan"] = {{"mode", "access"}, {"id", 10}};
    document["port_groups"].push_back(
        {{"name", "blue"}, {"switch", "dvs0"}, {"vlan", {{"mode", "access"}, {"id", 20}}}});
    document["ports"].push_back(port_of("vm4", "blue", kVm4));
    document["routers"] = json_of(R"([{"name": "r", "interfaces": [
        {"name": "red-gw", "port_group": "lan", "addresses": ["10.0.0.254/24", "2001:db8::254/64"]},
        {"name": "blue-gw", "port_group": "blue",
         "addresses": ["10.0.1.254/24", "2001:db8:1::254/64"]}]}])");
    return document;
}

MacAddr pmac_of(Pipeline& p) { return p.dataplane().snapshot().routers.at(0).pmac; }

Path to_router(const Vnic& from, const Vnic& to, bool is_v6) {
    Path path = is_v6 ? v6(from, to) : v4(from, to);
    path.destination_mac = kVmac;
    return path;
}

Path from_router(const Vnic& from, const Vnic& to, bool is_v6) {
    Path path = is_v6 ? v6(from, to) : v4(from, to);
    path.source_mac = kVmac;
    return path;
}

Bytes routed(Bytes frame, const Path& path) {
    const auto put = [&frame](const MacAddr& address, std::ptrdiff_t at) {
        std::copy(address.bytes.begin(), address.bytes.end(), frame.begin() + at);
    };
    put(path.destination_mac, 0);
    put(path.source_mac, 6);
    if (path.is_v6()) {
        --frame[21];
        return frame;
    }
    --frame[22];
    frame[24] = frame[25] = 0;
    std::uint32_t sum = 0;
    for (std::size_t at = 14; at < 34; at += 2) { sum += frame[at] * 256U + frame[at + 1]; }
    while (sum >> 16U != 0) { sum = (sum & 0xffffU) + (sum >> 16U); }
    frame[24] = static_cast<std::uint8_t>(~sum >> 8U);
    frame[25] = static_cast<std::uint8_t>(~sum);
    return frame;
}

}  // namespace sluice::test
