// SPDX-License-Identifier: Apache-2.0
// Addresses as integers, so that prefixes sort and search by value. Private to the slots. Any
// thread.
#pragma once

#include <cstdint>
#include <cstring>

#include "sluice/net/address.h"

namespace sluice::iochain {

__extension__ using Uint128 = unsigned __int128;

/// Sixteen wire bytes as one integer; IPv4 (in the last four bytes) is below 2^32.
[[nodiscard]] inline Uint128 wide(const std::uint8_t* wire) noexcept {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    std::memcpy(&high, wire, sizeof high);
    std::memcpy(&low, wire + 8, sizeof low);
    return (Uint128{__builtin_bswap64(high)} << 64U) | __builtin_bswap64(low);
}

[[nodiscard]] inline Uint128 wide(const IpAddr& ip) noexcept { return wide(ip.bytes.data()); }

/// Bits of an address that a prefix leaves open, as a mask of ones.
[[nodiscard]] inline Uint128 host_mask(const IpPrefix& prefix) noexcept {
    const unsigned width = prefix.address.is_v4() ? 32U : 128U;
    const unsigned open = width - prefix.length;
    return open == 128U ? ~Uint128{0} : (Uint128{1} << open) - 1U;
}

}  // namespace sluice::iochain
