// SPDX-License-Identifier: Apache-2.0
// The straight-line parser for what nearly every frame is: Ethernet with or without one tag, IPv4
// without options and fragments or IPv6 without extension headers, TCP or UDP. It only ever
// accepts; what it does not accept goes to parse_general.cc, which alone knows why a frame is bad.
// The key is built with six stores. Inlined into ingress.cc's first loop and into parse.cc; nobody
// else includes this. Pure.
#pragma once

#include <array>
#include <bit>
#include <cstddef>

#include "datapath/parse_layers.h"

namespace sluice::datapath::plain {

using Vector = std::uint8_t __attribute__((vector_size(16)));
using Words = std::uint32_t __attribute__((vector_size(16)));

constexpr std::uint16_t be16(std::uint16_t host) noexcept { return __builtin_bswap16(host); }

template <typename T>
[[gnu::always_inline]] inline void store(void* at, T value) noexcept {
    std::memcpy(at, &value, sizeof value);
}

// What the first byte of an IPv4 address says of a plain frame.
constexpr std::uint8_t kOddSource = 1;       // 0/8, 127/8, 224/4, 240/4.
constexpr std::uint8_t kOddDestination = 2;  // 0/8, 127/8, 240/4 with the broadcast address.
constexpr std::uint8_t kGroup = 4;           // 224/4 and up.
constexpr auto kNets = [] {
    std::array<std::uint8_t, 256> nets{};
    for (unsigned net = 224; net < 256; ++net) {
        nets[net] = kOddSource | kGroup | (net >= 240 ? kOddDestination : 0);
    }
    nets[0] = nets[127] = kOddSource | kOddDestination;
    return nets;
}();

/// What the network layer of a plain frame tells the rest.
struct Network {
    std::uint32_t l4_size = 0;  ///< By the IP length.
    std::uint8_t protocol = 0;
    std::uint8_t dscp = 0;
    bool group = false;  ///< Multicast or broadcast destination, MAC or IP.
};

/// True if the 20 bytes at `ip` sum to 0xffff (RFC 1071). Folding by adding the rotated sum leaves
/// it in the upper half.
[[gnu::always_inline]] inline bool ipv4_sum_ok(const std::uint8_t* ip) noexcept {
    const auto first = load<std::uint64_t>(ip);
    const auto second = load<std::uint64_t>(ip + 8);
    const std::uint64_t third = load<std::uint32_t>(ip + 16);
    std::uint64_t sum = first + second;
    sum += sum < second ? 1U : 0U;
    sum += third;
    sum += sum < third ? 1U : 0U;
    const auto half = static_cast<std::uint32_t>((sum + std::rotl(sum, 32)) >> 32U);
    return half + std::rotl(half, 16) >= 0xffff0000U;
}

/// Source MAC neither zero nor group, destination no link-local group. MACs into the key;
/// bytes 12..15 are left to others.
[[gnu::always_inline]] inline bool plain_ethernet(const std::uint8_t* data, FlowKey& key,
                                                  bool& group) noexcept {
    const auto frame = load<Vector>(data);
    store(&key, __builtin_shufflevector(frame, frame, 6, 7, 8, 9, 10, 11, 0, 1, 2, 3, 4, 5, 12, 13,
                                        14, 15));
    const std::uint64_t source = load<std::uint64_t>(data + 6)
                                 << 16U;  // Its six bytes, ethertype shifted out.
    const std::uint64_t destination = load<std::uint64_t>(data) << 16U;
    constexpr std::uint64_t kLinkLocal = 0x0000'00c2'8001ULL
                                         << 16U;  // 01:80:c2:00:00:00 in this order.
    constexpr std::uint64_t kLinkLocalMask = 0xf0ff'ffff'ffffULL << 16U;
    group = (data[0] & 1U) != 0;
    return source != 0 && (data[6] & 1U) == 0 && (destination & kLinkLocalMask) != kLinkLocal;
}

/// Header without options and fragment, lengths, checksum, addresses. Fills bytes 12..47 of the
/// key, ports included. `size` is what the frame holds from here on.
[[gnu::always_inline]] inline bool plain_ipv4(const std::uint8_t* ip, std::uint32_t size,
                                              FlowKey& key, Network& out) noexcept {
    const std::uint32_t total = load_be16(ip + 2);
    const auto source = load<std::uint32_t>(ip + 12);
    const auto destination = load<std::uint32_t>(ip + 16);
    const std::uint8_t source_net = kNets[ip[12]];
    const std::uint8_t destination_net = kNets[ip[16]];
    if (ip[0] != 0x45 || (load<std::uint16_t>(ip + 6) & be16(0x3fff)) != 0) { return false; }
    if (total < kIpv4Size || total > size || !ipv4_sum_ok(ip)) { return false; }
    if (((source_net & kOddSource) | (destination_net & kOddDestination)) != 0 ||
        source == destination) {
        return false;
    }
    constexpr Words kLast = {0, 0, 0, 0xffffffffU};
    store(key.source_ip, load<Words>(ip) & kLast);  // Twelve zero bytes before the address.
    store(key.destination_ip, load<Words>(ip + 4) & kLast);
    store(&key.source_port, load<std::uint32_t>(ip + kIpv4Size));
    out.l4_size = total - kIpv4Size;
    out.protocol = ip[9];
    out.dscp = static_cast<std::uint8_t>(ip[1] >> 2U);
    out.group |= (destination_net & kGroup) != 0;
    return true;
}

/// Header, length, addresses. Fills bytes 12..47 of the key, ports included.
[[gnu::always_inline]] inline bool plain_ipv6(const std::uint8_t* ip, std::uint32_t size,
                                              FlowKey& key, Network& out) noexcept {
    const std::uint32_t payload = load_be16(ip + 4);
    if (ip[0] >> 4U != 6 || payload + kIpv6Size > size) { return false; }
    const auto source_high = load<std::uint64_t>(ip + 8);
    const auto destination_high = load<std::uint64_t>(ip + 24);
    const bool same = source_high == destination_high &&
                      load<std::uint64_t>(ip + 16) == load<std::uint64_t>(ip + 32);
    if (source_high == 0 || destination_high == 0 || ip[8] == 0xff || same) { return false; }
    const bool group = ip[24] == 0xff;
    if (group && (ip[25] & 0x0fU) <= 1) { return false; }  // A scope that is never sent.
    store(key.source_ip, load<Words>(ip + 8));
    store(key.destination_ip, load<Words>(ip + 24));
    store(&key.source_port, load<std::uint32_t>(ip + kIpv6Size));
    out.l4_size = payload;
    out.protocol = ip[6];
    out.dscp = static_cast<std::uint8_t>((load_be16(ip) >> 6U) & 0x3fU);
    out.group |= group;
    return true;
}

/// TCP with flags that a stack sends; a SYN with options that can be read. `size` bytes of the
/// frame lie here, at least a UDP header.
[[gnu::always_inline]] inline bool plain_tcp(const std::uint8_t* l4, std::uint32_t size,
                                             const Network& network, ParsedFrame& out) noexcept {
    if (size < kTcpSize) { return false; }
    const std::uint32_t header_size = (l4[12] >> 4U) * 4U;
    const std::uint8_t flags = l4[13];
    out.tcp_flags = flags;
    out.tcp_header_size = static_cast<std::uint8_t>(header_size);
    if (header_size < kTcpSize || header_size > size || header_size > network.l4_size) {
        return false;
    }
    if (network.group) { return false; }
    if ((flags & (kTcpOpensOrCloses | kTcpAck)) != kTcpAck) [[unlikely]] {
        if ((kTcpFlagsValid >> (flags & kTcpFlagsJudged) & 1U) == 0) { return false; }
        const bool is_syn = (flags & kTcpSyn) != 0;
        if (is_syn && !tcp_options_ok(l4 + kTcpSize, l4 + header_size)) { return false; }
    }
    return load<std::uint16_t>(l4) != 0 && load<std::uint16_t>(l4 + 2) != 0;
}

/// UDP that is no DHCP; `dhcp` is the first of its two ports.
[[gnu::always_inline]] inline bool plain_udp(const std::uint8_t* l4, unsigned dhcp,
                                             const Network& network, ParsedFrame& out) noexcept {
    const std::uint32_t size = load_be16(l4 + 4);
    out.tcp_flags = 0;
    out.tcp_header_size = 0;
    if (size < kUdpSize || size > network.l4_size) { return false; }
    return load_be16(l4) - dhcp >= 2U && load_be16(l4 + 2) - dhcp >= 2U;
}

/// What stands behind the Ethernet header and the tag: kL3 bytes in, of IP version kVersion.
template <std::uint32_t kL3, unsigned kVersion>
[[gnu::always_inline]] inline bool parse_plain_ip(const std::uint8_t* data, std::uint32_t data_size,
                                                  std::uint32_t frame_size, std::uint64_t tail,
                                                  Network network, ParsedFrame& out) noexcept {
    constexpr std::uint32_t kL4 = kL3 + (kVersion == 4 ? kIpv4Size : kIpv6Size);
    if (data_size < kL4 + kUdpSize) [[unlikely]] { return false; }
    const std::uint32_t size = frame_size - kL3;
    const bool plain = kVersion == 4 ? plain_ipv4(data + kL3, size, out.key, network)
                                     : plain_ipv6(data + kL3, size, out.key, network);
    if (!plain) [[unlikely]] { return false; }
    if (network.protocol == kProtocolTcp) {
        if (!plain_tcp(data + kL4, data_size - kL4, network, out)) [[unlikely]] { return false; }
    } else if (network.protocol != kProtocolUdp ||
               !plain_udp(data + kL4, kVersion == 4 ? 67U : 546U, network, out)) {
        return false;
    }
    constexpr std::uint64_t kFlags =
        kKeyPorts | (kVersion == 4 ? kKeyIpv4 : kKeyIpv6) | (kL3 > kEthernetSize ? kKeyTagged : 0);
    store(&out.key.ethertype, tail | (kFlags << 56U));
    store(&out.key.tunnel,
          (std::uint64_t{network.protocol} << 32U) | (std::uint64_t{network.dscp} << 40U));
    out.data = data;
    out.data_size = static_cast<std::uint16_t>(data_size);
    out.frame_size = frame_size;
    out.l3_offset = kL3;
    out.l4_offset = kL4;
    out.l4_size = network.l4_size;
    out.fragment_offset = 0;
    out.fragment = false;
    out.more_fragments = false;
    out.fragment_id = 0;
    out.frame_class = FrameClass::kFlow;
    out.inspect_kind = InspectKind::kNone;
    out.reason = DropReason::kNone;
    return true;
}

// The key's bytes 48..63 are written as two words: ethertype, VLAN, port, side, flags; tunnel,
// protocol, DSCP, egress port of a copy (none here).
static_assert(offsetof(FlowKey, ethertype) == 48 && offsetof(FlowKey, vlan) == 50 &&
              offsetof(FlowKey, port) == 52 && offsetof(FlowKey, flags) == 55 &&
              offsetof(FlowKey, tunnel) == 56 && offsetof(FlowKey, protocol) == 60 &&
              offsetof(FlowKey, dscp) == 61 && std::endian::native == std::endian::little);
static_assert(offsetof(FlowKey, source_ip) == 12 && offsetof(FlowKey, destination_ip) == 28 &&
              offsetof(FlowKey, source_port) == 44 && offsetof(FlowKey, destination_port) == 46);

/// True: `out` is whole, but for l4_checksum. False leaves it in pieces.
[[gnu::always_inline]] inline bool parse_plain(const std::uint8_t* data, std::uint32_t data_size,
                                               std::uint32_t frame_size, PortIndex port,
                                               ParsedFrame& out) noexcept {
    if (data_size < kEthernetSize + kTagSize) [[unlikely]] { return false; }
    Network network;
    if (!plain_ethernet(data, out.key, network.group)) [[unlikely]] { return false; }
    const std::uint64_t tail = std::uint64_t{port.value} << 32U;
    const auto ethertype = load<std::uint16_t>(data + 12);
    if (ethertype == be16(kEtherIpv4)) [[likely]] {
        return parse_plain_ip<kEthernetSize, 4>(data, data_size, frame_size, tail | ethertype,
                                                network, out);
    }
    if (ethertype == be16(kEtherIpv6)) {
        return parse_plain_ip<kEthernetSize, 6>(data, data_size, frame_size, tail | ethertype,
                                                network, out);
    }
    if (ethertype != be16(kEtherVlan)) { return false; }
    const std::uint64_t vlan = load_be16(data + kEthernetSize) & 0x0fffU;
    const auto inner = load<std::uint16_t>(data + kEthernetSize + 2);
    const std::uint64_t tagged = tail | (vlan << 16U) | inner;
    if (inner == be16(kEtherIpv4)) {
        return parse_plain_ip<kEthernetSize + kTagSize, 4>(data, data_size, frame_size, tagged,
                                                           network, out);
    }
    return inner == be16(kEtherIpv6) && parse_plain_ip<kEthernetSize + kTagSize, 6>(
                                            data, data_size, frame_size, tagged, network, out);
}

}  // namespace sluice::datapath::plain
