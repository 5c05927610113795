// SPDX-License-Identifier: Apache-2.0
// Frames of the load: Ethernet, IPv4, and UDP, TCP or ARP with right lengths and checksums, written
// into memory that the caller gives. Before the run only; the loops patch what changes.
// Pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "spec.h"
#include "tuples.h"
#include "virtio.h"

namespace sluice::load {

// Where things lie in an untagged IPv4 frame without options.
inline constexpr std::size_t kIpAt = 14;
inline constexpr std::size_t kIpChecksumAt = 24;
inline constexpr std::size_t kSourceIpAt = 26;
inline constexpr std::size_t kDestinationIpAt = 30;
inline constexpr std::size_t kL4At = 34;
inline constexpr std::size_t kTcpSequenceAt = 38;
inline constexpr std::size_t kTcpAckAt = 42;
inline constexpr std::size_t kTcpFlagsAt = 47;
inline constexpr std::size_t kTcpChecksumAt = 50;
inline constexpr std::size_t kTcpPayloadAt = 54;
inline constexpr std::size_t kUdpChecksumAt = 40;
inline constexpr std::size_t kUdpPayloadAt = 42;
inline constexpr std::size_t kArpFrameBytes = 60;

inline constexpr std::uint8_t kUdp = 17, kTcp = 6;  // Protocols.
inline constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kPsh = 8, kAck = 16;

/// Who sends to whom on the segment.
struct Link {
    Mac source, destination;
};

/// Fills `frame`'s Ethernet header, the rest with zeros.
void write_ethernet(std::span<std::uint8_t> frame, const Link& link, std::uint16_t type);
/// The IPv4 header behind it, for `l4_bytes` of payload.
void write_ipv4(std::span<std::uint8_t> frame, const Tuple& tuple, std::uint8_t protocol,
                std::size_t l4_bytes);

/// How the transport checksum is made.
enum class Checksum : std::uint8_t {
    kFull,     ///< In the frame.
    kPartial,  ///< Pseudo header only, the rest is left to the device
               ///< (VIRTIO_NET_HDR_F_NEEDS_CSUM).
    kNone,     ///< Zero, which only UDP allows.
};

/// A TCP segment that the switch or the other guest cuts (VIRTIO_NET_HDR_GSO_TCPV4); `header` comes
/// from write_tcp with Checksum::kPartial.
[[nodiscard]] inline frontend::NetHeader with_gso(frontend::NetHeader header,
                                                  std::uint16_t segment_bytes) {
    header.gso_type = frontend::kGsoTcp4;
    header.hdr_len = kTcpPayloadAt;
    header.gso_size = segment_bytes;
    return header;
}

struct TcpFields {
    std::uint32_t sequence = 0;
    std::uint32_t ack = 0;
    std::uint8_t flags = kAck;
    int scale = -1;  ///< Window scale option (SYN only, no payload then); negative: none.
};

/// Fills all of `frame` (at least 60 bytes) with a UDP datagram. Returns the virtio header that
/// belongs to it.
frontend::NetHeader write_udp(std::span<std::uint8_t> frame, const Link& link, const Tuple& tuple,
                              Checksum checksum);
/// The same as a TCP segment of `payload_bytes`; what is left of the frame is padding.
frontend::NetHeader write_tcp(std::span<std::uint8_t> frame, const Link& link, const Tuple& tuple,
                              const TcpFields& fields, std::size_t payload_bytes,
                              Checksum checksum);
/// "Who has `target`? Tell `source`": a broadcast by which switches learn where `mac` is.
void write_arp(std::span<std::uint8_t> frame, const Mac& mac, std::uint32_t source,
               std::uint32_t target);
/// "`source` is at link.source", to `target` at link.destination.
void write_arp_answer(std::span<std::uint8_t> frame, const Link& link, std::uint32_t source,
                      std::uint32_t target);

/// Sum of big-endian 16-bit words, carries kept (RFC 1071); an odd byte counts as a high byte.
[[nodiscard]] std::uint64_t word_sum(std::span<const std::uint8_t> bytes);
/// Folds and complements: what a checksum field holds.
[[nodiscard]] constexpr std::uint16_t finish_sum(std::uint64_t sum) {
    sum = (sum & 0xffffffffU) + (sum >> 32U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(~sum);
}
/// Sum of the IPv4 pseudo header.
[[nodiscard]] constexpr std::uint64_t pseudo_sum(std::uint32_t source, std::uint32_t destination,
                                                 std::uint8_t protocol, std::size_t l4_bytes) {
    return std::uint64_t{source >> 16U} + (source & 0xffffU) + (destination >> 16U) +
           (destination & 0xffffU) + protocol + l4_bytes;
}

/// Big-endian fields of a frame.
inline void put16(std::uint8_t* at, std::uint16_t value) {
    value = __builtin_bswap16(value);
    __builtin_memcpy(at, &value, sizeof value);
}
inline void put32(std::uint8_t* at, std::uint32_t value) {
    value = __builtin_bswap32(value);
    __builtin_memcpy(at, &value, sizeof value);
}
[[nodiscard]] inline std::uint16_t get16(const std::uint8_t* at) {
    std::uint16_t value = 0;
    __builtin_memcpy(&value, at, sizeof value);
    return __builtin_bswap16(value);
}
[[nodiscard]] inline std::uint32_t get32(const std::uint8_t* at) {
    std::uint32_t value = 0;
    __builtin_memcpy(&value, at, sizeof value);
    return __builtin_bswap32(value);
}

}  // namespace sluice::load
