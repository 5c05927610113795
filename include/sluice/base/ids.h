// SPDX-License-Identifier: Apache-2.0
// Identifiers as distinct types, so that a port index never serves as a rule id. Plain data, any
// thread.
#pragma once

#include <compare>
#include <cstdint>

namespace sluice {

/// A number of its own kind. `Tag` only keeps kinds apart.
template <typename Tag, typename Rep>
struct Id {
    Rep value = 0;
    constexpr auto operator<=>(const Id&) const noexcept = default;
};

/// Slot of a port in the worker's tables, 0..kPortMax-1. Reused after the port is gone from every
/// worker.
using PortIndex = Id<struct PortTag, std::uint16_t>;
inline constexpr PortIndex kNoPort{0xffff};

/// A layer-2 domain (switch and VLAN, or VNI) for the life of the process; never reused. 0 = none.
using DomainId = Id<struct DomainTag, std::uint32_t>;

/// A firewall or ACL rule for as long as its name exists (section + name). 0 = no rule decided.
/// Low kRuleSlotBits bits index counter arrays, the rest is a generation.
using RuleId = Id<struct RuleTag, std::uint32_t>;
inline constexpr unsigned kRuleSlotBits =
    18;  ///< 262 144 live rules (the default rule and ACL rules included).
[[nodiscard]] constexpr std::uint32_t rule_slot(RuleId id) noexcept {
    return id.value & ((1U << kRuleSlotBits) - 1U);
}

}  // namespace sluice
