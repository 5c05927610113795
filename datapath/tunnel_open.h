// SPDX-License-Identifier: Apache-2.0
// Outer headers of VXLAN as a VTEP reads them, every length checked: Ethernet, a tag, IPv4 or IPv6,
// UDP, VXLAN (RFC 7348 §5). Straight-line for what is common, in a header as parse_plain.h is. Who
// may send what is decided in tunnel_receive.cc. Any thread; pure.
#pragma once

#include <rte_mbuf.h>

#include <cstring>

#include "datapath/checksum.h"
#include "datapath/parse_plain.h"
#include "datapath/snapshot.h"
#include "datapath/vxlan.h"

namespace sluice::datapath {

inline constexpr std::uint16_t kEtherQinq = 0x88a8;
inline constexpr std::uint8_t kCongested = 3;  ///< ECN (RFC 3168 §5).

/// An IP packet with UDP inside, as far as it was read.
struct Outer {
    std::uint32_t l3 = 0, l4 = 0;
    std::uint32_t l4_size = 0;  ///< By the IP header: UDP and what follows.
    IpFamily family = IpFamily::kNone;
    const std::uint8_t* source = nullptr;
    const std::uint8_t* destination = nullptr;
    std::uint8_t ecn = 0;
    bool is_bad = false;  ///< It is UDP, but no whole datagram with right headers.
};

/// Bytes at the front of a frame.
struct Head {
    const std::uint8_t* data;
    std::uint32_t size;        ///< That lie there.
    std::uint32_t frame_size;  ///< All.
};

/// Offset of the network header if the frame has the tag that a VTEP's frames have; 0 if not.
[[nodiscard]] inline std::uint32_t network_offset(const Head& head, std::uint16_t vlan) noexcept {
    if (head.size < kEthernetSize + kTagSize) { return 0; }
    if (load<std::uint16_t>(head.data + 12) != plain::be16(kEtherVlan)) [[likely]] {
        return vlan == 0 ? kEthernetSize : 0;
    }
    const std::uint16_t vid = load_be16(head.data + kEthernetSize) & 0x0fffU;
    return vid == vlan ? kEthernetSize + kTagSize : 0;  // Tag 0 is priority only.
}

[[nodiscard]] inline bool read_ipv4(const Head& head, Outer& outer) noexcept {
    const std::uint8_t* ip = head.data + outer.l3;
    if (head.size < outer.l3 + kIpv4Size + kUdpSize || ip[0] >> 4U != 4 || ip[9] != kProtocolUdp) {
        return false;
    }
    const std::uint32_t size = (ip[0] & 0x0fU) * 4U;
    const std::uint32_t total = load_be16(ip + 2);
    outer.l4 = outer.l3 + size;
    outer.source = ip + 12;
    outer.destination = ip + 16;
    outer.ecn = ip[1] & 3U;
    const bool is_fragment = (load<std::uint16_t>(ip + 6) & plain::be16(0x3fff)) != 0;
    outer.is_bad = size < kIpv4Size || head.size < outer.l4 + kUdpSize || is_fragment ||
                   total < size + kUdpSize || outer.l3 + total > head.frame_size;
    if (outer.is_bad) { return true; }
    outer.l4_size = total - size;
    outer.is_bad = size == kIpv4Size ? !plain::ipv4_sum_ok(ip) : header_sum(ip, size) != 0xffff;
    return true;
}

[[nodiscard]] inline bool read_ipv6(const Head& head, Outer& outer) noexcept {
    const std::uint8_t* ip = head.data + outer.l3;
    if (head.size < outer.l3 + kIpv6Size + kUdpSize || ip[0] >> 4U != 6 || ip[6] != kProtocolUdp) {
        return false;
    }
    outer.l4 = outer.l3 + kIpv6Size;
    outer.l4_size = load_be16(ip + 4);
    outer.source = ip + 8;
    outer.destination = ip + 24;
    outer.ecn = ip[1] >> 4U & 3U;
    outer.is_bad = outer.l4_size < kUdpSize || outer.l4 + outer.l4_size > head.frame_size;
    return true;
}

/// False: not UDP of the VTEP's family and VLAN. True: addresses are there, the rest if not is_bad.
[[nodiscard]] inline bool read_outer(const Head& head, const VtepConfig& vtep,
                                     Outer& outer) noexcept {
    outer.l3 = network_offset(head, vtep.vlan);
    if (outer.l3 == 0) { return false; }
    outer.family = vtep.ip.family;
    const auto type = load<std::uint16_t>(head.data + outer.l3 - 2);
    if (vtep.ip.is_v4()) [[likely]] {
        return type == plain::be16(kEtherIpv4) && read_ipv4(head, outer);
    }
    return type == plain::be16(kEtherIpv6) && read_ipv6(head, outer);
}

[[nodiscard]] inline bool is_to(const Outer& outer, const IpAddr& ip) noexcept {
    return ip.is_v6() ? std::memcmp(outer.destination, ip.bytes.data(), 16) == 0
                      : load<std::uint32_t>(outer.destination) ==
                            load<std::uint32_t>(ip.bytes.data() + 12);
}

/// Zero is no checksum, over IPv6 too (RFC 6935); any other must be right.
[[nodiscard]] inline bool udp_checksum_ok(const rte_mbuf& frame, const Outer& outer,
                                          std::uint32_t udp_size) noexcept {
    const auto* udp = rte_pktmbuf_mtod_offset(&frame, const std::uint8_t*, outer.l4);
    if (load<std::uint16_t>(udp + 6) == 0) [[likely]] { return true; }
    const std::uint32_t address_size = outer.family == IpFamily::kV6 ? 16 : 4;
    std::uint32_t sum = raw_sum(outer.source, 2UL * address_size);
    sum += plain::be16(kProtocolUdp);
    sum += plain::be16(static_cast<std::uint16_t>(udp_size));
    sum += raw_sum(frame, outer.l4, udp_size);
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    return sum == 0xffff;
}

/// RFC 6040 §4.2: what congestion on the underlay means for the inner packet. False: it can't say
/// it.
/// @param inner  a frame of at least an Ethernet header
/// @param size   bytes that lie there
[[nodiscard, gnu::cold]] inline bool take_over_ecn(std::uint8_t* inner, std::uint32_t size,
                                                   std::uint8_t outer) noexcept {
    const std::uint16_t type = load_be16(inner + 12);
    const bool is_v4 = type == kEtherIpv4;
    const std::uint32_t least = kEthernetSize + (is_v4 ? kIpv4Size : kIpv6Size);
    if ((!is_v4 && type != kEtherIpv6) || size < least) { return true; }
    const auto before = load<std::uint16_t>(inner + kEthernetSize);
    auto* ip = inner + kEthernetSize;
    const auto ecn = static_cast<std::uint8_t>((is_v4 ? ip[1] : ip[1] >> 4U) & 3U);
    if (ecn == 0) { return outer != kCongested; }
    if (ecn == kCongested || (outer != kCongested && ecn == outer)) { return true; }
    ip[1] = static_cast<std::uint8_t>(is_v4 ? (ip[1] & ~3U) | outer
                                            : (ip[1] & ~0x30U) | std::uint32_t{outer} << 4U);
    if (!is_v4) { return true; }
    const std::uint16_t sum = mended(load<std::uint16_t>(ip + 10), before, load<std::uint16_t>(ip));
    std::memcpy(ip + 10, &sum, sizeof sum);
    return true;
}

[[nodiscard]] inline bool has_tag(const std::uint8_t* inner) noexcept {
    const auto type = load<std::uint16_t>(inner + 12);
    return type == plain::be16(kEtherVlan) || type == plain::be16(kEtherQinq);
}

/// What a VXLAN packet holds.
struct OpenedVxlan {
    bool is_good = false;
    std::uint8_t flags = 0;
    std::uint32_t vni = 0;
    std::uint32_t inner =
        0;                  ///< Offset of the inner frame: at least an Ethernet header lies there.
    std::uint32_t end = 0;  ///< Of it, in the outer one.
};

/// Reads UDP and VXLAN behind `outer`.
/// @param frame  that `head` is the front of
[[nodiscard, gnu::always_inline]] inline OpenedVxlan open_vxlan(const rte_mbuf& frame,
                                                                const Head& head,
                                                                const Outer& outer) noexcept {
    constexpr std::uint32_t kLeast = kUdpSize + kVxlanSize + kEthernetSize;
    OpenedVxlan out;
    if (outer.is_bad || head.size < outer.l4 + kLeast) { return out; }
    const std::uint8_t* udp = head.data + outer.l4;
    const std::uint32_t udp_size = load_be16(udp + 4);
    if (udp_size < kLeast || udp_size > outer.l4_size) { return out; }
    out.flags = udp[kUdpSize];
    out.vni = load_be32(udp + kUdpSize + 4) >> 8U;
    out.inner = outer.l4 + kUdpSize + kVxlanSize;
    out.end = outer.l4 + udp_size;
    out.is_good = (out.flags & kVxlanHasVni) != 0 && udp_checksum_ok(frame, outer, udp_size);
    return out;
}

}  // namespace sluice::datapath
