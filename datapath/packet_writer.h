// SPDX-License-Identifier: Apache-2.0
// Packet writer: IP headers and checksums of what the switch says itself: answers to packets
// (reject.cc, icmp_error.cc), the router's own questions and answers. Called by workers; pure but
// for new_frame().
#pragma once

#include <rte_mbuf.h>

#include <cstring>

#include "datapath/checksum.h"
#include "datapath/parse_layers.h"
#include "datapath/stages.h"

namespace sluice::datapath {

/// Of packets that the switch itself sends beyond the link.
inline constexpr std::uint8_t kOwnHopLimit = 64;
/// Precedence of an ICMP error (RFC 1812 §4.3.2.5).
inline constexpr std::uint8_t kInternetControl = 0xc0;
/// Without the checksum (IEEE 802.3 §3.2.8).
inline constexpr std::uint32_t kFrameSizeMin = 60;

template <typename T>
inline void store(std::uint8_t* at, T value) noexcept {
    std::memcpy(at, &value, sizeof value);
}
inline void store_be16(std::uint8_t* at, std::uint32_t value) noexcept {
    store(at, __builtin_bswap16(static_cast<std::uint16_t>(value)));
}
inline void store_be32(std::uint8_t* at, std::uint32_t value) noexcept {
    store(at, __builtin_bswap32(value));
}

[[nodiscard]] inline std::uint32_t ip_size_of(IpFamily family) noexcept {
    return family == IpFamily::kV4 ? kIpv4Size : kIpv6Size;
}

/// Bytes of `ip` as on the wire: 4 or 16.
inline void store_ip(std::uint8_t* at, const IpAddr& ip) noexcept {
    if (ip.is_v4()) {
        std::memcpy(at, ip.bytes.data() + 12, 4);
    } else {
        std::memcpy(at, ip.bytes.data(), 16);
    }
}

/// What an IP header says.
struct IpHeader {
    IpAddr source, destination;  ///< Of one family.
    std::uint8_t protocol = 0;
    std::uint8_t hop_limit = kOwnHopLimit;
    std::uint8_t service = 0;  ///< Type of service, traffic class.
    std::uint32_t size = 0;    ///< Bytes behind it.
};

/// Writes it, checksum included: 20 bytes without options, or 40. Never to be fragmented.
inline void write_ip(std::uint8_t* out, const IpHeader& header) noexcept {
    if (header.source.is_v4()) {
        out[0] = 0x45;
        out[1] = header.service;
        store_be16(out + 2, kIpv4Size + header.size);
        store_be16(out + 4, 0);       // Atomic: no identification (RFC 6864 §4.1).
        store_be16(out + 6, 0x4000);  // Don't fragment.
        out[8] = header.hop_limit;
        out[9] = header.protocol;
        store_be16(out + 10, 0);
        store_ip(out + 12, header.source);
        store_ip(out + 16, header.destination);
        return store(out + 10, static_cast<std::uint16_t>(~raw_sum(out, kIpv4Size)));
    }
    store_be32(out, 0x60000000U | std::uint32_t{header.service} << 20U);
    store_be16(out + 4, header.size);
    out[6] = header.protocol;
    out[7] = header.hop_limit;
    store_ip(out + 8, header.source);
    store_ip(out + 24, header.destination);
}

/// Checksum of `size` bytes behind the header at `ip`, whose own field in them is zero; ICMP has no
/// pseudo-header. In wire order.
[[nodiscard]] inline std::uint16_t transport_sum(const std::uint8_t* ip, IpFamily family,
                                                 std::uint8_t protocol,
                                                 std::uint32_t size) noexcept {
    std::uint32_t sum = raw_sum(ip + ip_size_of(family), size);
    if (protocol != kProtocolIcmp) {
        sum += family == IpFamily::kV4 ? raw_sum(ip + 12, 8) : raw_sum(ip + 8, 32);
        sum += __builtin_bswap16(static_cast<std::uint16_t>(size));
        sum += __builtin_bswap16(protocol);
    }
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(~(sum + (sum >> 16U)));
}

/// The Ethernet header of an answer to `frame` from `from`, its tag as it was. `out` has room for
/// frame.l3_offset bytes.
inline void write_answer_ethernet(const ParsedFrame& frame, const MacAddr& from,
                                  std::uint8_t* out) noexcept {
    std::memcpy(out, frame.data + 6, 6);
    std::memcpy(out + 6, from.bytes.data(), 6);
    std::memcpy(out + 12, frame.data + 12, frame.l3_offset - 12U);  // Tag and ethertype.
}

/// A frame of `size` zeros that no port received, its drops charged to `charged_to`. nullptr: no
/// buffer. Not counted yet.
[[nodiscard]] inline rte_mbuf* new_frame(const WorkerContext& context, PortIndex charged_to,
                                         std::uint32_t size) noexcept {
    rte_mbuf* frame = rte_pktmbuf_alloc(context.options.pool);
    if (frame == nullptr) { return nullptr; }
    char* room = rte_pktmbuf_append(frame, static_cast<std::uint16_t>(size));
    if (room == nullptr) {
        rte_pktmbuf_free(frame);
        return nullptr;
    }
    std::memset(room, 0, size);
    frame->port = charged_to.value;
    frame->hash.rss = 0;
    return frame;
}

[[nodiscard]] inline std::uint8_t* bytes_of(rte_mbuf& frame) noexcept {
    return rte_pktmbuf_mtod(&frame, std::uint8_t*);
}

}  // namespace sluice::datapath
