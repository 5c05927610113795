// SPDX-License-Identifier: Apache-2.0
// Reject: tells the sender of a packet that a firewall rule refused. TCP gets a RST (RFC 9293
// §3.10.7.1), all else "administratively prohibited" (ICMP 3/13, RFC 1812 §5.2.7.1; ICMPv6 1/1, RFC
// 4443 §3.1) that quotes the packet. The answer speaks for the destination, since the switch has no
// address here, and leaves by the ingress port with the MACs turned round and the tag as it was. It
// passes no chain. Called at the end of a dropped packet's way, by the worker that polls its
// ingress.
#include <rte_mbuf.h>

#include <algorithm>
#include <cstring>

#include "datapath/checksum.h"
#include "datapath/parse_layers.h"
#include "datapath/stages.h"
#include "sluice/iochain/token_bucket.h"

namespace sluice::datapath {
namespace {

constexpr std::uint32_t kIcmpHeaderSize = 8;
constexpr std::uint32_t kIpv4AnswerMax = 576;   // The whole datagram (RFC 1812 §4.3.2.3).
constexpr std::uint32_t kIpv6AnswerMax = 1280;  // The whole packet (RFC 4443 §2.4 (c)).
constexpr std::uint8_t kHopLimit = 64;
constexpr std::uint8_t kInternetControl = 0xc0;  // Precedence of an error (RFC 1812 §4.3.2.5).
constexpr std::uint8_t kUnreachable4 = 3, kProhibited4 = 13;
constexpr std::uint8_t kUnreachable6 = 1, kProhibited6 = 1;
constexpr std::uint8_t kRedirect6 = 137;

template <typename T>
void store(std::uint8_t* at, T value) noexcept {
    std::memcpy(at, &value, sizeof value);
}
void store_be16(std::uint8_t* at, std::uint32_t value) noexcept {
    store(at, __builtin_bswap16(static_cast<std::uint16_t>(value)));
}
void store_be32(std::uint8_t* at, std::uint32_t value) noexcept {
    store(at, __builtin_bswap32(value));
}

/// One host, as a source and as a destination (RFC 1122 §3.2.2, RFC 4443 §2.4 (e)).
bool is_one_host(const std::uint8_t* ip, IpFamily family) noexcept {
    if (family == IpFamily::kV6) {
        static constexpr std::uint8_t kUnspecified[16] = {};
        return ip[0] != 0xff && std::memcmp(ip, kUnspecified, sizeof kUnspecified) != 0;
    }
    return ip[12] != 0 && ip[12] != 127 && ip[12] < 224;
}

/// No answer to an ICMP error, nor to a type that might be one.
bool is_icmp_query(std::uint8_t type, IpFamily family) noexcept {
    if (family == IpFamily::kV6) { return type >= 128 && type != kRedirect6; }
    return type == 0 || type == 8 || (type >= 13 && type <= 18);
}

bool may_answer(const ParsedFrame& frame) noexcept {
    const FlowKey& key = frame.key;
    const IpFamily family = key.family();
    if (!key.is_ip() || frame.l3_offset == 0 || key.destination_mac.is_group()) { return false; }
    if (!is_one_host(key.source_ip, family) || !is_one_host(key.destination_ip, family)) {
        return false;
    }
    if (frame.fragment && frame.fragment_offset != 0) { return false; }
    if (key.protocol == kProtocolTcp) {
        // How much a fragmented segment holds is not known here: only its ACK can be answered.
        const bool is_whole = !frame.fragment || (frame.tcp_flags & kTcpAck) != 0;
        return (frame.tcp_flags & kTcpRst) == 0 && frame.l4_offset != 0 && is_whole;
    }
    const bool is_icmp =
        key.protocol == (family == IpFamily::kV4 ? kProtocolIcmp : kProtocolIcmpv6);
    const auto type = static_cast<std::uint8_t>(key.source_port.host() >> 8U);
    return !is_icmp || is_icmp_query(type, family);
}

/// Bytes of the IP packet by its own header: what lies behind it in the frame is padding.
std::uint32_t packet_size(const ParsedFrame& frame) noexcept {
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    const std::uint32_t size =
        frame.key.has(kKeyIpv4) ? load_be16(ip + 2) : kIpv6Size + load_be16(ip + 4);
    return std::min(size, frame.frame_size - frame.l3_offset);
}

std::uint32_t ip_size_of(const ParsedFrame& frame) noexcept {
    return frame.key.has(kKeyIpv4) ? kIpv4Size : kIpv6Size;
}

/// Bytes behind the answer's IP header.
std::uint32_t answer_size(const ParsedFrame& frame, std::uint32_t mtu) noexcept {
    if (frame.key.protocol == kProtocolTcp) { return kTcpSize; }
    const std::uint32_t allowed =
        std::min(mtu, frame.key.has(kKeyIpv4) ? kIpv4AnswerMax : kIpv6AnswerMax);
    const std::uint32_t quoted =
        std::min(packet_size(frame), allowed - ip_size_of(frame) - kIcmpHeaderSize);
    return kIcmpHeaderSize + quoted;
}

void write_ethernet(const ParsedFrame& frame, std::uint8_t* out) noexcept {
    std::memcpy(out, frame.data + 6, 6);
    std::memcpy(out + 6, frame.data, 6);
    std::memcpy(out + 12, frame.data + 12, frame.l3_offset - 12U);  // Tag and ethertype.
}

void write_ipv4(const ParsedFrame& frame, std::uint8_t* out, std::uint8_t protocol,
                std::uint32_t size) noexcept {
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    out[0] = 0x45;
    out[1] = protocol == kProtocolIcmp ? kInternetControl : std::uint8_t{0};
    store_be16(out + 2, kIpv4Size + size);
    store_be16(out + 4, 0);       // Atomic: no identification (RFC 6864 §4.1).
    store_be16(out + 6, 0x4000);  // Don't fragment.
    out[8] = kHopLimit;
    out[9] = protocol;
    store_be16(out + 10, 0);
    std::memcpy(out + 12, ip + 16, 4);
    std::memcpy(out + 16, ip + 12, 4);
    store(out + 10, static_cast<std::uint16_t>(~raw_sum(out, kIpv4Size)));
}

void write_ipv6(const ParsedFrame& frame, std::uint8_t* out, std::uint8_t protocol,
                std::uint32_t size) noexcept {
    const std::uint8_t* ip = frame.data + frame.l3_offset;
    store_be32(out, 0x60000000U);
    store_be16(out + 4, size);
    out[6] = protocol;
    out[7] = kHopLimit;
    std::memcpy(out + 8, ip + 24, 16);
    std::memcpy(out + 24, ip + 8, 16);
}

void write_reset(const ParsedFrame& frame, std::uint8_t* out) noexcept {
    const std::uint8_t* tcp = frame.data + frame.l4_offset;
    std::memset(out, 0, kTcpSize);
    std::memcpy(out, tcp + 2, 2);
    std::memcpy(out + 2, tcp, 2);
    out[12] = static_cast<std::uint8_t>(kTcpSize / 4U << 4U);
    if ((frame.tcp_flags & kTcpAck) != 0) {
        std::memcpy(out + 4, tcp + 8, 4);
        out[13] = kTcpRst;
        return;
    }
    const std::uint32_t controls =
        ((frame.tcp_flags & kTcpSyn) != 0 ? 1U : 0U) + ((frame.tcp_flags & kTcpFin) != 0 ? 1U : 0U);
    store_be32(out + 8, load_be32(tcp + 4) + frame.l4_size - frame.tcp_header_size + controls);
    out[13] = kTcpRst | kTcpAck;
}

void write_unreachable(const rte_mbuf& original, const ParsedFrame& frame, std::uint8_t* out,
                       std::uint32_t size) noexcept {
    const bool is_v4 = frame.key.has(kKeyIpv4);
    std::memset(out, 0, kIcmpHeaderSize);
    out[0] = is_v4 ? kUnreachable4 : kUnreachable6;
    out[1] = is_v4 ? kProhibited4 : kProhibited6;
    std::uint8_t* quote = out + kIcmpHeaderSize;
    const std::uint32_t quoted = size - kIcmpHeaderSize;
    const void* from = rte_pktmbuf_read(&original, frame.l3_offset, quoted, quote);
    if (from != nullptr && from != quote) { std::memcpy(quote, from, quoted); }
}

/// Checksum of what stands behind the IP header at `ip`; ICMP has no pseudo-header.
std::uint16_t transport_sum(const std::uint8_t* ip, std::uint32_t ip_size, std::uint8_t protocol,
                            std::uint32_t size) noexcept {
    std::uint32_t sum = raw_sum(ip + ip_size, size);
    if (protocol != kProtocolIcmp) {
        sum += ip_size == kIpv4Size ? raw_sum(ip + 12, 8) : raw_sum(ip + 8, 32);
        sum += __builtin_bswap16(static_cast<std::uint16_t>(size));
        sum += __builtin_bswap16(protocol);
    }
    sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<std::uint16_t>(~(sum + (sum >> 16U)));
}

void write_answer(const rte_mbuf& original, const ParsedFrame& frame, std::uint8_t* out,
                  std::uint32_t size) noexcept {
    const bool is_v4 = frame.key.has(kKeyIpv4);
    const bool is_tcp = frame.key.protocol == kProtocolTcp;
    const std::uint8_t icmp = is_v4 ? kProtocolIcmp : kProtocolIcmpv6;
    const std::uint8_t protocol = is_tcp ? kProtocolTcp : icmp;
    const std::uint32_t ip_size = ip_size_of(frame);
    std::uint8_t* ip = out + frame.l3_offset;
    std::uint8_t* l4 = ip + ip_size;
    write_ethernet(frame, out);
    is_v4 ? write_ipv4(frame, ip, protocol, size) : write_ipv6(frame, ip, protocol, size);
    is_tcp ? write_reset(frame, l4) : write_unreachable(original, frame, l4, size);
    store(l4 + (is_tcp ? 16 : 2), transport_sum(ip, ip_size, protocol, size));
}

}  // namespace

void answer_rejected(WorkerContext& context, const Packet& packet) noexcept {
    const ParsedFrame& frame = packet.frame;
    const PortIndex ingress = frame.key.port;
    if (!may_answer(frame)) { return; }
    if (!take_token(context.chains[ingress.value].reject, kRejectPerPortPps, context.now_ns)) {
        return;
    }
    if (frame.l4_checksum == L4Checksum::kUnknown && !l4_checksum_ok(*packet.mbuf, frame)) {
        return;  // Nobody sent it so.
    }
    const std::uint32_t mtu = context.snapshot->port(ingress)->frame_size_max - kEthernetSize;
    const std::uint32_t size = answer_size(frame, mtu);
    rte_mbuf* answer = rte_pktmbuf_alloc(context.options.pool);
    if (answer == nullptr) { return; }
    char* out = rte_pktmbuf_append(
        answer, static_cast<std::uint16_t>(frame.l3_offset + ip_size_of(frame) + size));
    if (out == nullptr) { return rte_pktmbuf_free(answer); }
    write_answer(*packet.mbuf, frame, reinterpret_cast<std::uint8_t*>(out), size);
    answer->port = ingress.value;
    answer->hash.rss = packet.mbuf->hash.rss;
    context.counters.created.add(1);
    output(context, answer, ingress);
}

}  // namespace sluice::datapath
