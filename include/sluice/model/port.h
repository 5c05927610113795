// SPDX-License-Identifier: Apache-2.0
// model::Port: the noun `ports`, the switch side of a vNIC, and what it really has once its
// overrides are laid over its port group. Plain values and pure functions, any thread.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sluice/model/port_group.h"
#include "sluice/net/address.h"

namespace sluice::model {

/// What is plugged into the port.
enum class PortKind : std::uint8_t {
    kVhost,    ///< A guest's virtio-net device over a vhost-user socket.
    kKernel,   ///< An interface of the host's own stack.
    kService,  ///< One leg of a service VM.
};

/// Who listens on the vhost-user socket, seen from the switch.
enum class SocketMode : std::uint8_t {
    kClient,  ///< QEMU listens, the switch connects (a restarted switch reconnects).
    kServer,  ///< The switch listens.
};

/// Security fields that a port sets for itself; an empty one is the port group's.
struct SecurityOverride {
    std::optional<bool> promiscuous;
    std::optional<bool> mac_changes;
    std::optional<bool> forged_transmits;

    bool operator==(const SecurityOverride&) const = default;
};

/// What a port sets for itself. `vlan` replaces the group's whole setting.
struct Overrides {
    std::optional<Vlan> vlan;
    SecurityOverride security;

    bool operator==(const Overrides&) const = default;
};

/// An address with the length of its network, host bits included: "10.0.9.1/24".
struct InterfaceAddress {
    IpAddr ip;
    std::uint8_t prefix_length = 0;

    constexpr auto operator<=>(const InterfaceAddress&) const noexcept = default;
};

/// The network that an interface address is in: its host bits are zero.
[[nodiscard]] constexpr IpPrefix subnet_of(const InterfaceAddress& address) noexcept {
    IpPrefix prefix{address.ip, address.prefix_length};
    const unsigned first = (address.ip.is_v4() ? 96U : 0U) + address.prefix_length;
    for (unsigned bit = first; bit < 128U; ++bit) {
        auto& byte = prefix.address.bytes[bit / 8U];
        byte = static_cast<std::uint8_t>(byte & ~(0x80U >> (bit % 8U)));
    }
    return prefix;
}

/// One port.
struct Port {
    std::string name;
    std::string port_group;  ///< An existing PortGroup.
    PortKind kind = PortKind::kVhost;
    std::string socket;  ///< Kind vhost: absolute path, shorter than sockaddr_un::sun_path.
    SocketMode socket_mode = SocketMode::kClient;
    // Kind kernel only.
    std::string interface;                    ///< Name in its namespace, 1..15 bytes.
    std::string netns;                        ///< Below /run/netns; empty = the daemon's own.
    std::vector<InterfaceAddress> addresses;  ///< That the interface gets.
    MacAddr mac;  ///< Unicast; a stable local one (default_mac) if the document gives none.
    std::vector<IpAddr> ips;  ///< The vNIC's own addresses.
    std::map<std::string, std::string> tags;
    bool enabled = true;
    Overrides overrides;

    bool operator==(const Port&) const = default;
};

/// The port's own addresses: its `ips`, and what its kernel interface has.
[[nodiscard]] inline std::vector<IpAddr> own_ips(const Port& port) {
    std::vector<IpAddr> ips = port.ips;
    for (const InterfaceAddress& address : port.addresses) {
        if (std::find(ips.begin(), ips.end(), address.ip) == ips.end()) {
            ips.push_back(address.ip);
        }
    }
    return ips;
}

/// The VLAN setting in force: the port's own, or its group's.
[[nodiscard]] inline const Vlan& effective_vlan(const Port& port, const PortGroup& group) noexcept {
    return port.overrides.vlan ? *port.overrides.vlan : group.vlan;
}

/// The security setting in force: the port's own fields over its group's.
[[nodiscard]] inline Security effective_security(const Port& port,
                                                 const PortGroup& group) noexcept {
    const SecurityOverride& own = port.overrides.security;
    return Security{own.promiscuous.value_or(group.security.promiscuous),
                    own.mac_changes.value_or(group.security.mac_changes),
                    own.forged_transmits.value_or(group.security.forged_transmits)};
}

/// The MAC of a port that the document gives none: locally administered, unicast, a pure function
/// of the name.
[[nodiscard]] constexpr MacAddr default_mac(std::string_view name) noexcept {
    std::uint64_t hash = 0xcbf29ce484222325ULL;  // FNV-1a, 64 bits.
    for (const char c : name) { hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL; }
    MacAddr mac;
    mac.bytes[0] = 0x02;
    for (unsigned i = 1; i < 6; ++i) {
        mac.bytes[i] = static_cast<std::uint8_t>(hash >> (8U * (i + 2U)));
    }
    return mac;
}

/// The socket of a port that the document gives none.
[[nodiscard]] inline std::string default_socket(std::string_view name) {
    return "/run/sluice/" + std::string(name) + ".sock";
}

}  // namespace sluice::model
