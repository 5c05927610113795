// SPDX-License-Identifier: Apache-2.0
// model::Service: one item of a rule's `services`, and the direction words that ACL and firewall
// share. Plain values, host byte order, any thread.
#pragma once

#include <cstdint>
#include <optional>

namespace sluice::model {

inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
inline constexpr std::uint8_t kProtocolIcmpv6 = 58;
inline constexpr std::uint8_t kProtocolSctp = 132;

/// Seen from the VM: kOut leaves it.
enum class RuleDirection : std::uint8_t { kBoth, kIn, kOut };

/// Ports first..last, both included. The default is every port.
struct PortRange {
    std::uint16_t first = 0;
    std::uint16_t last = 65535;

    bool operator==(const PortRange&) const = default;
    [[nodiscard]] constexpr bool is_any() const noexcept { return first == 0 && last == 65535; }
    [[nodiscard]] constexpr bool contains(std::uint16_t port) const noexcept {
        return first <= port && port <= last;
    }
};

/// A protocol and, where it has them, ports or an ICMP type. A parsed list holds no `any`: it is
/// empty then.
struct Service {
    std::uint8_t protocol = 0;              ///< IANA number; meaningless if `any`.
    bool any = false;                       ///< Every protocol.
    PortRange source;                       ///< TCP, UDP, SCTP only.
    PortRange destination;                  ///< TCP, UDP, SCTP only.
    std::optional<std::uint8_t> icmp_type;  ///< ICMP, ICMPv6 only.
    std::optional<std::uint8_t> icmp_code;  ///< Only with icmp_type.

    bool operator==(const Service&) const = default;
};

/// True if the protocol has 16-bit ports that a Service can name.
[[nodiscard]] constexpr bool has_ports(std::uint8_t protocol) noexcept {
    return protocol == kProtocolTcp || protocol == kProtocolUdp || protocol == kProtocolSctp;
}

}  // namespace sluice::model
