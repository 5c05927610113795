// SPDX-License-Identifier: Apache-2.0
// Frames for the chain's tests, written byte by byte, and the ParsedFrame that parse would make of
// them. The tests of the slots don't link the datapath's parser; parse_frame() knows just what
// these frames need.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "sluice/iochain/frame.h"
#include "sluice/model/service.h"
#include "sluice/net/address_text.h"

namespace sluice::test {

using Bytes = std::vector<std::uint8_t>;

inline MacAddr mac(std::string_view text) { return parse_mac(text).value(); }
inline IpAddr ip(std::string_view text) { return parse_ip(text).value(); }
inline IpPrefix prefix(std::string_view text) { return parse_prefix(text).value(); }

inline const MacAddr kOwnMac = mac("02:00:00:00:0a:01");
inline const MacAddr kOtherMac = mac("02:00:00:00:0c:03");
inline const MacAddr kBroadcast = mac("ff:ff:ff:ff:ff:ff");

inline Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}
inline Bytes be16(unsigned value) {
    return {static_cast<std::uint8_t>(value >> 8U), static_cast<std::uint8_t>(value)};
}
inline Bytes bytes_of(const MacAddr& m) { return {m.bytes.begin(), m.bytes.end()}; }
inline Bytes bytes_of(const IpAddr& a) {
    return {a.bytes.begin() + (a.is_v4() ? 12 : 0), a.bytes.end()};
}
inline Bytes zeros(std::size_t count) { return Bytes(count); }

inline Bytes ethernet(const MacAddr& destination, const MacAddr& source, unsigned ethertype,
                      const Bytes& payload) {
    return bytes_of(destination) + bytes_of(source) + be16(ethertype) + payload;
}
inline Bytes ipv4(const IpAddr& source, const IpAddr& destination, std::uint8_t protocol,
                  const Bytes& payload) {
    return Bytes{0x45, 0} + be16(static_cast<unsigned>(20 + payload.size())) +
           Bytes{0, 1, 0, 0, 64, protocol, 0, 0} + bytes_of(source) + bytes_of(destination) +
           payload;
}
inline Bytes ipv6(const IpAddr& source, const IpAddr& destination, std::uint8_t next,
                  const Bytes& payload, std::uint8_t hop_limit = 255) {
    return Bytes{0x60, 0, 0, 0} + be16(static_cast<unsigned>(payload.size())) +
           Bytes{next, hop_limit} + bytes_of(source) + bytes_of(destination) + payload;
}
inline Bytes udp(unsigned source, unsigned destination, const Bytes& payload) {
    return be16(source) + be16(destination) + be16(static_cast<unsigned>(8 + payload.size())) +
           Bytes{0, 0} + payload;
}

inline model::Service service(std::uint8_t protocol, model::PortRange destination = {},
                              model::PortRange source = {}) {
    model::Service s;
    s.protocol = protocol;
    s.destination = destination;
    s.source = source;
    return s;
}
inline model::Service icmp(std::uint8_t type, std::uint8_t protocol = model::kProtocolIcmp) {
    model::Service s = service(protocol);
    s.icmp_type = type;
    return s;
}

/// One ARP packet's fields, those of an Ethernet and IPv4 request by default.
struct ArpFields {
    std::uint8_t operation = 1;
    MacAddr sender_mac = kOwnMac;
    IpAddr sender_ip = ip("192.0.2.10");
    MacAddr target_mac = {};
    IpAddr target_ip = ip("192.0.2.1");
    unsigned hardware = 1, protocol = 0x0800;
    std::uint8_t hardware_size = 6, protocol_size = 4;
};
inline Bytes arp(const ArpFields& f) {
    return be16(f.hardware) + be16(f.protocol) +
           Bytes{f.hardware_size, f.protocol_size, 0, f.operation} + bytes_of(f.sender_mac) +
           bytes_of(f.sender_ip) + bytes_of(f.target_mac) + bytes_of(f.target_ip);
}

/// A frame and what parse makes of it. Moves keep `parsed.data` valid (the vector's buffer moves
/// along).
struct TestFrame {
    Bytes bytes;
    ParsedFrame parsed;
};

inline void parse_l4(ParsedFrame& p, std::size_t l3, std::size_t l3_size, std::size_t size) {
    p.l4_offset = static_cast<std::uint16_t>(l3 + l3_size);
    p.l4_size = static_cast<std::uint32_t>(size - p.l4_offset);
    p.key.flags = static_cast<std::uint8_t>(p.key.flags | kKeyPorts);
    const std::uint8_t* l4 = p.data + p.l4_offset;
    if (p.l4_size < 4) { return; }
    p.key.source_port = Be16::from_host(static_cast<std::uint16_t>(l4[0] << 8U | l4[1]));
    if (p.key.protocol != 1 && p.key.protocol != 58) {
        p.key.destination_port = Be16::from_host(static_cast<std::uint16_t>(l4[2] << 8U | l4[3]));
    }
}

/// Untagged frames, no IPv4 options. IPv6 extension headers of eight bytes.
inline TestFrame parse_frame(Bytes bytes, InspectKind kind = InspectKind::kNone) {
    TestFrame frame{std::move(bytes), {}};
    ParsedFrame& p = frame.parsed;
    p.data = frame.bytes.data();
    p.data_size = static_cast<std::uint16_t>(frame.bytes.size());
    p.frame_size = p.data_size;
    p.inspect_kind = kind;
    p.frame_class = kind == InspectKind::kNone ? FrameClass::kFlow : FrameClass::kInspect;
    std::copy_n(p.data, 6, p.key.destination_mac.bytes.begin());
    std::copy_n(p.data + 6, 6, p.key.source_mac.bytes.begin());
    const unsigned ethertype = static_cast<unsigned>(p.data[12] << 8U | p.data[13]);
    p.key.ethertype = Be16::from_host(static_cast<std::uint16_t>(ethertype));
    if (ethertype == 0x0806) { p.l3_offset = 14; }
    if (ethertype == 0x0800) {
        p.l3_offset = 14;
        p.key.flags = kKeyIpv4;
        p.key.protocol = p.data[23];
        std::copy_n(p.data + 26, 4, p.key.source_ip + 12);
        std::copy_n(p.data + 30, 4, p.key.destination_ip + 12);
        parse_l4(p, 14, 20, frame.bytes.size());
    }
    if (ethertype == 0x86dd) {
        p.l3_offset = 14;
        p.key.flags = kKeyIpv6;
        p.key.protocol = p.data[20];
        std::copy_n(p.data + 22, 16, p.key.source_ip);
        std::copy_n(p.data + 38, 16, p.key.destination_ip);
        std::size_t extensions = 0;
        while (p.key.protocol == 0 || p.key.protocol == 44 || p.key.protocol == 60) {
            p.key.protocol = p.data[54 + extensions];
            extensions += 8;
        }
        parse_l4(p, 14, 40 + extensions, frame.bytes.size());
    }
    return frame;
}

/// The key of an IP flow from kOwnMac.
inline FlowKey flow_key(const IpAddr& source, const IpAddr& destination, std::uint8_t protocol,
                        unsigned source_port, unsigned destination_port) {
    FlowKey key;
    key.source_mac = kOwnMac;
    key.destination_mac = mac("02:00:00:00:0b:01");
    std::copy(source.bytes.begin(), source.bytes.end(), key.source_ip);
    std::copy(destination.bytes.begin(), destination.bytes.end(), key.destination_ip);
    key.source_port = Be16::from_host(static_cast<std::uint16_t>(source_port));
    key.destination_port = Be16::from_host(static_cast<std::uint16_t>(destination_port));
    key.ethertype = Be16::from_host(source.is_v4() ? 0x0800 : 0x86dd);
    key.flags = static_cast<std::uint8_t>(kKeyPorts | (source.is_v4() ? kKeyIpv4 : kKeyIpv6));
    key.protocol = protocol;
    return key;
}

}  // namespace sluice::test
