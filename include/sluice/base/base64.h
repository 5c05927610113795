// SPDX-License-Identifier: Apache-2.0
// Base64 (RFC 4648 §4) for bytes in JSON: frames between daemon and command line, keys. Pure
// functions, any thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

inline constexpr std::string_view kBase64Digits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// With padding, without line breaks.
[[nodiscard]] inline std::string base64_encode(std::span<const std::uint8_t> bytes) {
    std::string text;
    text.reserve((bytes.size() + 2) / 3 * 4);
    for (std::size_t i = 0; i < bytes.size(); i += 3) {
        const std::size_t left = bytes.size() - i;
        const std::uint32_t group = static_cast<std::uint32_t>(bytes[i]) << 16U |
                                    (left > 1 ? static_cast<std::uint32_t>(bytes[i + 1]) : 0U)
                                        << 8U |
                                    (left > 2 ? static_cast<std::uint32_t>(bytes[i + 2]) : 0U);
        text += kBase64Digits[group >> 18U];
        text += kBase64Digits[group >> 12U & 63U];
        text += left > 1 ? kBase64Digits[group >> 6U & 63U] : '=';
        text += left > 2 ? kBase64Digits[group & 63U] : '=';
    }
    return text;
}

/// Value of each digit; 64 where there is none.
[[nodiscard]] constexpr std::array<std::uint8_t, 256> base64_values() {
    std::array<std::uint8_t, 256> values{};
    values.fill(64);
    for (std::size_t i = 0; i < kBase64Digits.size(); ++i) {
        values[static_cast<unsigned char>(kBase64Digits[i])] = static_cast<std::uint8_t>(i);
    }
    return values;
}

/// nullopt if it is not base64 with padding.
[[nodiscard]] inline std::optional<std::vector<std::uint8_t>> base64_decode(std::string_view text) {
    static constexpr auto kValues = base64_values();
    if (text.size() % 4 != 0) { return std::nullopt; }
    std::size_t padding = 0;
    while (padding < 2 && text.ends_with('=')) {
        text.remove_suffix(1);
        ++padding;
    }
    std::vector<std::uint8_t> bytes;
    bytes.reserve(text.size() * 3 / 4);
    std::uint32_t bits = 0;
    unsigned bit_count = 0;
    for (const char digit : text) {
        const std::uint8_t value = kValues[static_cast<unsigned char>(digit)];
        if (value == 64) { return std::nullopt; }
        bits = bits << 6U | value;
        bit_count += 6;
        if (bit_count < 8) { continue; }
        bit_count -= 8;
        bytes.push_back(static_cast<std::uint8_t>(bits >> bit_count & 0xffU));
    }
    return bytes;
}

}  // namespace sluice
