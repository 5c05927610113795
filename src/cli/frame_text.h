// SPDX-License-Identifier: Apache-2.0
// A frame as one line for people: "10.0.0.1.1000 > 10.0.0.2.80: TCP S, 0 bytes". Every length is
// checked: the frame is a guest's, and may be cut. Pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace sluice::cli {

/// What the frame is, without time and size.
[[nodiscard]] std::string frame_text(std::span<const std::uint8_t> frame);

}  // namespace sluice::cli
