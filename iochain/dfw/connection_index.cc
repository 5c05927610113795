// SPDX-License-Identifier: Apache-2.0
// Index of the connection table: seeded hash, buckets of one cache line, overflow chained through
// the records' links. Called by ConnectionTable on a worker that holds the bucket's lock.
#include <bit>
#include <cstring>

#include "iochain/dfw/connection_arena.h"
#include "sluice/base/assert.h"

namespace sluice {
namespace {

// Both halves of a 128-bit product: every bit of x and y reaches every bit of the result.
std::uint64_t fold_multiply(std::uint64_t x, std::uint64_t y) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(x) * y;
    return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
}

std::uint8_t tag_of(std::uint64_t hash) noexcept { return static_cast<std::uint8_t>(hash); }

// One bit a slot whose tag may equal `tag` (exact up to the first match, then perhaps too many), 8
// slots at a time.
std::uint64_t matches(std::uint64_t tags, std::uint8_t tag) noexcept {
    constexpr std::uint64_t kOnes = 0x0101010101010101ULL;
    const std::uint64_t difference = tags ^ (kOnes * tag);
    return (difference - kOnes) & ~difference & (kOnes << 7U);
}

}  // namespace

std::uint64_t ConnectionTable::hash_of(const ConnectionTuple& tuple) const noexcept {
    std::uint64_t word[6] = {};
    std::memcpy(word, &tuple, sizeof tuple);
    const std::uint64_t* key = hash_keys_;
    const std::uint64_t x = fold_multiply(word[0] ^ key[0], word[1] ^ key[1]);
    const std::uint64_t y = fold_multiply(word[2] ^ key[2], word[3] ^ key[3]);
    const std::uint64_t z = fold_multiply(word[4] ^ key[4], word[5] ^ key[5]);
    return fold_multiply(x ^ std::rotl(y, 23) ^ key[6], z ^ std::rotl(x, 41) ^ key[7]);
}

// Costs a multiplication beside the hash. Not 0: that is the check of a record never used.
std::uint32_t ConnectionTable::check_of(const Connection& record,
                                        std::uint64_t hash) const noexcept {
    const std::uint64_t opener_is_a = record.flags & kConnOpenerIsA;
    const std::uint64_t ports = opener_is_a << 32U |
                                std::uint64_t{record.opener_port.value} << 16U |
                                record.responder_port.value;
    return static_cast<std::uint32_t>(fold_multiply(hash ^ hash_keys_[6], ports ^ hash_keys_[0])) |
           1U;
}

std::uint32_t ConnectionTable::lookup(const ConnectionBucket& bucket, const ConnectionTuple& tuple,
                                      std::uint64_t hash) const noexcept {
    static_assert(offsetof(ConnectionBucket, tag) == 1 && kBucketSlots == 11);
    std::uint64_t tags[2] = {};
    std::memcpy(tags, bucket.tag, kBucketSlots);
    for (unsigned half = 0; half < 2; ++half) {
        for (std::uint64_t bits = matches(tags[half], tag_of(hash)); bits != 0; bits &= bits - 1U) {
            const unsigned slot = half * 8U + static_cast<unsigned>(std::countr_zero(bits)) / 8U;
            if (slot >= kBucketSlots) { break; }
            const std::uint32_t ref = bucket.ref[slot];
            if (ref != 0 && records_[ref - 1U].tuple == tuple) { return ref; }
        }
    }
    std::uint32_t ref = bucket.overflow;
    while (ref != 0 && !(records_[ref - 1U].tuple == tuple)) { ref = links_[ref - 1U].next; }
    return ref;
}

void ConnectionTable::link(ConnectionBucket& bucket, std::uint32_t index,
                           std::uint64_t hash) noexcept {
    for (unsigned slot = 0; slot < kBucketSlots; ++slot) {
        if (bucket.ref[slot] == 0) {
            bucket.tag[slot] = tag_of(hash);
            bucket.ref[slot] = index + 1U;
            return;
        }
    }
    links_[index].next = bucket.overflow;
    bucket.overflow = index + 1U;
}

void ConnectionTable::unlink(ConnectionBucket& bucket, std::uint32_t index) noexcept {
    for (unsigned slot = 0; slot < kBucketSlots; ++slot) {
        if (bucket.ref[slot] != index + 1U) { continue; }
        const std::uint32_t moved = bucket.overflow;
        bucket.ref[slot] = moved;
        if (moved == 0) { return; }
        bucket.tag[slot] = tag_of(hash_of(records_[moved - 1U].tuple));
        bucket.overflow = links_[moved - 1U].next;
        return;
    }
    std::uint32_t* ref = &bucket.overflow;
    while (*ref != 0 && *ref != index + 1U) { ref = &links_[*ref - 1U].next; }
    SLUICE_ASSERT(*ref != 0);
    *ref = links_[index].next;
}

}  // namespace sluice
