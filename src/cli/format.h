// SPDX-License-Identifier: Apache-2.0
// Numbers as an operator reads them. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::cli {

/// 1234567 -> "1,234,567".
[[nodiscard]] std::string format_count(std::uint64_t value);
/// Decimal units, three digits: 999 -> "999 B", 12345 -> "12.3 kB", 4560000 -> "4.56 MB".
[[nodiscard]] std::string format_bytes(std::uint64_t bytes);
/// 45 -> "45s", 125 -> "2m 05s", 11040 -> "3h 04m", 97200 -> "1d 03h".
[[nodiscard]] std::string format_duration(std::uint64_t seconds);
/// Control characters become '?', so that no name can drive the terminal.
[[nodiscard]] std::string printable(std::string_view text);
/// Columns that `text` takes: UTF-8 code points.
[[nodiscard]] std::size_t display_width(std::string_view text);

}  // namespace sluice::cli
