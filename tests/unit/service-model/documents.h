// SPDX-License-Identifier: Apache-2.0
// A document with services and encryption that the tests of this folder start from.
#pragma once

#include <nlohmann/json.hpp>

namespace sluice::test {

/// Two vNICs, a service of two legs and one of one, a service elsewhere, a key policy.
inline nlohmann::json with_services() {
    return nlohmann::json::parse(R"({
 "uplinks": [{"name": "up0", "device": "net_null0"}],
 "vteps": [{"name": "tep0", "ip": "172.16.0.1/24", "uplink": "up0"}],
 "switches": [{"name": "dvs0", "uplinks": ["up0"], "remote_vteps": ["172.16.0.2"]}],
 "port_groups": [{"name": "web", "switch": "dvs0", "vni": 5001}],
 "ports": [
  {"name": "vm1", "port_group": "web", "ips": ["10.0.0.1"]},
  {"name": "vm2", "port_group": "web", "ips": ["10.0.0.2"]},
  {"name": "ids1-in", "kind": "service", "socket": "/run/sluice/ids1-in.sock"},
  {"name": "ids1-out", "kind": "service"},
  {"name": "av-leg", "kind": "service"}],
 "service_chains": [{"name": "ids", "rules": [
  {"name": "trusted", "action": "bypass", "source": ["10.9.0.0/16"]},
  {"name": "inspect", "initiator": "in", "destination": ["web"], "services": ["tcp/80"],
   "applied_to": ["vm1"], "slot": 4, "on_failure": "closed",
   "instances": [{"name": "ids1", "in": "ids1-in", "out": "ids1-out", "weight": 3},
                 {"name": "far", "vtep": "172.16.0.9", "vni": 9001, "encapsulation": "nsh"}]},
  {"name": "scan", "slot": 7,
   "instances": [{"name": "av", "in": "av-leg", "encapsulation": "nsh", "path": 77, "weight": 0}]}]}],
 "encryption": {
  "key_policies": [{"name": "kp1", "key_file": "/etc/sluice/kp1.key", "id": 9},
                   {"name": "auth", "algorithm": "aes-128-gmac", "rotate_s": 60, "id": 10,
                    "keys": [{"epoch": 5, "hosts": {"cHVi": "c2VhbGVk"}}, {"epoch": 7}]}],
  "rules": [{"name": "e1", "key_policy": "kp1", "services": ["tcp/443"]},
            {"name": "e2", "action": "integrity", "key_policy": "auth", "required": false,
             "destination": ["10.0.0.2"]},
            {"name": "e3", "action": "clear"}]}
})");
}

}  // namespace sluice::test
