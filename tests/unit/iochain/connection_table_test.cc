// SPDX-License-Identifier: Apache-2.0
// ConnectionTable: identity, lifetime, limits, sweep and flush.
#include <gtest/gtest.h>

#include <set>

#include "connection_rig.h"

namespace sluice::test {
namespace {

using State = ConnectionState;

Frame syn(std::uint32_t n) {
    Segment s{From::kA, kTcpSyn, 1000};
    s.port_a = static_cast<std::uint16_t>(n);
    s.port_b = static_cast<std::uint16_t>(1000 + (n >> 16U));
    return tcp_frame(s);
}

Frame question(std::uint32_t n) { return udp(From::kA, static_cast<std::uint16_t>(n), 5353); }

bool is_known(ConnectionRig& rig, const Frame& frame) {
    return rig.table.find(tuple_of(frame.parsed.key, kDomain), rig.now_ns).is_set();
}

OpenResult open(ConnectionRig& rig, const Frame& frame, unsigned worker = 0) {
    return rig.table.open(worker, rig.request_of(tuple_of(frame.parsed.key, kDomain)), frame.parsed,
                          rig.now_ns);
}

TEST(ConnectionTuple, IsTheSameBothWays) {
    const TupleOfFrame forth = tuple_of(udp(From::kA, 50000, 5353).parsed.key, kDomain);
    const TupleOfFrame back = tuple_of(udp(From::kB, 5353, 50000).parsed.key, kDomain);
    EXPECT_EQ(forth.tuple, back.tuple);
    EXPECT_NE(forth.from_a, back.from_a);
    EXPECT_FALSE(forth.tuple == tuple_of(udp(From::kA, 50000, 5353).parsed.key, DomainId{8}).tuple);
}

TEST(ConnectionTuple, OrdersByPortIfTheAddressesAreEqual) {
    FlowKey forth = key_of(From::kA, 17, 5000, 6000);
    std::memcpy(forth.destination_ip, forth.source_ip, 16);
    FlowKey back = forth;
    std::swap(back.source_port, back.destination_port);
    EXPECT_EQ(tuple_of(forth, kDomain).tuple, tuple_of(back, kDomain).tuple);
    EXPECT_TRUE(tuple_of(forth, kDomain).from_a);
    EXPECT_FALSE(tuple_of(back, kDomain).from_a);
}

TEST(ConnectionTuple, MapsRepliesToTheirRequest) {
    const unsigned pairs[][2] = {{8, 0}, {13, 14}, {15, 16}, {17, 18}};
    for (const auto& [request, reply] : pairs) {
        const TupleOfFrame ask = tuple_of(icmp(From::kA, request, 0, 7).parsed.key, kDomain);
        const TupleOfFrame answer = tuple_of(icmp(From::kB, reply, 0, 7).parsed.key, kDomain);
        EXPECT_EQ(ask.tuple, answer.tuple);
        EXPECT_TRUE(ask.may_open && ask.from_a);
        EXPECT_FALSE(answer.may_open || answer.from_a);
    }
    EXPECT_FALSE(tuple_of(icmp(From::kA, 42, 0, 7).parsed.key, kDomain).may_open);
}

TEST(ConnectionTuple, MapsIcmp6Echo) {
    FlowKey ask = key_of(From::kA, 58, 128 << 8, 7);
    ask.flags = kKeyIpv6 | kKeyPorts;
    FlowKey answer = key_of(From::kB, 58, 129 << 8, 7);
    answer.flags = ask.flags;
    EXPECT_EQ(tuple_of(ask, kDomain).tuple, tuple_of(answer, kDomain).tuple);
    EXPECT_FALSE(tuple_of(answer, kDomain).may_open);
    ask.protocol = 1;  // ICMP inside IPv6 is no query.
    EXPECT_EQ(tuple_of(ask, kDomain).tuple.protocol, 1);
}

TEST(ConnectionDatagram, PassesRepliesAndNothingElse) {
    ConnectionRig rig;
    EXPECT_EQ(rig.send(udp(From::kB, 5353, 50000)), DropReason::kDfwDeny);
    EXPECT_EQ(rig.send(udp(From::kA, 50000, 5353)), DropReason::kNone);
    EXPECT_EQ(rig.state(), State::kUdpOneWay);
    EXPECT_EQ(rig.send(udp(From::kB, 5354, 50000)), DropReason::kDfwDeny);
    EXPECT_EQ(rig.send(udp(From::kB, 5353, 50000)), DropReason::kNone);
    EXPECT_EQ(rig.state(), State::kUdpTwoWay);
    EXPECT_EQ(rig.send(udp(From::kB, 5000, 53)), DropReason::kNone);
    EXPECT_EQ(rig.send(udp(From::kA, 53, 5000)), DropReason::kNone);
}

TEST(ConnectionDatagram, AnswersAnEchoByItsIdentifier) {
    ConnectionRig rig;
    EXPECT_EQ(rig.send(icmp(From::kB, 0, 0, 7)), DropReason::kIcmpNoConnection);
    EXPECT_EQ(rig.send(icmp(From::kA, 8, 0, 7)), DropReason::kNone);
    EXPECT_EQ(rig.send(icmp(From::kB, 0, 0, 8)), DropReason::kIcmpNoConnection);
    EXPECT_EQ(rig.send(icmp(From::kB, 0, 0, 7)), DropReason::kNone);
    EXPECT_EQ(rig.state(), State::kIcmpTwoWay);
    EXPECT_EQ(rig.send(icmp(From::kB, 14, 0, 7)), DropReason::kIcmpNoConnection);
    EXPECT_EQ(rig.send(icmp(From::kA, 13, 0, 9)), DropReason::kNone);
    EXPECT_EQ(rig.send(icmp(From::kB, 14, 0, 9)), DropReason::kNone);
    EXPECT_EQ(rig.send(icmp(From::kB, 42, 0, 0)), DropReason::kIcmpNoConnection);
}

TEST(ConnectionDatagram, TracksOtherProtocols) {
    ConnectionRig rig;
    Frame gre = datagram(From::kA, 47, 0, 0);
    gre.parsed.key.flags = kKeyIpv4;
    EXPECT_EQ(rig.send(gre), DropReason::kNone);
    Frame back = datagram(From::kB, 47, 0, 0);
    back.parsed.key.flags = kKeyIpv4;
    EXPECT_EQ(rig.send(back), DropReason::kNone);
    EXPECT_EQ(rig.state(), State::kOtherTwoWay);
}

TEST(ConnectionExpiry, IsExactWhetherSweptOrNot) {
    ConnectionRig rig;
    const Frame frame = udp(From::kA, 50000, 5353);
    ASSERT_EQ(rig.send(frame), DropReason::kNone);
    const TupleOfFrame tuple = tuple_of(frame.parsed.key, kDomain);
    const std::uint64_t expires = rig.record().expires_ns;
    EXPECT_GE(expires, rig.now_ns + 30 * kSecondNs);
    EXPECT_LE(expires, rig.now_ns + 31 * kSecondNs);
    EXPECT_TRUE(rig.table.find(tuple, expires - 1).is_set());
    EXPECT_FALSE(rig.table.find(tuple, expires).is_set());
    EXPECT_EQ(rig.table.track(frame.parsed, rig.last, ConnectionSide::kOpener, expires).result,
              TrackResult::kStale);
    int seen = 0;
    rig.table.for_each(0, 100, expires, [&](const Connection&) { ++seen; });
    EXPECT_EQ(seen, 0);
    rig.table.for_each(0, 100, expires - 1, [&](const Connection&) { ++seen; });
    EXPECT_EQ(seen, 1);
    EXPECT_EQ(rig.table.sweep(0, 100, expires - 1), 0U);
    EXPECT_EQ(rig.table.size(), 1U);
    EXPECT_EQ(rig.table.sweep(0, 100, expires), 1U);
    EXPECT_EQ(rig.table.size(), 0U);
    EXPECT_EQ(rig.table.get(rig.last), nullptr);
}

TEST(ConnectionExpiry, NeverComesEarlyAndWritesSeldom) {
    ConnectionRig rig;
    const Frame frame = udp(From::kA, 50000, 5353);
    std::set<std::uint64_t> written;
    for (int i = 0; i < 1000; ++i, rig.now_ns += kSecondNs / 100) {
        ASSERT_EQ(rig.send(frame), DropReason::kNone);
        const std::uint64_t expires = rig.record().expires_ns;
        ASSERT_GE(expires, rig.now_ns + 30 * kSecondNs);
        ASSERT_LE(expires, rig.now_ns + 31 * kSecondNs);
        written.insert(expires);
    }
    EXPECT_LE(written.size(), 11U);
}

TEST(ConnectionExpiry, FollowsTheStateAtOnce) {
    ConnectionRig rig;
    rig.send(udp(From::kA, 50000, 5353));
    rig.send(udp(From::kB, 5353, 50000));
    EXPECT_GE(rig.record().expires_ns, rig.now_ns + 180 * kSecondNs);
    ConnectionTimeouts shorter = kTimeouts;
    shorter.udp_stream_ns = 20 * kSecondNs;
    rig.table.configure(shorter, {});
    rig.send(udp(From::kA, 50000, 5353));
    EXPECT_LE(rig.record().expires_ns, rig.now_ns + 21 * kSecondNs);
}

TEST(ConnectionExpiry, ReopensADeadTupleAsAnotherConnection) {
    ConnectionRig rig;
    const Frame frame = udp(From::kA, 50000, 5353);
    rig.send(frame);
    const ConnectionHandle old = rig.last;
    rig.now_ns += 40 * kSecondNs;
    EXPECT_EQ(rig.send(frame), DropReason::kNone);
    EXPECT_NE(rig.last, old);
    EXPECT_EQ(rig.table.get(old), nullptr);
    EXPECT_EQ(rig.table.size(), 1U);
    EXPECT_EQ(rig.table.size_of_port(kPortOfA), 1U);
}

TEST(ConnectionHandleTest, GoesStaleAtCloseForEver) {
    ConnectionRig rig;
    const Frame frame = syn(1);
    const ConnectionHandle first = open(rig, frame).handle;
    ASSERT_TRUE(first.is_set());
    EXPECT_FALSE(open(rig, frame).opened);
    EXPECT_EQ(open(rig, frame).handle, first);
    rig.table.close(0, first);
    rig.table.close(0, first);
    EXPECT_EQ(rig.table.size(), 0U);
    const ConnectionHandle second = open(rig, frame).handle;
    EXPECT_EQ(second.index, first.index);
    EXPECT_NE(second.generation, first.generation);
    EXPECT_EQ(rig.table.get(first), nullptr);
    rig.table.close(0, first);
    rig.table.account(first, 9, 900);
    rig.table.account(second, 1, 100);
    const ConnectionHandle judged =
        rig.table.rejudge(second, {RuleId{5}, RuleId{6}, false, true, 9});
    EXPECT_EQ(rig.table.get(second), nullptr) << "what was decided of it must be decided anew";
    EXPECT_EQ(rig.table.rejudge(second, {RuleId{7}, RuleId{7}, true, true, 8}), second);
    EXPECT_EQ(rig.table.rejudge(judged, {RuleId{5}, RuleId{6}, false, true, 9}), judged)
        << "nothing new";
    Connection record;
    ASSERT_TRUE(rig.table.snapshot(judged, record));
    EXPECT_EQ(record.packets, 1U);
    EXPECT_EQ(record.bytes, 100U);
    EXPECT_EQ(record.judged_generation, 9U);
    EXPECT_EQ(record.opener_rule, RuleId{5});
    EXPECT_EQ(record.flags & (kConnOpenerStateful | kConnResponderStateful),
              kConnResponderStateful);
    EXPECT_EQ(rig.table.get({}), nullptr);
    EXPECT_EQ(rig.table.get({9999999, 1}), nullptr);
    EXPECT_EQ(rig.table.track(frame.parsed, first, ConnectionSide::kOpener, rig.now_ns).result,
              TrackResult::kStale);
}

TEST(ConnectionLimit, StopsAtThePortsLimit) {
    ConnectionRig rig(256, {.per_port = 10, .half_open_per_port = 0, .total = 0});
    for (std::uint32_t i = 0; i < 10; ++i) { ASSERT_TRUE(open(rig, question(i)).opened); }
    EXPECT_EQ(open(rig, question(10)).reason, DropReason::kConnectionLimit);
    EXPECT_EQ(open(rig, syn(10)).reason, DropReason::kConnectionLimit);
    EXPECT_TRUE(open(rig, question(3)).handle.is_set());
    rig.table.close(0, open(rig, question(3)).handle);
    EXPECT_EQ(rig.table.size_of_port(kPortOfA), 9U);
    EXPECT_TRUE(open(rig, question(10)).opened);
}

TEST(ConnectionLimit, HalfOpenOnesMakeRoomAtThePortsLimit) {
    ConnectionRig rig(256, {.per_port = 3, .half_open_per_port = 0, .total = 0});
    ASSERT_TRUE(open(rig, question(1)).opened);
    ASSERT_TRUE(open(rig, syn(2)).opened);
    ASSERT_TRUE(open(rig, syn(3)).opened);
    EXPECT_TRUE(open(rig, question(4)).opened);
    EXPECT_FALSE(is_known(rig, syn(2))) << "the oldest";
    EXPECT_TRUE(is_known(rig, syn(3)));
    EXPECT_TRUE(open(rig, syn(5)).opened);
    EXPECT_FALSE(is_known(rig, syn(3)));
    EXPECT_TRUE(is_known(rig, question(1)));
    EXPECT_TRUE(is_known(rig, question(4)));
    EXPECT_EQ(rig.table.early_drops(), 2U);
    EXPECT_EQ(rig.table.size_of_port(kPortOfA), 3U);
}

TEST(ConnectionLimit, TheOldestHalfOpenOneOfItsVnicMakesRoom) {
    ConnectionRig rig(256, {.per_port = 0, .half_open_per_port = 2, .total = 0});
    ASSERT_EQ(rig.send(syn(1)), DropReason::kNone);
    ASSERT_EQ(rig.send(syn(2)), DropReason::kNone);
    EXPECT_EQ(rig.send(udp(From::kA, 50000, 5353)), DropReason::kNone);
    EXPECT_EQ(rig.send(syn(2)), DropReason::kNone);
    EXPECT_EQ(rig.table.early_drops(), 0U) << "the same SYN again is no new one";
    Segment answer{From::kB, kTcpSyn | kTcpAck, 5000, 1001};
    answer.port_a = 1;
    answer.port_b = 1000;
    ASSERT_EQ(rig.send(answer), DropReason::kNone);
    Segment last{From::kA, kTcpAck, 1001, 5001};
    last.port_a = 1;
    last.port_b = 1000;
    ASSERT_EQ(rig.send(last), DropReason::kNone);
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), 1U);
    EXPECT_EQ(rig.send(syn(3)), DropReason::kNone);
    EXPECT_EQ(rig.send(syn(4)), DropReason::kNone);
    EXPECT_FALSE(is_known(rig, syn(2))) << "the oldest half-open one";
    EXPECT_TRUE(is_known(rig, syn(1))) << "established";
    EXPECT_TRUE(is_known(rig, syn(3)));
    EXPECT_EQ(rig.table.early_drops(), 1U);
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), 2U);
    std::uint32_t cursor = 0;
    EXPECT_EQ(rig.table.flush(0, kNoPort, cursor, 1000), 4U);
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), 0U);
    EXPECT_EQ(rig.table.size_of_port(kPortOfA), 0U);
}

TEST(ConnectionLimit, HalfOpenOnesGoInTheOrderInWhichTheyCame) {
    constexpr std::uint32_t kLimit = 64;
    ConnectionRig rig(4096, {.per_port = 0, .half_open_per_port = kLimit, .total = 0});
    for (std::uint32_t i = 0; i < 1000; ++i) {
        ASSERT_EQ(rig.send(syn(i)), DropReason::kNone);
        if (i < kLimit) { continue; }
        ASSERT_FALSE(is_known(rig, syn(i - kLimit))) << i;
        ASSERT_TRUE(is_known(rig, syn(i - kLimit + 1))) << i;
    }
    EXPECT_EQ(rig.table.half_open_of_port(kPortOfA), kLimit);
    EXPECT_EQ(rig.table.size(), kLimit);
    EXPECT_EQ(rig.table.early_drops(), 1000U - kLimit);
}

TEST(ConnectionLimit, AnotherVnicsHalfOpenOnesStay) {
    ConnectionRig rig(256, {.per_port = 0, .half_open_per_port = 2, .total = 0});
    const Frame theirs = syn(1);
    OpenRequest request = rig.request_of(tuple_of(theirs.parsed.key, kDomain));
    request.opener_port = PortIndex{9};
    ASSERT_TRUE(rig.table.open(0, request, theirs.parsed, rig.now_ns).opened);
    for (std::uint32_t i = 2; i < 50; ++i) { ASSERT_EQ(rig.send(syn(i)), DropReason::kNone); }
    EXPECT_TRUE(is_known(rig, syn(1)));
    EXPECT_EQ(rig.table.half_open_of_port(PortIndex{9}), 1U);
}

TEST(ConnectionLimit, StopsAtTheHostsLimitAndAtCapacity) {
    ConnectionRig limited(256, {.per_port = 0, .half_open_per_port = 0, .total = 5});
    for (std::uint32_t i = 0; i < 5; ++i) { ASSERT_TRUE(open(limited, question(i)).opened); }
    EXPECT_EQ(open(limited, question(5)).reason, DropReason::kConnectionLimit);
    ConnectionRig tiny(3);
    for (std::uint32_t i = 0; i < 3; ++i) { ASSERT_TRUE(open(tiny, question(i)).opened); }
    EXPECT_EQ(open(tiny, question(3)).reason, DropReason::kConnectionLimit);
    tiny.table.close(0, open(tiny, question(1)).handle);
    EXPECT_TRUE(open(tiny, question(3)).opened);
}

TEST(ConnectionFlush, ClosesThoseOfOneVnicInSteps) {
    ConnectionRig rig(1024);
    for (std::uint32_t i = 0; i < 300; ++i) {
        const Frame frame = syn(i);
        OpenRequest request = rig.request_of(tuple_of(frame.parsed.key, kDomain));
        request.opener_port = PortIndex{static_cast<std::uint16_t>(i % 3)};
        request.responder_port = PortIndex{static_cast<std::uint16_t>(i % 2 == 0 ? 9 : 8)};
        ASSERT_TRUE(rig.table.open(0, request, frame.parsed, rig.now_ns).opened);
    }
    std::uint32_t cursor = 0;
    std::uint32_t closed = 0;
    while (cursor != rig.table.capacity()) {
        closed += rig.table.flush(0, PortIndex{1}, cursor, 64);
    }
    EXPECT_EQ(closed, 100U);
    EXPECT_EQ(rig.table.size_of_port(PortIndex{1}), 0U);
    cursor = 0;
    EXPECT_EQ(rig.table.flush(0, PortIndex{9}, cursor, 1024), 100U);
    cursor = 0;
    EXPECT_EQ(rig.table.flush(0, kNoPort, cursor, 1024), 100U);
    EXPECT_EQ(rig.table.size(), 0U);
}

TEST(ConnectionTableSize, TouchesNoPageBeforeItIsNeeded) {
    constexpr std::uint32_t kCapacity = 1'000'000;
    const Arena arena(kCapacity);
    ConnectionTable table(arena.data(), kCapacity, 1, 1);
    std::vector<unsigned char> resident(arena.size() / 4096);
    ASSERT_EQ(mincore(arena.data(), arena.size(), resident.data()), 0);
    std::size_t pages = 0;
    for (const unsigned char page : resident) { pages += page & 1U; }
    EXPECT_LE(pages, 2U);
}

TEST(ConnectionTableSize, HoldsAMillionAndGivesThemBack) {
    constexpr std::uint32_t kCapacity = 1'000'000;
    ConnectionRig rig(kCapacity);
    for (std::uint32_t i = 0; i < kCapacity; ++i) { ASSERT_TRUE(open(rig, syn(i)).opened) << i; }
    EXPECT_EQ(rig.table.size(), kCapacity);
    for (std::uint32_t i = 0; i < kCapacity; i += 997) {
        ASSERT_TRUE(rig.table.find(tuple_of(syn(i).parsed.key, kDomain), rig.now_ns).is_set()) << i;
    }
    EXPECT_FALSE(rig.table.find(tuple_of(syn(kCapacity).parsed.key, kDomain), rig.now_ns).is_set());
    rig.now_ns += 200 * kSecondNs;
    std::uint32_t closed = 0;
    for (int i = 0; i < 100; ++i) { closed += rig.table.sweep(0, 10'000, rig.now_ns); }
    EXPECT_EQ(closed, kCapacity);
    EXPECT_EQ(rig.table.size(), 0U);
    EXPECT_EQ(rig.table.size_of_port(kPortOfA), 0U);
    for (std::uint32_t i = 0; i < kCapacity; ++i) {
        ASSERT_TRUE(open(rig, syn(i + 7)).opened) << i;
    }
}

}  // namespace
}  // namespace sluice::test
