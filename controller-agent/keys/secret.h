// SPDX-License-Identifier: Apache-2.0
// Secret: bytes that nobody else is to see, wiped where they are left. Moves, never copies: what a
// key was in is what is wiped. Any thread, one owner.
#pragma once

#include <openssl/crypto.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace sluice::keys {

template <std::size_t N>
class Secret {
public:
    Secret() = default;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    Secret(Secret&& other) noexcept : bytes_(other.bytes_) { other.wipe(); }
    Secret& operator=(Secret&& other) noexcept {
        if (this != &other) {
            bytes_ = other.bytes_;
            other.wipe();
        }
        return *this;
    }
    ~Secret() { wipe(); }

    void wipe() noexcept { OPENSSL_cleanse(bytes_.data(), N); }
    [[nodiscard]] std::span<std::uint8_t, N> bytes() noexcept { return bytes_; }
    [[nodiscard]] std::span<const std::uint8_t, N> bytes() const noexcept { return bytes_; }

private:
    std::array<std::uint8_t, N> bytes_{};
};

/// Wipes what a string or vector of bytes holds, when the scope ends.
template <typename Bytes>
class Wiped {
public:
    explicit Wiped(Bytes& bytes) : bytes_(bytes) {}
    Wiped(const Wiped&) = delete;
    Wiped& operator=(const Wiped&) = delete;
    ~Wiped() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

private:
    Bytes& bytes_;
};

}  // namespace sluice::keys
