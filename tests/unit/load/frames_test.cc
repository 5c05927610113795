// SPDX-License-Identifier: Apache-2.0
// Frames are right on the wire: lengths, addresses, checksums. Sums are checked by a plain second
// implementation.
#include "load/frames.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "load/frame_set.h"
#include "load/segment.h"
#include "load/tunnel.h"

namespace sluice::load {
namespace {

using Bytes = std::vector<std::uint8_t>;

const Link kLink{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
const Tuple kTuple{0x0a000001, 0x0a000002, 4096, 80};

// One's complement sum, byte by byte; 0xffff if the checksum in there is right.
unsigned plain_sum(const std::uint8_t* data, std::size_t size, unsigned sum = 0) {
    for (std::size_t i = 0; i < size; ++i) {
        sum += i % 2 == 0 ? static_cast<unsigned>(data[i]) << 8U : data[i];
        sum = (sum & 0xffffU) + (sum >> 16U);
    }
    return sum;
}

unsigned ip_sum(const Bytes& f) { return plain_sum(&f[kIpAt], 20); }

unsigned l4_sum(const Bytes& f) {
    const std::size_t bytes = get16(&f[kIpAt + 2]) - 20U;
    const std::uint8_t tail[4] = {0, f[kIpAt + 9], static_cast<std::uint8_t>(bytes >> 8U),
                                  static_cast<std::uint8_t>(bytes)};
    unsigned sum = plain_sum(&f[kSourceIpAt], 8);
    sum = plain_sum(tail, 4, sum);
    return plain_sum(&f[kL4At], bytes, sum);
}

TEST(LoadFrames, UdpIsRightAtEverySize) {
    for (std::size_t size = 60; size <= 1514; ++size) {
        Bytes frame(size);
        const auto header = write_udp(frame, kLink, kTuple, Checksum::kFull);
        ASSERT_EQ(ip_sum(frame), 0xffffU) << size;
        ASSERT_EQ(l4_sum(frame), 0xffffU) << size;
        ASSERT_EQ(get16(&frame[kIpAt + 2]), size - 14);
        ASSERT_EQ(get16(&frame[kL4At + 4]), size - 34);
        ASSERT_EQ(header, frontend::NetHeader{});
    }
    Bytes frame(60);
    write_udp(frame, kLink, kTuple, Checksum::kFull);
    EXPECT_TRUE(std::equal(kLink.destination.begin(), kLink.destination.end(), frame.begin()));
    EXPECT_EQ(get32(&frame[kSourceIpAt]), kTuple.source_ip);
    EXPECT_EQ(get16(&frame[kL4At]), kTuple.source_port);
}

TEST(LoadFrames, OuterHeadersNameBothVteps) {
    const Tunnel tunnel{5000, 0xac100002, 0xac100001, {2, 0, 0, 0, 0x99, 1}, {2, 0, 0, 0, 0x99, 2}};
    for (const std::size_t inner : {60U, 1514U}) {
        Bytes frame(kOuterBytes + inner, 0xee);
        write_outer(std::span<std::uint8_t, kOuterBytes>(frame.data(), kOuterBytes), tunnel, inner,
                    16385);
        EXPECT_EQ(ip_sum(frame), 0xffffU);
        EXPECT_EQ(get32(&frame[kSourceIpAt]), tunnel.own_ip);
        EXPECT_EQ(get32(&frame[kDestinationIpAt]), tunnel.peer_ip);
        EXPECT_EQ(get16(&frame[kIpAt + 2]), frame.size() - 14);
        EXPECT_EQ(get16(&frame[kL4At]), 49153) << "a dynamic port by the flow";
        EXPECT_EQ(get16(&frame[kL4At + 2]), 4789);
        EXPECT_EQ(get16(&frame[kL4At + 4]), frame.size() - 34);
        EXPECT_EQ(get32(&frame[42]), 0x08000000U) << "RFC 7348 §5: only the flag I";
        EXPECT_EQ(get32(&frame[46]), 5000U << 8U);
        EXPECT_EQ(frame[kOuterBytes], 0xee) << "the inner frame is not touched";
    }
}

TEST(LoadFrames, OnlyAQuestionForTheOwnVtepIsOne) {
    const Tunnel tunnel{5000, 0xac100002, 0xac100001, {}, {}};
    Bytes question(kArpFrameBytes);
    write_arp(question, {2, 0, 0, 0, 0, 9}, tunnel.peer_ip, tunnel.own_ip);
    EXPECT_TRUE(asks_for(question, tunnel));
    EXPECT_FALSE(asks_for(std::span(question).first(41), tunnel)) << "cut off";
    write_arp(question, {2, 0, 0, 0, 0, 9}, tunnel.own_ip, tunnel.peer_ip);
    EXPECT_FALSE(asks_for(question, tunnel)) << "for the other one";
    write_arp_answer(question, kLink, tunnel.peer_ip, tunnel.own_ip);
    EXPECT_FALSE(asks_for(question, tunnel)) << "an answer";
    EXPECT_EQ(get16(&question[20]), 2);
    EXPECT_TRUE(std::equal(kLink.destination.begin(), kLink.destination.end(), &question[32]));
    EXPECT_TRUE(std::equal(kLink.source.begin(), kLink.source.end(), &question[22]));
}

TEST(LoadFrames, TcpSynCarriesTheWindowScale) {
    Bytes frame(60);
    write_tcp(frame, kLink, kTuple, {7, 0, kSyn, 10}, 0, Checksum::kFull);
    EXPECT_EQ(l4_sum(frame), 0xffffU);
    EXPECT_EQ(frame[kTcpFlagsAt - 1], 6 << 4);
    EXPECT_EQ(get16(&frame[kIpAt + 2]), 20 + 24);
    EXPECT_EQ(frame[kTcpPayloadAt + 1], 3);
    EXPECT_EQ(frame[kTcpPayloadAt + 3], 10);
}

TEST(LoadFrames, PartialChecksumIsThePseudoHeader) {
    Bytes frame(kTcpPayloadAt + 60000);
    const auto header =
        with_gso(write_tcp(frame, kLink, kTuple, {1, 2, kAck}, 60000, Checksum::kPartial), 1448);
    EXPECT_EQ(header.flags, frontend::kHeaderNeedsCsum);
    EXPECT_EQ(header.csum_start, 34);
    EXPECT_EQ(header.csum_offset, 16);
    EXPECT_EQ(header.gso_type, frontend::kGsoTcp4);
    EXPECT_EQ(header.gso_size, 1448);
    EXPECT_EQ(header.hdr_len, 54);
    // What a device adds: the sum over segment and pseudo sum, complemented, makes it right.
    const std::uint16_t full = finish_sum(word_sum(std::span(frame).subspan(kL4At)));
    put16(&frame[kTcpChecksumAt], full);
    EXPECT_EQ(l4_sum(frame), 0xffffU);
}

TEST(LoadFrames, PatchedSegmentIsTheOneWrittenAtOnce) {
    std::mt19937 random(4711);
    const Segment request(kLink, kPsh | kAck, kTalkPayloadBytes);
    for (int i = 0; i < 2000; ++i) {
        const Tuple tuple{
            static_cast<std::uint32_t>(random()), static_cast<std::uint32_t>(random()),
            static_cast<std::uint16_t>(random()), static_cast<std::uint16_t>(random())};
        const auto sequence = static_cast<std::uint32_t>(random());
        const auto ack = static_cast<std::uint32_t>(random());
        Bytes patched(60), whole(60);
        request.write(patched.data(), tuple, sequence, ack);
        write_tcp(whole, kLink, tuple, {sequence, ack, kPsh | kAck}, kTalkPayloadBytes,
                  Checksum::kFull);
        ASSERT_EQ(ip_sum(patched), 0xffffU);
        ASSERT_EQ(l4_sum(patched), 0xffffU);
        ASSERT_EQ(patched, whole) << "seed 4711, number " << i;
    }
}

TEST(LoadFrames, ImixIsSevenFourOne) {
    unsigned small = 0, middle = 0, large = 0;
    for (std::uint64_t i = 0; i < 12; ++i) {
        small += wire_bytes(0, i) == 64 ? 1U : 0U;
        middle += wire_bytes(0, i) == 594 ? 1U : 0U;
        large += wire_bytes(0, i) == 1518 ? 1U : 0U;
    }
    EXPECT_EQ(small, 7U);
    EXPECT_EQ(middle, 4U);
    EXPECT_EQ(large, 1U);
}

TEST(LoadFrames, TooMuchMemoryIsRefused) {
    const auto memory = frame_memory(8000000, 256, 1518);
    ASSERT_FALSE(memory.ok());
    EXPECT_EQ(memory.error().message,
              "--flows 8000000 frames of this size take 12207 MiB, at most 4096 are used");
    EXPECT_EQ(frame_memory(1000000, 256, 64).value(), 128000000U);
}

}  // namespace
}  // namespace sluice::load
