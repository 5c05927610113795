// SPDX-License-Identifier: Apache-2.0
// BfdPacket: the control packet of BFD and its wire form (RFC 5880 §4.1), without its way through
// the network. Plain data; pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace sluice::datapath {

inline constexpr std::size_t kBfdSize = 24;

/// RFC 5880 §4.1; the values are the wire's.
enum class BfdState : std::uint8_t { kAdminDown = 0, kDown = 1, kInit = 2, kUp = 3 };

/// Why the last session ended (RFC 5880 §4.1); the values are the wire's.
enum class BfdDiagnostic : std::uint8_t {
    kNone = 0,
    kDetectionTimeExpired = 1,
    kEchoFailed = 2,
    kNeighbourDown = 3,
    kForwardingReset = 4,
    kPathDown = 5,
    kConcatenatedPathDown = 6,
    kAdministrativelyDown = 7,
    kReverseConcatenatedPathDown = 8,
};

/// The fields of a control packet that count.
struct BfdPacket {
    BfdState state = BfdState::kDown;
    BfdDiagnostic diagnostic = BfdDiagnostic::kNone;
    bool is_poll = false;
    bool is_final = false;
    bool wants_demand = false;
    std::uint8_t multiplier = 0;  ///< Not 0.
    std::uint32_t mine = 0;       ///< Discriminator of its sender, not 0.
    std::uint32_t yours = 0;      ///< Of its receiver; 0 = not known yet.
    std::uint32_t desired_tx_us = 0;
    std::uint32_t required_rx_us = 0;  ///< 0 = the sender wants no periodic packets.

    bool operator==(const BfdPacket&) const = default;
};

/// A packet as RFC 5880 §6.8.6 lets it pass to session selection. Nothing: it must be discarded.
/// @param size  bytes behind the UDP header
[[nodiscard]] std::optional<BfdPacket> read_bfd(const std::uint8_t* data,
                                                std::size_t size) noexcept;
[[nodiscard]] std::array<std::uint8_t, kBfdSize> write_bfd(const BfdPacket& packet) noexcept;

}  // namespace sluice::datapath
