// SPDX-License-Identifier: Apache-2.0
// ReplayWindow: which sequence numbers of one sender have come already (RFC 4303 §3.4.3), a window
// of kReplayWindow behind the highest one. Packets carry the low half of a 64-bit number (§2.2.1);
// the high half is inferred (appendix A2). Bits lie in a ring of words, so that moving on clears
// whole words only (RFC 6479). Not thread-safe: esp_open.cc holds the association's lock.
#pragma once

#include <array>
#include <cstdint>

#include "sluice/base/limits.h"

namespace sluice::datapath {

class ReplayWindow {
public:
    /// The 64-bit number of a packet that carries `low` (RFC 4303 appendix A2.2). 0: none could
    /// have it. A receiver that begins in the middle can't infer it: it takes `iv`'s word for it,
    /// in which our senders put the whole number; the tag says whether it is true.
    [[nodiscard]] std::uint64_t infer(std::uint32_t low, std::uint64_t iv) const noexcept {
        if (highest_ == 0 && static_cast<std::uint32_t>(iv) == low) { return iv; }
        const auto highest_low = static_cast<std::uint32_t>(highest_);
        const std::uint64_t high = highest_ & ~std::uint64_t{0xffffffff};
        constexpr std::uint64_t kEra = std::uint64_t{1} << 32U;
        if (highest_low >= kReplayWindow - 1) {  // The window lies in one era.
            const bool is_next = low < highest_low - (kReplayWindow - 1);
            return (is_next ? high + kEra : high) | low;
        }
        const bool is_former = low > highest_low + (kEra - (kReplayWindow - 1)) - 1;
        if (!is_former) { return high | low; }
        return high == 0 ? 0 : (high - kEra) | low;
    }
    /// False: it came, or is too old to say.
    [[nodiscard]] bool is_new(std::uint64_t sequence) const noexcept {
        if (sequence == 0) { return false; }
        if (sequence > highest_) { return true; }
        if (highest_ - sequence >= kReplayWindow) { return false; }
        return (word(sequence) >> (sequence & 63U) & 1U) == 0;
    }
    /// Notes one that is authentic. False: it is not new.
    [[nodiscard]] bool accept(std::uint64_t sequence) noexcept {
        if (!is_new(sequence)) { return false; }
        if (sequence > highest_) { move_to(sequence); }
        bits_[sequence / 64U % kWords] |= std::uint64_t{1} << (sequence & 63U);
        return true;
    }
    [[nodiscard]] std::uint64_t highest() const noexcept { return highest_; }

private:
    static constexpr std::uint32_t kWords = 2 * kReplayWindow / 64U;  // A power of two, with room.

    [[nodiscard]] std::uint64_t word(std::uint64_t sequence) const noexcept {
        return bits_[sequence / 64U % kWords];
    }
    void move_to(std::uint64_t sequence) noexcept {
        const std::uint64_t from = highest_ / 64U;
        std::uint64_t count = sequence / 64U - from;
        if (count > kWords) { count = kWords; }
        for (std::uint64_t i = 1; i <= count; ++i) { bits_[(from + i) % kWords] = 0; }
        highest_ = sequence;
    }

    std::uint64_t highest_ = 0;
    std::array<std::uint64_t, kWords> bits_{};
};
static_assert(kReplayWindow % 64 == 0 && (kReplayWindow & (kReplayWindow - 1)) == 0);

}  // namespace sluice::datapath
