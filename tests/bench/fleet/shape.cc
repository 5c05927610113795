// SPDX-License-Identifier: Apache-2.0
// Shape of a large fleet: see shape.h.
#include "tests/bench/fleet/shape.h"

#include <map>

#include "controller-agent/ovsdb/value.h"
#include "sluice/net/address_text.h"

namespace sluice::scale {
namespace {

constexpr std::size_t kVniBase = 5000;
constexpr std::size_t kTaggedEach = 250;  // One port in so many is of the group that a rule names.

std::string network_name(std::size_t network) { return "net-" + std::to_string(network); }

nlohmann::json section() {
    nlohmann::json rules = nlohmann::json::array();
    rules.push_back({{"name", "web-in"},
                     {"action", "allow"},
                     {"destination", {"web-vms"}},
                     {"services", {"tcp/80", "tcp/443"}}});
    rules.push_back({{"name", "no-telnet"}, {"action", "drop"}, {"services", {"tcp/23"}}});
    return {{"name", "app"}, {"rules", std::move(rules)}};
}

}  // namespace

std::string Shape::fault() const {
    if (hosts == 0 || ports % hosts != 0) { return "ports must be a multiple of hosts"; }
    if (host_networks == 0 || networks % host_networks != 0) {
        return "networks must be a multiple of host-networks";
    }
    if (host_ports() < host_networks) { return "a host needs a port in each of its networks"; }
    if (hosts > 60'000 || ports > 4'000'000) { return "addresses end at 60000 hosts, 4 M ports"; }
    return {};
}

std::size_t Shape::network_of(std::size_t host, std::size_t port) const {
    const std::size_t index = port % host_networks;
    const std::size_t within = (host % block() + host / block() * index) % block();
    return index * block() + within;
}

bool Shape::reaches(std::size_t host, std::size_t network) const {
    return network_of(host, network / block()) == network;
}

std::string host_name(std::size_t host) { return "host-" + std::to_string(host); }

std::string port_name(std::size_t host, std::size_t port) {
    return "vm-" + std::to_string(host) + "-" + std::to_string(port);
}

std::string segment_of(std::size_t network) {
    return "dvs0/vni" + std::to_string(kVniBase + network);
}

MacAddr mac_of(const Shape& shape, std::size_t host, std::size_t port) {
    const std::size_t number = host * shape.host_ports() + port;
    const auto byte = [number](unsigned shift) {
        return static_cast<std::uint8_t>(number >> shift);
    };
    return MacAddr{{0x02, 0, byte(24), byte(16), byte(8), byte(0)}};
}

IpAddr ip_of(const Shape& shape, std::size_t host, std::size_t port) {
    const std::size_t number = host * shape.host_ports() + port;
    return IpAddr::v4(0x0a000001U + static_cast<std::uint32_t>(number));
}

IpAddr vtep_of(std::size_t host) {
    return IpAddr::v4(0xac100001U + static_cast<std::uint32_t>(host));  // 172.16.0.1 and on.
}

nlohmann::json port_object(const Shape& shape, std::size_t host, std::size_t port) {
    nlohmann::json object{{"name", port_name(host, port)},
                          {"host", host_name(host)},
                          {"port_group", network_name(shape.network_of(host, port))},
                          {"mac", to_string(mac_of(shape, host, port))},
                          {"ips", {to_string(ip_of(shape, host, port))}}};
    if (port % kTaggedEach == 0) { object["tags"] = {{"app", "web"}}; }
    return object;
}

nlohmann::json document(const Shape& shape) {
    nlohmann::json out;
    out["switches"].push_back({{"name", "dvs0"}, {"uplinks", {"up0"}}});
    out["groups"].push_back({{"name", "web-vms"}, {"tags", {{"app", "web"}}}});
    out["dfw"]["default"] = "allow";
    out["dfw"]["sections"].push_back(section());
    for (std::size_t network = 0; network < shape.networks; ++network) {
        out["port_groups"].push_back(
            {{"name", network_name(network)}, {"switch", "dvs0"}, {"vni", kVniBase + network}});
    }
    for (std::size_t host = 0; host < shape.hosts; ++host) {
        const std::string name = host_name(host);
        out["hosts"].push_back({{"name", name}});
        out["uplinks"].push_back(
            {{"name", "up0"}, {"host", name}, {"device", "net_af_packet0,iface=eth1"}});
        out["vteps"].push_back({{"name", "tep0"},
                                {"host", name},
                                {"ip", to_string(vtep_of(host)) + "/16"},
                                {"uplink", "up0"}});
        for (std::size_t port = 0; port < shape.host_ports(); ++port) {
            out["ports"].push_back(port_object(shape, host, port));
        }
    }
    return out;
}

nlohmann::json report(const Shape& shape, std::size_t host) {
    std::map<std::size_t, std::map<std::string, std::string>> bindings;
    for (std::size_t port = 0; port < shape.host_ports(); ++port) {
        bindings[shape.network_of(host, port)][to_string(mac_of(shape, host, port))] =
            "1 1 " + to_string(ip_of(shape, host, port));
    }
    const nlohmann::json vtep{{"switch", "dvs0"}, {"ip", to_string(vtep_of(host))}};
    const std::map<std::string, std::string> vteps{{"tep0", vtep.dump()}};
    nlohmann::json operations = nlohmann::json::array();
    operations.push_back({{"op", "insert"},
                          {"table", "Host"},
                          {"row",
                           {{"host", host_name(host)},
                            {"state", "live"},
                            {"vteps", ovsdb::to_json(ovsdb::datum(vteps))}}}});
    for (const auto& [network, items] : bindings) {
        operations.push_back({{"op", "insert"},
                              {"table", "Binding"},
                              {"row",
                               {{"host", host_name(host)},
                                {"segment", segment_of(network)},
                                {"vtep", to_string(vtep_of(host))},
                                {"items", ovsdb::to_json(ovsdb::datum(items))}}}});
    }
    return operations;
}

}  // namespace sluice::scale
