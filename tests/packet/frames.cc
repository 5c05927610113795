// SPDX-License-Identifier: Apache-2.0
// Frames: see frames.h. Everything is appended front to back; checksums by RFC 1071, the plain way.
#include "tests/packet/frames.h"

#include <algorithm>

#include "sluice/base/assert.h"
#include "sluice/net/address_text.h"

namespace sluice::test {
namespace {

constexpr std::size_t kEthernetSize = 14;
constexpr std::uint8_t kIcmp = 1, kTcp = 6, kUdp = 17, kFragment = 44, kIcmp6 = 58;

void add16(Bytes& out, unsigned value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8U));
    out.push_back(static_cast<std::uint8_t>(value));
}
void add32(Bytes& out, std::uint32_t value) {
    add16(out, value >> 16U);
    add16(out, value & 0xffffU);
}
void set16(Bytes& out, std::size_t at, unsigned value) {
    out[at] = static_cast<std::uint8_t>(value >> 8U);
    out[at + 1] = static_cast<std::uint8_t>(value);
}
unsigned get16(const Bytes& bytes, std::size_t at) { return bytes[at] * 256U + bytes[at + 1]; }

template <typename Range>
void append(Bytes& out, const Range& range) {
    out.insert(out.end(), range.begin(), range.end());
}

void add_address(Bytes& out, const IpAddr& address) {
    out.insert(out.end(), address.bytes.begin() + (address.is_v4() ? 12 : 0), address.bytes.end());
}

void add_payload(Bytes& out, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
        out.push_back(static_cast<std::uint8_t>(i * 7U + 3U));
    }
}

std::uint32_t sum_of(const Bytes& bytes, std::size_t begin, std::size_t end) {
    std::uint32_t sum = 0;
    for (std::size_t i = begin; i < end; ++i) {
        sum += (i - begin) % 2 == 0 ? bytes[i] * 256U : bytes[i];
    }
    return sum;
}
unsigned folded(std::uint32_t sum) {
    while (sum >> 16U != 0) { sum = (sum & 0xffffU) + (sum >> 16U); }
    return sum;
}
unsigned checksum(const Bytes& bytes) { return ~folded(sum_of(bytes, 0, bytes.size())) & 0xffffU; }

unsigned pseudo_header_sum(const Path& path, std::uint8_t protocol, std::size_t size) {
    Bytes pseudo;
    add_address(pseudo, path.source);
    add_address(pseudo, path.destination);
    add32(pseudo, static_cast<std::uint32_t>(size));
    add32(pseudo, protocol);
    return folded(sum_of(pseudo, 0, pseudo.size()));
}

/// Puts the checksum of `l4` at `at`, where zero stands.
void seal(Bytes& l4, std::size_t at, std::uint8_t protocol, const Path& path) {
    const std::uint32_t pseudo =
        protocol == kIcmp ? 0 : pseudo_header_sum(path, protocol, l4.size());
    const unsigned sum = ~folded(pseudo + sum_of(l4, 0, l4.size())) & 0xffffU;
    set16(l4, at, sum == 0 && protocol == kUdp ? 0xffffU : sum);
}

void add_ipv4(Bytes& out, const Path& path, std::uint8_t protocol, std::size_t size, unsigned id,
              unsigned fragment, std::uint8_t hop_limit) {
    Bytes header = {0x45, 0};
    add16(header, static_cast<unsigned>(20 + size));
    add16(header, id);
    add16(header, fragment);
    header.push_back(hop_limit);
    header.push_back(protocol);
    add16(header, 0);
    add_address(header, path.source);
    add_address(header, path.destination);
    set16(header, 10, checksum(header));
    append(out, header);
}

void add_ipv6(Bytes& out, const Path& path, std::uint8_t next, std::size_t size,
              std::uint8_t hop_limit) {
    add32(out, 0x60000000U);
    add16(out, static_cast<unsigned>(size));
    out.push_back(next);
    out.push_back(hop_limit);
    add_address(out, path.source);
    add_address(out, path.destination);
}

void add_ethernet(Bytes& out, const MacAddr& from, const MacAddr& to, std::uint16_t ethertype) {
    append(out, to.bytes);
    append(out, from.bytes);
    add16(out, ethertype);
}

/// What an untagged IP frame without extension headers says of itself.
struct View {
    explicit View(const Bytes& frame) {
        path.destination_mac = read_mac(frame, 0);
        path.source_mac = read_mac(frame, 6);
        const bool v6 = get16(frame, 12) == 0x86dd;
        path.source = read_ip(frame, v6 ? 22 : 26, v6);
        path.destination = read_ip(frame, v6 ? 38 : 30, v6);
        protocol = frame[v6 ? 20 : 23];
        hop_limit = frame[v6 ? 21 : 22];
        l4 = v6 ? 54 : kEthernetSize + (frame[14] & 0x0fU) * 4U;
        end = v6 ? 54 + get16(frame, 18) : kEthernetSize + get16(frame, 16);
    }
    static MacAddr read_mac(const Bytes& frame, std::size_t at) {
        MacAddr out;
        std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), 6, out.bytes.begin());
        return out;
    }
    static IpAddr read_ip(const Bytes& frame, std::size_t at, bool v6) {
        IpAddr out;
        out.family = v6 ? IpFamily::kV6 : IpFamily::kV4;
        std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(at), v6 ? 16 : 4,
                    out.bytes.begin() + (v6 ? 0 : 12));
        return out;
    }
    [[nodiscard]] std::size_t checksum_at() const {
        return l4 + (protocol == kTcp ? 16U : (protocol == kUdp ? 6U : 2U));
    }
    Path path;
    std::uint8_t protocol = 0, hop_limit = 0;
    std::size_t l4 = 0, end = 0;
};

}  // namespace

IpAddr ip(std::string_view text) {
    const auto parsed = parse_ip(text);
    SLUICE_ASSERT(parsed.has_value());
    return *parsed;
}

MacAddr mac(std::string_view text) {
    const auto parsed = parse_mac(text);
    SLUICE_ASSERT(parsed.has_value());
    return *parsed;
}

Bytes ethernet(const MacAddr& from, const MacAddr& to, std::uint16_t ethertype,
               const Bytes& payload) {
    Bytes out;
    out.reserve(kEthernetSize + payload.size());
    add_ethernet(out, from, to, ethertype);
    append(out, payload);
    return out;
}

Bytes packet(const Path& path, std::uint8_t protocol, const Bytes& l4, std::uint8_t hop_limit) {
    Bytes out;
    out.reserve(54 + l4.size());
    add_ethernet(out, path.source_mac, path.destination_mac, path.is_v6() ? 0x86dd : 0x0800);
    if (path.is_v6()) {
        add_ipv6(out, path, protocol, l4.size(), hop_limit);
    } else {
        add_ipv4(out, path, protocol, l4.size(), 1, 0, hop_limit);
    }
    append(out, l4);
    return out;
}

Bytes tcp(const Path& path, std::uint16_t source, std::uint16_t destination,
          const TcpFields& fields) {
    Bytes l4;
    const unsigned words = fields.scale < 0 ? 5U : 6U;
    add16(l4, source);
    add16(l4, destination);
    add32(l4, fields.sequence);
    add32(l4, fields.ack);
    l4.push_back(static_cast<std::uint8_t>(words << 4U));
    l4.push_back(static_cast<std::uint8_t>(fields.flags));
    add16(l4, fields.window);
    add32(l4, 0);
    if (fields.scale >= 0) { append(l4, Bytes{3, 3, static_cast<std::uint8_t>(fields.scale), 1}); }
    if (fields.text.empty()) { add_payload(l4, fields.payload_size); }
    append(l4, Bytes(fields.text.begin(), fields.text.end()));
    seal(l4, 16, kTcp, path);
    return packet(path, kTcp, l4);
}

Bytes udp(const Path& path, std::uint16_t source, std::uint16_t destination,
          std::size_t payload_size) {
    Bytes payload;
    add_payload(payload, payload_size);
    return udp(path, source, destination, payload);
}

Bytes udp(const Path& path, std::uint16_t source, std::uint16_t destination, const Bytes& payload) {
    Bytes l4;
    add16(l4, source);
    add16(l4, destination);
    add16(l4, static_cast<unsigned>(8 + payload.size()));
    add16(l4, 0);
    append(l4, payload);
    seal(l4, 6, kUdp, path);
    return packet(path, kUdp, l4);
}

Bytes icmp(const Path& path, std::uint8_t type, std::uint16_t id, std::size_t payload_size) {
    const std::uint8_t protocol = path.is_v6() ? kIcmp6 : kIcmp;
    Bytes l4 = {type, 0, 0, 0};
    add16(l4, id);
    add16(l4, 1);
    add_payload(l4, payload_size);
    seal(l4, 2, protocol, path);
    return packet(path, protocol, l4);
}

Bytes icmp_error(const Path& path, std::uint8_t type, std::uint8_t code, const Bytes& about) {
    const std::uint8_t protocol = path.is_v6() ? kIcmp6 : kIcmp;
    Bytes l4 = {type, code, 0, 0, 0, 0, 0, 0};
    const std::size_t quoted = std::min<std::size_t>(about.size() - kEthernetSize, 128);
    l4.insert(l4.end(), about.begin() + kEthernetSize,
              about.begin() + static_cast<std::ptrdiff_t>(kEthernetSize + quoted));
    seal(l4, 2, protocol, path);
    return packet(path, protocol, l4);
}

Bytes arp(const MacAddr& from, const MacAddr& to, const ArpFields& fields) {
    Bytes out;
    add_ethernet(out, from, to, 0x0806);
    append(out, Bytes{0, 1, 8, 0, 6, 4});
    add16(out, fields.operation);
    append(out, fields.sender_mac.bytes);
    add_address(out, fields.sender_ip);
    append(out, fields.target_mac.bytes);
    add_address(out, fields.target_ip);
    return out;
}

Bytes neighbour(const Path& path, std::uint8_t type, const IpAddr& target) {
    Bytes l4 = {type, 0, 0, 0};
    add32(l4, type == 136 ? 0x60000000U : 0U);
    append(l4, target.bytes);
    append(l4, Bytes{static_cast<std::uint8_t>(type == 136 ? 2 : 1), 1});
    append(l4, path.source_mac.bytes);
    seal(l4, 2, kIcmp6, path);
    return packet(path, kIcmp6, l4, 255);
}

Bytes detection(const MacAddr& from, const IpAddr& target) {
    Path path{from, mac("33:33:ff:00:00:00"), ip("::"), ip("ff02::1:ff00:0")};
    std::copy_n(target.bytes.end() - 3, 3, path.destination.bytes.end() - 3);
    std::copy_n(target.bytes.end() - 3, 3, path.destination_mac.bytes.end() - 3);
    Bytes l4 = {135, 0, 0, 0};
    add32(l4, 0);
    append(l4, target.bytes);
    seal(l4, 2, kIcmp6, path);
    return packet(path, kIcmp6, l4, 255);
}

Bytes tagged(const Bytes& frame, std::uint16_t vid) {
    Bytes out(frame.begin(), frame.begin() + 12);
    add16(out, 0x8100);
    add16(out, vid);
    out.insert(out.end(), frame.begin() + 12, frame.end());
    return out;
}

Bytes with_dscp(Bytes frame, std::uint8_t dscp) {
    if (get16(frame, 12) == 0x86dd) {
        set16(frame, 14, 0x6000U | unsigned{dscp} << 6U);
        return frame;
    }
    frame[15] = static_cast<std::uint8_t>(dscp << 2U);
    set16(frame, 24, 0);
    set16(frame, 24, ~folded(sum_of(frame, 14, 34)) & 0xffffU);
    return frame;
}

std::vector<Bytes> fragments(const Bytes& frame, std::size_t piece_size, std::uint32_t id) {
    const View view(frame);
    const Path& path = view.path;
    const std::size_t size = view.end - view.l4;
    std::vector<Bytes> out;
    for (std::size_t at = 0; at < size; at += piece_size) {
        const std::size_t count = std::min(piece_size, size - at);
        const unsigned more = at + count < size ? 1U : 0U;
        Bytes piece;
        add_ethernet(piece, path.source_mac, path.destination_mac, path.is_v6() ? 0x86dd : 0x0800);
        if (path.is_v6()) {
            add_ipv6(piece, path, kFragment, count + 8, view.hop_limit);
            append(piece, Bytes{view.protocol, 0});
            add16(piece, static_cast<unsigned>(at) | more);
            add32(piece, id);
        } else {
            add_ipv4(piece, path, view.protocol, count, id & 0xffffU,
                     static_cast<unsigned>(at / 8) | more << 13U, view.hop_limit);
        }
        const auto begin = frame.begin() + static_cast<std::ptrdiff_t>(view.l4 + at);
        piece.insert(piece.end(), begin, begin + static_cast<std::ptrdiff_t>(count));
        out.push_back(std::move(piece));
    }
    return out;
}

bool has_right_checksum(const Bytes& frame) {
    const View view(frame);
    if (view.protocol == kUdp && get16(frame, view.l4 + 6) == 0) { return true; }
    const std::uint32_t pseudo =
        view.protocol == kIcmp ? 0
                               : pseudo_header_sum(view.path, view.protocol, view.end - view.l4);
    return folded(pseudo + sum_of(frame, view.l4, view.end)) == 0xffffU;
}

Bytes with_partial_checksum(Bytes frame) {
    const View view(frame);
    set16(frame, view.checksum_at(),
          pseudo_header_sum(view.path, view.protocol, view.end - view.l4));
    return frame;
}

}  // namespace sluice::test
