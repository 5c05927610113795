// SPDX-License-Identifier: Apache-2.0
// RandomTraffic: see random_traffic.h.
#include "tests/packet/random_traffic.h"

#include <rte_mbuf.h>

#include "sluice/model/port.h"
#include "sluice/model/router.h"

namespace sluice::test {
namespace {

constexpr std::array<std::uint16_t, 4> kServerPorts = {80, 443, 22, 1000};
constexpr unsigned kOver = 7;  // Phase of a conversation that has ended.

}  // namespace

RandomTraffic::RandomTraffic(std::uint64_t seed) : random_(seed) {
    for (Talk& talk : talks_) { restart(talk); }
    for (Sending& sending : recent_) { sending = datagram(); }
}

std::size_t RandomTraffic::other_port(std::size_t port) {
    for (;;) {
        // 3, 4 and 5 share VLAN 10; to the others the router leads.
        const std::size_t other = port < 3 || chance(40) ? any_port() : 3 + below(3);
        if (other != port) { return other; }
    }
}

Path RandomTraffic::path(std::size_t from, std::size_t to, bool is_v6) {
    Path out = is_v6 ? v6(vnic_of(from), vnic_of(to)) : v4(vnic_of(from), vnic_of(to));
    const bool is_apart = (from < 3) != (to < 3);
    if (chance(is_apart ? 90 : 2)) { out.destination_mac = model::kRouterMac; }
    if (chance(2)) { out.destination_mac = vnic_of(below(kUniverseSize + 1)).mac; }
    if (chance(2)) { out.source_mac = vnic_of(below(kUniverseSize)).mac; }
    if (chance(3)) {
        const Vnic vnic = vnic_of(below(kUniverseSize + 1));
        out.source = is_v6 ? vnic.ip6 : vnic.ip4;
    }
    if (out.destination_mac == model::kRouterMac && chance(15)) {
        out.destination = elsewhere(is_v6);
    }
    return out;
}

// Addresses of the router, of hosts that are not there, beyond other routers.
IpAddr RandomTraffic::elsewhere(bool is_v6) {
    constexpr std::array kFour = {"10.0.0.62", "10.0.0.126", "10.0.0.99",   "192.0.2.1",
                                  "192.0.2.9", "10.0.0.127", "198.51.100.1"};
    constexpr std::array kSix = {"2001:db8::3e",  "2001:db8::7e", "2001:db8::55", "2001:db8:1::1",
                                 "2001:db8:1::9", "fe80::1",      "2001:db8:2::1"};
    return ip(is_v6 ? kSix[below(kSix.size())] : kFour[below(kFour.size())]);
}

void RandomTraffic::restart(Talk& talk) {
    if (talk.client_port == 0 || chance(50)) {
        talk.ends[0] = any_port();
        talk.ends[1] = other_port(talk.ends[0]);
        talk.is_v6 = chance(35);
        talk.client_port = static_cast<std::uint16_t>(1000 + below(8));
        talk.server_port = kServerPorts[below(kServerPorts.size())];
    } else if (chance(10)) {
        std::swap(talk.ends[0], talk.ends[1]);
        std::swap(talk.client_port, talk.server_port);
    }
    talk.phase = 0;
    talk.sequence = {static_cast<std::uint32_t>(random_()), static_cast<std::uint32_t>(random_())};
}

Sending RandomTraffic::segment(Talk& talk, unsigned side, TcpFields fields) {
    fields.sequence = talk.sequence[side];
    if ((fields.flags & kTcpAck) != 0) { fields.ack = talk.sequence[side ^ 1U]; }
    if (chance(4)) { fields.sequence -= below(3000); }
    if (chance(1)) { fields.sequence += static_cast<std::uint32_t>(random_()); }
    if (chance(1)) { fields.ack += static_cast<std::uint32_t>(random_()) >> below(32); }
    if (chance(3)) { fields.flags = below(64); }
    const std::uint16_t source = side == 0 ? talk.client_port : talk.server_port;
    const std::uint16_t destination = side == 0 ? talk.server_port : talk.client_port;
    Sending out{talk.ends[side], {}};
    out.frame.bytes =
        tcp(path(talk.ends[side], talk.ends[side ^ 1U], talk.is_v6), source, destination, fields);
    const unsigned counted =
        (fields.flags & kTcpSyn) != 0 || (fields.flags & kTcpFin) != 0 ? 1U : 0U;
    talk.sequence[side] =
        talk.sequence[side] + static_cast<std::uint32_t>(fields.payload_size) + counted;
    return out;
}

Sending RandomTraffic::tcp_next() {
    if (chance(40)) { talk_ = below(static_cast<unsigned>(talks_.size())); }
    Talk& talk = talks_[talk_];
    const std::size_t size = chance(30) ? 0 : below(400);
    switch (talk.phase) {
        case 0:
            talk.phase = 1;
            return segment(talk, 0, {.flags = kTcpSyn, .scale = chance(50) ? 7 : -1});
        case 1:
            talk.phase = 2;
            return segment(talk, 1, {.flags = kTcpSyn | kTcpAck, .scale = chance(50) ? 7 : -1});
        case 2: talk.phase = 3; return segment(talk, 0, {.flags = kTcpAck});
        case 3:
            if (chance(1)) {
                talk.phase = kOver;
                return segment(talk, below(2), {.flags = kTcpRst | (chance(50) ? 0x10U : 0U)});
            }
            if (!chance(6)) {
                return segment(talk, below(2), {.flags = kTcpAck, .payload_size = size});
            }
            talk.phase = 4;
            talk.closer = below(2);
            return segment(talk, talk.closer, {.flags = kTcpFin | kTcpAck});
        case 4: talk.phase = 5; return segment(talk, talk.closer ^ 1U, {.flags = kTcpAck});
        case 5:
            talk.phase = 6;
            return segment(talk, talk.closer ^ 1U, {.flags = kTcpFin | kTcpAck});
        case 6: talk.phase = kOver; return segment(talk, talk.closer, {.flags = kTcpAck});
        default:
            if (chance(60)) { restart(talk); }
            return segment(talk, below(2),
                           {.flags = chance(50) ? 0x10U : below(64), .payload_size = size});
    }
}

Sending RandomTraffic::datagram() {
    const std::size_t from = any_port();
    const std::size_t to = other_port(from);
    auto source = static_cast<std::uint16_t>(5000 + below(3));
    auto destination = static_cast<std::uint16_t>(chance(40) ? 53 : 1000 + below(4));
    if (destination == 53 && chance(25)) {  // A TFTP request, to rules that read it.
        return {from, {udp(path(from, to, chance(35)), source, 53, Bytes{0, 1, 'f', 0}), {}, {}}};
    }
    if (chance(45)) { std::swap(source, destination); }
    return {from,
            {udp(path(from, to, chance(35)), source, destination, below(chance(3) ? 1472 : 100)),
             {},
             {}}};
}

Sending RandomTraffic::query() {
    const std::size_t from = any_port();
    const bool is_v6 = chance(35);
    const auto id = static_cast<std::uint16_t>(below(4));
    const Path way = path(from, other_port(from), is_v6);
    return {from, {chance(55) ? ping(way, id) : pong(way, id), {}, {}}};
}

// About one of the last frames, from where that went to whence it came.
Sending RandomTraffic::error() {
    const Sending& about = recent_[below(static_cast<unsigned>(recent_.size()))];
    const Bytes& frame = about.frame.bytes;
    if (frame.size() < 62 || (frame[12] != 0x08 && frame[12] != 0x86) || frame[13] == 0x06) {
        return query();
    }
    const bool is_v6 = frame[12] == 0x86;
    const std::size_t from = any_port();
    return {from,
            {icmp_error(path(from, about.port, is_v6), is_v6 ? 1 : 3,
                        static_cast<std::uint8_t>(below(4)), frame),
             {},
             {}}};
}

Sending RandomTraffic::conversation() {
    const std::size_t from = any_port();
    const std::size_t to = other_port(from);
    const Vnic self = vnic_of(from);
    const Vnic claimed = chance(85) ? self : vnic_of(to);
    const bool asks = chance(60);
    const bool is_to_router = chance(40);
    const MacAddr teller = is_to_router ? model::default_mac("/router") : vnic_of(to).mac;
    const MacAddr target = asks ? kBroadcast : teller;
    if (chance(60)) {
        const auto operation = static_cast<std::uint16_t>(asks ? 1 : 2);
        const IpAddr wanted =
            is_to_router ? ip(from < 3 ? "10.0.0.62" : "10.0.0.126") : vnic_of(to).ip4;
        return {from,
                {arp(self.mac, target, {operation, claimed.mac, claimed.ip4, {}, wanted}), {}, {}}};
    }
    if (chance(25)) {
        return {
            from,
            {udp(path(from, to, false), chance(50) ? 67 : 68, chance(50) ? 67 : 68, 300), {}, {}}};
    }
    Path way = path(from, to, true);
    if (is_to_router) { way.destination_mac = teller; }
    return {from, {neighbour(way, asks ? 135 : 136, claimed.ip6), {}, {}}};
}

Sending RandomTraffic::group_frame() {
    const std::size_t from = any_port();
    Path way = path(from, from, chance(30));
    const bool is_broadcast = !way.is_v6() && chance(60);
    way.destination =
        way.is_v6() ? ip("ff02::fb") : (is_broadcast ? ip("10.0.0.255") : ip("224.0.0.251"));
    way.destination_mac = is_broadcast
                              ? kBroadcast
                              : (way.is_v6() ? mac("33:33:00:00:00:fb") : mac("01:00:5e:00:00:fb"));
    return {from, {udp(way, 5353, static_cast<std::uint16_t>(5353 + below(3))), {}, {}}};
}

// From or to a guest behind a vNIC, whose MAC is nobody's own; it may speak anywhere.
Sending RandomTraffic::nested() {
    const std::size_t from = any_port();
    Path way = path(from, other_port(from), false);
    const auto guest = [this] {
        MacAddr out = mac("02:00:00:00:0a:00");
        out.bytes[5] = static_cast<std::uint8_t>(below(4));
        return out;
    };
    if (chance(60)) { way.source_mac = guest(); }
    if (chance(60)) { way.destination_mac = guest(); }
    if (chance(20)) {
        return {from,
                {arp(way.source_mac, chance(50) ? kBroadcast : way.destination_mac,
                     {1, way.source_mac, way.source, {}, way.destination}),
                 {},
                 {}}};
    }
    const auto port = static_cast<std::uint16_t>(53 + below(2));
    return {from, {udp(way, static_cast<std::uint16_t>(5000 + below(2)), port, 20), {}, {}}};
}

// IGMP of version 2, and frames to the groups that it is about.
Sending RandomTraffic::membership() {
    const std::size_t from = any_port();
    const auto group = static_cast<std::uint8_t>(1 + below(3));
    Path way = path(from, from, false);
    way.destination = ip("239.1.1.0");
    way.destination.bytes[15] = group;
    way.destination_mac = mac("01:00:5e:01:01:00");
    way.destination_mac.bytes[5] = group;
    if (chance(60)) { return {from, {udp(way, 5004, 5004, 30), {}, {}}}; }
    const std::uint8_t type = chance(10) ? 0x11 : (chance(60) ? 0x16 : 0x17);
    if (type == 0x11) {
        return {from, {packet(way, 2, {0x11, 0x64, 0xee, 0x9b, 0, 0, 0, 0}, 1), {}, {}}};
    }
    const std::uint32_t sum = (std::uint32_t{type} << 8U) + 0xef01U + 0x0100U + group;
    const auto folded = static_cast<std::uint16_t>(~((sum & 0xffffU) + (sum >> 16U)));
    return {from,
            {packet(way, 2,
                    {type, 0, static_cast<std::uint8_t>(folded >> 8U),
                     static_cast<std::uint8_t>(folded), 239, 1, 1, group},
                    1),
             {},
             {}}};
}

Sending RandomTraffic::oddity() {
    const std::size_t from = any_port();
    const std::size_t to = other_port(from);
    const Path way = path(from, to, chance(30));
    switch (below(6)) {
        case 5:
            return {from,
                    {packet(way, 47, Bytes(20, 1), static_cast<std::uint8_t>(below(3))), {}, {}}};
        case 0: return {from, {packet(way, 47, Bytes(20, 1)), {}, {}}};
        case 1:
            return {
                from,
                {packet(way, 132, Bytes{0x23, 0x28, 0x23, 0x28, 0, 0, 0, 0, 0, 0, 0, 0}), {}, {}}};
        case 2:
            return {from,
                    {ethernet(way.source_mac, chance(50) ? way.destination_mac : kBroadcast, 0x88b5,
                              Bytes(46, 2)),
                     {},
                     {}}};
        case 3:
            return {from,
                    {ethernet(way.source_mac, mac("01:80:c2:00:00:00"), 38, Bytes(46, 3)), {}, {}}};
        default: return {from, {udp(way, 5000, 53, 1480 + below(100)), {}, {}}};
    }
}

Sending RandomTraffic::start_fragments() {
    Sending whole = chance(70) ? datagram() : (chance(50) ? query() : tcp_next());
    const std::vector<Bytes> pieces = fragments(whole.frame.bytes, 24 + 8 * below(4), below(200));
    for (const Bytes& piece : pieces) { waiting_.push_back({whole.port, {piece, {}, {}}}); }
    if (chance(15)) { std::swap(waiting_.front(), waiting_.back()); }
    if (chance(10)) { waiting_.push_back(waiting_.front()); }
    if (chance(10)) { waiting_.pop_back(); }
    Sending first = whole;
    if (!waiting_.empty()) {
        first = waiting_.front();
        waiting_.pop_front();
    }
    return first;
}

void RandomTraffic::damage(Bytes& frame) {
    const unsigned what = below(4);
    if (what == 0) { frame.resize(below(static_cast<unsigned>(frame.size()))); }
    if (what == 1) { frame.resize(frame.size() + below(20)); }
    if (what >= 2) {
        for (unsigned count = 1 + below(3); count > 0; --count) {
            frame[below(std::min<unsigned>(static_cast<unsigned>(frame.size()), 60))] =
                static_cast<std::uint8_t>(random_());
        }
    }
}

// Tag, DSCP, segments, offloads, damage: what can happen to any frame.
void RandomTraffic::dress(Sending& sending) {
    Bytes& frame = sending.frame.bytes;
    const bool is_ip =
        frame.size() > 34 && (frame[12] == 0x08 || frame[12] == 0x86) && frame[13] != 0x06;
    const bool is_whole_tcp = is_ip && frame[12] == 0x08 && frame[23] == 6 &&
                              (frame[20] & 0x3fU) == 0 && frame[21] == 0 && frame.size() >= 54;
    if (is_ip && chance(10)) {
        frame = with_dscp(std::move(frame), static_cast<std::uint8_t>(chance(70) ? 46 : below(64)));
    }
    if (is_whole_tcp && chance(10)) {
        frame = with_partial_checksum(std::move(frame));
        sending.frame.offload.ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_IPV4;
        if (chance(20)) {
            sending.frame.offload.ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
            sending.frame.offload.segment_size = 100;
        }
    }
    const bool is_trunk = sending.port == 4;
    if (chance(is_trunk ? 90 : 2)) {
        frame = tagged(frame, static_cast<std::uint16_t>(chance(70) ? 10 : below(20)));
    }
    if (chance(3)) { damage(frame); }
    if (frame.size() > 140 && chance(20)) {
        sending.frame.cuts = {
            static_cast<std::uint16_t>(140 + below(static_cast<unsigned>(frame.size()) - 139))};
    }
    if (chance(1)) { sending.port = below(kUniverseSize); }
}

Sending RandomTraffic::next() {
    Sending out;
    const unsigned what = below(1000);
    if (!waiting_.empty() && chance(50)) {
        out = waiting_.front();
        waiting_.pop_front();
    } else if (what < 560) {
        out = tcp_next();
    } else if (what < 620) {
        out = nested();
    } else if (what < 780) {
        out = datagram();
    } else if (what < 860) {
        out = query();
    } else if (what < 890) {
        out = error();
    } else if (what < 930) {
        out = conversation();
    } else if (what < 960) {
        out = group_frame();
    } else if (what < 970) {
        out = oddity();
    } else if (what < 980) {
        out = membership();
    } else {
        out = start_fragments();
    }
    if (chance(20)) { recent_[below(static_cast<unsigned>(recent_.size()))] = out; }
    dress(out);
    return out;
}

}  // namespace sluice::test
