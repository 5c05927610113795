// SPDX-License-Identifier: Apache-2.0
// Spi: what the 32 bits of an ESP security parameter index (RFC 4303 §2.1) say between Sluice
// hosts. With the sender's VTEP they name one key and one counter: no two senders, workers or
// starts of a daemon share a nonce space. Pure, any thread.
//   31..30: 10 | 29..24 key policy | 23..16 epoch, low bits | 15..4 generation | 3..0 worker
#pragma once

#include <cstdint>

#include "sluice/base/limits.h"

namespace sluice {

struct Spi {
    std::uint8_t policy = 0;       ///< 1..63: model::id_of().
    std::uint8_t epoch = 0;        ///< Low 8 bits of Unix time / rotate_s.
    std::uint16_t generation = 0;  ///< 0..4095: grows with each start of the sender's daemon, and
                                   ///< when a key has carried what it may.
    std::uint8_t worker = 0;       ///< 0..15: who counts.

    bool operator==(const Spi&) const = default;
    [[nodiscard]] constexpr std::uint32_t value() const noexcept {
        return 1U << 31U | std::uint32_t{policy} << 24U | std::uint32_t{epoch} << 16U |
               std::uint32_t{generation} << 4U | worker;
    }
    [[nodiscard]] static constexpr Spi of(std::uint32_t value) noexcept {
        return {static_cast<std::uint8_t>(value >> 24U & 0x3fU),
                static_cast<std::uint8_t>(value >> 16U),
                static_cast<std::uint16_t>(value >> 4U & 0xfffU),
                static_cast<std::uint8_t>(value & 0xfU)};
    }
    /// False: some tenant's own ESP.
    [[nodiscard]] static constexpr bool is_ours(std::uint32_t value) noexcept {
        return value >> 30U == 2 && (value >> 24U & 0x3fU) != 0;
    }
};
static_assert(kWorkerMax <= 16 && kKeyPolicyMax == 63);

}  // namespace sluice
