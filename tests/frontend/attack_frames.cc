// SPDX-License-Identifier: Apache-2.0
// Attacks by the frames themselves: well-formed descriptors, hostile contents. What they aim at is
// the switch's parser, its fragments, its inspection of ARP, ND, DHCP and ICMP, and its tables.
#include "attack_frames.h"

#include <algorithm>
#include <initializer_list>

namespace sluice::frontend {
namespace {

std::uint8_t low(unsigned value) { return static_cast<std::uint8_t>(value); }

// Byte by byte: g++ 12 sees insert() write out of bounds where it does not.
void join(Bytes& bytes, std::span<const std::uint8_t> more) {
    for (const std::uint8_t byte : more) { bytes.push_back(byte); }
}

void add(Bytes& bytes, std::initializer_list<std::uint8_t> more) {
    join(bytes, {more.begin(), more.size()});
}

Bytes datagram(const AttackScene& s, std::uint16_t source, std::uint16_t target,
               const Bytes& payload) {
    Bytes frame = ipv4(s, 17, 8 + payload.size());
    append16(frame, source);
    append16(frame, target);
    append16(frame, static_cast<unsigned>(8 + payload.size()));
    append16(frame, 0);
    join(frame, payload);
    return frame;
}

void broadcast(Bytes& frame) { std::fill_n(frame.begin(), 6, std::uint8_t{0xff}); }

// A copy for each value of one byte.
void every_value(AttackScene& s, Bytes frame, std::size_t at, unsigned count = 256) {
    for (unsigned value = 0; value < count; ++value) {
        frame.at(at) = low(value);
        s.queue(frame);
    }
    s.publish();
}

void send(AttackScene& s, const Bytes& frame) {
    s.queue(frame);
    s.publish();
}

void tags(AttackScene& s, std::size_t count, bool ends_there) {
    Bytes frame = ethernet(s, 0x88a8);
    for (std::size_t i = 1; i <= count; ++i) {
        append16(frame, static_cast<unsigned>(i & 0xfffU));
        append16(frame, i == count && !ends_there ? 0x0800 : 0x8100);
    }
    if (!ends_there) { append(frame, 60, 0x45); }
    send(s, frame);
}

void truncations(AttackScene& s, const Bytes& frame) {
    for (std::size_t size = 1; size < std::min(frame.size(), std::size_t{s.ring.size()}); ++size) {
        s.queue(std::span(frame).first(size));
    }
    s.publish();
}

void fragments(AttackScene& s, unsigned count, unsigned step_bytes, unsigned size, bool same_id) {
    for (unsigned i = 0; i < count; ++i) {
        const unsigned offset = (i * step_bytes / 8) & 0x1fffU;
        Bytes frame = ipv4(s, 17, size, static_cast<std::uint16_t>(0x2000U | offset),
                           static_cast<std::uint16_t>(same_id ? 7 : i));
        append(frame, size, low(i));
        s.queue(frame);
    }
    s.publish();
}

void extension_chain(AttackScene& s, std::uint8_t kind, unsigned count, std::uint8_t length) {
    Bytes frame = ipv6(s, kind, count * 8U);
    for (unsigned i = 0; i < count; ++i) {
        add(frame, {i + 1 == count ? std::uint8_t{17} : kind, length, 1, 4});
        append(frame, 4, 0);
    }
    send(s, frame);
}

void v6_fragments(AttackScene& s) {
    for (unsigned i = 0; i < 128; ++i) {
        Bytes frame = ipv6(s, 44, 8 + 8 + 8);
        add(frame, {44, 0});  // The next header is a fragment header again.
        append16(frame, (i * 4) << 3U | 1U);
        append(frame, 4, low(i / 2));
        add(frame, {17, 0});
        append16(frame, 1);
        append(frame, 12, 0x11);
        s.queue(frame);
    }
    s.publish();
}

Bytes icmp_error(const AttackScene& s, unsigned depth) {
    Bytes inner;
    for (unsigned i = 0; i < depth; ++i) {
        Bytes packet = ipv4(s, 1, 8 + inner.size());
        packet.erase(packet.begin(), packet.begin() + 14);
        add(packet, {3, 4, 0, 0, 0, 0, 0, 20});
        join(packet, inner);
        inner = std::move(packet);
    }
    Bytes frame = ethernet(s, 0x0800);
    join(frame, inner);
    return frame;
}

Bytes arp(const AttackScene& s, unsigned sender, unsigned target) {
    Bytes frame = ethernet(s, 0x0806);
    broadcast(frame);
    add(frame, {0, 1, 8, 0, 6, 4, 0, 1});
    for (std::size_t i = 6; i < 12; ++i) { frame.push_back(std::uint8_t{frame[i]}); }
    add(frame, {10, 0, low(sender >> 8U), low(sender)});
    append(frame, 6, 0);
    add(frame, {10, 0, low(target >> 8U), low(target)});
    return frame;
}

void arp_storm(AttackScene& s) {
    for (unsigned i = 0; i < s.ring.size(); ++i) {
        s.queue(arp(s, low(static_cast<unsigned>(s.random())), i));
    }
    s.publish();
}

// DHCP from a client: 236 bytes of BOOTP, the cookie, then `options`.
Bytes dhcp(const AttackScene& s, const Bytes& options) {
    Bytes payload{1, 1, 6, 0};
    append(payload, 232, 0);
    add(payload, {0x63, 0x82, 0x53, 0x63});
    join(payload, options);
    Bytes frame = datagram(s, 68, 67, payload);
    broadcast(frame);
    return frame;
}

Bytes icmp6(const AttackScene& s, const Bytes& message) {
    Bytes frame = ipv6(s, 58, message.size());
    frame.at(21) = 255;  // Hop limit.
    join(frame, message);
    return frame;
}

Bytes neighbour(const AttackScene& s, std::uint8_t type, const Bytes& options) {
    Bytes message{type, 0, 0, 0, 0, 0, 0, 0, 0x20, 1, 0xd, 0xb8};
    append(message, 12, 0);
    join(message, options);
    return icmp6(s, message);
}

Bytes vxlan_in_vxlan(const AttackScene& s, unsigned depth) {
    Bytes inner(s.frame.begin(), s.frame.end());
    for (unsigned i = 0; i < depth; ++i) {
        Bytes payload{8, 0, 0, 0, 0, 0x13, 0x89, 0};
        join(payload, inner);
        inner = datagram(s, 5000, 4789, payload);
    }
    return inner;
}

void foreign_sources(AttackScene& s) {
    Bytes frame(s.frame.begin(), s.frame.end());
    for (unsigned i = 0; i < s.ring.size(); ++i) {
        for (std::size_t at = 6; at < 12; ++at) {
            frame.at(at) = low(static_cast<unsigned>(s.random()));
        }
        s.queue(frame);
    }
    s.publish();
}

void port_scan(AttackScene& s) {
    for (unsigned i = 0; i < s.ring.size(); ++i) {
        Bytes frame = tcp_frame(s, 0);
        frame.at(34) = low(static_cast<unsigned>(s.random()));
        frame.at(36) = low(static_cast<unsigned>(s.random()));
        frame.at(37) = low(i);
        s.queue(frame);
    }
    s.publish();
}

void random_frames(AttackScene& s, std::size_t kept_bytes) {
    for (unsigned i = 0; i < s.ring.size(); ++i) {
        Bytes frame(s.frame.begin(), s.frame.end());
        frame.resize(kept_bytes + s.random() % 1500);
        s.fill_random(frame.data() + kept_bytes, frame.size() - kept_bytes);
        s.queue(frame);
    }
    s.publish();
}

void random_bits(AttackScene& s) {
    for (unsigned i = 0; i < s.ring.size(); ++i) {
        Bytes frame(s.frame.begin(), s.frame.end());
        const std::size_t bit = s.random() % (frame.size() * 8);
        frame.at(bit / 8) = low(frame.at(bit / 8) ^ 1U << bit % 8);
        s.queue(frame);
    }
    s.publish();
}

constexpr Attack kAttacks[] = {
    {"frame_zero", "1500 bytes of zero.", [](AttackScene& s) { send(s, Bytes(1500)); }},
    {"frame_giant", "A frame of 69 000 bytes without segmentation.",
     [](AttackScene& s) { send(s, Bytes(kFrameBytesMax, 0x45)); }},
    {"frame_truncated", "A datagram cut at every byte.",
     [](AttackScene& s) { truncations(s, Bytes(s.frame.begin(), s.frame.end())); }},
    {"frame_random", "A ring full of random bytes.", [](AttackScene& s) { random_frames(s, 0); }},
    {"frame_random_behind_ethernet", "Random bytes behind right addresses and IPv4's type.",
     [](AttackScene& s) { random_frames(s, 14); }},
    {"frame_bit_flips", "A datagram with one bit wrong, a ring full.", random_bits},
    {"frame_every_ethertype", "256 ethertypes with nothing behind them.",
     [](AttackScene& s) { every_value(s, ethernet(s, 0x8800), 13); }},
    {"frame_of_802_3", "A length in the place of the type, larger than the frame.",
     [](AttackScene& s) {
         Bytes frame = ethernet(s, 1500);
         add(frame, {0xaa, 0xaa, 3, 0, 0, 0, 8, 0});
         send(s, frame);
     }},
    {"broadcast_storm", "A ring full of broadcasts.",
     [](AttackScene& s) {
         Bytes frame(s.frame.begin(), s.frame.end());
         broadcast(frame);
         for (unsigned i = 0; i < s.ring.size(); ++i) { s.queue(frame); }
         s.publish();
     }},
    {"mac_flood", "A ring full of random source addresses.", foreign_sources},
    {"bpdu_flood", "A ring full of spanning-tree and LACP frames.",
     [](AttackScene& s) {
         Bytes frame = ethernet(s, 0x8809);
         const Bytes group{1, 0x80, 0xc2, 0, 0, 2};
         std::ranges::copy(group, frame.begin());
         append(frame, 100, 1);
         every_value(s, frame, 5);
     }},
    {"vlan_nested", "300 nested tags.", [](AttackScene& s) { tags(s, 300, false); }},
    {"vlan_truncated", "A frame that ends behind a tag.",
     [](AttackScene& s) { tags(s, 12, true); }},
    {"ipv4_header_lengths", "Every version and header length.",
     [](AttackScene& s) { every_value(s, tcp_frame(s, 40), 14); }},
    {"ipv4_total_lengths", "Total lengths that lie.",
     [](AttackScene& s) { every_value(s, tcp_frame(s, 40), 17); }},
    {"ipv4_protocols", "Every protocol with nothing behind it.",
     [](AttackScene& s) { every_value(s, ipv4(s, 0, 0), 23); }},
    {"ipv4_options_endless", "Options of length zero.",
     [](AttackScene& s) {
         Bytes frame = tcp_frame(s, 60);
         frame.at(14) = 0x4f;
         for (std::size_t i = 34; i < 74; i += 2) {
             frame.at(i) = 7;
             frame.at(i + 1) = 0;
         }
         send(s, frame);
     }},
    {"fragments_overlap", "200 fragments of one datagram, each over half of the one before.",
     [](AttackScene& s) { fragments(s, 200, 8, 16, true); }},
    {"fragments_tiny", "Fragments of eight bytes: no port in any.",
     [](AttackScene& s) { fragments(s, 200, 8, 8, true); }},
    {"fragments_flood", "Heads of 256 datagrams that never end.",
     [](AttackScene& s) { fragments(s, 256, 0, 24, false); }},
    {"fragments_orphans", "Middles of 256 datagrams without a head.",
     [](AttackScene& s) { fragments(s, 256, 800, 64, false); }},
    {"fragment_beyond_64k", "A fragment that ends behind 65 535 bytes.",
     [](AttackScene& s) {
         Bytes frame = ipv4(s, 17, 1400, 0x1fff);
         append(frame, 1400, 1);
         send(s, frame);
     }},
    {"ipv6_hop_by_hop_chain", "150 hop-by-hop headers.",
     [](AttackScene& s) { extension_chain(s, 0, 150, 0); }},
    {"ipv6_option_chain", "180 destination-option headers.",
     [](AttackScene& s) { extension_chain(s, 60, 180, 0); }},
    {"ipv6_routing_chain", "100 routing headers.",
     [](AttackScene& s) { extension_chain(s, 43, 100, 0); }},
    {"ipv6_extension_lies", "An extension header longer than the frame.",
     [](AttackScene& s) { extension_chain(s, 60, 3, 255); }},
    {"ipv6_authentication_chain", "Authentication headers, whose length counts otherwise.",
     [](AttackScene& s) { extension_chain(s, 51, 60, 0); }},
    {"ipv6_fragments_nested", "Fragment headers in fragment headers, overlapping.", v6_fragments},
    {"ipv6_payload_lengths", "Payload lengths that lie.",
     [](AttackScene& s) { every_value(s, ipv6(s, 17, 40), 19); }},
    {"ipv6_next_headers", "Every next header with nothing behind it.",
     [](AttackScene& s) { every_value(s, ipv6(s, 0, 0), 20); }},
    {"tcp_header_lengths", "Every data offset of TCP.",
     [](AttackScene& s) { every_value(s, tcp_frame(s, 20), 46); }},
    {"tcp_flags", "Every combination of TCP flags.",
     [](AttackScene& s) { every_value(s, tcp_frame(s, 20), 47); }},
    {"tcp_options_endless", "TCP options of length zero.",
     [](AttackScene& s) {
         Bytes frame = tcp_frame(s, 40);
         frame.at(46) = 0xf0;
         for (std::size_t i = 54; i < 94; i += 2) {
             frame.at(i) = 3;
             frame.at(i + 1) = 0;
         }
         send(s, frame);
     }},
    {"tcp_port_scan", "A ring full of first packets.", port_scan},
    {"udp_lengths", "UDP lengths that lie.",
     [](AttackScene& s) { every_value(s, datagram(s, 1, 2, Bytes(30)), 39); }},
    {"icmp_error_nested", "ICMP errors that quote ICMP errors, 20 deep.",
     [](AttackScene& s) { send(s, icmp_error(s, 20)); }},
    {"icmp_error_truncated", "An ICMP error cut at every byte.",
     [](AttackScene& s) { truncations(s, icmp_error(s, 3)); }},
    {"arp_storm", "ARP questions of random senders for 256 addresses.", arp_storm},
    {"arp_lengths", "ARP with every length of hardware addresses.",
     [](AttackScene& s) { every_value(s, arp(s, 3, 1), 18); }},
    {"arp_truncated", "ARP cut at every byte.",
     [](AttackScene& s) { truncations(s, arp(s, 3, 1)); }},
    {"dhcp_options_lie", "A DHCP option longer than its message.",
     [](AttackScene& s) {
         send(s, dhcp(s, {53, 1, 3, 50, 255, 1}));
     }},
    {"dhcp_options_endless", "300 DHCP options of no bytes and no end.",
     [](AttackScene& s) {
         Bytes options;
         for (unsigned i = 0; i < 300; ++i) { add(options, {12, 0}); }
         send(s, dhcp(s, options));
     }},
    {"dhcp_truncated", "DHCP cut at every byte of its end.",
     [](AttackScene& s) {
         const Bytes whole = dhcp(s, {53, 1, 1, 255});
         for (std::size_t cut = 0; cut < 250; ++cut) {
             s.queue(std::span(whole).first(whole.size() - cut));
         }
         s.publish();
     }},
    {"nd_option_zero", "A neighbour solicitation with an option of length zero.",
     [](AttackScene& s) {
         send(s, neighbour(s, 135, {1, 0, 2, 0, 0, 0, 0, 3}));
     }},
    {"nd_option_lies", "A neighbour advertisement with an option longer than the frame.",
     [](AttackScene& s) {
         send(s, neighbour(s, 136, {2, 255, 2, 0, 0, 0, 0, 3}));
     }},
    {"nd_truncated", "A neighbour solicitation cut at every byte.",
     [](AttackScene& s) {
         truncations(s, neighbour(s, 135, {1, 1, 2, 0, 0, 0, 0, 3}));
     }},
    {"icmp6_types", "Every ICMPv6 type with four bytes.",
     [](AttackScene& s) {
         every_value(s, icmp6(s, {0, 0, 0, 0, 0, 0, 0, 0}), 54);
     }},
    {"mld_records_lie", "An MLD report of 65 535 records in 20 bytes.",
     [](AttackScene& s) {
         send(s, icmp6(s, {143, 0, 0, 0, 0, 0, 0xff, 0xff, 4, 255, 0xff, 0xff, 1, 2, 3, 4}));
     }},
    {"igmp_records_lie", "An IGMP report of 65 535 records in 8 bytes.",
     [](AttackScene& s) {
         Bytes frame = ipv4(s, 2, 16);
         add(frame, {0x22, 0, 0, 0, 0, 0, 0xff, 0xff, 4, 255, 0xff, 0xff, 1, 2, 3, 4});
         send(s, frame);
     }},
    {"vxlan_nested", "VXLAN in VXLAN, 20 deep, from a guest.",
     [](AttackScene& s) { send(s, vxlan_in_vxlan(s, 20)); }},
    {"esp_garbage", "ESP of random bytes.",
     [](AttackScene& s) {
         Bytes frame = ipv4(s, 50, 1400);
         frame.resize(frame.size() + 1400);
         s.fill_random(frame.data() + 34, 1400);
         send(s, frame);
     }},
};

}  // namespace

void append16(Bytes& bytes, unsigned value) {
    bytes.push_back(low(value >> 8U));
    bytes.push_back(low(value));
}

void append(Bytes& bytes, std::size_t count, std::uint8_t value) {
    for (std::size_t i = 0; i < count; ++i) { bytes.push_back(value); }
}

Bytes ethernet(const AttackScene& scene, std::uint16_t ethertype) {
    Bytes frame;
    join(frame, scene.frame.first(12));
    append16(frame, ethertype);
    return frame;
}

Bytes ipv4(const AttackScene& scene, std::uint8_t protocol, std::size_t payload_bytes,
           std::uint16_t fragment, std::uint16_t id) {
    Bytes frame = ethernet(scene, 0x0800);
    add(frame, {0x45, 0});
    append16(frame, static_cast<unsigned>(std::min<std::size_t>(20 + payload_bytes, 0xffff)));
    append16(frame, id);
    append16(frame, fragment);
    add(frame, {64, protocol, 0, 0});
    if (scene.frame.size() >= 34) {
        join(frame, scene.frame.subspan(26, 8));
    } else {
        append(frame, 8, 10);
    }
    unsigned sum = 0;
    for (std::size_t i = 14; i < 34; i += 2) {
        sum += static_cast<unsigned>(frame[i]) << 8U | frame[i + 1];
    }
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = ~((sum & 0xffffU) + (sum >> 16U));
    frame[24] = low(sum >> 8U);
    frame[25] = low(sum);
    return frame;
}

Bytes ipv6(const AttackScene& scene, std::uint8_t next_header, std::size_t payload_bytes) {
    Bytes frame = ethernet(scene, 0x86dd);
    add(frame, {0x60, 0, 0, 0});
    append16(frame, static_cast<unsigned>(payload_bytes));
    add(frame, {next_header, 64});
    for (const std::size_t mac_at : {std::size_t{6}, std::size_t{0}}) {  // 2001:db8::NN
        add(frame, {0x20, 1, 0xd, 0xb8});
        append(frame, 11, 0);
        frame.push_back(scene.frame[mac_at + 5]);
    }
    return frame;
}

Bytes tcp_frame(const AttackScene& scene, std::size_t payload_bytes) {
    Bytes frame = ipv4(scene, 6, 20 + payload_bytes);
    append16(frame, 9);
    append16(frame, 80);
    append(frame, 8, 1);
    add(frame, {0x50, 2, 0xff, 0xff, 0, 0, 0, 0});
    append(frame, payload_bytes, 0x5a);
    return frame;
}

std::span<const Attack> frame_attacks() { return kAttacks; }

}  // namespace sluice::frontend
