// SPDX-License-Identifier: Apache-2.0
// The parts of virtio 1.1 that a network driver shares with its device: split-ring layout (§2.6),
// the packet header (§5.1.6) and feature bits by name. Plain wire data, little-endian as on x86.
// Used by the front-end (driver side) and by the self-test's back-end (device side). Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::frontend {

/// Descriptor, 16 bytes (§2.6.5). `address` is guest-physical, `length` in bytes.
struct Descriptor {
    std::uint64_t address = 0;
    std::uint32_t length = 0;
    std::uint16_t flags = 0;
    std::uint16_t next = 0;
};
inline constexpr std::uint16_t kDescriptorNext = 1;
inline constexpr std::uint16_t kDescriptorWrite = 2;
inline constexpr std::uint16_t kDescriptorIndirect = 4;

/// Head of the available ring; `entries` heads, then used_event (§2.6.6).
struct AvailRing {
    std::uint16_t flags;
    std::uint16_t index;
    std::uint16_t entries[];
};
inline constexpr std::uint16_t kAvailNoInterrupt = 1;

struct UsedElement {
    std::uint32_t id;
    std::uint32_t length;
};

/// Head of the used ring; `entries` elements, then avail_event (§2.6.8).
struct UsedRing {
    std::uint16_t flags;
    std::uint16_t index;
    UsedElement entries[];
};
inline constexpr std::uint16_t kUsedNoNotify = 1;

/// virtio_net_hdr_mrg_rxbuf, 12 bytes (§5.1.6). `num_buffers` is set by the device on receive, zero
/// on transmit.
struct NetHeader {
    std::uint8_t flags = 0;
    std::uint8_t gso_type = 0;
    std::uint16_t hdr_len = 0;
    std::uint16_t gso_size = 0;
    std::uint16_t csum_start = 0;
    std::uint16_t csum_offset = 0;
    std::uint16_t num_buffers = 0;
    bool operator==(const NetHeader&) const = default;
};
static_assert(sizeof(Descriptor) == 16 && sizeof(UsedElement) == 8 && sizeof(NetHeader) == 12);

inline constexpr std::uint8_t kHeaderNeedsCsum = 1;
inline constexpr std::uint8_t kHeaderDataValid = 2;
inline constexpr std::uint8_t kGsoNone = 0;
inline constexpr std::uint8_t kGsoTcp4 = 1;
inline constexpr std::uint8_t kGsoTcp6 = 4;

/// Bytes of each part of a split ring with `size` entries, the event index included.
[[nodiscard]] constexpr std::size_t avail_ring_bytes(unsigned size) {
    return 6 + std::size_t{2} * size;
}
[[nodiscard]] constexpr std::size_t used_ring_bytes(unsigned size) {
    return 6 + sizeof(UsedElement) * size;
}

/// Feature bits that a front-end may ask for.
enum class Feature : std::uint8_t {
    kCsum = 0,
    kGuestCsum = 1,
    kMtu = 3,
    kMac = 5,
    kGuestTso4 = 7,
    kGuestTso6 = 8,
    kGuestEcn = 9,
    kGuestUfo = 10,
    kHostTso4 = 11,
    kHostTso6 = 12,
    kHostEcn = 13,
    kHostUfo = 14,
    kMrgRxbuf = 15,
    kStatus = 16,
    kCtrlVq = 17,
    kCtrlRx = 18,
    kGuestAnnounce = 21,
    kMq = 22,
    kLogAll = 26,
    kIndirectDesc = 28,
    kEventIdx = 29,
    kProtocolFeatures = 30,  ///< vhost-user's own; always taken when offered.
    kVersion1 = 32,
    kIommuPlatform = 33,
    kRingPacked = 34,
    kInOrder = 35,
};

[[nodiscard]] constexpr std::uint64_t bit(Feature feature) {
    return std::uint64_t{1} << static_cast<unsigned>(feature);
}

/// What a usual Linux guest negotiates.
inline constexpr std::uint64_t kDefaultFeatures =
    bit(Feature::kVersion1) | bit(Feature::kMrgRxbuf) | bit(Feature::kIndirectDesc) |
    bit(Feature::kEventIdx) | bit(Feature::kCsum) | bit(Feature::kGuestCsum) |
    bit(Feature::kHostTso4) | bit(Feature::kHostTso6) | bit(Feature::kGuestTso4) |
    bit(Feature::kGuestTso6) | bit(Feature::kMq) | bit(Feature::kCtrlVq);

/// "mrg_rxbuf" -> its bit; nullopt for an unknown name.
[[nodiscard]] std::optional<std::uint64_t> feature_bit(std::string_view name);
/// Names of the set bits that have one, lowest bit first.
[[nodiscard]] std::vector<std::string> feature_names(std::uint64_t features);

}  // namespace sluice::frontend
