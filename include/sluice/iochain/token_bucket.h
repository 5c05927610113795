// SPDX-License-Identifier: Apache-2.0
// The arithmetic of a TokenBucket: credit is kept as time, so that any rate is exact. Worker that
// owns the bucket.
#pragma once

#include <algorithm>
#include <cstdint>

#include "sluice/iochain/chain.h"

namespace sluice {

/// Takes one token.
/// @param rate_pps  tokens a second, and the burst; 0 = no limit.
/// @param now_ns  monotonic.
/// @return false if there is none; the bucket is then only refilled.
inline bool take_token(TokenBucket& bucket, std::uint32_t rate_pps, std::uint64_t now_ns) noexcept {
    constexpr std::uint64_t kSecond = 1'000'000'000;
    if (rate_pps == 0) { return true; }
    const std::uint64_t stamp = now_ns + 1;  // 0 means never used: full.
    const std::uint64_t elapsed =
        bucket.updated_ns == 0 ? kSecond : stamp - std::min(stamp, bucket.updated_ns);
    bucket.tokens_ns = std::min(kSecond, bucket.tokens_ns + std::min(kSecond, elapsed));
    bucket.updated_ns = stamp;
    const std::uint64_t price = kSecond / rate_pps;
    if (bucket.tokens_ns < price) { return false; }
    bucket.tokens_ns -= price;
    return true;
}

}  // namespace sluice
