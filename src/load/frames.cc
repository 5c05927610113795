// SPDX-License-Identifier: Apache-2.0
// Frames and their checksums, straight from RFC 791, 768, 9293, 826 and 1071.
#include "frames.h"

#include <algorithm>

#include "sluice/base/assert.h"

namespace sluice::load {
namespace {

constexpr std::uint16_t kWindow = 65535;
constexpr std::size_t kScaleOptionBytes = 4;  // No-operation, then window scale (RFC 7323 §2.2).

frontend::NetHeader write_checksum(std::span<std::uint8_t> frame, const Tuple& tuple,
                                   std::uint8_t protocol, std::size_t l4_bytes,
                                   std::size_t checksum_at, Checksum checksum) {
    frontend::NetHeader header;
    if (checksum == Checksum::kNone) { return header; }
    const std::uint64_t pseudo =
        pseudo_sum(tuple.source_ip, tuple.destination_ip, protocol, l4_bytes);
    if (checksum == Checksum::kPartial) {
        put16(&frame[checksum_at], static_cast<std::uint16_t>(~finish_sum(pseudo)));
        header.flags = frontend::kHeaderNeedsCsum;
        header.csum_start = kL4At;
        header.csum_offset = static_cast<std::uint16_t>(checksum_at - kL4At);
        return header;
    }
    const std::uint16_t sum = finish_sum(pseudo + word_sum(frame.subspan(kL4At, l4_bytes)));
    put16(&frame[checksum_at], sum == 0 && protocol == kUdp ? 0xffff : sum);
    return header;
}

void write_arp_fields(std::span<std::uint8_t> frame, std::uint16_t operation, const Mac& mac,
                      std::uint32_t source, std::uint32_t target) {
    put16(&frame[14], 1);       // Ethernet
    put16(&frame[16], 0x0800);  // IPv4
    frame[18] = 6;
    frame[19] = 4;
    put16(&frame[20], operation);
    std::ranges::copy(mac, frame.begin() + 22);
    put32(&frame[28], source);
    put32(&frame[38], target);
}

}  // namespace

void write_ethernet(std::span<std::uint8_t> frame, const Link& link, std::uint16_t type) {
    std::ranges::fill(frame, std::uint8_t{0});
    std::ranges::copy(link.destination, frame.begin());
    std::ranges::copy(link.source, frame.begin() + 6);
    put16(&frame[12], type);
}

void write_ipv4(std::span<std::uint8_t> frame, const Tuple& tuple, std::uint8_t protocol,
                std::size_t l4_bytes) {
    frame[kIpAt] = 0x45;
    put16(&frame[kIpAt + 2], static_cast<std::uint16_t>(kL4At - kIpAt + l4_bytes));
    put16(&frame[kIpAt + 6], 0x4000);  // Don't fragment.
    frame[kIpAt + 8] = 64;
    frame[kIpAt + 9] = protocol;
    put32(&frame[kSourceIpAt], tuple.source_ip);
    put32(&frame[kDestinationIpAt], tuple.destination_ip);
    put16(&frame[kIpChecksumAt], finish_sum(word_sum(frame.subspan(kIpAt, kL4At - kIpAt))));
}

std::uint64_t word_sum(std::span<const std::uint8_t> bytes) {
    std::uint64_t sum = 0;
    std::size_t i = 0;
    for (; i + 1 < bytes.size(); i += 2) { sum += get16(&bytes[i]); }
    return i < bytes.size() ? sum + (std::uint64_t{bytes[i]} << 8U) : sum;
}

frontend::NetHeader write_udp(std::span<std::uint8_t> frame, const Link& link, const Tuple& tuple,
                              Checksum checksum) {
    SLUICE_ASSERT(frame.size() >= kWireBytesMin - kFcsBytes);
    const std::size_t l4_bytes = frame.size() - kL4At;
    write_ethernet(frame, link, 0x0800);
    write_ipv4(frame, tuple, kUdp, l4_bytes);
    put16(&frame[kL4At], tuple.source_port);
    put16(&frame[kL4At + 2], tuple.destination_port);
    put16(&frame[kL4At + 4], static_cast<std::uint16_t>(l4_bytes));
    return write_checksum(frame, tuple, kUdp, l4_bytes, kUdpChecksumAt, checksum);
}

frontend::NetHeader write_tcp(std::span<std::uint8_t> frame, const Link& link, const Tuple& tuple,
                              const TcpFields& fields, std::size_t payload_bytes,
                              Checksum checksum) {
    SLUICE_ASSERT(frame.size() >= std::max<std::size_t>(kTcpPayloadAt + payload_bytes, 60));
    const std::size_t option_bytes = fields.scale < 0 ? 0 : kScaleOptionBytes;
    const std::size_t header_bytes = kTcpPayloadAt - kL4At + option_bytes;
    const std::size_t l4_bytes = header_bytes + payload_bytes;
    write_ethernet(frame, link, 0x0800);
    write_ipv4(frame, tuple, kTcp, l4_bytes);
    put16(&frame[kL4At], tuple.source_port);
    put16(&frame[kL4At + 2], tuple.destination_port);
    put32(&frame[kTcpSequenceAt], fields.sequence);
    put32(&frame[kTcpAckAt], fields.ack);
    frame[kTcpFlagsAt - 1] = static_cast<std::uint8_t>(header_bytes / 4 << 4U);
    frame[kTcpFlagsAt] = fields.flags;
    put16(&frame[kTcpFlagsAt + 1], kWindow);
    if (option_bytes != 0) {
        frame[kTcpPayloadAt] = 1;
        frame[kTcpPayloadAt + 1] = 3;
        frame[kTcpPayloadAt + 2] = 3;
        frame[kTcpPayloadAt + 3] = static_cast<std::uint8_t>(fields.scale);
    }
    return write_checksum(frame, tuple, kTcp, l4_bytes, kTcpChecksumAt, checksum);
}

void write_arp(std::span<std::uint8_t> frame, const Mac& mac, std::uint32_t source,
               std::uint32_t target) {
    SLUICE_ASSERT(frame.size() >= kArpFrameBytes);
    write_ethernet(frame, {mac, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}, 0x0806);
    write_arp_fields(frame, 1, mac, source, target);
}

void write_arp_answer(std::span<std::uint8_t> frame, const Link& link, std::uint32_t source,
                      std::uint32_t target) {
    SLUICE_ASSERT(frame.size() >= kArpFrameBytes);
    write_ethernet(frame, link, 0x0806);
    write_arp_fields(frame, 2, link.source, source, target);
    std::ranges::copy(link.destination, frame.begin() + 32);
}

}  // namespace sluice::load
