// SPDX-License-Identifier: Apache-2.0
// vary_flows: makes many flows of one frame by counting its ports up, with the checksum corrected
// and not recomputed.
#include <cstring>

#include "flood.h"

namespace sluice::frontend {
namespace {

constexpr std::size_t kIpAt = 14;
constexpr std::size_t kChecksumInTcp = 16;
constexpr std::size_t kChecksumInUdp = 6;
constexpr std::size_t kSourcePorts =
    60000;  // Flows by source port before the destination port moves on.

[[nodiscard]] unsigned get16(const std::vector<std::uint8_t>& b, std::size_t at) {
    return static_cast<unsigned>(b[at] << 8U) | b[at + 1];
}
void put16(std::vector<std::uint8_t>& b, std::size_t at, unsigned value) {
    b[at] = static_cast<std::uint8_t>(value >> 8U);
    b[at + 1] = static_cast<std::uint8_t>(value);
}

struct Transport {
    std::size_t ports_at = 0;  // 0 = none that we know.
    std::size_t checksum_at = 0;
    bool checksum_optional = false;
};

[[nodiscard]] Transport find_transport(const std::vector<std::uint8_t>& f) {
    if (f.size() < kIpAt + 20) { return {}; }
    const bool v4 = f[12] == 0x08 && f[13] == 0x00;
    const bool v6 = f[12] == 0x86 && f[13] == 0xdd;
    if (!v4 && !v6) { return {}; }
    const unsigned protocol = v4 ? f[kIpAt + 9] : f[kIpAt + 6];
    const std::size_t at = kIpAt + (v4 ? (f[kIpAt] & 15U) * 4U : 40U);
    const bool tcp = protocol == 6;
    if ((!tcp && protocol != 17) || f.size() < at + (tcp ? 20U : 8U)) { return {}; }
    return {at, at + (tcp ? kChecksumInTcp : kChecksumInUdp), !tcp && v4};
}

// RFC 1624 equation 3.
void replace16(std::vector<std::uint8_t>& frame, std::size_t at, unsigned value,
               const Transport& transport) {
    const unsigned old_sum = get16(frame, transport.checksum_at);
    if (!(transport.checksum_optional && old_sum == 0)) {
        unsigned sum = (~old_sum & 0xffffU) + (~get16(frame, at) & 0xffffU) + value;
        sum = (sum & 0xffffU) + (sum >> 16U);
        sum = (sum & 0xffffU) + (sum >> 16U);
        unsigned new_sum = ~sum & 0xffffU;
        if (new_sum == 0 && transport.checksum_optional) { new_sum = 0xffff; }
        put16(frame, transport.checksum_at, new_sum);
    }
    put16(frame, at, value);
}

}  // namespace

std::vector<FloodFrame> vary_flows(const FloodFrame& frame, std::size_t count) {
    const Transport transport = find_transport(frame.frame);
    if (transport.ports_at == 0) { return {frame}; }
    const std::size_t source = get16(frame.frame, transport.ports_at);
    const std::size_t destination = get16(frame.frame, transport.ports_at + 2);
    std::vector<FloodFrame> out(count, frame);
    for (std::size_t i = 0; i < count; ++i) {
        const auto source_port = static_cast<unsigned>((source + i % kSourcePorts) & 0xffffU);
        const auto destination_port =
            static_cast<unsigned>((destination + i / kSourcePorts) & 0xffffU);
        replace16(out[i].frame, transport.ports_at, source_port, transport);
        replace16(out[i].frame, transport.ports_at + 2, destination_port, transport);
    }
    return out;
}

}  // namespace sluice::frontend
