// SPDX-License-Identifier: Apache-2.0
// Generations: numbers of which no two starts of a daemon share one within an epoch, however it
// ended. An SPI has room for 4096; a number comes again only when the epochs in which it counted
// are over. Kept in the state folder, on disk before anything is sealed under a number. Calls block
// on the disk: a helper thread, one caller at a time.
//
// File `encryption-generation`: {"count": N, "times": [...]}. N numbers were taken since the file
// was made (from a random one on), the last of them at `times`, Unix seconds, ascending with the
// clock as it was.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sluice/base/result.h"

namespace sluice::keys {

inline constexpr std::uint64_t kGenerationCount = 4096;  // Spi: 12 bits.

class Generations {
public:
    explicit Generations(std::string state_dir);

    /// Takes the next number, durably.
    /// @param now_s  Unix time
    /// @param longest_s  the longest epoch of those that will be sealed in
    /// @param first  random: where a new file begins
    /// @return 0..4095; kLimit if the epoch has used them up; kIo; kInvalid if the file is damaged
    [[nodiscard]] Result<std::uint16_t> take(std::uint64_t now_s, std::uint64_t longest_s,
                                             std::uint16_t first);

private:
    struct State {
        std::uint64_t count = 0;
        std::vector<std::uint64_t> times;
    };
    [[nodiscard]] Result<State> load(std::uint16_t first) const;
    std::string path_;
};

}  // namespace sluice::keys
