// SPDX-License-Identifier: Apache-2.0
// Be16, Be32: integers in network byte order, distinct types so that an order is never guessed. Any
// thread.
#pragma once

#include <cstdint>

namespace sluice {

/// 16-bit integer in network byte order. Trivial, may overlay wire data.
struct Be16 {
    std::uint16_t raw = 0;
    [[nodiscard]] static constexpr Be16 from_host(std::uint16_t host) noexcept {
        return Be16{__builtin_bswap16(host)};
    }
    [[nodiscard]] constexpr std::uint16_t host() const noexcept { return __builtin_bswap16(raw); }
    constexpr bool operator==(const Be16&) const noexcept = default;
};

/// 32-bit integer in network byte order. Trivial, may overlay wire data.
struct Be32 {
    std::uint32_t raw = 0;
    [[nodiscard]] static constexpr Be32 from_host(std::uint32_t host) noexcept {
        return Be32{__builtin_bswap32(host)};
    }
    [[nodiscard]] constexpr std::uint32_t host() const noexcept { return __builtin_bswap32(raw); }
    constexpr bool operator==(const Be32&) const noexcept = default;
};

static_assert(sizeof(Be16) == 2 && sizeof(Be32) == 4);

}  // namespace sluice
