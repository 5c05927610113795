// SPDX-License-Identifier: Apache-2.0
// What a guest leaves to its device: passed on whole to a receiver that takes it, finished for one
// that doesn't. The table goes through every combination of what the sender says and what the
// receiver takes.
#include <rte_mbuf.h>

#include <array>

#include "tests/packet/pipeline.h"
#include "tests/packet/reassemble.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

constexpr std::uint64_t kTcpChecksum = RTE_MBUF_F_TX_TCP_CKSUM;
constexpr std::uint64_t kUdpChecksum = RTE_MBUF_F_TX_UDP_CKSUM;
constexpr std::uint64_t kSegment = RTE_MBUF_F_TX_TCP_SEG;
constexpr std::uint64_t kFamilies = RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6;

/// As librte_vhost leaves it: the request, and the family as it saw it.
QueuedFrame asking(const Bytes& frame, std::uint64_t flags, bool is_v6 = false,
                   std::uint16_t segment_size = 0) {
    return {with_partial_checksum(frame),
            {},
            {flags | (is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4), segment_size}};
}

TEST(PartialChecksum, PassesToAReceiverThatTakesIt) {
    Pipeline p(two_vms());
    p.port("vm2").partial_checksum = true;
    const QueuedFrame frame = asking(udp(v4(kVm1, kVm2), 1, 2, 100), kUdpChecksum);
    p.send("vm1", frame).step();
    const std::vector<SentFrame> sent = p.port("vm2").take_sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].bytes, frame.bytes);
    EXPECT_EQ(sent[0].offload.ol_flags & RTE_MBUF_F_TX_L4_MASK, kUdpChecksum);
    EXPECT_TRUE(p.packets_conserved());
}

TEST(PartialChecksum, IsFinishedForAReceiverThatDoesNot) {
    for (const Path& path : {v4(kVm1, kVm2), v6(kVm1, kVm2)}) {
        for (const std::size_t size : {0U, 1U, 100U, 1200U}) {
            Pipeline p(two_vms());
            TcpTalk talk(path);
            const Bytes datagram = udp(path, 1, 2, size);
            const Bytes syn = talk.syn();
            p.send("vm1", asking(datagram, kUdpChecksum, path.is_v6()))
                .send("vm1", asking(syn, kTcpChecksum, path.is_v6()))
                .step();
            const std::vector<SentFrame> sent = p.port("vm2").take_sent();
            ASSERT_EQ(sent.size(), 2u);
            EXPECT_EQ(sent[0].bytes, datagram) << "the sum that the sender would have computed";
            EXPECT_EQ(sent[1].bytes, syn);
            EXPECT_TRUE(has_right_checksum(sent[0].bytes));
            EXPECT_EQ(sent[0].offload.ol_flags & RTE_MBUF_F_TX_L4_MASK, 0u);
        }
    }
}

TEST(PartialChecksum, IsFinishedOverSegmentsAndBehindATag) {
    nlohmann::json document = two_vms();
    document["port_groups"] =
        json_of(R"([{"name": "lan", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
                                          {"name": "trunk", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["1-20"]}}])");
    document["ports"][1]["port_group"] = "trunk";
    Pipeline p(document);
    const Bytes frame = udp(v4(kVm1, kVm2), 1, 2, 777);
    QueuedFrame queued = asking(frame, kUdpChecksum);
    queued.cuts = {101, 303};
    p.send("vm1", queued).step();
    EXPECT_EQ(p.sent("vm2"), std::vector<Bytes>{tagged(frame, 10)});
    EXPECT_TRUE(p.packets_conserved());
}

TEST(Tso, PassesWholeToAReceiverThatTakesIt) {
    for (const bool is_v6 : {false, true}) {
        Pipeline p(two_vms());
        p.port("vm2").partial_checksum = p.port("vm2").tso4 = p.port("vm2").tso6 = true;
        TcpTalk talk(is_v6 ? v6(kVm1, kVm2) : v4(kVm1, kVm2));
        p.send("vm1", talk.syn())
            .step()
            .send("vm2", talk.syn_ack())
            .step()
            .send("vm1", talk.ack(TcpTalk::kClient))
            .step();
        p.port("vm2").clear_sent();
        const QueuedFrame large =
            asking(talk.data(TcpTalk::kClient, 9000), kTcpChecksum | kSegment, is_v6, 1400);
        p.send("vm1", large).step();
        const std::vector<SentFrame> sent = p.port("vm2").take_sent();
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent[0].bytes, large.bytes);
        EXPECT_EQ(sent[0].offload.ol_flags & kSegment, kSegment);
        EXPECT_EQ(sent[0].offload.ol_flags & kFamilies,
                  is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
        EXPECT_EQ(sent[0].offload.segment_size, 1400u);
        EXPECT_TRUE(p.packets_conserved());
    }
}

enum class Tagging { kNone, kPushed, kPopped };
/// What the sender says of the transport checksum, and what is in the field.
enum class Claim { kUnknown, kGood, kBad, kPartial };
constexpr std::uint16_t kMost = 1400;

/// vm1 to vm2, with or without a VLAN step between, and an established TCP connection.
class Stage {
public:
    Stage(bool is_v6, Tagging tagging, const PipelineOptions& options = {})
        : path_(is_v6 ? v6(kVm1, kVm2) : v4(kVm1, kVm2)),
          talk_(path_),
          tagging_(tagging),
          pipeline_(document(tagging), options) {
        pass({in(talk_.syn()), {}, {}});
        answer(talk_.syn_ack());
        pass({in(talk_.ack(TcpTalk::kClient)), {}, {}});
    }
    /// What comes out for one frame of vm1.
    std::vector<SentFrame> pass(const QueuedFrame& frame) {
        pipeline_.port("vm2").clear_sent();
        pipeline_.send("vm1", frame).step();
        return pipeline_.port("vm2").take_sent();
    }
    /// A TCP segment of vm1, untagged, all that came before it acknowledged.
    Bytes data(std::size_t size) {
        answer(talk_.ack(TcpTalk::kServer));
        return talk_.data(TcpTalk::kClient, size);
    }
    [[nodiscard]] Bytes datagram() const { return udp(path_, 1, 2, 333); }
    /// As vm1 sends it; as vm2 gets it.
    [[nodiscard]] Bytes in(const Bytes& frame) const {
        return tagging_ == Tagging::kPopped ? tagged(frame, 10) : frame;
    }
    [[nodiscard]] Bytes out(const Bytes& frame) const {
        return tagging_ == Tagging::kPushed ? tagged(frame, 10) : frame;
    }
    void receiver(bool checksum, bool tso4, bool tso6) {
        MemoryPort& port = pipeline_.port("vm2");
        port.partial_checksum = checksum;
        port.tso4 = tso4;
        port.tso6 = tso6;
    }
    [[nodiscard]] Pipeline& pipeline() noexcept { return pipeline_; }

private:
    static nlohmann::json document(Tagging tagging) {
        nlohmann::json out = two_vms();
        if (tagging == Tagging::kNone) { return out; }
        out["port_groups"] =
            json_of(R"([{"name": "access", "switch": "dvs0", "vlan": {"mode": "access", "id": 10}},
                        {"name": "trunk", "switch": "dvs0", "vlan": {"mode": "trunk", "ranges": ["1-20"]}}])");
        out["ports"][0]["port_group"] = tagging == Tagging::kPushed ? "access" : "trunk";
        out["ports"][1]["port_group"] = tagging == Tagging::kPushed ? "trunk" : "access";
        return out;
    }
    void answer(const Bytes& frame) { pipeline_.send("vm2", out(frame)).step(); }

    Path path_;
    TcpTalk talk_;
    Tagging tagging_;
    Pipeline pipeline_;
};

Bytes with_wrong_checksum(Bytes frame) {
    frame.back() ^= 0x55U;
    return frame;
}

/// The untagged `frame`, sealed, as a sender puts it that makes `claim`.
Bytes claimed(const Bytes& frame, Claim claim) {
    if (claim == Claim::kBad) { return with_wrong_checksum(frame); }
    return claim == Claim::kPartial ? with_partial_checksum(frame) : frame;
}
std::uint64_t flags_of(Claim claim, std::uint64_t request) {
    if (claim == Claim::kGood) { return RTE_MBUF_F_RX_L4_CKSUM_GOOD; }
    return claim == Claim::kPartial ? request : 0;
}

void check_plain(Stage& stage, Claim claim, bool is_v6, const Bytes& frame, std::uint64_t request,
                 bool takes_checksum) {
    const Bytes sent = claimed(frame, claim);
    const std::uint64_t family = is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
    const bool is_partial = claim == Claim::kPartial;
    const std::vector<SentFrame> got =
        stage.pass({stage.in(sent), {}, {flags_of(claim, request) | (is_partial ? family : 0), 0}});
    ASSERT_EQ(got.size(), 1u);
    const bool finished = is_partial && !takes_checksum;
    EXPECT_EQ(got[0].bytes, stage.out(finished ? frame : sent));
    EXPECT_EQ(got[0].offload.ol_flags & (RTE_MBUF_F_TX_L4_MASK | kSegment),
              is_partial && takes_checksum ? request : 0);
}

void check_large(Stage& stage, Claim claim, bool is_v6, bool takes_checksum, bool takes_tso) {
    const Bytes whole = stage.data(5000);
    const Bytes sent = claimed(whole, claim);
    const Books before = stage.pipeline().books();
    const std::vector<SentFrame> got =
        stage.pass({stage.in(sent), {}, {flags_of(claim, kTcpChecksum) | kSegment, kMost}});
    const std::uint64_t created = stage.pipeline().books().created - before.created;
    if (takes_checksum && takes_tso) {
        ASSERT_EQ(got.size(), 1u);
        EXPECT_EQ(got[0].bytes, stage.out(sent));
        EXPECT_EQ(got[0].offload.ol_flags,
                  kTcpChecksum | kSegment | (is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4));
        EXPECT_EQ(got[0].offload.segment_size, kMost);
        EXPECT_EQ(created, 0u);
        return;
    }
    std::vector<Bytes> segments;
    for (const SentFrame& frame : got) {
        segments.push_back(frame.bytes);
        EXPECT_EQ(frame.offload.ol_flags & (RTE_MBUF_F_TX_L4_MASK | kSegment),
                  takes_checksum ? kTcpChecksum : 0);
    }
    EXPECT_EQ(segments.size(), 4u);
    EXPECT_EQ(faults_of_cut(stage.out(sent), segments, kMost,
                            takes_checksum ? Sum::kPartial : Sum::kRight),
              "");
    EXPECT_EQ(created, 4u);
    EXPECT_EQ(stage.pipeline().books().consumed - before.consumed, 1u);
}

// {unknown, good, bad, partial} x {TSO, plain TCP, plain UDP} x {receiver: checksum, TSO4, TSO6} x
// {IPv4, IPv6} x {no tag, tag pushed, tag popped}.
TEST(OffloadTable, EveryCombination) {
    constexpr std::array kTaggings = {Tagging::kNone, Tagging::kPushed, Tagging::kPopped};
    constexpr std::array kClaims = {Claim::kUnknown, Claim::kGood, Claim::kBad, Claim::kPartial};
    for (unsigned way = 0; way < 2 * kTaggings.size(); ++way) {
        const bool is_v6 = way % 2 != 0;
        Stage stage(is_v6, kTaggings[way / 2]);
        for (unsigned able = 0; able < 8; ++able) {
            const bool sum = (able & 1U) != 0;
            const bool tso4 = (able & 2U) != 0;
            const bool tso6 = (able & 4U) != 0;
            stage.receiver(sum, tso4, tso6);
            for (const Claim claim : kClaims) {
                SCOPED_TRACE(testing::Message()
                             << (is_v6 ? "IPv6" : "IPv4") << ", tagging " << way / 2
                             << ", receiver takes " << (sum ? "sums " : "") << (tso4 ? "TSO4 " : "")
                             << (tso6 ? "TSO6" : "") << ", claim " << static_cast<int>(claim));
                check_plain(stage, claim, is_v6, stage.data(500), kTcpChecksum, sum);
                check_plain(stage, claim, is_v6, stage.datagram(), kUdpChecksum, sum);
                check_large(stage, claim, is_v6, sum, is_v6 ? tso6 : tso4);
            }
        }
        EXPECT_EQ(stage.pipeline().drops(), 0u);
        EXPECT_TRUE(stage.pipeline().packets_conserved());
    }
}

QueuedFrame large(Stage& stage, std::size_t size, std::uint16_t most = kMost) {
    return {with_partial_checksum(stage.data(size)),
            {},
            {kTcpChecksum | kSegment | RTE_MBUF_F_TX_IPV4, most}};
}

TEST(Tso, OneSegmentIsAPlainFrame) {
    Stage stage(false, Tagging::kNone);
    const Bytes whole = stage.data(kMost);
    const std::vector<SentFrame> got =
        stage.pass({with_partial_checksum(whole), {}, {kTcpChecksum | kSegment, kMost}});
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].bytes, whole);
    EXPECT_EQ(stage.pipeline().books().created, 0u);
    EXPECT_TRUE(stage.pipeline().packets_conserved());
}

TEST(Tso, SegmentsKeepTheirPlaceAmongFrames) {
    Stage stage(false, Tagging::kNone);
    const Bytes first = stage.datagram();
    const QueuedFrame middle = large(stage, 64000, 1000);
    stage.pipeline().port("vm2").clear_sent();
    stage.pipeline().send("vm1", first).send("vm1", middle).send("vm1", first).step();
    std::vector<Bytes> got = stage.pipeline().sent("vm2");
    ASSERT_EQ(got.size(), 66u);
    EXPECT_EQ(got.front(), first);
    EXPECT_EQ(got.back(), first);
    got.erase(got.begin());
    got.pop_back();
    EXPECT_EQ(faults_of_cut(middle.bytes, got, 1000, Sum::kRight), "");
    EXPECT_TRUE(stage.pipeline().packets_conserved());
}

TEST(Tso, IsCutByTheWorkerThatSends) {
    PipelineOptions options;
    options.worker_count = 2;
    Stage stage(false, Tagging::kPushed, options);
    const QueuedFrame frame = large(stage, 9000);
    std::vector<Bytes> got;
    for (SentFrame& sent : stage.pass(frame)) { got.push_back(std::move(sent.bytes)); }
    EXPECT_EQ(faults_of_cut(stage.out(frame.bytes), got, kMost, Sum::kRight), "");
    EXPECT_TRUE(stage.pipeline().packets_conserved());
}

TEST(Tso, SegmentsThatTheReceiverDoesNotTakeAreDropsOfTheSender) {
    Stage stage(false, Tagging::kNone);
    const QueuedFrame frame = large(stage, 5000);
    stage.pipeline().port("vm2").room = 3;
    EXPECT_EQ(stage.pass(frame).size(), 3u);
    EXPECT_EQ(stage.pipeline().drops("vm1", DropReason::kTxQueueFull), 1u);
    EXPECT_TRUE(stage.pipeline().packets_conserved());
}

TEST(Tso, IsDroppedWholeWithoutBuffers) {
    PipelineOptions options;
    options.buffer_count = 63;
    Stage stage(false, Tagging::kNone, options);
    EXPECT_TRUE(stage.pass(large(stage, 9000, 100)).empty());
    EXPECT_EQ(stage.pipeline().drops("vm1", DropReason::kNoBuffer), 1u);
    EXPECT_EQ(stage.pipeline().books().created, 0u);
    EXPECT_TRUE(stage.pipeline().packets_conserved());
}

TEST(Tso, SegmentsLargerThanTheMtuAreRefused) {
    for (const bool is_able : {false, true}) {
        Stage stage(false, Tagging::kNone);
        stage.receiver(is_able, is_able, is_able);
        EXPECT_FALSE(stage.pass(large(stage, 5000, 1460)).empty());
        EXPECT_TRUE(stage.pass(large(stage, 5000, 1461)).empty());
        EXPECT_EQ(stage.pipeline().drops("vm1", DropReason::kOversizeFrame), 1u);
        EXPECT_TRUE(stage.pipeline().packets_conserved());
    }
}

TEST(BadOffload, IsNamed) {
    Stage stage(false, Tagging::kNone);
    std::uint64_t count = 0;
    const auto is_refused = [&](const QueuedFrame& frame) {
        EXPECT_TRUE(stage.pass(frame).empty());
        EXPECT_EQ(stage.pipeline().drops("vm1", DropReason::kBadOffload), ++count);
    };
    is_refused({stage.datagram(), {}, {kTcpChecksum | RTE_MBUF_F_TX_IPV4, 0}});
    is_refused({stage.datagram(), {}, {RTE_MBUF_F_TX_UDP_SEG | kUdpChecksum, kMost}});
    QueuedFrame segment = large(stage, 300);
    for (const std::uint16_t most : std::vector<std::uint16_t>{0, 1, 63, 65500}) {
        segment.offload.segment_size = most;
        is_refused(segment);
    }
    TcpTalk other(v4(kVm1, kVm2), 41000);
    is_refused({other.syn(), {}, {kTcpChecksum | kSegment, kMost}});
    is_refused({other.reset(TcpTalk::kClient), {}, {kTcpChecksum | kSegment, kMost}});
    EXPECT_EQ(stage.pipeline().drops(), count);
    EXPECT_TRUE(stage.pipeline().packets_conserved());
}

}  // namespace
}  // namespace sluice::test
