// SPDX-License-Identifier: Apache-2.0
// Frames for packet tests and benchmarks: plain byte strings with right lengths and checksums, put
// together by an implementation of its own (nothing of the datapath is used). Pure functions.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "sluice/iochain/frame.h"
#include "sluice/net/address.h"

namespace sluice::test {

using Bytes = std::vector<std::uint8_t>;

/// "10.0.0.1", "2001:db8::1"; aborts on anything else.
[[nodiscard]] IpAddr ip(std::string_view text);
/// "02:00:00:00:00:01"; aborts on anything else.
[[nodiscard]] MacAddr mac(std::string_view text);

inline constexpr MacAddr kBroadcast{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/// What one vNIC calls its own.
struct Vnic {
    MacAddr mac;
    IpAddr ip4, ip6;
};

/// From where to where one frame goes. The family of `source` makes it IPv4 or IPv6.
struct Path {
    MacAddr source_mac, destination_mac;
    IpAddr source, destination;
    [[nodiscard]] bool is_v6() const noexcept { return source.is_v6(); }
    [[nodiscard]] Path back() const { return {destination_mac, source_mac, destination, source}; }
};
[[nodiscard]] inline Path v4(const Vnic& from, const Vnic& to) {
    return {from.mac, to.mac, from.ip4, to.ip4};
}
[[nodiscard]] inline Path v6(const Vnic& from, const Vnic& to) {
    return {from.mac, to.mac, from.ip6, to.ip6};
}

struct TcpFields {
    unsigned flags = kTcpAck;
    std::uint32_t sequence = 0, ack = 0;
    std::uint16_t window = 65535;
    std::size_t payload_size = 0;
    int scale = -1;              ///< Window scale option; negative = none.
    std::string_view text = {};  ///< The payload, if there is to be a certain one.
};

[[nodiscard]] Bytes ethernet(const MacAddr& from, const MacAddr& to, std::uint16_t ethertype,
                             const Bytes& payload);
/// IPv4 or IPv6 packet in its Ethernet frame.
[[nodiscard]] Bytes packet(const Path& path, std::uint8_t protocol, const Bytes& l4,
                           std::uint8_t hop_limit = 64);
[[nodiscard]] Bytes tcp(const Path& path, std::uint16_t source, std::uint16_t destination,
                        const TcpFields& fields);
[[nodiscard]] Bytes udp(const Path& path, std::uint16_t source, std::uint16_t destination,
                        std::size_t payload_size = 18);
[[nodiscard]] Bytes udp(const Path& path, std::uint16_t source, std::uint16_t destination,
                        const Bytes& payload);
/// ICMP or ICMPv6 query or answer.
[[nodiscard]] Bytes icmp(const Path& path, std::uint8_t type, std::uint16_t id,
                         std::size_t payload_size = 16);
[[nodiscard]] inline Bytes ping(const Path& path, std::uint16_t id = 7) {
    return icmp(path, path.is_v6() ? 128 : 8, id);
}
[[nodiscard]] inline Bytes pong(const Path& path, std::uint16_t id = 7) {
    return icmp(path, path.is_v6() ? 129 : 0, id);
}
/// ICMP or ICMPv6 error about `about` (an untagged frame), of which the IP packet is quoted.
[[nodiscard]] Bytes icmp_error(const Path& path, std::uint8_t type, std::uint8_t code,
                               const Bytes& about);

/// ARP as its fields say. Operation 1 asks, 2 answers.
struct ArpFields {
    std::uint16_t operation = 1;
    MacAddr sender_mac;
    IpAddr sender_ip;
    MacAddr target_mac;
    IpAddr target_ip;
};
[[nodiscard]] Bytes arp(const MacAddr& from, const MacAddr& to, const ArpFields& fields);
/// Neighbour solicitation (135) or advertisement (136) with the link-layer address of
/// `path.source_mac`.
[[nodiscard]] Bytes neighbour(const Path& path, std::uint8_t type, const IpAddr& target);
/// Neighbour solicitation of duplicate address detection (RFC 4862 §5.4.2).
[[nodiscard]] Bytes detection(const MacAddr& from, const IpAddr& target);

/// The same frame with an 802.1Q tag.
[[nodiscard]] Bytes tagged(const Bytes& frame, std::uint16_t vid);
/// The same untagged IP frame with another DSCP.
[[nodiscard]] Bytes with_dscp(Bytes frame, std::uint8_t dscp);
/// The pieces of an untagged IP frame, `piece_size` bytes (a multiple of 8) of payload each.
[[nodiscard]] std::vector<Bytes> fragments(const Bytes& frame, std::size_t piece_size,
                                           std::uint32_t id);

/// TCP, UDP or ICMP checksum of an untagged IP frame without IPv6 extension headers: right, wrong,
/// or none to check.
[[nodiscard]] bool has_right_checksum(const Bytes& frame);
/// The frame as a guest sends it that leaves the transport checksum to its device: only the
/// pseudo-header is in it.
[[nodiscard]] Bytes with_partial_checksum(Bytes frame);

}  // namespace sluice::test
