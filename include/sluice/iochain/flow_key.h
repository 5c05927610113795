// SPDX-License-Identifier: Apache-2.0
// FlowKey: all that a cached decision may depend on, in one cache line. Filled by parse, compared
// whole by the flow table, read by decide(). Exact match, no wildcards: a crafted header costs its
// sender one entry and nobody else. Plain data, any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "sluice/base/ids.h"
#include "sluice/net/address.h"
#include "sluice/net/endian.h"

namespace sluice {

/// Where the key's frame stands: it came in by a port, or it is the copy of a replicated frame for
/// one egress port.
enum class KeySide : std::uint8_t { kIngress = 0, kEgressCopy = 1 };

/// Bits of FlowKey::flags.
enum KeyFlag : std::uint8_t {
    kKeyTagged = 1U << 0U,  ///< The frame has an 802.1Q tag; `vlan` is its VID.
    kKeyIpv4 = 1U << 1U,    ///< Addresses are IPv4 in the last four bytes.
    kKeyIpv6 = 1U << 2U,    ///< Addresses are IPv6.
    kKeyPorts =
        1U << 3U,  ///< `source_port`, `destination_port` hold ports, or ICMP type/code and id.
    kKeyFragment =
        1U << 4U,  ///< A fragment; its ports were completed from the head by the fragment stage.
};

/// 64 bytes, no padding. Fields that a frame lacks are zero.
struct alignas(64) FlowKey {
    MacAddr source_mac;
    MacAddr destination_mac;
    std::uint8_t source_ip[16] = {};       ///< Wire order; IPv4 in bytes 12..15 as in IpAddr.
    std::uint8_t destination_ip[16] = {};  ///< Wire order.
    Be16 source_port;                      ///< TCP, UDP, SCTP; ICMP: type << 8 | code.
    Be16 destination_port;                 ///< TCP, UDP, SCTP; ICMP query: identifier, else zero.
    Be16 ethertype;                        ///< Behind the outermost tag.
    std::uint16_t vlan = 0;                ///< VID 0..4095 if kKeyTagged; of a tunnelled frame,
                                           ///< which has no tag, the index of the remote VTEP.
    PortIndex port{0};  ///< Ingress port, on both sides: its vNIC pays for the entry.
    KeySide side = KeySide::kIngress;
    std::uint8_t flags = 0;  ///< KeyFlag bits.
    std::uint32_t tunnel =
        0;  ///< VNI << 8 | bits of tunnel.h for frames out of a tunnel, else zero.
    std::uint8_t protocol = 0;    ///< IANA protocol behind IPv6 extension headers.
    std::uint8_t dscp = 0;        ///< 0..63; zero where none of the vNIC's policies reads it.
    std::uint16_t copy_port = 0;  ///< Egress port on the kEgressCopy side, else zero.

    [[nodiscard]] bool operator==(const FlowKey& other) const noexcept {
        return std::memcmp(this, &other, sizeof *this) == 0;
    }
    [[nodiscard]] bool has(KeyFlag flag) const noexcept { return (flags & flag) != 0; }
    [[nodiscard]] bool is_ip() const noexcept { return (flags & (kKeyIpv4 | kKeyIpv6)) != 0; }
    [[nodiscard]] IpFamily family() const noexcept {
        return has(kKeyIpv4) ? IpFamily::kV4 : (has(kKeyIpv6) ? IpFamily::kV6 : IpFamily::kNone);
    }
    [[nodiscard]] IpAddr source() const noexcept { return address(source_ip); }
    [[nodiscard]] IpAddr destination() const noexcept { return address(destination_ip); }

private:
    [[nodiscard]] IpAddr address(const std::uint8_t* wire) const noexcept {
        IpAddr ip;
        std::memcpy(ip.bytes.data(), wire, sizeof ip.bytes);
        ip.family = family();
        return ip;
    }
};

static_assert(sizeof(FlowKey) == 64 && std::has_unique_object_representations_v<FlowKey>);

}  // namespace sluice
