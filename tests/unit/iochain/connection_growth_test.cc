// SPDX-License-Identifier: Apache-2.0
// The index grows with the connections: nothing is lost when a bucket is split, also while two
// workers open and look, and a large table costs few connections little memory. The threaded case
// is also run under ThreadSanitizer.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <barrier>
#include <thread>

#include "connection_rig.h"

namespace sluice::test {
namespace {

constexpr std::uint32_t kEach = 40'000;

// A UDP frame of a tuple of its own for each number below 2^20.
Frame frame_of(std::uint32_t n) {
    return udp(From::kA, static_cast<std::uint16_t>(n),
               static_cast<std::uint16_t>(5000 + (n >> 16U)));
}
TupleOfFrame tuple_at(std::uint32_t n) { return tuple_of(frame_of(n).parsed.key, kDomain); }

OpenResult open(ConnectionTable& table, unsigned worker, std::uint32_t n, std::uint64_t now_ns) {
    const Frame frame = frame_of(n);
    OpenRequest request;
    request.tuple = tuple_of(frame.parsed.key, kDomain);
    request.opener_port = kPortOfA;
    return table.open(worker, request, frame.parsed, now_ns);
}

TEST(ConnectionGrowth, KeepsEveryConnectionFindable) {
    ConnectionRig rig(8 * kEach);
    std::vector<ConnectionHandle> handles;
    for (std::uint32_t i = 0; i < 4 * kEach; ++i) {
        const OpenResult opened = open(rig.table, 0, i, rig.now_ns);
        ASSERT_TRUE(opened.opened) << i;
        handles.push_back(opened.handle);
        const std::uint32_t other = i / 2;
        ASSERT_EQ(rig.table.find(tuple_at(other), rig.now_ns), handles[other]) << i;
    }
    for (std::uint32_t i = 0; i < handles.size(); ++i) {
        ASSERT_EQ(rig.table.find(tuple_at(i), rig.now_ns), handles[i]) << i;
        rig.table.close(0, handles[i]);
        ASSERT_FALSE(rig.table.find(tuple_at(i), rig.now_ns).is_set()) << i;
    }
    EXPECT_EQ(rig.table.size(), 0U);
}

TEST(ConnectionGrowth, TouchesAsMuchMemoryAsTheConnectionsNeed) {
    constexpr std::uint32_t kCapacity = 8'000'000;
    constexpr std::uint32_t kCount = 10'000;
    const Arena arena(kCapacity);
    ConnectionTable table(arena.data(), kCapacity, 1, 1);
    table.configure(kTimeouts, {});
    for (std::uint32_t i = 0; i < kCount; ++i) { ASSERT_TRUE(open(table, 0, i, kSecondNs).opened); }
    std::vector<unsigned char> resident(arena.size() / 4096);
    ASSERT_EQ(mincore(arena.data(), arena.size(), resident.data()), 0);
    std::size_t bytes = 0;
    for (const unsigned char page : resident) { bytes += (page & 1U) * 4096U; }
    const std::size_t needed =
        kCount * (sizeof(Connection) + sizeof(std::uint32_t)) + kCount / 5 * 64 + 7 * 4096;
    EXPECT_GE(bytes, kCount * sizeof(Connection));
    EXPECT_LE(bytes, needed + 8 * 4096)
        << "header, index, chains and records, each rounded to pages";
}

TEST(ConnectionGrowth, LosesNothingWhileTwoWorkersOpenAndLook) {
    ConnectionRig rig(8 * kEach, {}, 2);
    std::barrier start(2);
    std::uint32_t missed[2] = {};
    const auto work = [&](unsigned worker) {
        start.arrive_and_wait();
        for (std::uint32_t i = 0; i < kEach; ++i) {
            const std::uint32_t n = 2 * i + worker;
            const OpenResult opened = open(rig.table, worker, n, rig.now_ns);
            const std::uint32_t other = 2 * (i * 7U % (i + 1U)) + worker;
            missed[worker] += opened.opened ? 0 : 1;
            missed[worker] += rig.table.find(tuple_at(other), rig.now_ns).is_set() ? 0 : 1;
        }
    };
    std::thread other(work, 1);
    work(0);
    other.join();
    EXPECT_EQ(missed[0], 0U);
    EXPECT_EQ(missed[1], 0U);
    for (std::uint32_t n = 0; n < 2 * kEach; ++n) {
        ASSERT_TRUE(rig.table.find(tuple_at(n), rig.now_ns).is_set()) << n;
    }
    EXPECT_EQ(rig.table.size(), 2 * kEach);
    std::uint32_t cursor = 0;
    EXPECT_EQ(rig.table.flush(1, kNoPort, cursor, 8 * kEach), 2 * kEach);
}

}  // namespace
}  // namespace sluice::test
