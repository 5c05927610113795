// SPDX-License-Identifier: Apache-2.0
// Frames for the tests of parse, checksum and fragment: plain byte strings, put together layer by
// layer, with lengths and checksums by an implementation of their own. Tests only.
#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "datapath/parse.h"

namespace sluice::datapath::test {

using Bytes = std::vector<std::uint8_t>;

/// A number of 0..bound-1.
[[nodiscard]] inline unsigned below(std::mt19937& random, std::size_t bound) {
    return static_cast<unsigned>(random() % bound);
}

inline void put16(Bytes& bytes, std::size_t at, unsigned value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8U);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

inline Bytes operator+(Bytes left, const Bytes& right) {
    left.insert(left.end(), right.begin(), right.end());
    return left;
}

/// RFC 1071, the plain way.
inline std::uint16_t internet_checksum(const Bytes& bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += i % 2 == 0 ? bytes[i] * 256U : bytes[i];
    }
    while (sum >> 16U != 0) { sum = (sum & 0xffffU) + (sum >> 16U); }
    return static_cast<std::uint16_t>(~sum);
}

inline const Bytes kMacA = {0x02, 0, 0, 0, 0, 0x0a};
inline const Bytes kMacB = {0x02, 0, 0, 0, 0, 0x0b};
inline const Bytes kIp4A = {10, 1, 0, 10};
inline const Bytes kIp4B = {10, 2, 0, 20};
inline const Bytes kIp6A = {0x20, 1, 0xd, 0xb8, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0a};
inline const Bytes kIp6B = {0x20, 1, 0xd, 0xb8, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x0b};

/// From A to B unless said otherwise.
struct Ends {
    Bytes source_mac = kMacA, destination_mac = kMacB;
    Bytes source4 = kIp4A, destination4 = kIp4B;
    Bytes source6 = kIp6A, destination6 = kIp6B;
    int vlan = -1;
};

inline Bytes ethernet(unsigned type, const Bytes& payload, const Ends& ends = {}) {
    Bytes frame = ends.destination_mac + ends.source_mac;
    if (ends.vlan >= 0) {
        frame = frame + Bytes{0x81, 0, static_cast<std::uint8_t>(0xe0U | ends.vlan >> 8U),
                              static_cast<std::uint8_t>(ends.vlan)};
    }
    return frame + Bytes{static_cast<std::uint8_t>(type >> 8U), static_cast<std::uint8_t>(type)} +
           payload;
}

struct Ipv4Fields {
    Bytes options = {};
    std::uint16_t id = 1;
    std::uint16_t fragment = 0;  ///< Flags and offset / 8.
    std::uint8_t tos = 0;
};

inline Bytes ipv4_packet(std::uint8_t protocol, const Bytes& payload, const Ends& ends = {},
                         const Ipv4Fields& fields = {}) {
    Bytes header(12);
    header[0] = static_cast<std::uint8_t>(0x40U | (5U + fields.options.size() / 4U));
    header[1] = fields.tos;
    put16(header, 2, static_cast<unsigned>(20 + fields.options.size() + payload.size()));
    put16(header, 4, fields.id);
    put16(header, 6, fields.fragment);
    header[8] = 64;
    header[9] = protocol;
    header = header + ends.source4 + ends.destination4 + fields.options;
    put16(header, 10, internet_checksum(header));
    return header + payload;
}

inline Bytes ipv6_packet(std::uint8_t next, const Bytes& payload, const Ends& ends = {},
                         std::uint8_t hop_limit = 64, std::uint8_t traffic_class = 0) {
    Bytes header(8);
    header[0] = static_cast<std::uint8_t>(0x60U | traffic_class >> 4U);
    header[1] = static_cast<std::uint8_t>(traffic_class << 4U);
    put16(header, 4, static_cast<unsigned>(payload.size()));
    header[6] = next;
    header[7] = hop_limit;
    return header + ends.source6 + ends.destination6 + payload;
}

inline Bytes ipv4_frame(std::uint8_t protocol, const Bytes& payload, const Ends& ends = {},
                        const Ipv4Fields& fields = {}) {
    return ethernet(0x0800, ipv4_packet(protocol, payload, ends, fields), ends);
}

inline Bytes ipv6_frame(std::uint8_t next, const Bytes& payload, const Ends& ends = {},
                        std::uint8_t hop_limit = 64) {
    return ethernet(0x86dd, ipv6_packet(next, payload, ends, hop_limit), ends);
}

inline Bytes pseudo_header(std::uint8_t protocol, std::size_t size, const Ends& ends, bool v6) {
    Bytes tail(8);
    put16(tail, 2, static_cast<unsigned>(size));
    tail[7] = protocol;
    return (v6 ? ends.source6 + ends.destination6 : ends.source4 + ends.destination4) + tail;
}

/// Puts the checksum of `l4` at `at`; the field must be zero.
inline Bytes sealed(Bytes l4, std::size_t at, std::uint8_t protocol, const Ends& ends, bool v6) {
    put16(l4, at, internet_checksum(pseudo_header(protocol, l4.size(), ends, v6) + l4));
    return l4;
}

inline Bytes tcp(std::uint8_t flags, const Bytes& payload = {}, const Ends& ends = {},
                 bool v6 = false, const Bytes& options = {}, unsigned source = 40000,
                 unsigned destination = 80) {
    Bytes l4(20);
    put16(l4, 0, source);
    put16(l4, 2, destination);
    put16(l4, 4, 0x1234);
    l4[12] = static_cast<std::uint8_t>((5U + options.size() / 4U) << 4U);
    l4[13] = flags;
    put16(l4, 14, 0xffff);
    return sealed(l4 + options + payload, 16, 6, ends, v6);
}

inline Bytes udp(unsigned source, unsigned destination, const Bytes& payload, const Ends& ends = {},
                 bool v6 = false) {
    Bytes l4(8);
    put16(l4, 0, source);
    put16(l4, 2, destination);
    put16(l4, 4, static_cast<unsigned>(8 + payload.size()));
    return sealed(l4 + payload, 6, 17, ends, v6);
}

inline Bytes icmp(std::uint8_t type, std::uint8_t code, const Bytes& rest = {0, 7, 0, 1}) {
    Bytes l4 = Bytes{type, code, 0, 0} + rest;
    put16(l4, 2, internet_checksum(l4));
    return l4;
}

inline Bytes icmpv6(std::uint8_t type, std::uint8_t code, const Bytes& rest = {0, 7, 0, 1},
                    const Ends& ends = {}) {
    return sealed(Bytes{type, code, 0, 0} + rest, 2, 58, ends, true);
}

/// IPv6 fragment header.
inline Bytes fragment_header(std::uint8_t next, unsigned offset, bool more, std::uint32_t id = 7) {
    Bytes header = {next, 0, 0, 0, 0, 0, 0, 0};
    put16(header, 2, offset | (more ? 1U : 0U));
    put16(header, 4, id >> 16U);
    put16(header, 6, id & 0xffffU);
    return header;
}

/// A frame in mbufs of its own, split where `cuts` say. Each segment is a block of its own, so that
/// ASan sees every step too far.
class Mbuf {
public:
    explicit Mbuf(const Bytes& frame, std::initializer_list<std::size_t> cuts = {}) {
        std::size_t begin = 0;
        for (const std::size_t cut : cuts) {
            add(frame, begin, cut);
            begin = cut;
        }
        add(frame, begin, frame.size());
        head().pkt_len = static_cast<std::uint32_t>(frame.size());
        head().nb_segs = static_cast<std::uint16_t>(segments_.size());
    }
    [[nodiscard]] rte_mbuf& head() { return *segments_.front(); }

private:
    void add(const Bytes& frame, std::size_t begin, std::size_t end) {
        memory_.push_back(std::make_unique<std::uint8_t[]>(end - begin));
        if (end > begin) { std::memcpy(memory_.back().get(), frame.data() + begin, end - begin); }
        auto segment = std::make_unique<rte_mbuf>();
        std::memset(static_cast<void*>(segment.get()), 0, sizeof(rte_mbuf));
        segment->buf_addr = memory_.back().get();
        segment->data_len = static_cast<std::uint16_t>(end - begin);
        if (!segments_.empty()) { segments_.back()->next = segment.get(); }
        segments_.push_back(std::move(segment));
    }
    std::vector<std::unique_ptr<std::uint8_t[]>> memory_;
    std::vector<std::unique_ptr<rte_mbuf>> segments_;
};

inline constexpr PortIndex kPort{3};

/// Parses a whole frame, checksum included. `data` of the result dangles.
inline ParsedFrame parsed(const Bytes& frame) {
    Mbuf mbuf(frame);
    ParsedFrame out;
    parse_mbuf(mbuf.head(), kPort, out);
    return out;
}

inline std::string why(const Bytes& frame) { return std::string(to_string(parsed(frame).reason)); }

/// One valid frame of each kind that parse tells apart, and its name.
struct NamedFrame {
    const char* name;
    Bytes frame;
};
std::vector<NamedFrame> valid_frames();

}  // namespace sluice::datapath::test
