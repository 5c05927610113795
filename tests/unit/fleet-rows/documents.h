// SPDX-License-Identifier: Apache-2.0
// Documents of a small fleet that the tests of this folder start from, and random ones.
#pragma once

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "controller-agent/fleet/rows.h"

namespace sluice::fleet {

/// Two hosts, two VNIs with a router between them, a VLAN that only h2 has ports in.
inline nlohmann::json small_fleet() {
    return nlohmann::json::parse(R"({
      "hosts": [{"name": "h1"}, {"name": "h2"}],
      "uplinks": [{"name": "up0", "host": "h1", "device": "net_af_packet0,iface=e1"},
                  {"name": "up0", "host": "h2", "device": "net_af_packet0,iface=e2"}],
      "vteps": [{"name": "tep0", "host": "h1", "ip": "172.16.0.1/24", "uplink": "up0"},
                {"name": "tep0", "host": "h2", "ip": "172.16.0.2/24", "uplink": "up0"}],
      "switches": [{"name": "dvs0", "uplinks": ["up0"]}, {"name": "dvs1"}],
      "port_groups": [{"name": "web", "switch": "dvs0", "vni": 5001},
                      {"name": "db", "switch": "dvs0", "vni": 5002},
                      {"name": "legacy", "switch": "dvs1", "vlan": {"mode": "access", "id": 10}}],
      "ports": [
        {"name": "vm1", "host": "h1", "port_group": "web", "ips": ["10.0.1.1"], "tags": {"app": "web"}},
        {"name": "vm2", "host": "h2", "port_group": "db", "ips": ["10.0.2.2"], "tags": {"app": "db"}},
        {"name": "vm3", "host": "h2", "port_group": "legacy", "ips": ["10.0.3.3"], "tags": {"app": "web"}}],
      "address_sets": [{"name": "office", "members": ["192.0.2.0/24", "198.51.100.7"]}],
      "groups": [{"name": "webs", "tags": {"app": "web"}}],
      "acls": [{"name": "z", "applied_to": ["vm1"], "rules": [{"name": "r2"}, {"name": "r1"}]},
               {"name": "a", "applied_to": ["vm3"], "rules": [{"name": "r1"}]}],
      "dfw": {"default": "drop", "exclude": ["vm3"], "sections": [
        {"name": "z", "rules": [{"name": "b", "source": ["vm2"], "destination": ["webs"]},
                                {"name": "a", "source": ["legacy"], "applied_to": ["vm2", "webs"]}]},
        {"name": "empty"},
        {"name": "a", "rules": [{"name": "only-vm2", "applied_to": ["vm2"]}]}]},
      "routers": [{"name": "ldr", "interfaces": [
                     {"name": "w", "port_group": "web", "addresses": ["10.0.1.254/24"]},
                     {"name": "d", "port_group": "db", "addresses": ["10.0.2.254/24"]}],
                   "routes": [{"prefix": "192.0.2.0/24", "blackhole": true}]}],
      "bindings": [{"port_group": "web", "mac": "02:00:00:00:00:09", "ip": "10.0.1.9", "vtep": "172.16.0.9"},
                   {"port_group": "legacy", "mac": "02:00:00:00:00:0a", "ip": "10.0.3.9"}]
    })");
}

inline nlohmann::json normal(nlohmann::json document) {
    Result<nlohmann::json> out = normalised(std::move(document));
    EXPECT_TRUE(out.ok()) << (out.ok() ? "" : out.error().message);
    return out.ok() ? out.value() : nlohmann::json();
}

/// Object of a list by name; null if it is not there.
inline nlohmann::json find(const nlohmann::json& document, const std::string& list,
                           const std::string& name) {
    for (const nlohmann::json& item : document.value(list, nlohmann::json::array())) {
        if (item.value("name", "") == name) { return item; }
    }
    return nullptr;
}

/// Names of a list, in order.
inline std::vector<std::string> names(const nlohmann::json& document, const std::string& list) {
    std::vector<std::string> out;
    for (const nlohmann::json& item : document.value(list, nlohmann::json::array())) {
        out.push_back(item.at("name"));
    }
    return out;
}

}  // namespace sluice::fleet
