// SPDX-License-Identifier: Apache-2.0
// See format.h.
#include "format.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace sluice::cli {
namespace {

std::string two_parts(std::uint64_t high, char high_unit, std::uint64_t low, char low_unit) {
    std::array<char, 64> text{};
    const int size = std::snprintf(text.data(), text.size(), "%llu%c %02llu%c",
                                   static_cast<unsigned long long>(high), high_unit,
                                   static_cast<unsigned long long>(low), low_unit);
    return {text.data(), static_cast<std::size_t>(size)};
}

}  // namespace

std::string format_count(std::uint64_t value) {
    std::string text = std::to_string(value);
    for (std::size_t at = text.size(); at > 3; at -= 3) { text.insert(at - 3, 1, ','); }
    return text;
}

std::string format_bytes(std::uint64_t bytes) {
    if (bytes < 1000) { return std::to_string(bytes) + " B"; }
    constexpr std::array<const char*, 6> kUnits{"kB", "MB", "GB", "TB", "PB", "EB"};
    double value = static_cast<double>(bytes) / 1000.0;
    std::size_t unit = 0;
    while (value >= 999.5 && unit + 1 < kUnits.size()) {
        value /= 1000.0;
        ++unit;
    }
    const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
    std::array<char, 32> text{};
    const int size =
        std::snprintf(text.data(), text.size(), "%.*f %s", decimals, value, kUnits.at(unit));
    return {text.data(), static_cast<std::size_t>(size)};
}

std::string format_duration(std::uint64_t seconds) {
    if (seconds < 60) { return std::to_string(seconds) + "s"; }
    if (seconds < 3600) { return two_parts(seconds / 60, 'm', seconds % 60, 's'); }
    if (seconds < 86400) { return two_parts(seconds / 3600, 'h', seconds % 3600 / 60, 'm'); }
    return two_parts(seconds / 86400, 'd', seconds % 86400 / 3600, 'h');
}

std::string printable(std::string_view text) {
    std::string clean(text);
    std::replace_if(
        clean.begin(), clean.end(),
        [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return clean;
}

std::size_t display_width(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U;
    }));
}

}  // namespace sluice::cli
