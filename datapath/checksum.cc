// SPDX-License-Identifier: Apache-2.0
// Transport checksums; see checksum.h. Words are added as they lie in memory: one's complement sums
// do not care for byte order (RFC 1071 §2), only for whether a segment starts at an odd byte.
#include "datapath/checksum.h"

#include <rte_mbuf.h>

#include "datapath/parse_layers.h"

namespace sluice::datapath {
namespace {

/// Addresses, length and protocol (RFC 9293 §3.1, RFC 8200 §8.1). IPv4's zero bytes in the key add
/// nothing.
[[nodiscard]] std::uint64_t pseudo_header_sum(const FlowKey& key, std::uint32_t size) noexcept {
    const std::uint64_t addresses =
        std::uint64_t{raw_sum(key.source_ip, 16)} + raw_sum(key.destination_ip, 16);
    const std::uint32_t tail = __builtin_bswap32(size);
    const std::uint32_t protocol = __builtin_bswap32(key.protocol);
    return addresses + std::uint64_t{tail} + protocol;
}

/// Sum over the addresses of the IP header at `l3`.
[[nodiscard]] std::uint64_t address_sum(const std::uint8_t* l3, bool v4) noexcept {
    return v4 ? raw_sum(l3 + 12, 8) : raw_sum(l3 + 8, 32);
}

/// Sum over the pseudo-header's length and protocol.
[[nodiscard]] std::uint64_t length_sum(std::uint32_t size, bool tcp) noexcept {
    const std::uint32_t protocol = tcp ? kProtocolTcp : kProtocolUdp;
    return std::uint64_t{__builtin_bswap32(size)} + __builtin_bswap32(protocol);
}

/// True if the extension headers of the IPv6 packet at `l3`, which end at `l4`, have a routing
/// header with segments left.
[[nodiscard]] bool has_segments_left(const std::uint8_t* data, std::uint32_t l3,
                                     std::uint32_t l4) noexcept {
    std::uint8_t next = data[l3 + 6U];
    for (std::uint32_t at = l3 + kIpv6Size; at + 8 <= l4;) {
        const std::uint8_t* header = data + at;
        if (next == kProtocolRouting && header[3] != 0) { return true; }
        const std::uint32_t size =
            next == kProtocolAh ? (header[1] + 2U) * 4U : (header[1] + 1U) * 8U;
        at += next == kProtocolFragment ? 8U : size;
        next = header[0];
    }
    return false;
}

[[nodiscard]] bool sum_ok(const rte_mbuf& frame, const ParsedFrame& parsed, std::uint32_t size,
                          bool pseudo_header) noexcept {
    const std::uint64_t sum = raw_sum(frame, parsed.l4_offset, size) +
                              (pseudo_header ? pseudo_header_sum(parsed.key, size) : 0);
    return fold(sum) == 0xffff || is_source_routed(parsed);
}

[[nodiscard]] bool udp_ok(const rte_mbuf& frame, const ParsedFrame& parsed) noexcept {
    const std::uint8_t* udp = parsed.data + parsed.l4_offset;
    if (load<std::uint16_t>(udp + 6) == 0) { return true; }
    return sum_ok(frame, parsed, load_be16(udp + 4), true);
}

}  // namespace

std::uint16_t fold(std::uint64_t sum) noexcept {
    sum = (sum & 0xffffffffU) + (sum >> 32U);
    sum = (sum & 0xffffffffU) + (sum >> 32U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(sum);
}

std::uint16_t raw_sum(const std::uint8_t* data, std::size_t size) noexcept {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    std::size_t i = 0;
    for (; i + 8 <= size; i += 8) {  // A mask, a shift and two sums for a vector of these.
        const auto words = load<std::uint64_t>(data + i);
        low += words & 0xffffffffU;
        high += words >> 32U;
    }
    std::uint64_t sum = low + high;
    if (size - i >= 4) {
        sum += load<std::uint32_t>(data + i);
        i += 4;
    }
    if (size - i >= 2) {
        sum += load<std::uint16_t>(data + i);
        i += 2;
    }
    if (i < size) { sum += data[i]; }
    return fold(sum);
}

std::uint16_t raw_sum(const rte_mbuf& frame, std::uint32_t offset, std::uint32_t size) noexcept {
    std::uint64_t sum = 0;
    bool odd = false;  // Bytes summed so far.
    for (const rte_mbuf* segment = &frame; segment != nullptr && size > 0;
         segment = segment->next) {
        const std::uint32_t length = segment->data_len;
        if (offset >= length) {
            offset -= length;
            continue;
        }
        const std::uint32_t take = length - offset < size ? length - offset : size;
        const std::uint16_t part =
            raw_sum(rte_pktmbuf_mtod_offset(segment, const std::uint8_t*, offset), take);
        sum += odd ? __builtin_bswap16(part) : part;
        odd ^= (take & 1U) != 0;
        size -= take;
        offset = 0;
    }
    return fold(sum);
}

bool is_source_routed(const ParsedFrame& parsed) noexcept {
    return parsed.key.has(kKeyIpv6) &&
           has_segments_left(parsed.data, parsed.l3_offset, parsed.l4_offset);
}

bool l4_checksum_ok(const rte_mbuf& frame, const ParsedFrame& parsed) noexcept {
    if (parsed.fragment || parsed.l4_offset == 0) { return true; }
    switch (parsed.key.protocol) {
        case kProtocolTcp: return sum_ok(frame, parsed, parsed.l4_size, true);
        case kProtocolUdp: return udp_ok(frame, parsed);
        case kProtocolIcmp:
        case kProtocolIgmp: return sum_ok(frame, parsed, parsed.l4_size, false);
        case kProtocolIcmpv6: return sum_ok(frame, parsed, parsed.l4_size, true);
        default: return true;
    }
}

bool l4_sum_ok(const FlowKey& key, const std::uint8_t* l4, std::uint32_t size,
               std::uint64_t sum) noexcept {
    switch (key.protocol) {
        case kProtocolUdp:  // None sent, or not over all that came.
            if (load<std::uint16_t>(l4 + 6) == 0 || load_be16(l4 + 4) != size) { return true; }
            break;
        case kProtocolTcp:
        case kProtocolIcmpv6: break;
        case kProtocolIcmp: return fold(sum) == 0xffff;
        default: return true;
    }
    return fold(sum + pseudo_header_sum(key, size)) == 0xffff;
}

void write_pseudo_header_sum(rte_mbuf& frame) noexcept {
    const bool v4 = (frame.ol_flags & RTE_MBUF_F_TX_IPV4) != 0;
    auto* l3 = rte_pktmbuf_mtod_offset(&frame, std::uint8_t*, frame.l2_len);
    const std::uint32_t ip_size = v4 ? load_be16(l3 + 2) : kIpv6Size + load_be16(l3 + 4);
    const std::uint16_t sum = fold(address_sum(l3, v4) + length_sum(ip_size - frame.l3_len, true));
    std::memcpy(l3 + frame.l3_len + 16, &sum, 2);
}

std::uint64_t tcp_pseudo_sum(const rte_mbuf& frame) noexcept {
    const bool v4 = (frame.ol_flags & RTE_MBUF_F_TX_IPV4) != 0;
    const auto* l3 = rte_pktmbuf_mtod_offset(&frame, const std::uint8_t*, frame.l2_len);
    return address_sum(l3, v4) + length_sum(0, true);
}

bool fill_l4_checksum(rte_mbuf& frame) noexcept {
    const bool tcp = (frame.ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM;
    const bool v4 = (frame.ol_flags & RTE_MBUF_F_TX_IPV4) != 0;
    const std::uint32_t l3 = frame.l2_len;
    const std::uint32_t l4 = l3 + frame.l3_len;
    const std::uint32_t field = l4 + (tcp ? 16U : 6U);
    if (frame.l3_len < (v4 ? kIpv4Size : kIpv6Size) || frame.data_len < field + 2U) {
        return false;
    }
    auto* data = rte_pktmbuf_mtod(&frame, std::uint8_t*);
    const std::uint32_t ip_size =
        v4 ? load_be16(data + l3 + 2) : kIpv6Size + load_be16(data + l3 + 4);
    if (l3 + ip_size < field + 2U || l3 + ip_size > frame.pkt_len) { return false; }
    const std::uint32_t size = tcp ? l3 + ip_size - l4 : load_be16(data + l4 + 4);
    if (size < kUdpSize || l4 + size > frame.pkt_len) { return false; }
    std::uint64_t pseudo_header = 0;
    if (v4 || !has_segments_left(data, l3, l4)) {
        pseudo_header = address_sum(data + l3, v4) + length_sum(size, tcp);
        std::memset(data + field, 0, 2);
    }
    auto checksum = static_cast<std::uint16_t>(~fold(pseudo_header + raw_sum(frame, l4, size)));
    if (checksum == 0 && !tcp) { checksum = 0xffff; }  // Zero means none (RFC 768).
    std::memcpy(data + field, &checksum, 2);
    return true;
}

}  // namespace sluice::datapath
