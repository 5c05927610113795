// SPDX-License-Identifier: Apache-2.0
// Shape of a large fleet: how many hosts, ports and networks, which host has which, what all are
// called. Arithmetic only, so that any process of the scale harness knows it without asking.
#pragma once

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sluice/net/address.h"

namespace sluice::scale {

/// A host has `ports / hosts` ports, spread over `host_networks` of its own. Networks are in
/// `host_networks` blocks; a host has one of each block, and two hosts share few of them.
struct Shape {
    std::size_t ports = 250'000;
    std::size_t hosts = 500;
    std::size_t networks = 2500;
    std::size_t host_networks = 50;

    /// One sentence if the numbers do not fit each other; empty: they do.
    [[nodiscard]] std::string fault() const;

    [[nodiscard]] std::size_t host_ports() const { return ports / hosts; }
    [[nodiscard]] std::size_t block() const { return networks / host_networks; }
    /// Network of a host's port.
    [[nodiscard]] std::size_t network_of(std::size_t host, std::size_t port) const;
    [[nodiscard]] bool reaches(std::size_t host, std::size_t network) const;
};

[[nodiscard]] std::string host_name(std::size_t host);
[[nodiscard]] std::string port_name(std::size_t host, std::size_t port);
/// "dvs0/vni5000" and so on.
[[nodiscard]] std::string segment_of(std::size_t network);
[[nodiscard]] MacAddr mac_of(const Shape& shape, std::size_t host, std::size_t port);
[[nodiscard]] IpAddr ip_of(const Shape& shape, std::size_t host, std::size_t port);
[[nodiscard]] IpAddr vtep_of(std::size_t host);

/// A port as the fleet's document has it.
[[nodiscard]] nlohmann::json port_object(const Shape& shape, std::size_t host, std::size_t port);
/// The whole document: as large as the fleet.
[[nodiscard]] nlohmann::json document(const Shape& shape);
/// Operations that write what `host` would report of itself (Sluice_Status), were it running.
[[nodiscard]] nlohmann::json report(const Shape& shape, std::size_t host);

}  // namespace sluice::scale
