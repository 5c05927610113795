// SPDX-License-Identifier: Apache-2.0
// VXLAN on the wire (RFC 7348 §5): what both ends of a tunnel write and read. Constants and pure
// functions, any thread.
#pragma once

#include <cstdint>

#include "datapath/parse_layers.h"
#include "sluice/net/address.h"

namespace sluice::datapath {

inline constexpr std::uint32_t kVxlanSize = 8;  ///< Flags, 24 bits reserved, VNI, 8 bits reserved.
inline constexpr std::uint8_t kVxlanHasVni = 0x08;  ///< First byte: the I flag.
/// First byte, one that RFC 7348 reserves: "copy this to the other VTEPs of your subnet", of a
/// sender in another subnet. Only between hosts of ours: others must not be sent it.
inline constexpr std::uint8_t kVxlanReplicate = 0x40;

/// Outer source ports (RFC 7348 §5): 49152..65535, by the inner flow.
[[nodiscard]] inline std::uint16_t vxlan_source_port(std::uint32_t flow_hash) noexcept {
    return static_cast<std::uint16_t>(0xc000U | flow_hash >> 18U);
}

/// Bytes of the outer headers from IP on.
[[nodiscard]] constexpr std::uint32_t outer_ip_size(IpFamily underlay) noexcept {
    return (underlay == IpFamily::kV6 ? kIpv6Size : kIpv4Size) + kUdpSize + kVxlanSize;
}
/// Bytes of all outer headers at most: Ethernet, a tag, IPv6, UDP, VXLAN.
inline constexpr std::uint32_t kOuterMax =
    kEthernetSize + kTagSize + kIpv6Size + kUdpSize + kVxlanSize;

}  // namespace sluice::datapath
