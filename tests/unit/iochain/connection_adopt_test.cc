// SPDX-License-Identifier: Apache-2.0
// Taking over the records of a process that is gone: what checks out goes on, what does not is
// dropped, whatever the memory holds.
#include <gtest/gtest.h>

#include <cstddef>
#include <memory>
#include <random>

#include "connection_rig.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kSeed = 0x5eed;
constexpr std::uint32_t kCapacity = 4096;

/// Zero pages.
class Pages {
public:
    explicit Pages(std::size_t bytes) : bytes_(bytes) {
        data_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    ~Pages() { munmap(data_, bytes_); }
    Pages(const Pages&) = delete;
    Pages& operator=(const Pages&) = delete;
    [[nodiscard]] void* data() const { return data_; }

private:
    std::size_t bytes_;
    void* data_;
};

/// A table with an index of its own over records that may be another one's.
class Life {
public:
    explicit Life(const Pages& records, unsigned workers = 1)
        : index_(ConnectionTable::index_bytes(kCapacity)),
          table({index_.data(), records.data()}, kCapacity, workers, kSeed) {
        table.configure(kTimeouts, {});
    }

    /// What the datapath does with a segment that no policy stops.
    DropReason send(const Segment& segment, bool may_open = true) {
        const Frame frame = tcp_frame(segment);
        const TupleOfFrame tuple = tuple_of(frame.parsed.key, kDomain);
        ConnectionHandle handle = table.find(tuple, now_ns);
        if (!handle.is_set()) {
            if (!may_open) { return DropReason::kDfwDeny; }
            OpenRequest request;
            request.tuple = tuple;
            request.opener_port = kPortOfA;
            request.responder_port = PortIndex{9};
            request.opener_stateful = true;
            request.judged_generation = 5;
            const OpenResult opened = table.open(0, request, frame.parsed, now_ns);
            if (!opened.handle.is_set()) { return opened.reason; }
            handle = opened.handle;
        }
        last = handle;
        return table.track(frame.parsed, handle, table.side_of(handle, tuple), now_ns).reason;
    }
    void establish(std::uint16_t port) {
        ASSERT_EQ(send({From::kA, kTcpSyn, 100, 0, 0, 65535, {}, port}), DropReason::kNone);
        ASSERT_EQ(send({From::kB, kTcpSyn | kTcpAck, 500, 101, 0, 65535, {}, port}),
                  DropReason::kNone);
        ASSERT_EQ(send({From::kA, kTcpAck, 101, 501, 0, 65535, {}, port}), DropReason::kNone);
    }
    DropReason data(std::uint16_t port, std::uint32_t beyond = 0) {
        return send({From::kA, kTcpAck, 101 + beyond, 501, 10, 65535, {}, port}, false);
    }

private:
    Pages index_;

public:
    ConnectionTable table;
    std::uint64_t now_ns = 1000 * kSecondNs;
    ConnectionHandle last;
};

Connection* records_of(const Pages& pages) { return static_cast<Connection*>(pages.data()); }

Pages records() { return Pages(ConnectionTable::record_bytes(kCapacity)); }

TEST(ConnectionAdoption, EstablishedConnectionsGoOnAndNothingElseDoes) {
    const Pages memory = records();
    {
        Life before(memory);
        for (std::uint16_t i = 0; i < 1000; ++i) { before.establish(1000 + i); }
        EXPECT_EQ(before.send({From::kA, kTcpSyn, 1, 0, 0, 65535, {}, 5000}), DropReason::kNone);
    }
    Life after(memory, 4);
    const ConnectionAdoption found = after.table.adopt(kCapacity, after.now_ns);
    EXPECT_EQ(found.adopted, 1001U);
    EXPECT_EQ(found.damaged + found.lenient + found.expired, 0U);
    EXPECT_EQ(after.table.size(), 1001U);
    EXPECT_EQ(after.table.size_of_port(kPortOfA), 1001U);
    EXPECT_EQ(after.table.half_open_of_port(kPortOfA), 1U);
    for (std::uint16_t i = 0; i < 1000; ++i) {
        ASSERT_EQ(after.data(1000 + i), DropReason::kNone);
        Connection record;
        ASSERT_TRUE(after.table.snapshot(after.last, record));
        EXPECT_EQ(record.judged_generation, 0U);  // Judged anew by whoever comes next.
        EXPECT_EQ(record.responder_port, PortIndex{9});
    }
    EXPECT_EQ(after.data(1000, 10'000'000), DropReason::kTcpWindow);
    EXPECT_EQ(after.data(7777), DropReason::kDfwDeny);
    after.establish(8000);
    EXPECT_EQ(after.table.size(), 1002U);
}

TEST(ConnectionAdoption, AFlippedBitOfAnIdentityIsDropped) {
    std::mt19937_64 random(11);
    for (int round = 0; round < 500; ++round) {
        const Pages memory = records();
        {
            Life before(memory);
            for (std::uint16_t i = 0; i < 8; ++i) { before.establish(1000 + i); }
        }
        // The rules and the generation in between say nothing on whose record it is.
        const std::size_t rules = offsetof(Connection, opener_rule);
        const std::size_t check = offsetof(Connection, identity_check);
        std::size_t byte = random() % (rules + 4U);
        if (byte >= rules) { byte = check + (byte - rules); }
        const std::uint32_t hit = random() % 8U;
        reinterpret_cast<unsigned char*>(&records_of(memory)[hit])[byte] ^=
            static_cast<unsigned char>(1U << random() % 8U);
        Life after(memory);
        const ConnectionAdoption found = after.table.adopt(kCapacity, after.now_ns);
        EXPECT_EQ(found.damaged, 1U) << "byte " << byte;
        EXPECT_EQ(found.adopted, 7U) << "byte " << byte;
        for (std::uint16_t i = 0; i < 8; ++i) {
            EXPECT_EQ(after.data(1000 + i), i == hit ? DropReason::kDfwDeny : DropReason::kNone);
        }
    }
}

TEST(ConnectionAdoption, OneCaughtInTheMiddleOfAChangeIsKeptLeniently) {
    const Pages memory = records();
    {
        Life before(memory);
        before.establish(1000);
        before.establish(1001);
    }
    records_of(memory)[0].lock = 1;
    records_of(memory)[0].peer[0].max_end = 7;
    Life after(memory);
    const ConnectionAdoption found = after.table.adopt(kCapacity, after.now_ns);
    EXPECT_EQ(found.adopted, 2U);
    EXPECT_EQ(found.lenient, 1U);
    EXPECT_EQ(after.data(1000, 200'000), DropReason::kNone);
    EXPECT_EQ(after.data(1001, 10'000'000), DropReason::kTcpWindow);
}

TEST(ConnectionAdoption, ASingleWorkerMarksWhatItChanges) {
    const Pages memory = records();
    Life life(memory);
    life.establish(1000);
    std::uint8_t* const lock = &records_of(memory)[0].lock;
    EXPECT_EQ(*lock, 0);
    std::uint8_t during = 0;
    struct Seen {
        const std::uint8_t* lock;
        std::uint8_t* out;
    } seen{lock, &during};
    const auto look = [](void* argument) {
        const auto& into = *static_cast<Seen*>(argument);
        *into.out = *into.lock;
    };
    EXPECT_TRUE(life.table.run_locked(life.last, look, &seen));
    EXPECT_EQ(during, 1);
    EXPECT_EQ(*lock, 0);
}

TEST(ConnectionAdoption, ExpiredOnesAreFreed) {
    const Pages memory = records();
    {
        Life before(memory);
        before.establish(1000);
        ASSERT_EQ(before.send({From::kA, kTcpSyn, 1, 0, 0, 65535, {}, 1001}), DropReason::kNone);
    }
    Life after(memory);
    after.now_ns += 200 * kSecondNs;  // A SYN lives 120 s.
    const ConnectionAdoption found = after.table.adopt(kCapacity, after.now_ns);
    EXPECT_EQ(found.adopted, 1U);
    EXPECT_EQ(found.expired, 1U);
    EXPECT_EQ(after.data(1000), DropReason::kNone);
}

TEST(ConnectionAdoption, SchemaThreeHasNoChecks) {
    const Pages memory = records();
    {
        Life before(memory);
        for (std::uint16_t i = 0; i < 100; ++i) { before.establish(1000 + i); }
    }
    for (std::uint32_t i = 0; i < 100; ++i) { records_of(memory)[i].identity_check = i % 3U; }
    {
        Life after(memory);
        EXPECT_EQ(after.table.adopt(kCapacity, after.now_ns, nullptr, false).adopted, 100U);
        for (std::uint16_t i = 0; i < 100; ++i) {
            EXPECT_EQ(after.data(1000 + i), DropReason::kNone);
        }
    }
    Life third(memory);  // What was adopted has checks now.
    EXPECT_EQ(third.table.adopt(kCapacity, third.now_ns).adopted, 100U);
}

TEST(ConnectionAdoption, HalfOpenOnesGiveWayInTheirOrder) {
    const Pages memory = records();
    {
        Life before(memory);
        for (std::uint16_t i = 0; i < 10; ++i) {
            before.now_ns += kSecondNs;
            ASSERT_EQ(before.send({From::kA, kTcpSyn, 1, 0, 0, 65535, {}, std::uint16_t(1000 + i)}),
                      DropReason::kNone);
        }
    }
    Life after(memory);
    after.now_ns += 11 * kSecondNs;
    ConnectionLimits limits;
    limits.half_open_per_port = 10;
    after.table.configure(kTimeouts, limits);
    EXPECT_EQ(after.table.adopt(kCapacity, after.now_ns).adopted, 10U);
    ASSERT_EQ(after.send({From::kA, kTcpSyn, 1, 0, 0, 65535, {}, 2000}), DropReason::kNone);
    EXPECT_EQ(after.table.early_drops(), 1U);
    const auto is_there = [&](std::uint16_t port) {
        const Frame frame = tcp_frame({From::kA, kTcpSyn, 1, 0, 0, 65535, {}, port});
        return after.table.find(tuple_of(frame.parsed.key, kDomain), after.now_ns).is_set();
    };
    EXPECT_FALSE(is_there(1000));
    EXPECT_TRUE(is_there(1001));
}

TEST(ConnectionAdoption, BackFromAnotherProcessHandlesOfEndedOnesAreStale) {
    const Pages memory = records();
    Life one(memory);
    one.establish(1000);
    const ConnectionHandle first = one.last;
    one.establish(1001);
    const ConnectionHandle second = one.last;
    {
        Life other(memory);
        ASSERT_EQ(other.table.adopt(kCapacity, other.now_ns).adopted, 2U);
        ASSERT_EQ(other.data(1000), DropReason::kNone);
        other.table.close(0, other.last);
        other.establish(1002);
    }
    EXPECT_EQ(one.table.adopt(kCapacity, one.now_ns).adopted, 2U);
    EXPECT_EQ(one.table.get(first), nullptr);
    EXPECT_NE(one.table.get(second), nullptr);
    EXPECT_EQ(one.data(1000), DropReason::kDfwDeny);
    EXPECT_EQ(one.data(1001), DropReason::kNone);
    EXPECT_EQ(one.data(1002), DropReason::kNone);
}

TEST(ConnectionAdoption, RoomThatIsNotThereYetIsNotUsed) {
    const Pages memory = records();
    Life life(memory);
    life.table.set_ready(10);
    for (std::uint16_t i = 0; i < 10; ++i) { life.establish(1000 + i); }
    EXPECT_EQ(life.send({From::kA, kTcpSyn, 1, 0, 0, 65535, {}, 2000}),
              DropReason::kConnectionLimit);
    life.table.set_ready(11);
    EXPECT_EQ(life.send({From::kA, kTcpSyn, 1, 0, 0, 65535, {}, 2000}), DropReason::kNone);
}

// Whatever the memory holds: nothing crashes, and the books of the table agree with what is in it.
TEST(ConnectionAdoption, AnyGarbageIsSurvived) {
    const std::uint64_t seed = 77;
    std::mt19937_64 random(seed);
    for (int round = 0; round < 60; ++round) {
        const Pages memory = records();
        {
            Life before(memory);
            for (std::uint16_t i = 0; i < 200; ++i) { before.establish(1000 + i); }
        }
        auto* const bytes = static_cast<unsigned char*>(memory.data());
        const std::size_t size = ConnectionTable::record_bytes(kCapacity);
        const std::size_t hits = std::size_t{1} << random() % 16U;
        for (std::size_t i = 0; i < hits; ++i) {
            const std::size_t at = random() % (round % 2 == 0 ? 200U * 128U : size);
            bytes[at] = static_cast<unsigned char>(random());
        }
        Life after(memory, round % 3 == 0 ? 2 : 1);
        const ConnectionAdoption found =
            after.table.adopt(kCapacity, after.now_ns, nullptr, round % 5 != 0);
        EXPECT_EQ(after.table.size(), found.adopted) << "seed " << seed << " round " << round;
        for (std::uint16_t i = 0; i < 300; ++i) {
            (void)after.data(static_cast<std::uint16_t>(1000 + i),
                             static_cast<std::uint32_t>(random() % 100000U));
        }
        for (std::uint16_t i = 0; i < 300; ++i) {
            (void)after.send({From::kA, kTcpSyn, 1, 0, 0, 65535, {}, std::uint16_t(3000 + i)});
        }
        after.now_ns += 3600 * kSecondNs;
        after.table.sweep(0, kCapacity, after.now_ns);
        std::uint32_t cursor = 0;
        after.table.flush(0, kNoPort, cursor, kCapacity);
        EXPECT_EQ(after.table.size(), 0U) << "seed " << seed << " round " << round;
        EXPECT_EQ(after.table.size_of_port(kPortOfA), 0U) << "seed " << seed << " round " << round;
        EXPECT_EQ(after.table.half_open_of_port(kPortOfA), 0U) << "seed " << seed;
    }
}

}  // namespace
}  // namespace sluice::test
