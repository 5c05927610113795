// SPDX-License-Identifier: Apache-2.0
// BFD control packets: see bfd_packet.h.
#include "datapath/bfd_packet.h"

#include <cstring>

#include "datapath/parse_layers.h"

namespace sluice::datapath {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::uint8_t kPoll = 0x20, kFinal = 0x10, kAuthentication = 0x04, kDemand = 0x02,
                       kMultipoint = 0x01;

void store_be32(std::uint8_t* at, std::uint32_t host) noexcept {
    const std::uint32_t raw = __builtin_bswap32(host);
    std::memcpy(at, &raw, sizeof raw);
}

}  // namespace

std::optional<BfdPacket> read_bfd(const std::uint8_t* data, std::size_t size) noexcept {
    if (size < kBfdSize || data[0] >> 5U != kVersion) { return std::nullopt; }
    const std::uint8_t flags = data[1];
    BfdPacket packet;
    packet.diagnostic = static_cast<BfdDiagnostic>(data[0] & 0x1fU);
    packet.state = static_cast<BfdState>(flags >> 6U);
    packet.is_poll = (flags & kPoll) != 0;
    packet.is_final = (flags & kFinal) != 0;
    packet.wants_demand = (flags & kDemand) != 0;
    packet.multiplier = data[2];
    packet.mine = load_be32(data + 4);
    packet.yours = load_be32(data + 8);
    packet.desired_tx_us = load_be32(data + 12);
    packet.required_rx_us = load_be32(data + 16);
    const bool knows_nobody =
        packet.state == BfdState::kDown || packet.state == BfdState::kAdminDown;
    if (data[3] < kBfdSize || data[3] > size || packet.multiplier == 0 || packet.mine == 0 ||
        (flags & (kAuthentication | kMultipoint)) != 0 || (packet.yours == 0 && !knows_nobody)) {
        return std::nullopt;
    }
    return packet;
}

std::array<std::uint8_t, kBfdSize> write_bfd(const BfdPacket& packet) noexcept {
    std::array<std::uint8_t, kBfdSize> out{};
    out[0] = static_cast<std::uint8_t>(kVersion << 5U | static_cast<unsigned>(packet.diagnostic));
    out[1] = static_cast<std::uint8_t>(
        static_cast<unsigned>(packet.state) << 6U | (packet.is_poll ? kPoll : 0U) |
        (packet.is_final ? kFinal : 0U) | (packet.wants_demand ? kDemand : 0U));
    out[2] = packet.multiplier;
    out[3] = kBfdSize;
    store_be32(out.data() + 4, packet.mine);
    store_be32(out.data() + 8, packet.yours);
    store_be32(out.data() + 12, packet.desired_tx_us);
    store_be32(out.data() + 16, packet.required_rx_us);
    return out;
}

}  // namespace sluice::datapath
