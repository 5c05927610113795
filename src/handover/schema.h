// SPDX-License-Identifier: Apache-2.0
// Which versions of the handover's messages a build speaks. Two builds take the newest that both
// speak. In a file of its own (schema.cc), so that tests can link a daemon that speaks others.
#pragma once

#include <cstdint>
#include <optional>

namespace sluice::handover {

/// From `oldest` to `newest`, both included.
struct SchemaRange {
    std::uint32_t oldest = 0;
    std::uint32_t newest = 0;
};

/// What this build speaks.
[[nodiscard]] SchemaRange own_schemas() noexcept;

/// The newest version that both speak; nullopt if there is none.
[[nodiscard]] constexpr std::optional<std::uint32_t> common_schema(SchemaRange one,
                                                                   SchemaRange other) noexcept {
    const std::uint32_t newest = one.newest < other.newest ? one.newest : other.newest;
    const std::uint32_t oldest = one.oldest > other.oldest ? one.oldest : other.oldest;
    if (newest < oldest) { return std::nullopt; }
    return newest;
}

}  // namespace sluice::handover
