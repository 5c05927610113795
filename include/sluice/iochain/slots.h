// SPDX-License-Identifier: Apache-2.0
// The sixteen slots of an IOChain. Adding a slot is changing a line here and adding its entry
// points in iochain/chain.cc.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace sluice {

inline constexpr std::size_t kSlotCount = 16;

enum class SlotKind : std::uint8_t { kDvfilter, kSwsec, kDfw, kService, kEncrypt, kReserved };

struct SlotInfo {
    std::string_view name;
    SlotKind kind;
    std::string_view on_failure;  ///< What happens to traffic if the slot can't work: "closed",
                                  ///< "per rule" or "-".
};

/// From the VM the chain runs 0 to 15, to the VM 15 to 0.
inline constexpr std::array<SlotInfo, kSlotCount> kSlots = {{
    {"dvfilter", SlotKind::kDvfilter, "closed"},
    {"swsec", SlotKind::kSwsec, "closed"},
    {"dfw", SlotKind::kDfw, "closed"},
    {"reserved", SlotKind::kReserved, "-"},
    {"service4", SlotKind::kService, "per rule"},
    {"service5", SlotKind::kService, "per rule"},
    {"service6", SlotKind::kService, "per rule"},
    {"service7", SlotKind::kService, "per rule"},
    {"service8", SlotKind::kService, "per rule"},
    {"service9", SlotKind::kService, "per rule"},
    {"service10", SlotKind::kService, "per rule"},
    {"service11", SlotKind::kService, "per rule"},
    {"service12", SlotKind::kService, "per rule"},
    {"reserved", SlotKind::kReserved, "-"},
    {"reserved", SlotKind::kReserved, "-"},
    {"encrypt", SlotKind::kEncrypt, "closed"},
}};

inline constexpr std::size_t kSlotDvfilter = 0;
inline constexpr std::size_t kSlotSwsec = 1;
inline constexpr std::size_t kSlotDfw = 2;
inline constexpr std::size_t kSlotEncrypt = 15;

}  // namespace sluice
