// SPDX-License-Identifier: Apache-2.0
// The index spreads what a scanner or a client's port counter produces, and another seed spreads it
// otherwise. Looks into the arena's layout, because a bad hash is otherwise only slow.
#include <gtest/gtest.h>

#include <algorithm>

#include "connection_rig.h"
#include "iochain/dfw/connection_arena.h"

namespace sluice::test {
namespace {

// Connections a bucket, as the arena holds them.
std::vector<unsigned> loads_of(std::uint64_t seed, unsigned source_shift) {
    constexpr std::uint32_t kCapacity = 8192 * 5 - 5;  // Fills a power of two of buckets evenly.
    const Arena arena(kCapacity);
    ConnectionTable table(arena.data(), kCapacity, 1, seed);
    table.configure(kTimeouts, {});
    for (std::uint32_t i = 0; i < kCapacity; ++i) {
        Frame frame = udp(From::kA, static_cast<std::uint16_t>(i), 53);
        const std::uint32_t high = (i >> 16U) + (source_shift == 0 ? 0 : i << source_shift);
        frame.parsed.key.destination_ip[13] = static_cast<std::uint8_t>(high >> 8U);
        frame.parsed.key.destination_ip[14] = static_cast<std::uint8_t>(high);
        OpenRequest request;
        request.tuple = tuple_of(frame.parsed.key, kDomain);
        EXPECT_TRUE(table.open(0, request, frame.parsed, kSecondNs).opened);
    }
    const auto* first = reinterpret_cast<const ConnectionBucket*>(
        static_cast<const std::byte*>(arena.data()) + buckets_offset());
    std::vector<unsigned> loads(bucket_count_of(kCapacity));
    for (std::size_t i = 0; i < loads.size(); ++i) {
        loads[i] = static_cast<unsigned>(kBucketSlots - std::ranges::count(first[i].ref, 0U));
    }
    return loads;
}

// Chi-square against an even spread stays near its mean (one a bucket; deviation sqrt(2 /
// buckets)).
double chi_square_per_bucket(const std::vector<unsigned>& loads) {
    double sum = 0;
    for (const unsigned load : loads) { sum += (load - 5.0) * (load - 5.0) / 5.0; }
    return sum / static_cast<double>(loads.size());
}

TEST(ConnectionHash, SpreadsCountersEvenly) {
    for (const unsigned shift : {0U, 3U, 8U}) {
        EXPECT_NEAR(chi_square_per_bucket(loads_of(1, shift)), 1.0, 0.1) << "shift " << shift;
    }
}

TEST(ConnectionHash, DependsOnTheSeed) { EXPECT_NE(loads_of(1, 0), loads_of(2, 0)); }

}  // namespace
}  // namespace sluice::test
