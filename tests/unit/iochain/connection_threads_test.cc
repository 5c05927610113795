// SPDX-License-Identifier: Apache-2.0
// Two workers on one table: one record a tuple, counters that come out even, nothing lost. Also run
// under ThreadSanitizer.
#include <gtest/gtest.h>

#include <barrier>
#include <thread>

#include "connection_rig.h"

namespace sluice::test {
namespace {

constexpr std::uint32_t kTuples = 400;

Frame frame_of(From from, std::uint32_t n) {
    const auto port = static_cast<std::uint16_t>(1000 + n);
    return from == From::kA ? udp(from, port, 5353) : udp(from, 5353, port);
}

TEST(ConnectionThreads, OpenOneRecordOfOneTuple) {
    ConnectionRig rig(kTuples, {}, 2);
    std::vector<ConnectionHandle> seen[2] = {std::vector<ConnectionHandle>(kTuples),
                                             std::vector<ConnectionHandle>(kTuples)};
    std::uint32_t opened[2] = {};
    std::barrier start(2);
    const auto work = [&](unsigned worker) {
        for (std::uint32_t i = 0; i < kTuples - 64;
             ++i) {  // Each worker may hoard a few free records.
            const Frame frame = frame_of(worker == 0 ? From::kA : From::kB, i);
            const OpenRequest request = rig.request_of(tuple_of(frame.parsed.key, kDomain));
            if (i % 16 == 0) { start.arrive_and_wait(); }
            const OpenResult result = rig.table.open(worker, request, frame.parsed, rig.now_ns);
            seen[worker][i] = result.handle;
            opened[worker] += result.opened ? 1 : 0;
        }
    };
    std::thread other(work, 1);
    work(0);
    other.join();
    EXPECT_EQ(seen[0], seen[1]);
    EXPECT_EQ(opened[0] + opened[1], kTuples - 64);
    EXPECT_EQ(rig.table.size(), kTuples - 64);
}

TEST(ConnectionThreads, KeepTheBooksUnderOpenTrackCloseSweepAndFlush) {
    ConnectionRig rig(4096, {}, 2);
    std::barrier start(2);
    const auto work = [&](unsigned worker) {
        std::uint64_t random = worker + 1;
        std::uint64_t now = rig.now_ns;
        start.arrive_and_wait();
        for (int i = 0; i < 60'000; ++i) {
            random = random * 6364136223846793005ULL + 1442695040888963407ULL;
            const auto roll = static_cast<std::uint32_t>(random >> 40U);
            now += kSecondNs / 1000;
            const From from = worker == 0 ? From::kA : From::kB;
            Frame frame = frame_of(from, roll % kTuples);
            if (roll % kTuples < 100) {  // Some of them TCP: a handshake by two workers.
                Segment segment{
                    from, static_cast<std::uint8_t>(from == From::kA ? kTcpSyn : kTcpSyn | kTcpAck),
                    1000, 1001};
                segment.port_a = static_cast<std::uint16_t>(roll % kTuples + 1);
                frame = tcp_frame(segment);
            }
            const TupleOfFrame tuple = tuple_of(frame.parsed.key, kDomain);
            ConnectionHandle handle = rig.table.find(tuple, now);
            if (!handle.is_set()) {
                handle = rig.table.open(worker, rig.request_of(tuple), frame.parsed, now).handle;
            }
            if (!handle.is_set()) { continue; }
            rig.table.track(frame.parsed, handle, rig.table.side_of(handle, tuple), now);
            rig.table.account(handle, 1, 64);
            if (roll % 7 == 0) { rig.table.close(worker, handle); }
            if (roll % 11 == 0) { rig.table.sweep(worker, 50, now + 20 * kSecondNs); }
            if (roll % 4001 == 0) {
                std::uint32_t cursor = 0;
                rig.table.flush(worker, roll % 2 == 0 ? kNoPort : kPortOfA, cursor, 5000);
            }
            if (roll % 13 == 0) {
                Connection record;
                if (rig.table.snapshot(handle, record)) { EXPECT_EQ(record.tuple, tuple.tuple); }
            }
        }
    };
    std::thread other(work, 1);
    work(0);
    other.join();
    std::uint32_t listed = 0;
    std::uint32_t half_open = 0;
    rig.table.for_each(0, rig.table.capacity(), 0, [&](const Connection& record) {
        ++listed;
        half_open += (record.flags & kConnHalfOpen) != 0 ? 1 : 0;
    });
    EXPECT_EQ(rig.table.size(), listed);
    EXPECT_EQ(rig.table.size_of_port(kPortOfA), listed);
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), half_open);
    std::uint32_t cursor = 0;
    EXPECT_EQ(rig.table.flush(0, kNoPort, cursor, 5000), listed);
    EXPECT_EQ(rig.table.size(), 0U);
    EXPECT_EQ(rig.table.size_of_port(kPortOfA), 0U);
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), 0U);
    for (std::uint32_t i = 0; i < 4000;
         ++i) {  // Every record came back, but for what the other worker keeps.
        const Frame frame = udp(From::kA, static_cast<std::uint16_t>(i), 9);
        ASSERT_TRUE(rig.table
                        .open(0, rig.request_of(tuple_of(frame.parsed.key, kDomain)), frame.parsed,
                              rig.now_ns)
                        .opened)
            << i;
    }
}

}  // namespace
}  // namespace sluice::test
