// SPDX-License-Identifier: Apache-2.0
// The segmenter by itself: every header it writes, over frames as odd as they get, against
// reassemble.h.
#include "datapath/segment.h"

#include <gtest/gtest.h>
#include <rte_mempool.h>

#include <memory>
#include <random>

#include "sluice/base/limits.h"
#include "tests/packet/reassemble.h"
#include "tests/unit/datapath/parse_frames.h"

namespace sluice::test {
namespace {

namespace frames = datapath::test;
using frames::operator+;

constexpr std::uint64_t kTso = RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;

Bytes noise(std::size_t size) {
    static std::mt19937 random(11);
    Bytes out(size);
    for (auto& byte : out) { byte = static_cast<std::uint8_t>(random()); }
    return out;
}

struct FreePool {
    void operator()(rte_mempool* pool) const noexcept { rte_mempool_free(pool); }
};
using Pool = std::unique_ptr<rte_mempool, FreePool>;

Pool make_pool(unsigned count) {
    static unsigned made = 0;
    const std::string name = "segment_pool_" + std::to_string(made++);
    return Pool(rte_pktmbuf_pool_create(name.c_str(), count, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                        SOCKET_ID_ANY));
}

Bytes bytes_of(const rte_mbuf& frame) {
    Bytes out;
    unsigned count = 0;
    for (const rte_mbuf* at = &frame; at != nullptr; at = at->next, ++count) {
        const auto* data = rte_pktmbuf_mtod(at, const std::uint8_t*);
        out.insert(out.end(), data, data + at->data_len);
    }
    EXPECT_EQ(out.size(), frame.pkt_len);
    EXPECT_EQ(count, frame.nb_segs);
    return out;
}

/// Parses `frame`, cuts it with sums of one kind and returns what is wrong with the outcome.
std::string faults_with(datapath::SegmentSum sum, const Bytes& frame, std::uint16_t most,
                        std::initializer_list<std::size_t> cuts) {
    const Pool pool = make_pool(2047);
    frames::Mbuf mbuf(frame, cuts);
    rte_mbuf& head = mbuf.head();
    head.ol_flags = kTso;
    head.tso_segsz = most;
    head.port = 7;
    head.hash.rss = 0x12345678;
    ParsedFrame parsed;
    datapath::parse_mbuf(head, frames::kPort, parsed);
    datapath::convert_offload(head, parsed);
    if (parsed.reason != DropReason::kNone) { return std::string(to_string(parsed.reason)); }
    std::vector<rte_mbuf*> made(datapath::segment_count(head));
    if (!datapath::segment(head, *pool, 0, sum, made)) { return "no buffers"; }
    const bool is_partial = sum == datapath::SegmentSum::kPartial;
    std::vector<Bytes> segments;
    for (rte_mbuf* segment : made) {
        segments.push_back(bytes_of(*segment));
        EXPECT_EQ(segment->ol_flags & kTso, is_partial ? RTE_MBUF_F_TX_TCP_CKSUM : 0);
        EXPECT_EQ(segment->tso_segsz, 0u);
        EXPECT_EQ(segment->l2_len + segment->l3_len, parsed.l4_offset);
        EXPECT_EQ(segment->port, 7u);
        EXPECT_EQ(segment->hash.rss, 0x12345678u);
        rte_pktmbuf_free(segment);
    }
    EXPECT_EQ(rte_mempool_avail_count(pool.get()), 2047u) << "buffers are back";
    EXPECT_EQ(bytes_of(head), frame) << "the frame itself is not touched";
    return faults_of_cut(frame, segments, most, is_partial ? Sum::kPartial : Sum::kRight);
}

std::string faults(const Bytes& frame, std::uint16_t most,
                   std::initializer_list<std::size_t> cuts = {}) {
    return faults_with(datapath::SegmentSum::kPartial, frame, most, cuts) +
           faults_with(datapath::SegmentSum::kFull, frame, most, cuts);
}

Bytes tcp4(const Bytes& payload, std::uint8_t flags = kTcpAck, const frames::Ends& ends = {},
           const frames::Ipv4Fields& fields = {}, const Bytes& options = {}) {
    return frames::ipv4_frame(6, frames::tcp(flags, payload, ends, false, options), ends, fields);
}
Bytes tcp6(const Bytes& payload, std::uint8_t flags = kTcpAck, const frames::Ends& ends = {},
           const Bytes& options = {}) {
    return frames::ipv6_frame(6, frames::tcp(flags, payload, ends, true, options), ends);
}

TEST(Segment, EverySizeAroundTheCuts) {
    for (const std::size_t size :
         {0U, 1U, 63U, 64U, 65U, 127U, 128U, 129U, 1399U, 1400U, 1401U, 2800U, 2801U, 65000U}) {
        for (const std::uint16_t most : {std::uint16_t{64}, std::uint16_t{1400}}) {
            EXPECT_EQ(faults(tcp4(noise(size)), most), "") << size << " by " << most;
            EXPECT_EQ(faults(tcp6(noise(size)), most), "") << size << " by " << most;
        }
    }
}

TEST(Segment, OptionsExtensionHeadersAndTag) {
    const frames::Ends tagged{.vlan = 77};
    const Bytes timestamps = {1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8};
    EXPECT_EQ(faults(tcp4(noise(5001), kTcpAck, tagged, {.id = 0xfffe}, timestamps), 1448), "")
        << "the id wraps";
    EXPECT_EQ(faults(tcp4(noise(5001), kTcpAck, {}, {.options = {148, 4, 0, 0}}), 1000), "")
        << "router alert";
    EXPECT_EQ(faults(tcp6(noise(5001), kTcpAck, tagged, timestamps), 1428), "");
    const Bytes options = {6, 0, 1, 4, 0, 0, 0, 0};
    EXPECT_EQ(
        faults(frames::ipv6_frame(60, options + frames::tcp(kTcpAck, noise(5001), {}, true)), 1300),
        "");
}

TEST(Segment, FlagsBelongToOneSegmentEach) {
    constexpr std::uint8_t kAll = kTcpAck | kTcpPsh | kTcpFin | kTcpCwr | kTcpEce;
    EXPECT_EQ(faults(tcp4(noise(4000), kAll), 1000), "");
    EXPECT_EQ(faults(tcp6(noise(999), kAll), 1000), "") << "one segment keeps them all";
}

TEST(Segment, PayloadOverAnyBuffers) {
    const Bytes frame = tcp4(noise(3000));
    for (const std::size_t cut : {54U, 55U, 60U, 118U, 119U, 1500U, 3053U}) {
        EXPECT_EQ(faults(frame, 64, {cut}), "") << cut;
        EXPECT_EQ(faults(frame, 1111, {54, cut, cut}), "") << cut << " and an empty buffer";
    }
}

TEST(Segment, LargerThanABuffer) {
    EXPECT_EQ(faults(tcp4(noise(60000)), 8960), "");
    EXPECT_EQ(faults(tcp6(noise(60001)), 8940), "");
    constexpr std::uint16_t kRoom = RTE_MBUF_DEFAULT_BUF_SIZE - RTE_PKTMBUF_HEADROOM;
    for (const int off : {-1, 0, 1}) {
        EXPECT_EQ(faults(tcp4(noise(9000)), static_cast<std::uint16_t>(kRoom - 54 + off)), "");
    }
}

TEST(Segment, AnyFrameInAnyBuffers) {
    const unsigned seed = std::random_device{}();
    std::mt19937 random(seed);
    const auto below = [&](std::size_t bound) { return frames::below(random, bound); };
    for (unsigned round = 0; round < 500; ++round) {
        const frames::Ends ends{.vlan = below(2) == 0 ? -1 : static_cast<int>(1 + below(4094))};
        const Bytes options(below(11) * 4, 1);
        const Bytes payload = noise(below(below(2) == 0 ? 400 : 64000));
        const auto flags = static_cast<std::uint8_t>(
            kTcpAck | (random() & (kTcpFin | kTcpPsh | kTcpEce | kTcpCwr)));
        const frames::Ipv4Fields fields{.id = static_cast<std::uint16_t>(random())};
        const Bytes frame = below(2) == 0 ? tcp4(payload, flags, ends, fields, options)
                                          : tcp6(payload, flags, ends, options);
        const auto most = static_cast<std::uint16_t>(kTsoPayloadMin + below(9000));
        const std::size_t first = frame.size() - below(payload.size() + 1);
        const std::size_t second = first + below(frame.size() - first + 1);
        ASSERT_EQ(faults(frame, most, {first, second}), "")
            << "seed " << seed << ", round " << round << ": " << frame.size() << " bytes by "
            << most << ", cut at " << first << " and " << second;
    }
}

// Cut by its IP length it would be small; handed on whole it would be longer than any MTU.
TEST(Segment, BytesBehindThePacketAreRefused) {
    const Bytes frame = tcp4(noise(500));
    Bytes padded = frame;
    padded.resize(frame.size() + 40, 0xee);
    EXPECT_EQ(faults_with(datapath::SegmentSum::kFull, padded, 100, {}), "bad_offload");
}

TEST(Segment, AllOrNothing) {
    const Pool pool = make_pool(4);
    frames::Mbuf mbuf(tcp4(noise(500)));
    mbuf.head().ol_flags = kTso;
    mbuf.head().tso_segsz = 100;
    ParsedFrame parsed;
    datapath::parse_mbuf(mbuf.head(), frames::kPort, parsed);
    datapath::convert_offload(mbuf.head(), parsed);
    std::vector<rte_mbuf*> made(datapath::segment_count(mbuf.head()));
    ASSERT_EQ(made.size(), 5u);
    EXPECT_FALSE(datapath::segment(mbuf.head(), *pool, 0, datapath::SegmentSum::kFull, made));
    EXPECT_EQ(rte_mempool_avail_count(pool.get()), 4u);
}

TEST(Segment, CountIsBounded) {
    frames::Mbuf mbuf(tcp4(noise(65535 - 54)));
    mbuf.head().ol_flags = kTso;
    mbuf.head().tso_segsz = kTsoPayloadMin;
    ParsedFrame parsed;
    datapath::parse_mbuf(mbuf.head(), frames::kPort, parsed);
    datapath::convert_offload(mbuf.head(), parsed);
    ASSERT_EQ(parsed.reason, DropReason::kNone);
    EXPECT_LE(datapath::segment_count(mbuf.head()), kTsoSegmentMax);
}

}  // namespace
}  // namespace sluice::test
