// SPDX-License-Identifier: Apache-2.0
// Fingerprint: a 128-bit content hash, two 64-bit streams with different constants. Control thread
// and its helpers use it to see whether a vNIC's policy changed. Not for untrusted input: a forged
// collision would only keep an old program, and whoever writes policy owns it anyway.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace sluice::iochain {

/// Order-sensitive hash of what is added. Plain value, any thread.
class Fingerprint {
public:
    void add(std::uint64_t value) noexcept {
        a_ = (std::rotl(a_, 5) ^ value) * 0x9e3779b97f4a7c15ULL;
        a_ ^= a_ >> 32U;
        b_ = (std::rotl(b_, 23) + value) * 0xc2b2ae3d27d4eb4fULL;
        b_ ^= b_ >> 29U;
    }
    void add(const std::array<std::uint64_t, 2>& pair) noexcept {
        add(pair[0]);
        add(pair[1]);
    }
    [[nodiscard]] std::array<std::uint64_t, 2> value() const noexcept { return {a_, b_}; }

private:
    std::uint64_t a_ = 0x51c1ced0b5297a4dULL;
    std::uint64_t b_ = 0x68e31da41b56c4e9ULL;
};

}  // namespace sluice::iochain
