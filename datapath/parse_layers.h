// SPDX-License-Identifier: Apache-2.0
// The layers of the general parser: each reads its header at an offset, fills its part of the
// ParsedFrame and hands over to the next. All return kNone or why the frame is bad; none reads
// outside data[0 .. data_size). Only parse*.cc include this. Thread: any; pure.
#pragma once

#include <cstdint>
#include <cstring>

#include "sluice/iochain/frame.h"

namespace sluice::datapath {

// Ethertypes and protocols that parse tells apart (IANA).
inline constexpr std::uint16_t kEtherIpv4 = 0x0800;
inline constexpr std::uint16_t kEtherArp = 0x0806;
inline constexpr std::uint16_t kEtherRarp = 0x8035;
inline constexpr std::uint16_t kEtherVlan = 0x8100;
inline constexpr std::uint16_t kEtherIpv6 = 0x86dd;
inline constexpr std::uint16_t kEtherPause = 0x8808;
inline constexpr std::uint16_t kEtherLldp = 0x88cc;
inline constexpr std::uint16_t kEtherLoopback =
    0x9000;  ///< A switch's test of its own link (Ethernet II §8).
inline constexpr std::uint16_t kEtherLengthMax = 0x05ff;  ///< Up to here it is an 802.3 length.

inline constexpr std::uint8_t kProtocolHopByHop = 0;
inline constexpr std::uint8_t kProtocolIcmp = 1;
inline constexpr std::uint8_t kProtocolIgmp = 2;
inline constexpr std::uint8_t kProtocolTcp = 6;
inline constexpr std::uint8_t kProtocolUdp = 17;
inline constexpr std::uint8_t kProtocolRouting = 43;
inline constexpr std::uint8_t kProtocolFragment = 44;
inline constexpr std::uint8_t kProtocolAh = 51;
inline constexpr std::uint8_t kProtocolIcmpv6 = 58;
inline constexpr std::uint8_t kProtocolDestinationOptions = 60;
inline constexpr std::uint8_t kProtocolSctp = 132;

inline constexpr std::uint32_t kEthernetSize = 14;
inline constexpr std::uint32_t kTagSize = 4;
inline constexpr std::uint32_t kIpv4Size = 20;
inline constexpr std::uint32_t kIpv6Size = 40;
inline constexpr std::uint32_t kTcpSize = 20;
inline constexpr std::uint32_t kUdpSize = 8;
inline constexpr std::uint32_t kDatagramMax = 65535;  ///< Largest IP packet, reassembled.

/// TCP flag combinations that a stack sends, PSH, ECE and CWR aside, as a set of bit numbers
/// (netfilter's table): SYN, SYN+URG, SYN+ACK, RST, RST+ACK, FIN+ACK, FIN+ACK+URG, ACK, ACK+URG.
inline constexpr std::uint8_t kTcpFlagsJudged = kTcpFin | kTcpSyn | kTcpRst | kTcpAck | kTcpUrg;
inline constexpr std::uint64_t kTcpFlagsValid =
    (1ULL << kTcpSyn) | (1ULL << (kTcpSyn | kTcpUrg)) | (1ULL << (kTcpSyn | kTcpAck)) |
    (1ULL << kTcpRst) | (1ULL << (kTcpRst | kTcpAck)) | (1ULL << (kTcpFin | kTcpAck)) |
    (1ULL << (kTcpFin | kTcpAck | kTcpUrg)) | (1ULL << kTcpAck) | (1ULL << (kTcpAck | kTcpUrg));

/// Segments that begin or end a connection.
inline constexpr std::uint8_t kTcpOpensOrCloses = kTcpSyn | kTcpFin | kTcpRst;

/// True if each option has length 0 or 1, or ends before `end` (parse_transport.cc). An option that
/// is not there can't be judged, so only headers with a SYN are.
[[nodiscard]] bool tcp_options_ok(const std::uint8_t* option, const std::uint8_t* end) noexcept;

// Wire integers at any address.
template <typename T>
[[nodiscard]] inline T load(const std::uint8_t* at) noexcept {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
[[nodiscard]] inline std::uint16_t load_be16(const std::uint8_t* at) noexcept {
    return __builtin_bswap16(load<std::uint16_t>(at));
}
[[nodiscard]] inline std::uint32_t load_be32(const std::uint8_t* at) noexcept {
    return __builtin_bswap32(load<std::uint32_t>(at));
}

/// One's complement sum of 16-bit words over `size` bytes, folded; 0xffff over a header with its
/// right checksum in place. `size` must be even.
[[nodiscard]] inline std::uint16_t header_sum(const std::uint8_t* header,
                                              std::uint32_t size) noexcept {
    std::uint32_t sum = 0;
    for (std::uint32_t i = 0; i < size; i += 2) { sum += load<std::uint16_t>(header + i); }
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(sum + (sum >> 16U));
}

/// What the network layer found for the transport layer.
struct TransportInput {
    std::uint32_t offset = 0;  ///< Of the first byte behind the network headers, in the frame.
    std::uint32_t size = 0;    ///< Bytes from there by the IP length; all inside frame_size.
    std::uint8_t protocol = 0;
    std::uint8_t hop_limit = 0;
    bool fragment_header = false;  ///< IPv6: a fragment header was there, an atomic one too.
};

/// IPv4 at frame.l3_offset (parse_ipv4.cc).
[[nodiscard]] DropReason parse_ipv4(ParsedFrame& frame) noexcept;
/// IPv6 at frame.l3_offset (parse_ipv6.cc).
[[nodiscard]] DropReason parse_ipv6(ParsedFrame& frame) noexcept;
/// Transport header, or the payload of a later fragment. Key addresses and flags must be set
/// (parse_transport.cc).
[[nodiscard]] DropReason parse_transport(ParsedFrame& frame, const TransportInput& input) noexcept;
/// Checks what any fragment must hold: `size` bytes of the datagram at frame.fragment_offset,
/// behind `before` bytes that the reassembled packet has too (parse_ipv4.cc).
[[nodiscard]] DropReason check_fragment(const ParsedFrame& frame, std::uint32_t size,
                                        std::uint32_t before, std::uint8_t protocol) noexcept;
/// Offset in the frame of the fragmentable part of an IPv6 fragment (parse_ipv6.cc).
[[nodiscard]] std::uint32_t ipv6_fragment_start(const ParsedFrame& frame) noexcept;

inline void set_inspect(ParsedFrame& frame, InspectKind kind) noexcept {
    frame.frame_class = FrameClass::kInspect;
    frame.inspect_kind = kind;
}

}  // namespace sluice::datapath
