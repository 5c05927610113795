// SPDX-License-Identifier: Apache-2.0
// Segment: a TCP segment of 60 bytes that is sent again and again with other addresses, ports and
// numbers: everything that stays is written and summed once, the rest is patched in a few
// instructions. The loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "frames.h"

namespace sluice::load {

/// Payload of a request and of a response: what makes their frames 64 bytes on the wire.
inline constexpr std::uint32_t kTalkPayloadBytes = 6;
inline constexpr std::size_t kSegmentBytes = 60;

class Segment {
public:
    Segment() = default;
    Segment(const Link& link, std::uint8_t flags, std::size_t payload_bytes, int scale = -1) {
        write_tcp(frame_, link, {}, {0, 0, flags, scale}, payload_bytes, Checksum::kFull);
        // What the fields patched later add nothing to; as written, they are zero.
        ip_sum_ = static_cast<std::uint16_t>(~get16(&frame_[kIpChecksumAt]));
        tcp_sum_ = static_cast<std::uint16_t>(~get16(&frame_[kTcpChecksumAt]));
    }

    /// Writes the segment to `at`.
    void write(std::uint8_t* at, const Tuple& tuple, std::uint32_t sequence,
               std::uint32_t ack) const {
        const std::uint64_t ips = halves(tuple.source_ip) + halves(tuple.destination_ip);
        const std::uint64_t rest =
            ips + tuple.source_port + tuple.destination_port + halves(sequence) + halves(ack);
        std::memcpy(at, frame_.data(), kSegmentBytes);
        put16(at + kIpChecksumAt, finish_sum(ip_sum_ + ips));
        put32(at + kSourceIpAt, tuple.source_ip);
        put32(at + kDestinationIpAt, tuple.destination_ip);
        put16(at + kL4At, tuple.source_port);
        put16(at + kL4At + 2, tuple.destination_port);
        put32(at + kTcpSequenceAt, sequence);
        put32(at + kTcpAckAt, ack);
        put16(at + kTcpChecksumAt, finish_sum(tcp_sum_ + rest));
    }

private:
    [[nodiscard]] static constexpr std::uint64_t halves(std::uint32_t value) {
        return std::uint64_t{value >> 16U} + (value & 0xffffU);
    }

    std::array<std::uint8_t, kSegmentBytes> frame_{};
    std::uint64_t ip_sum_ = 0;
    std::uint64_t tcp_sum_ = 0;
};

}  // namespace sluice::load
