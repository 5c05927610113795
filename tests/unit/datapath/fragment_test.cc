// SPDX-License-Identifier: Apache-2.0
// The fragment stage: later fragments take over their head's ports, early ones wait for it;
// contradictions, strays and floods are refused.
#include "datapath/fragment.h"

#include <gtest/gtest.h>

#include <random>

#include "parse_frames.h"

namespace sluice::datapath::test {
namespace {

constexpr std::uint64_t kSecond = 1'000'000'000;

/// A piece [begin, end) of `datagram` in IPv4.
Bytes piece_of(const Bytes& datagram, std::uint8_t protocol, unsigned begin, unsigned end,
               std::uint16_t id = 1, const Ends& ends = {}) {
    const auto field =
        static_cast<std::uint16_t>(begin / 8 | (end < datagram.size() ? 0x2000U : 0U));
    return ipv4_frame(protocol, Bytes(datagram.begin() + begin, datagram.begin() + end), ends,
                      {.id = id, .fragment = field});
}

/// A piece [begin, end) of a UDP datagram of `total` bytes in IPv4.
Bytes piece4(unsigned begin, unsigned end, unsigned total, std::uint16_t id = 1,
             const Ends& ends = {}) {
    return piece_of(udp(5000, 53, Bytes(total - 8, 'x'), ends), 17, begin, end, id, ends);
}

/// The table, and all frames that it was offered, on their way.
struct Stage {
    explicit Stage(const FragmentLimits& limits = {}) : table(limits, 42, &Stage::dropped, this) {}
    ~Stage() { table.flush(); }

    static void dropped(void* self, rte_mbuf&, DropReason reason) {
        static_cast<Stage*>(self)->drops.emplace_back(to_string(reason));
    }

    FragmentResult take(const Bytes& bytes, std::uint64_t now_ns = kSecond,
                        PortIndex port = kPort) {
        mbufs.push_back(std::make_unique<Mbuf>(bytes));
        rte_mbuf& mbuf = mbufs.back()->head();
        parse_mbuf(mbuf, port, frame);
        EXPECT_EQ(frame.reason, DropReason::kNone);
        EXPECT_TRUE(frame.fragment);
        return table.offer(mbuf, frame, now_ns);
    }
    /// "goes on", "held", "gathered", or why it is dropped.
    std::string fate(const Bytes& bytes, std::uint64_t now_ns = kSecond, PortIndex port = kPort) {
        last = take(bytes, now_ns, port);
        switch (last.fate) {
            case FragmentFate::kGoesOn: return "goes on";
            case FragmentFate::kHeld: return "held";
            case FragmentFate::kGathered: return "gathered";
            default: return std::string(to_string(last.reason));
        }
    }
    /// Fragment offsets of what follows the fragment of the last fate().
    std::vector<unsigned> following() {
        std::vector<unsigned> offsets;
        while (const rte_mbuf* next = table.next_held(last.datagram)) {
            ParsedFrame again;
            parse_mbuf(*next, frame.key.port, again);
            table.complete(last.datagram, again);
            EXPECT_EQ(again.key, frame.key);
            offsets.push_back(again.fragment_offset);
        }
        return offsets;
    }

    std::vector<std::string> drops;  // Of frames that waited.
    FragmentTable table;
    FragmentResult last;
    std::vector<std::unique_ptr<Mbuf>> mbufs;
    ParsedFrame frame;
};

TEST(Fragment, LaterFragmentHasTheKeyOfItsHead) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(0, 64, 100)), "goes on");
    const FlowKey head = stage.frame.key;
    EXPECT_TRUE(head.has(kKeyFragment));
    const FragmentResult last = stage.take(piece4(64, 100, 100));
    EXPECT_EQ(last.fate, FragmentFate::kGoesOn);
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
    EXPECT_EQ(result.fate, FragmentFate::kGoesOn);
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
    EXPECT_EQ(stage.fate(piece(0, 40, true)), "goes on");
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
    EXPECT_EQ(stage.fate(piece4(0, 64, 100)), "goes on");
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 2)), "held");
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 1, {.vlan = 7})), "held");
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 1, {.source4 = {10, 9, 9, 9}})), "held");
    EXPECT_EQ(stage.fate(piece4(64, 100, 100), kSecond, PortIndex{4}), "held");
    const Bytes tail_of_other_protocol = ipv4_frame(136, Bytes(8), {}, {.fragment = 8});
    EXPECT_EQ(stage.fate(tail_of_other_protocol), "held");
    EXPECT_TRUE(stage.take(piece4(64, 100, 100)).complete);
}

TEST(Fragment, OverlapPoisonsTheDatagram) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(0, 64, 104)), "goes on");
    EXPECT_EQ(stage.fate(piece4(56, 104, 104)), "bad_fragment");
    EXPECT_EQ(stage.fate(piece4(64, 104, 104)), "bad_fragment");
}

TEST(Fragment, DuplicateIsRefusedAlone) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(0, 64, 104)), "goes on");
    EXPECT_EQ(stage.fate(piece4(0, 64, 104)), "bad_fragment");
    EXPECT_EQ(stage.fate(piece4(8, 64, 104)), "bad_fragment");
    EXPECT_EQ(stage.fate(piece4(64, 104, 104)), "goes on");
    EXPECT_TRUE(stage.last.complete);
}

TEST(Fragment, WhatCameBeforeItsHeadFollowsItInOrderOfOffset) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(64, 100, 100)), "held");
    EXPECT_EQ(stage.fate(piece4(40, 64, 100)), "held");
    EXPECT_EQ(stage.table.held_count(), 2U);
    EXPECT_EQ(stage.fate(piece4(0, 40, 100)), "goes on");
    EXPECT_TRUE(stage.last.complete);
    EXPECT_EQ(stage.following(), (std::vector<unsigned>{40, 64}));
    EXPECT_EQ(stage.table.held_count(), 0U);
    EXPECT_TRUE(stage.drops.empty());
}

TEST(Fragment, WhatCameBeforeARefusedHeadIsDropped) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(64, 100, 100)), "held");
    EXPECT_EQ(stage.fate(piece4(0, 32, 100)), "goes on");
    stage.table.refuse(stage.last.datagram);
    EXPECT_EQ(stage.drops, (std::vector<std::string>{"fragment_no_head"}));
    EXPECT_EQ(stage.fate(piece4(32, 64, 100)), "fragment_no_head");
}

TEST(Fragment, HeadThatOverlapsAnEarlierTailIsRefusedWithIt) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(56, 104, 104)), "held");
    EXPECT_EQ(stage.fate(piece4(0, 64, 104)), "bad_fragment");
    EXPECT_EQ(stage.drops, (std::vector<std::string>{"bad_fragment"}));
}

TEST(Fragment, MalformedPieceCondemnsWhatCameAndWhatComes) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(64, 100, 100)), "held");
    Mbuf tiny(ipv4_frame(17, Bytes(3), {}, {.fragment = 0x2000}));
    ParsedFrame frame;
    parse_mbuf(tiny.head(), kPort, frame);
    ASSERT_EQ(frame.reason, DropReason::kBadFragment);
    ASSERT_TRUE(frame.fragment);
    stage.table.condemn(frame, DropReason::kBadFragment, kSecond);
    EXPECT_EQ(stage.drops, (std::vector<std::string>{"bad_fragment"}));
    EXPECT_EQ(stage.fate(piece4(0, 64, 100)), "bad_fragment");
}

TEST(Fragment, WrongChecksumIsNoticedWithTheLastPiece) {
    const auto last_of = [](std::uint8_t protocol, Bytes datagram) {
        Stage stage;
        const auto size = static_cast<unsigned>(datagram.size());
        EXPECT_EQ(stage.fate(piece_of(datagram, protocol, 0, 24)), "goes on");
        EXPECT_EQ(stage.fate(piece_of(datagram, protocol, 40, size)), "goes on");
        return stage.fate(piece_of(datagram, protocol, 24, 40));
    };
    const auto flipped = [](Bytes datagram) {
        datagram[45] ^= 1U;
        return datagram;
    };
    const Bytes datagrams[] = {udp(5000, 53, Bytes(51, 'x')), tcp(kTcpSyn, Bytes(40, 'x')),
                               icmp(8, 0, Bytes(61, 'x'))};
    const std::uint8_t protocols[] = {17, 6, 1};
    for (unsigned i = 0; i < 3; ++i) {
        EXPECT_EQ(last_of(protocols[i], datagrams[i]), "goes on") << i;
        EXPECT_EQ(last_of(protocols[i], flipped(datagrams[i])), "bad_l4_checksum") << i;
    }
    Bytes without = flipped(datagrams[0]);
    put16(without, 6, 0);
    EXPECT_EQ(last_of(17, without), "goes on");
    EXPECT_EQ(last_of(47, flipped(datagrams[0])), "goes on") << "a protocol whose sum nobody knows";
}

TEST(Fragment, TwoEndsAreRefused) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(0, 32, 104)), "goes on");
    EXPECT_EQ(stage.fate(piece4(64, 104, 104)), "goes on");
    EXPECT_EQ(stage.fate(piece4(104, 120, 120)), "bad_fragment");
    EXPECT_EQ(stage.fate(piece4(32, 64, 104)), "bad_fragment");
}

TEST(Fragment, EndBeforeWhatCameIsRefused) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(0, 16, 200)), "goes on");
    EXPECT_EQ(stage.fate(piece4(96, 128, 200)), "goes on");
    EXPECT_EQ(stage.fate(piece4(32, 64, 64)), "bad_fragment");
}

TEST(Fragment, UdpLengthBeyondTheDatagramIsRefused) {
    Stage stage;
    Bytes head = piece4(0, 64, 200);
    EXPECT_EQ(stage.fate(head), "goes on");
    const Bytes tail = ipv4_frame(17, Bytes(8), {}, {.fragment = 8});
    EXPECT_EQ(stage.fate(tail), "bad_fragment");
}

TEST(Fragment, RefusedHeadStopsWhatFollows) {
    Stage stage;
    const FragmentResult head = stage.take(piece4(0, 64, 100));
    stage.table.refuse(head.datagram);
    EXPECT_EQ(stage.fate(piece4(64, 100, 100)), "fragment_no_head");
}

TEST(Fragment, TimeoutCountsFromTheFirstFragment) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(0, 32, 100), 0), "goes on");
    EXPECT_EQ(stage.fate(piece4(32, 64, 100), 14 * kSecond), "goes on");
    EXPECT_EQ(stage.fate(piece4(64, 100, 100), 16 * kSecond), "held");
    const auto piece6 = [](unsigned begin, bool more, const Bytes& bytes) {
        return ipv6_frame(44, fragment_header(17, begin, more) + bytes);
    };
    EXPECT_EQ(stage.fate(piece6(0, true, udp(1, 2, Bytes(24), {}, true)), 0), "goes on");
    EXPECT_EQ(stage.fate(piece6(32, true, Bytes(8)), 59 * kSecond), "goes on");
    EXPECT_EQ(stage.fate(piece6(40, false, Bytes(8)), 61 * kSecond), "held");
}

TEST(Fragment, IdMayBeUsedAgainAfterCompletion) {
    Stage stage;
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(stage.fate(piece4(0, 64, 100)), "goes on");
        EXPECT_TRUE(stage.take(piece4(64, 100, 100)).complete);
    }
    EXPECT_EQ(stage.table.size(), 1U);
}

TEST(Fragment, APortAtItsQuotaLosesItsOwnOldest) {
    Stage stage({.capacity = 16, .per_port = 4});
    EXPECT_EQ(stage.fate(piece4(0, 64, 100, 99), kSecond, PortIndex{9}), "goes on");
    for (std::uint16_t id = 0; id < 100; ++id) {
        EXPECT_EQ(stage.fate(piece4(0, 64, 100, id)), "goes on");
    }
    EXPECT_EQ(stage.table.size(), 5U);
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 96)), "goes on");
    EXPECT_TRUE(stage.take(piece4(64, 100, 100, 99), kSecond, PortIndex{9}).complete);
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 90)), "held");
}

TEST(Fragment, FullTableRefusesNewPortsUntilTimeouts) {
    Stage stage({.capacity = 8, .per_port = 4});
    for (std::uint16_t id = 0; id < 8; ++id) {
        EXPECT_EQ(stage.fate(piece4(0, 64, 100, id), 0,
                             PortIndex{static_cast<std::uint16_t>(1 + id / 4)}),
                  "goes on");
    }
    EXPECT_EQ(stage.fate(piece4(0, 64, 100, 50), kSecond, PortIndex{3}), "fragment_table_full");
    EXPECT_EQ(stage.fate(piece4(0, 64, 100, 50), 16 * kSecond, PortIndex{3}), "goes on");
}

TEST(Fragment, Flush) {
    Stage stage;
    EXPECT_EQ(stage.fate(piece4(0, 64, 100, 1)), "goes on");
    EXPECT_EQ(stage.fate(piece4(0, 64, 100, 1), kSecond, PortIndex{4}), "goes on");
    stage.table.flush(PortIndex{4});
    EXPECT_EQ(stage.table.size(), 1U);
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 1), kSecond, PortIndex{4}), "held");
    stage.table.flush();
    EXPECT_EQ(stage.table.size(), 0U);
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 1)), "held");
}

TEST(Fragment, WhatWaitedTooLongIsDropped) {
    Stage stage({.capacity = 16});
    EXPECT_EQ(stage.fate(piece4(64, 100, 100), 0), "held");
    stage.table.sweep(15 * kSecond);
    EXPECT_TRUE(stage.drops.empty());
    stage.table.sweep(15 * kSecond + 1);
    EXPECT_EQ(stage.drops, (std::vector<std::string>{"fragment_timeout"}));
    EXPECT_EQ(stage.table.size(), 0U);
    stage.table.configure({.v4_ns = 2 * kSecond, .v6_ns = kSecond});
    EXPECT_EQ(stage.fate(piece4(64, 100, 100), 0), "held");
    EXPECT_EQ(stage.fate(piece4(0, 64, 100), 2 * kSecond + 1), "goes on") << "another datagram";
    EXPECT_EQ(stage.drops.size(), 2U);
    EXPECT_FALSE(stage.last.complete);
}

TEST(Fragment, APortThatHoldsTooMuchLosesItsOwnOldestDatagram) {
    Stage stage({.held = {.buffers = 8, .buffers_per_port = 3}});
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 50), kSecond, PortIndex{9}), "held");
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 1)), "held");
    EXPECT_EQ(stage.fate(piece4(32, 64, 100, 1)), "held");
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 2)), "held");
    EXPECT_TRUE(stage.drops.empty());
    EXPECT_EQ(stage.fate(piece4(64, 100, 100, 3)), "held");
    EXPECT_EQ(stage.drops,
              (std::vector<std::string>{"fragment_table_full", "fragment_table_full"}));
    EXPECT_EQ(stage.fate(piece4(0, 32, 100, 1)), "fragment_no_head") << "it lost two pieces";
    EXPECT_EQ(stage.fate(piece4(0, 64, 100, 2)), "goes on");
    EXPECT_EQ(stage.following().size(), 1U);
    EXPECT_EQ(stage.fate(piece4(0, 64, 100, 50), kSecond, PortIndex{9}), "goes on");
    EXPECT_EQ(stage.following().size(), 1U);
}

TEST(Fragment, ADatagramOfTooManyPiecesIsDropped) {
    Stage stage({.held = {.buffers = 8, .buffers_per_port = 3}});
    for (unsigned at = 16; at < 40; at += 8) {
        EXPECT_EQ(stage.fate(piece4(at, at + 8, 100)), "held");
    }
    EXPECT_EQ(stage.fate(piece4(40, 48, 100)), "fragment_table_full");
    EXPECT_EQ(stage.drops.size(), 3U);
    EXPECT_EQ(stage.fate(piece4(0, 16, 100)), "fragment_no_head");
}

TEST(Fragment, BytesThatWaitAreBounded) {
    Stage stage({.held = {.bytes = 1000, .bytes_per_port = 400}});
    for (std::uint16_t id = 0; id < 6; ++id) {
        EXPECT_EQ(stage.fate(piece4(64, 264, 264, id)), "held");
    }
    EXPECT_EQ(stage.table.held_count(), 1U) << "a frame has 234 bytes";
    EXPECT_EQ(stage.fate(piece4(64, 600, 600, 9)), "fragment_table_full");
}

/// A DHCPDISCOVER-like message to port 67 in pieces.
TEST(Fragment, ConversationsAreGathered) {
    Stage stage;
    Bytes message(300, 1);
    const Bytes datagram = udp(68, 67, message);
    for (const auto& [begin, end] : {std::pair{200U, 308U}, {0U, 16U}, {16U, 200U}}) {
        EXPECT_EQ(stage.fate(piece_of(datagram, 17, begin, end)),
                  begin == 16 ? "gathered" : "held");
    }
    ParsedFrame whole;
    ASSERT_EQ(stage.table.gather(stage.last.datagram, kPort, whole), DropReason::kNone);
    EXPECT_EQ(whole.inspect_kind, InspectKind::kDhcp4);
    EXPECT_FALSE(whole.fragment);
    ASSERT_EQ(whole.l4_size, datagram.size());
    EXPECT_EQ(std::memcmp(whole.data + whole.l4_offset, datagram.data(), datagram.size()), 0);
    EXPECT_FALSE(whole.key.has(kKeyFragment));
    EXPECT_EQ(whole.key.destination_port.host(), 67);
    unsigned count = 0;
    while (stage.table.next_held(stage.last.datagram) != nullptr) { ++count; }
    EXPECT_EQ(count, 3U);
}

TEST(Fragment, ConversationBehindIpv6HeadersIsGathered) {
    Stage stage;
    const Bytes datagram = udp(546, 547, Bytes(92, 1), {}, true);
    const Bytes part = Bytes{17, 0, 1, 4, 0, 0, 0, 0} + datagram;
    const auto piece = [&](unsigned begin, unsigned end) {
        return ipv6_frame(60, Bytes{44, 0, 1, 4, 0, 0, 0, 0} +
                                  fragment_header(60, begin, end < part.size()) +
                                  Bytes(part.begin() + begin, part.begin() + end));
    };
    EXPECT_EQ(stage.fate(piece(64, 108)), "held");
    EXPECT_EQ(stage.fate(piece(0, 64)), "gathered");
    ParsedFrame whole;
    ASSERT_EQ(stage.table.gather(stage.last.datagram, kPort, whole), DropReason::kNone);
    EXPECT_EQ(whole.inspect_kind, InspectKind::kDhcp6);
    EXPECT_EQ(whole.l4_size, datagram.size());
    EXPECT_EQ(std::memcmp(whole.data + whole.l4_offset, datagram.data(), datagram.size()), 0);
}

TEST(Fragment, GatheredIsVerified) {
    for (const bool is_long : {false, true}) {
        Stage stage;
        Bytes datagram = udp(68, 67, Bytes(is_long ? 5000 : 300, 1));
        if (!is_long) { datagram[100] ^= 1U; }
        const auto size = static_cast<unsigned>(datagram.size());
        EXPECT_EQ(stage.fate(piece_of(datagram, 17, 0, 200)), "held");
        EXPECT_EQ(stage.fate(piece_of(datagram, 17, 200, size)), "gathered");
        ParsedFrame whole;
        EXPECT_EQ(stage.table.gather(stage.last.datagram, kPort, whole),
                  is_long ? DropReason::kBadDhcp : DropReason::kBadL4Checksum);
    }
}

/// Random pieces in random order against a map of bytes: same verdicts, what waits comes out once
/// or is dropped, and the table stays within its size.
TEST(Fragment, AgreesWithAMapOfBytes) {
    constexpr unsigned kSeed = 4711;
    SCOPED_TRACE("seed " + std::to_string(kSeed));
    std::mt19937 random(kSeed);
    Stage stage({.capacity = 64, .per_port = 64});
    for (int round = 0; round < 3000; ++round) {
        const unsigned total = 16 + below(random, 10) * 8 + below(random, 8);
        std::vector<int> seen(total, 0);
        bool poisoned = false, head = false;
        std::size_t waiting = 0;
        stage.table.flush();
        stage.drops.clear();
        stage.mbufs.clear();
        const auto id = static_cast<std::uint16_t>(round);
        for (int i = 0; i < 8; ++i) {
            const unsigned begin =
                i == 0 && below(random, 4) != 0 ? 0 : below(random, total / 8) * 8;
            unsigned end = begin + (1 + below(random, 4)) * 8;
            if (end > total || below(random, 4) == 0) { end = total; }
            if (begin == 0 && end < 16) { end = 16; }
            if (begin == 0 && end >= total) { continue; }  // Not a fragment.
            const std::string fate = stage.fate(piece4(begin, end, total, id));
            const auto repeated = std::count(seen.begin() + begin, seen.begin() + end, 1);
            if (repeated == end - begin && (end < total || seen[total - 1] != 0)) {
                ASSERT_EQ(fate, "bad_fragment");
                continue;
            }
            poisoned |= repeated != 0;
            std::fill(seen.begin() + begin, seen.begin() + end, 1);
            const bool all = std::find(seen.begin(), seen.end(), 0) == seen.end();
            if (poisoned) {
                ASSERT_EQ(fate, "bad_fragment");
                ASSERT_EQ(stage.drops.size(), waiting);
                break;
            }
            head |= begin == 0;
            ASSERT_EQ(fate, head ? "goes on" : "held");
            ASSERT_EQ(stage.last.complete, all && head);
            waiting += head ? 0U : 1U;
            if (begin == 0) {
                ASSERT_EQ(stage.following().size(), waiting);
                waiting = 0;
            }
            ASSERT_EQ(stage.table.held_count(), waiting);
            if (all) { break; }
        }
        ASSERT_LE(stage.table.size(), 64U);
    }
}

}  // namespace
}  // namespace sluice::datapath::test
