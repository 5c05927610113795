// SPDX-License-Identifier: Apache-2.0
// DHCP messages in frames: see dhcp_frames.h.
#include "tests/packet/dhcp_frames.h"

namespace sluice::test {
namespace {

constexpr std::uint8_t kUdp = 17;

void add16(Bytes& out, std::uint32_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8U));
    out.push_back(static_cast<std::uint8_t>(value));
}
void add32(Bytes& out, std::uint32_t value) {
    add16(out, value >> 16U);
    add16(out, value);
}
void add_ip(Bytes& out, const IpAddr& address) {
    out.insert(out.end(), address.bytes.begin() + (address.is_v4() ? 12 : 0), address.bytes.end());
}

std::uint32_t sum_of(const Bytes& bytes) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        sum += i % 2 == 0 ? std::uint32_t{bytes[i]} << 8U : std::uint32_t{bytes[i]};
    }
    return sum;
}

std::uint16_t udp_checksum(const Path& path, const Bytes& l4) {
    Bytes pseudo;
    add_ip(pseudo, path.source);
    add_ip(pseudo, path.destination);
    add16(pseudo, kUdp);
    add16(pseudo, static_cast<std::uint32_t>(l4.size()));
    std::uint32_t sum = sum_of(pseudo) + sum_of(l4);
    while (sum > 0xffffU) { sum = (sum >> 16U) + (sum & 0xffffU); }
    const auto result = static_cast<std::uint16_t>(~sum);
    return result == 0 ? 0xffff : result;
}

}  // namespace

Bytes operator+(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

Bytes datagram(const Path& path, std::uint16_t source, std::uint16_t destination,
               const Bytes& payload) {
    Bytes l4;
    add16(l4, source);
    add16(l4, destination);
    add16(l4, static_cast<std::uint32_t>(8 + payload.size()));
    add16(l4, 0);
    l4 = l4 + payload;
    const std::uint16_t checksum = udp_checksum(path, l4);
    l4[6] = static_cast<std::uint8_t>(checksum >> 8U);
    l4[7] = static_cast<std::uint8_t>(checksum);
    return packet(path, kUdp, l4);
}

Bytes dhcp4_payload(const Dhcp4Fields& fields) {
    Bytes out = {fields.operation, 1, 6, 0};
    add32(out, fields.xid);
    add32(out, 0);  // secs, flags
    add_ip(out, fields.client_ip);
    add_ip(out, fields.your_ip);
    add32(out, 0);  // siaddr
    add_ip(out, fields.relay_ip);
    out.insert(out.end(), fields.client.bytes.begin(), fields.client.bytes.end());
    out.resize(236);
    return out + Bytes{0x63, 0x82, 0x53, 0x63} + fields.options;
}

Bytes option4(std::uint8_t code, const Bytes& value) {
    return Bytes{code, static_cast<std::uint8_t>(value.size())} + value;
}
Bytes type4(std::uint8_t type) { return option4(53, {type}); }
Bytes ip4(std::uint8_t code, const IpAddr& address) {
    Bytes value;
    add_ip(value, address);
    return option4(code, value);
}
Bytes lease4(std::uint32_t seconds) {
    Bytes value;
    add32(value, seconds);
    return option4(51, value);
}

Bytes from_client4(const MacAddr& client, const Bytes& options, std::uint32_t xid,
                   const IpAddr& client_ip) {
    const Path path{client, kBroadcast, client_ip, ip("255.255.255.255")};
    Dhcp4Fields fields;
    fields.xid = xid;
    fields.client = client;
    fields.client_ip = client_ip;
    fields.options = options + Bytes{255};
    return datagram(path, 68, 67, dhcp4_payload(fields));
}

Bytes from_server4(const Vnic& server, const MacAddr& client, const IpAddr& your_ip,
                   const Bytes& options, std::uint32_t xid, bool is_broadcast) {
    const IpAddr to = is_broadcast || your_ip == ip("0.0.0.0") ? ip("255.255.255.255") : your_ip;
    const Path path{server.mac, is_broadcast ? kBroadcast : client, server.ip4, to};
    Dhcp4Fields fields;
    fields.operation = 2;
    fields.xid = xid;
    fields.client = client;
    fields.your_ip = your_ip;
    fields.options = options + Bytes{255};
    return datagram(path, 67, 68, dhcp4_payload(fields));
}

Bytes option6(std::uint16_t code, const Bytes& value) {
    Bytes out;
    add16(out, code);
    add16(out, static_cast<std::uint32_t>(value.size()));
    return out + value;
}
Bytes association6(const Bytes& inner, std::uint16_t code) {
    Bytes value;
    add32(value, 1);  // IAID
    if (code == 3) {
        add32(value, 0);  // T1
        add32(value, 0);  // T2
    }
    return option6(code, value + inner);
}
Bytes address6(const IpAddr& address, std::uint32_t preferred_s, std::uint32_t valid_s,
               const Bytes& inner) {
    Bytes value;
    add_ip(value, address);
    add32(value, preferred_s);
    add32(value, valid_s);
    return option6(5, value + inner);
}
Bytes status6(std::uint16_t status) {
    Bytes value;
    add16(value, status);
    return option6(13, value);
}
Bytes message6(std::uint8_t type, std::uint32_t transaction, const Bytes& options) {
    Bytes out;
    add32(out, (std::uint32_t{type} << 24U) | transaction);
    return out + options;
}

}  // namespace sluice::test
