// SPDX-License-Identifier: Apache-2.0
// The fragment stage: later fragments take over their head's ports; contradictions, strays and
// floods are refused.
#include "datapath/fragment.h"

#include <gtest/gtest.h>

#include <random>

#include "parse_frames.h"

namespace sluice::datapath::test {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

/// A piece [begin, end) of a UDP datagram of `total` bytes in IPv4.
Bytes piece4(unsigned begin, unsigned end, unsigned total, std::uint16_t id = 1,
             const Ends& ends = {}) {
    const Bytes datagram = udp(5000, 53, Bytes(total - 8, 'x'), ends);
    const auto field = static_cast<std::uint16_t>(begin / 8 | (end < total ? 0x2000U : 0U));
    return ipv4_frame(17, Bytes(datagram.begin() + begin, datagram.begin() + end), ends,
                      {.id = id, .fragment = field});
}

struct Stage {
    explicit Stage(const FragmentLimits& limits = {}) : table(limits, 42) {}

    FragmentResult take(const Bytes& bytes, std::uint64_t now_ns = kSecond,
                        PortIndex port = kPort) {
        mbuf = std::make_unique<Mbuf>(bytes);
        parse_mbuf(mbuf->head(), port, frame);
        EXPECT_EQ(frame.reason, DropReason::kNone);
        EXPECT_TRUE(frame.fragment);
        return table.complete(frame, now_ns);
    }
    DropReason reason(const Bytes& bytes, std::uint64_t now_ns = kSecond, PortIndex port = kPort) {
        return take(bytes, now_ns, port).reason;
    }

    FragmentTable table;
    std::unique_ptr<Mbuf> mbuf;
    ParsedFrame frame;
};

TEST(Fragment, LaterFragmentHasTheKeyOfItsHead) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(0, 64, 100)), DropReason::kNone);
    const FlowKey head = stage.frame.key;
    EXPECT_TRUE(head.has(kKeyFragment));
    const FragmentResult last = stage.take(piece4(64, 100, 100));
    EXPECT_EQ(last.reason, DropReason::kNone);
    EXPECT_TRUE(last.complete);
    EXPECT_EQ(stage.frame.key, head);
    EXPECT_EQ(head.destination_port.host(), 53);
}

TEST(Fragment, CompleteOnlyWithTheLastGapFilled) {
    Stage stage;
    EXPECT_FALSE(stage.take(piece4(0, 16, 96)).complete);
    EXPECT_FALSE(stage.take(piece4(48, 64, 96)).complete);
    EXPECT_FALSE(stage.take(piece4(80, 96, 96)).complete);
    EXPECT_FALSE(stage.take(piece4(16, 48, 96)).complete);
    const FragmentResult result = stage.take(piece4(64, 80, 96));
    EXPECT_EQ(result.reason, DropReason::kNone);
    EXPECT_TRUE(result.complete);
}

TEST(Fragment, WholeDatagramIsTheHeadsHeaderAndTheFullSize) {
    Stage stage;
    const Bytes segment = tcp(kTcpAck | kTcpPsh, Bytes(980, 'd'));
    const auto piece = [&](long begin, long end, std::uint16_t field) {
        return ipv4_frame(6, Bytes(segment.begin() + begin, segment.begin() + end), {},
                          {.fragment = field});
    };
    EXPECT_FALSE(stage.take(piece(0, 504, 0x2000)).complete);
    const FragmentResult last = stage.take(piece(504, 1000, 63));
    ASSERT_TRUE(last.complete);
    ParsedFrame whole;
    ASSERT_TRUE(stage.table.whole(last.datagram, whole));
    EXPECT_EQ(whole.l4_size, 1000U);
    EXPECT_EQ(whole.tcp_flags, kTcpAck | kTcpPsh);
    EXPECT_EQ(whole.tcp_header_size, 20);
    EXPECT_EQ(std::memcmp(whole.data + whole.l4_offset, segment.data(), 20), 0);
    EXPECT_EQ(whole.key, stage.frame.key);
}

TEST(Fragment, Ipv6ProtocolBehindExtensionHeadersIsTakenOver) {
    Stage stage;
    const Bytes part = Bytes{17, 0, 1, 4, 0, 0, 0, 0} + udp(5000, 53, Bytes(48, 'x'), {}, true);
    const auto piece = [&](long begin, long end, bool more) {
        return ipv6_frame(44, fragment_header(60, static_cast<unsigned>(begin), more) +
                                  Bytes(part.begin() + begin, part.begin() + end));
    };
    EXPECT_EQ(stage.reason(piece(0, 40, true)), DropReason::kNone);
    const FlowKey head = stage.frame.key;
    const FragmentResult last = stage.take(piece(40, 64, false));
    EXPECT_TRUE(last.complete);
    EXPECT_EQ(stage.frame.key, head);
    ParsedFrame whole;
    ASSERT_TRUE(stage.table.whole(last.datagram, whole));
    EXPECT_EQ(whole.l4_size, 56U);
}

TEST(Fragment, StrangersDoNotMix) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(0, 64, 100)), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100, 2)), DropReason::kFragmentNoHead);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100, 1, {.vlan = 7})), DropReason::kFragmentNoHead);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100, 1, {.source4 = {10, 9, 9, 9}})),
              DropReason::kFragmentNoHead);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100), kSecond, PortIndex{4}),
              DropReason::kFragmentNoHead);
    const Bytes tail_of_other_protocol = ipv4_frame(136, Bytes(8), {}, {.fragment = 8});
    EXPECT_EQ(stage.reason(tail_of_other_protocol), DropReason::kFragmentNoHead);
    EXPECT_TRUE(stage.take(piece4(64, 100, 100)).complete);
}

TEST(Fragment, OverlapPoisonsTheDatagram) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(0, 64, 104)), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(56, 104, 104)), DropReason::kBadFragment);
    EXPECT_EQ(stage.reason(piece4(64, 104, 104)), DropReason::kBadFragment);
}

TEST(Fragment, ExactDuplicateIsRefused) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(0, 64, 104)), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(0, 64, 104)), DropReason::kBadFragment);
}

TEST(Fragment, TailBeforeHeadIsDroppedAndNeverComplete) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(64, 100, 100)), DropReason::kFragmentNoHead);
    const FragmentResult head = stage.take(piece4(0, 64, 100));
    EXPECT_EQ(head.reason, DropReason::kNone);
    EXPECT_FALSE(head.complete);
    ParsedFrame whole;
    EXPECT_FALSE(stage.table.whole(head.datagram, whole));
}

TEST(Fragment, HeadThatOverlapsAnEarlierTailIsRefused) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(56, 104, 104)), DropReason::kFragmentNoHead);
    EXPECT_EQ(stage.reason(piece4(0, 64, 104)), DropReason::kBadFragment);
}

TEST(Fragment, TwoEndsAreRefused) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(0, 32, 104)), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(64, 104, 104)), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(104, 120, 120)), DropReason::kBadFragment);
    EXPECT_EQ(stage.reason(piece4(32, 64, 104)), DropReason::kBadFragment);
}

TEST(Fragment, EndBeforeWhatCameIsRefused) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(0, 16, 200)), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(96, 128, 200)), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(32, 64, 64)), DropReason::kBadFragment);
}

TEST(Fragment, UdpLengthBeyondTheDatagramIsRefused) {
    Stage stage;
    Bytes head = piece4(0, 64, 200);
    EXPECT_EQ(stage.reason(head), DropReason::kNone);
    const Bytes tail = ipv4_frame(17, Bytes(8), {}, {.fragment = 8});
    EXPECT_EQ(stage.reason(tail), DropReason::kBadFragment);
}

TEST(Fragment, RefusedHeadStopsWhatFollows) {
    Stage stage;
    const FragmentResult head = stage.take(piece4(0, 64, 100));
    stage.table.refuse(head.datagram);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100)), DropReason::kFragmentNoHead);
}

TEST(Fragment, TimeoutCountsFromTheFirstFragment) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(0, 32, 100), 0), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(32, 64, 100), 14 * kSecond), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100), 16 * kSecond), DropReason::kFragmentNoHead);
    const auto piece6 = [](unsigned begin, bool more, const Bytes& bytes) {
        return ipv6_frame(44, fragment_header(17, begin, more) + bytes);
    };
    EXPECT_EQ(stage.reason(piece6(0, true, udp(1, 2, Bytes(24), {}, true)), 0), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece6(32, true, Bytes(8)), 59 * kSecond), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece6(40, false, Bytes(8)), 61 * kSecond), DropReason::kFragmentNoHead);
}

TEST(Fragment, IdMayBeUsedAgainAfterCompletion) {
    Stage stage;
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(stage.reason(piece4(0, 64, 100)), DropReason::kNone);
        EXPECT_TRUE(stage.take(piece4(64, 100, 100)).complete);
    }
    EXPECT_EQ(stage.table.size(), 1U);
}

TEST(Fragment, APortAtItsQuotaLosesItsOwnOldest) {
    Stage stage({.capacity = 16, .per_port = 4});
    EXPECT_EQ(stage.reason(piece4(0, 64, 100, 99), kSecond, PortIndex{9}), DropReason::kNone);
    for (std::uint16_t id = 0; id < 100; ++id) {
        EXPECT_EQ(stage.reason(piece4(0, 64, 100, id)), DropReason::kNone);
    }
    EXPECT_EQ(stage.table.size(), 5U);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100, 96)), DropReason::kNone);
    EXPECT_TRUE(stage.take(piece4(64, 100, 100, 99), kSecond, PortIndex{9}).complete);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100, 90)), DropReason::kFragmentNoHead);
}

TEST(Fragment, FullTableRefusesNewPortsUntilTimeouts) {
    Stage stage({.capacity = 8, .per_port = 4});
    for (std::uint16_t id = 0; id < 8; ++id) {
        EXPECT_EQ(stage.reason(piece4(0, 64, 100, id), 0,
                               PortIndex{static_cast<std::uint16_t>(1 + id / 4)}),
                  DropReason::kNone);
    }
    EXPECT_EQ(stage.reason(piece4(0, 64, 100, 50), kSecond, PortIndex{3}),
              DropReason::kFragmentTableFull);
    EXPECT_EQ(stage.reason(piece4(0, 64, 100, 50), 16 * kSecond, PortIndex{3}), DropReason::kNone);
}

TEST(Fragment, Flush) {
    Stage stage;
    EXPECT_EQ(stage.reason(piece4(0, 64, 100, 1)), DropReason::kNone);
    EXPECT_EQ(stage.reason(piece4(0, 64, 100, 1), kSecond, PortIndex{4}), DropReason::kNone);
    stage.table.flush(PortIndex{4});
    EXPECT_EQ(stage.table.size(), 1U);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100, 1), kSecond, PortIndex{4}),
              DropReason::kFragmentNoHead);
    stage.table.flush();
    EXPECT_EQ(stage.table.size(), 0U);
    EXPECT_EQ(stage.reason(piece4(64, 100, 100, 1)), DropReason::kFragmentNoHead);
}

/// Random pieces in random order against a map of bytes: same verdicts, and the table stays within
/// its size.
TEST(Fragment, AgreesWithAMapOfBytes) {
    constexpr unsigned kSeed = 4711;
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    std::mt19937 random(kSeed);
    Stage stage({.capacity = 64, .per_port = 64});
    for (int round = 0; round < 3000; ++round) {
        const unsigned total = 16 + below(random, 10) * 8 + below(random, 8);
        std::vector<int> seen(total, 0);
        bool poisoned = false, headless_loss = false, head = false;
        const auto id = static_cast<std::uint16_t>(round);
        for (int i = 0; i < 6; ++i) {
            const unsigned begin =
                i == 0 && below(random, 4) != 0 ? 0 : below(random, total / 8) * 8;
            unsigned end = begin + (1 + below(random, 4)) * 8;
            if (end > total || below(random, 4) == 0) { end = total; }
            if (begin == 0 && end < 16) { end = 16; }
            if (begin == 0 && end >= total) { continue; }  // Not a fragment.
            const FragmentResult result = stage.take(piece4(begin, end, total, id));
            for (unsigned at = begin; at < end; ++at) { poisoned |= seen[at]++ != 0; }
            const bool all = std::find(seen.begin(), seen.end(), 0) == seen.end();
            if (poisoned) {
                ASSERT_EQ(result.reason, DropReason::kBadFragment);
                break;
            }
            head |= begin == 0;
            headless_loss |= !head;
            ASSERT_EQ(result.reason, head ? DropReason::kNone : DropReason::kFragmentNoHead);
            ASSERT_EQ(result.complete, all && !headless_loss);
            if (all) { break; }
        }
        ASSERT_LE(stage.table.size(), 64U);
    }
}

}  // namespace
}  // namespace sluice::datapath::test
