// SPDX-License-Identifier: Apache-2.0
// Transport checksums over one and several segments, against the plain sum of the test's own
// builder.
#include "datapath/checksum.h"

#include <gtest/gtest.h>

#include <random>

#include "parse_frames.h"

namespace sluice::datapath::test {
namespace {

bool checksum_ok(const Bytes& frame, std::initializer_list<std::size_t> cuts = {}) {
    Mbuf mbuf(frame, cuts);
    ParsedFrame out;
    parse_frame(static_cast<const std::uint8_t*>(mbuf.head().buf_addr), mbuf.head().data_len,
                mbuf.head().pkt_len, kPort, out);
    EXPECT_EQ(out.reason, DropReason::kNone);
    return l4_checksum_ok(mbuf.head(), out);
}

Bytes flipped(Bytes frame, std::size_t at) {
    frame[at] ^= 1U;
    return frame;
}

TEST(Checksum, RawSumEqualsThePlainOne) {
    std::mt19937 random(7);
    for (std::size_t size = 0; size < 300; ++size) {
        Bytes bytes(size);
        for (auto& byte : bytes) { byte = static_cast<std::uint8_t>(random()); }
        const auto host = static_cast<std::uint16_t>(~internet_checksum(bytes));
        EXPECT_EQ(raw_sum(bytes.data(), size), __builtin_bswap16(host)) << size;
    }
    const Bytes ones(65535, 0xff);
    EXPECT_EQ(raw_sum(ones.data(), ones.size()),
              __builtin_bswap16(static_cast<std::uint16_t>(~internet_checksum(ones))));
}

TEST(Checksum, SegmentsOfAnySizeSumAlike) {
    std::mt19937 random(8);
    Bytes bytes(97);
    for (auto& byte : bytes) { byte = static_cast<std::uint8_t>(random()); }
    const std::uint16_t expected = raw_sum(bytes.data() + 5, 80);
    for (std::size_t first = 0; first <= bytes.size(); ++first) {
        for (std::size_t second = first; second <= bytes.size(); ++second) {
            Mbuf mbuf(bytes, {first, second});
            ASSERT_EQ(raw_sum(mbuf.head(), 5, 80), expected) << first << ' ' << second;
        }
    }
}

TEST(Checksum, EveryProtocol) {
    const Bytes text(65, 'x');
    const std::vector<NamedFrame> frames = {
        {"tcp4", ipv4_frame(6, tcp(kTcpAck, text)) + Bytes(4, 0xee)},  // A trailer is not summed.
        {"tcp6", ipv6_frame(6, tcp(kTcpAck, text, {}, true))},
        {"udp4", ipv4_frame(17, udp(1, 2, text))},
        {"udp6", ipv6_frame(17, udp(1, 2, text, {}, true))},
        {"icmp", ipv4_frame(1, icmp(8, 0, text))},
        {"icmpv6", ipv6_frame(58, icmpv6(128, 0, text))},
        {"tcp6 behind options",
         ipv6_frame(60, Bytes{6, 0, 1, 4, 0, 0, 0, 0} + tcp(kTcpAck, text, {}, true))},
    };
    for (const auto& [name, frame] : frames) {
        EXPECT_TRUE(checksum_ok(frame)) << name;
        EXPECT_TRUE(checksum_ok(frame, {83})) << name;
        EXPECT_FALSE(checksum_ok(flipped(frame, frame.size() - 6))) << name;
        EXPECT_FALSE(checksum_ok(flipped(frame, frame.size() - 6), {83, 84})) << name;
    }
}

TEST(Checksum, UdpWithoutOneIsGood) {
    Bytes frame = ipv4_frame(17, udp(1, 2, Bytes(9, 'x')));
    put16(frame, 40, 0);
    EXPECT_TRUE(checksum_ok(frame));
    Bytes frame6 = ipv6_frame(17, udp(1, 2, Bytes(9, 'x'), {}, true));
    put16(frame6, 60, 0);
    EXPECT_TRUE(checksum_ok(frame6));
}

TEST(Checksum, SumOverUdpsOwnLength) {
    const Bytes frame =
        ipv4_frame(17, udp(1, 2, Bytes(9, 'x')) + Bytes(5, 0xee));  // Surplus behind the datagram.
    EXPECT_TRUE(checksum_ok(frame));
}

TEST(Checksum, WhereThereIsNoneToCheck) {
    EXPECT_TRUE(checksum_ok(ipv4_frame(47, Bytes(12, 3))));
    EXPECT_TRUE(checksum_ok(ipv4_frame(17, Bytes(12, 3), {}, {.fragment = 9})));
    EXPECT_TRUE(checksum_ok(ethernet(0x0806, Bytes(28))));
    Bytes routed = {6, 2, 4, 1, 0, 0, 0, 0};
    EXPECT_TRUE(checksum_ok(
        ipv6_frame(43, routed + kIp6A + tcp(kTcpAck, {}, {.destination6 = kIp6A}, true))));
}

/// What TX has to do for a receiver that takes no partial checksum.
TEST(Checksum, FillWritesWhatTheSenderLeftOut) {
    const Bytes text(65, 'x');
    const Bytes option = {6, 0, 1, 4, 0, 0, 0, 0};
    const std::vector<std::pair<Bytes, std::uint64_t>> frames = {
        {ipv4_frame(6, tcp(kTcpSyn, text)) + Bytes(3, 0xee), RTE_MBUF_F_TX_TCP_CKSUM},
        {ipv4_frame(17, udp(1, 2, text)), RTE_MBUF_F_TX_UDP_CKSUM},
        {ipv6_frame(60, option + tcp(kTcpSyn, text, {}, true)), RTE_MBUF_F_TX_TCP_CKSUM},
        {ipv6_frame(17, udp(1, 2, text, {}, true)), RTE_MBUF_F_TX_UDP_CKSUM}};
    for (const auto& [whole, flag] : frames) {
        const unsigned at = (whole[14] >> 4U == 4 ? 34U
                             : whole[20] == 60    ? 62U
                                                  : 54U) +
                            (flag == RTE_MBUF_F_TX_TCP_CKSUM ? 16U : 6U);
        Bytes partial = whole;
        put16(partial, at, 0x5555);
        Mbuf mbuf(partial, {87, 90});  // Odd sizes.
        mbuf.head().ol_flags = flag;
        ParsedFrame parsed;
        parse_mbuf(mbuf.head(), kPort, parsed);
        convert_offload(mbuf.head(), parsed);
        ASSERT_EQ(parsed.reason, DropReason::kNone);
        ASSERT_TRUE(fill_l4_checksum(mbuf.head()));
        EXPECT_EQ(std::memcmp(parsed.data + at, whole.data() + at, 2), 0) << at;
        EXPECT_TRUE(l4_checksum_ok(mbuf.head(), parsed));
    }
}

TEST(Checksum, ThePseudoHeaderOfASourceRoutedPacketIsTheSenders) {
    // A routing header with a segment left: the checksum is over the last destination, which only
    // the sender put into the sum (RFC 8200 §8.1).
    Ends last;
    last.destination6 = kIp6A;
    Bytes sealed_for_last = tcp(kTcpAck, Bytes(33, 'x'), last, true);
    const Bytes right(sealed_for_last.begin() + 16, sealed_for_last.begin() + 18);
    const Bytes pseudo = pseudo_header(6, sealed_for_last.size(), last, true);
    put16(sealed_for_last, 16, static_cast<std::uint16_t>(~internet_checksum(pseudo)));
    const Bytes frame = ipv6_frame(43, Bytes{6, 2, 4, 1} + Bytes(4) + kIp6A + sealed_for_last);
    Mbuf mbuf(frame, {100});
    mbuf.head().ol_flags = RTE_MBUF_F_TX_TCP_CKSUM;
    ParsedFrame parsed;
    parse_mbuf(mbuf.head(), kPort, parsed);
    convert_offload(mbuf.head(), parsed);
    ASSERT_EQ(parsed.reason, DropReason::kNone);
    ASSERT_TRUE(fill_l4_checksum(mbuf.head()));
    EXPECT_EQ(std::memcmp(parsed.data + parsed.l4_offset + 16, right.data(), 2), 0);
}

}  // namespace
}  // namespace sluice::datapath::test
