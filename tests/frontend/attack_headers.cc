// SPDX-License-Identifier: Apache-2.0
// Attacks by the virtio-net header: wishes for checksums and segmentation that make no sense
// (virtio 1.1 §5.1.6.2).
#include "attack_frames.h"
#include "attack_scene.h"

namespace sluice::frontend {
namespace {

constexpr std::uint16_t kTcpAt = 34;  // Ethernet and an IPv4 header without options.

void with(AttackScene& s, const NetHeader& header) {
    s.header(header);
    s.offer();
}

// A TCP segment of IPv4 under a header.
void with_tcp(AttackScene& s, std::size_t payload_bytes, const NetHeader& header) {
    s.queue(tcp_frame(s, payload_bytes), header);
    s.publish();
}

NetHeader tso(std::uint16_t gso_size) {
    return {kHeaderNeedsCsum, kGsoTcp4, 54, gso_size, kTcpAt, 16, 0};
}

std::uint16_t beyond(const AttackScene& s) {
    return static_cast<std::uint16_t>(s.frame.size() + 100);
}

constexpr Attack kAttacks[] = {
    {"checksum_beyond_frame", "csum_start and csum_offset outside of the frame.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, 0, 0, 0, beyond(s), 0xfff0, 0});
     }},
    {"checksum_at_the_end", "A checksum that begins with the frame's last byte.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, 0, 0, 0, static_cast<std::uint16_t>(s.frame.size() - 1), 0, 0});
     }},
    {"checksum_offset_wraps", "csum_start plus csum_offset overflows 16 bits.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, 0, 0, 0, 0xffff, 0xffff, 0});
     }},
    {"checksum_over_addresses", "The checksum is to be written over the MAC addresses.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, 0, 0, 0, 0, 0, 0});
     }},
    {"checksum_over_ip", "The checksum is to be written into the IP header.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, 0, 0, 0, 14, 12, 0});
     }},
    {"gso_beyond_frame", "hdr_len beyond the frame.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, kGsoTcp4, 0xffff, 100, kTcpAt, 16, 0});
     }},
    {"gso_size_zero", "Segments of no bytes.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, kGsoTcp4, 54, 0, kTcpAt, 16, 0});
     }},
    {"gso_size_one", "60 000 bytes in segments of one byte.",
     [](AttackScene& s) { with_tcp(s, 60'000, tso(1)); }},
    {"gso_size_one_storm", "A ring full of 60 000 bytes in segments of one byte.",
     [](AttackScene& s) {
         const auto frame = tcp_frame(s, 60'000);
         for (unsigned i = 0; i < s.ring.size(); ++i) { s.queue(frame, tso(1)); }
         s.publish();
     }},
    {"gso_size_largest", "Segments of 65 535 bytes.",
     [](AttackScene& s) { with_tcp(s, 60'000, tso(0xffff)); }},
    {"gso_type_unknown", "A segmentation type that does not exist.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, 0x7d, 54, 100, kTcpAt, 16, 0});
     }},
    {"gso_every_type", "All 256 segmentation types.",
     [](AttackScene& s) {
         const auto frame = tcp_frame(s, 3000);
         for (unsigned type = 0; type < 256; ++type) {
             NetHeader header = tso(500);
             header.gso_type = static_cast<std::uint8_t>(type);
             s.queue(frame, header);
         }
         s.publish();
     }},
    {"gso_every_size", "256 sizes of segments, from nothing on.",
     [](AttackScene& s) {
         const auto frame = tcp_frame(s, 2000);
         for (unsigned size = 0; size < 256; ++size) {
             s.queue(frame, tso(static_cast<std::uint16_t>(size * size)));
         }
         s.publish();
     }},
    {"gso_on_a_datagram", "TCP segmentation of a UDP datagram.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, kGsoTcp4, 42, 10, kTcpAt, 6, 0});
     }},
    {"gso_of_udp", "UDP fragmentation offload, which was not offered.",
     [](AttackScene& s) {
         with(s, {kHeaderNeedsCsum, 3, 42, 10, kTcpAt, 6, 0});
     }},
    {"gso_of_the_other_version", "IPv6 segmentation of an IPv4 frame.",
     [](AttackScene& s) {
         NetHeader header = tso(1000);
         header.gso_type = kGsoTcp6;
         with_tcp(s, 9000, header);
     }},
    {"gso_with_ecn", "Segmentation with ECN, which was not offered.",
     [](AttackScene& s) {
         NetHeader header = tso(1000);
         header.gso_type = 0x80 | kGsoTcp4;
         with_tcp(s, 9000, header);
     }},
    {"gso_without_checksum", "Segmentation without a partial checksum.",
     [](AttackScene& s) {
         NetHeader header = tso(1000);
         header.flags = 0;
         with_tcp(s, 9000, header);
     }},
    {"gso_header_zero", "Segmentation with a header of no bytes.",
     [](AttackScene& s) {
         NetHeader header = tso(1000);
         header.hdr_len = 0;
         with_tcp(s, 9000, header);
     }},
    {"gso_header_is_all", "Segmentation with a header as long as the frame.",
     [](AttackScene& s) {
         NetHeader header = tso(1000);
         header.hdr_len = 9054;
         with_tcp(s, 9000, header);
     }},
    {"gso_of_no_payload", "Segmentation of a segment without payload.",
     [](AttackScene& s) { with_tcp(s, 0, tso(1)); }},
    {"gso_syn_and_fin", "Segmentation of a segment with every flag and 40 bytes of options.",
     [](AttackScene& s) {
         auto frame = tcp_frame(s, 9000);
         frame.at(kTcpAt + 12) = 0xf0;
         frame.at(kTcpAt + 13) = 0xff;
         s.queue(frame, tso(100));
         s.publish();
     }},
    {"buffers_lie", "num_buffers of 65 535 on the way out.",
     [](AttackScene& s) {
         with(s, {0, 0, 0, 0, 0, 0, 0xffff});
     }},
    {"flags_lie", "Every flag of the header set.",
     [](AttackScene& s) {
         with(s, {0xff, 0, 0, 0, 0, 0, 0});
     }},
    {"header_all_ones", "A header of nothing but ones.",
     [](AttackScene& s) {
         with(s, {0xff, 0xff, 0xffff, 0xffff, 0xffff, 0xffff, 0xffff});
     }},
    {"random_header", "A valid frame under a header of random bytes.",
     [](AttackScene& s) {
         s.fill_random(s.buffer(), s.header_bytes);
         s.offer();
     }},
    {"random_headers", "A ring full of TCP segments under random headers.",
     [](AttackScene& s) {
         const auto frame = tcp_frame(s, 4000);
         for (unsigned i = 0; i < s.ring.size(); ++i) {
             NetHeader header;
             s.fill_random(&header, sizeof header);
             header.gso_type = static_cast<std::uint8_t>(header.gso_type & 0x87U);
             s.queue(frame, header);
         }
         s.publish();
     }},
};

}  // namespace

std::span<const Attack> header_attacks() { return kAttacks; }

}  // namespace sluice::frontend
