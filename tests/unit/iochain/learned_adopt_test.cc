// SPDX-License-Identifier: Apache-2.0
// Taking over the learned rows of a process that is gone.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <random>
#include <set>

#include "sluice/iochain/learned_table.h"

namespace sluice {
namespace {

constexpr std::uint64_t kSecond = 1000000000;
constexpr std::uint64_t kNow = 1000 * kSecond;
constexpr DomainId kDomain{3};
constexpr PortIndex kA{1}, kB{2};
constexpr std::uint32_t kCapacity = 1024;

class Pages {
public:
    explicit Pages(std::size_t bytes) : bytes_(bytes) {
        data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    ~Pages() { munmap(data_, bytes_); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    [[nodiscard]] void* data() const { return data_; }

private:
    std::size_t bytes_;
    void* data_;
};

struct Life {
    explicit Life(const Pages& records)
        : index(LearnedTable::index_bytes(kCapacity)),
          table({index.data(), records.data()}, kCapacity, 1, 7) {
        table.pass_time(kNow);
    }
    Pages index;
    LearnedTable table;
};

IpAddr ip_of(std::uint32_t number) {
    IpAddr ip;
    ip.family = IpFamily::kV4;
    ip.bytes[12] = 10;
    ip.bytes[14] = static_cast<std::uint8_t>(number >> 8U);
    ip.bytes[15] = static_cast<std::uint8_t>(number);
    return ip;
}

LearnedValue value_of(std::uint32_t number, LearnedSource source, std::uint64_t expires_ns) {
    LearnedValue value;
    value.mac = MacAddr{{2, 0, 0, 0, 0, static_cast<std::uint8_t>(number)}};
    value.source = source;
    value.expires_ns = expires_ns;
    return value;
}

void fill(LearnedTable& table) {
    for (std::uint32_t i = 0; i < 100; ++i) {
        const LearnedSource source = i % 2 == 0 ? LearnedSource::kArp : LearnedSource::kDhcp;
        ASSERT_EQ(table.learn(LearnedKey::binding(kDomain, i % 3 == 0 ? kB : kA, ip_of(i)),
                              value_of(i, source, i % 5 == 0 ? 0 : kNow + (i + 10) * kSecond), 0,
                              kNow + i),
                  LearnResult::kNew);
    }
}

TEST(LearnedAdoption, RowsComeBackWithSourceTimesAndCounts) {
    const Pages records(LearnedTable::record_bytes(kCapacity));
    Life before(records);
    fill(before.table);
    Life after(records);
    const std::uint32_t epoch = after.table.epoch();
    const LearnedAdoption found = after.table.adopt(kCapacity, kNow + kSecond);
    EXPECT_EQ(found.adopted, 100U);
    EXPECT_EQ(found.bindings, 100U);
    EXPECT_EQ(found.damaged + found.expired, 0U);
    EXPECT_NE(after.table.epoch(), epoch);
    EXPECT_EQ(after.table.size(), before.table.size());
    for (const PortIndex port : {kA, kB}) {
        EXPECT_EQ(after.table.count(port, LearnedKind::kBinding),
                  before.table.count(port, LearnedKind::kBinding));
        EXPECT_EQ(after.table.first_use_count(port, IpFamily::kV4),
                  before.table.first_use_count(port, IpFamily::kV4));
    }
    for (std::uint32_t i = 0; i < 100; ++i) {
        const LearnedKey key = LearnedKey::binding(kDomain, i % 3 == 0 ? kB : kA, ip_of(i));
        const auto old = before.table.find(key, kNow + kSecond);
        const auto now = after.table.find(key, kNow + kSecond);
        ASSERT_TRUE(old && now);
        EXPECT_EQ(now->source, old->source);
        EXPECT_EQ(now->expires_ns, old->expires_ns);
        EXPECT_EQ(now->first_seen_ns, old->first_seen_ns);
        EXPECT_EQ(now->mac, old->mac);
    }
    // Expiries are on the new wheel: the change is noticed when their second passes.
    const std::uint32_t quiet = after.table.epoch();
    after.table.pass_time(kNow + 60 * kSecond);
    EXPECT_NE(after.table.epoch(), quiet);
}

TEST(LearnedAdoption, ExpiredRowsAreFreed) {
    const Pages records(LearnedTable::record_bytes(kCapacity));
    {
        Life before(records);
        fill(before.table);
    }
    Life after(records);
    const LearnedAdoption found = after.table.adopt(kCapacity, kNow + 60 * kSecond);
    EXPECT_EQ(found.adopted + found.expired, 100U);
    EXPECT_GT(found.expired, 30U);
    EXPECT_EQ(after.table.size(), found.adopted);
}

TEST(LearnedAdoption, AFlippedBitOfARowIsDropped) {
    std::mt19937_64 random(5);
    for (int round = 0; round < 300; ++round) {
        const Pages records(LearnedTable::record_bytes(kCapacity));
        {
            Life before(records);
            fill(before.table);
        }
        const std::size_t row_bytes = LearnedTable::record_bytes(4096) / 4096;
        const std::size_t covered = sizeof(LearnedKey) + 8U;  // Key, MAC and port.
        auto* const row = static_cast<unsigned char*>(records.data()) + random() % 100 * row_bytes;
        const std::size_t byte = random() % covered;
        row[byte] ^= static_cast<unsigned char>(1U << random() % 8U);
        Life after(records);
        const LearnedAdoption found = after.table.adopt(kCapacity, kNow);
        EXPECT_EQ(found.damaged, 1U) << "byte " << byte;
        EXPECT_EQ(found.adopted, 99U) << "byte " << byte;
    }
}

TEST(LearnedAdoption, AnyGarbageIsSurvived) {
    std::mt19937_64 random(6);
    for (int round = 0; round < 100; ++round) {
        const Pages records(LearnedTable::record_bytes(kCapacity));
        {
            Life before(records);
            fill(before.table);
        }
        auto* const bytes = static_cast<unsigned char*>(records.data());
        const std::size_t hits = std::size_t{1} << random() % 16U;
        for (std::size_t i = 0; i < hits; ++i) {
            bytes[random() % LearnedTable::record_bytes(kCapacity)] =
                static_cast<unsigned char>(random());
        }
        Life after(records);
        const LearnedAdoption found = after.table.adopt(kCapacity, kNow, round % 4 != 0);
        EXPECT_EQ(after.table.size(), found.adopted);
        for (std::uint32_t i = 0; i < 200; ++i) {
            (void)after.table.learn(LearnedKey::mac(kDomain, value_of(i, {}, 0).mac), {}, 0, kNow);
        }
        std::uint32_t cursor = 0;
        after.table.flush(LearnedFilter{}, cursor, kCapacity);
        EXPECT_EQ(after.table.size(), 0U) << "round " << round;
        EXPECT_EQ(after.table.count(kA, LearnedKind::kBinding), 0U) << "round " << round;
    }
}

}  // namespace
}  // namespace sluice
