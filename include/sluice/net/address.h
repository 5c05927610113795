// SPDX-License-Identifier: Apache-2.0
// Addresses as the model and the chain use them: MacAddr, IpAddr (v4 and v6 in one 16-byte form),
// IpPrefix. Plain data in wire order. Text parsing lives in address_text.h, for the control thread.
// Any thread.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace sluice {

/// 48-bit MAC in wire order.
struct MacAddr {
    std::array<std::uint8_t, 6> bytes{};
    /// Group bit: broadcast or multicast (IEEE 802-2014 §8.2).
    [[nodiscard]] constexpr bool is_group() const noexcept { return (bytes[0] & 1U) != 0; }
    [[nodiscard]] constexpr bool is_broadcast() const noexcept {
        return *this == MacAddr{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    }
    [[nodiscard]] constexpr bool is_zero() const noexcept { return *this == MacAddr{}; }
    /// Its six bytes as one number, the first one on top: orders as they do.
    [[nodiscard]] constexpr std::uint64_t number() const noexcept {
        if (std::is_constant_evaluated()) {
            std::uint64_t value = 0;
            for (const std::uint8_t byte : bytes) { value = value << 8U | byte; }
            return value;
        }
        std::uint32_t head = 0;
        std::uint16_t tail = 0;
        std::memcpy(&head, bytes.data(), sizeof head);
        std::memcpy(&tail, bytes.data() + sizeof head, sizeof tail);
        return std::uint64_t{__builtin_bswap32(head)} << 16U | __builtin_bswap16(tail);
    }
    // By numbers: the library's comparison of arrays is a call of memcmp.
    constexpr bool operator==(const MacAddr& other) const noexcept {
        return number() == other.number();
    }
    constexpr auto operator<=>(const MacAddr& other) const noexcept {
        return number() <=> other.number();
    }
};

enum class IpFamily : std::uint8_t { kNone = 0, kV4 = 4, kV6 = 6 };

/// IPv4 or IPv6 address in wire order. IPv4 fills bytes[12..15] behind twelve zero bytes (not
/// ::ffff:0:0/96: an IPv4-mapped IPv6 address stays distinct because the family is kept beside it).
struct IpAddr {
    std::array<std::uint8_t, 16> bytes{};
    IpFamily family = IpFamily::kNone;

    [[nodiscard]] static constexpr IpAddr v4(std::uint32_t host_order) noexcept {
        IpAddr a;
        a.family = IpFamily::kV4;
        a.bytes[12] = static_cast<std::uint8_t>(host_order >> 24U);
        a.bytes[13] = static_cast<std::uint8_t>(host_order >> 16U);
        a.bytes[14] = static_cast<std::uint8_t>(host_order >> 8U);
        a.bytes[15] = static_cast<std::uint8_t>(host_order);
        return a;
    }
    [[nodiscard]] static constexpr IpAddr v6(const std::array<std::uint8_t, 16>& wire) noexcept {
        return IpAddr{wire, IpFamily::kV6};
    }
    /// Host-order IPv4 value. Meaningful only if family is kV4.
    [[nodiscard]] constexpr std::uint32_t v4_host() const noexcept {
        return (std::uint32_t{bytes[12]} << 24U) | (std::uint32_t{bytes[13]} << 16U) |
               (std::uint32_t{bytes[14]} << 8U) | bytes[15];
    }
    [[nodiscard]] constexpr bool is_v4() const noexcept { return family == IpFamily::kV4; }
    [[nodiscard]] constexpr bool is_v6() const noexcept { return family == IpFamily::kV6; }
    constexpr auto operator<=>(const IpAddr&) const noexcept = default;
};

/// Address and prefix length. `length` is 0..32 for IPv4, 0..128 for IPv6; host bits of `address`
/// are zero.
struct IpPrefix {
    IpAddr address;
    std::uint8_t length = 0;
    constexpr auto operator<=>(const IpPrefix&) const noexcept = default;

    /// True if `ip` has the same family and lies inside.
    [[nodiscard]] constexpr bool contains(const IpAddr& ip) const noexcept {
        if (ip.family != address.family) { return false; }
        const unsigned first = address.is_v4() ? 12U : 0U;
        unsigned bits = length;
        for (unsigned i = first; i < 16U && bits > 0; ++i) {
            const unsigned take = bits < 8U ? bits : 8U;
            const auto mask = static_cast<std::uint8_t>(0xffU << (8U - take));
            if (((ip.bytes[i] ^ address.bytes[i]) & mask) != 0) { return false; }
            bits -= take;
        }
        return true;
    }
};

}  // namespace sluice
