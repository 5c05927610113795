// SPDX-License-Identifier: Apache-2.0
// Rules that reject: what the sender of a refused packet is told, and who is told nothing.
#include <rte_mbuf.h>

#include "tests/packet/pipeline.h"
#include "tests/packet/switch_frames.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;
using enum TcpTalk::Side;

nlohmann::json rejecting(const std::string& rule = R"({"name": "no", "action": "reject"})",
                         nlohmann::json document = two_vms()) {
    document["dfw"] = json_of(R"({"sections": [{"name": "s", "rules": [)" + rule + "]}]}");
    return document;
}

void set16(Bytes& bytes, std::size_t at, unsigned value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8U);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

unsigned get16(const Bytes& bytes, std::size_t at) {
    return static_cast<unsigned>(bytes[at] << 8U) | bytes[at + 1];
}

Bytes reset(const Path& path, std::uint16_t source, std::uint16_t destination, unsigned flags,
            std::uint32_t sequence, std::uint32_t ack) {
    return as_switch(tcp(path, source, destination,
                         {.flags = flags, .sequence = sequence, .ack = ack, .window = 0}),
                     0);
}

Bytes prohibited(const Path& path, const Bytes& about) {
    return switch_error(path, path.is_v6() ? 1 : 3, path.is_v6() ? 1 : 13, about);
}

/// What `sender` is told about one frame that is dropped.
Frames answers(Pipeline& p, const std::string& sender, const Bytes& frame) {
    const std::uint64_t before = p.drops(sender, DropReason::kDfwReject);
    p.send(sender, frame).step();
    EXPECT_EQ(p.drops(sender, DropReason::kDfwReject), before + 1);
    EXPECT_EQ(p.sent(sender == "vm1" ? "vm2" : "vm1"), Frames{});
    EXPECT_TRUE(p.packets_conserved());
    return p.sent(sender);
}

class RejectBoth : public testing::TestWithParam<std::tuple<bool, bool>> {
protected:
    [[nodiscard]] Path path() const {
        return std::get<0>(GetParam()) ? v6(kVm1, kVm2) : v4(kVm1, kVm2);
    }
    Pipeline p{rejecting(), {.flow_cache = std::get<1>(GetParam())}};
};

TEST_P(RejectBoth, AnswersASynWithAResetThatAcknowledgesIt) {
    const Bytes syn = tcp(path(), 40000, 80, {.flags = kTcpSyn, .sequence = 1000});
    for (int i = 0; i < 3; ++i) {  // The first packet, and what is cached of it.
        EXPECT_EQ(answers(p, "vm1", syn),
                  Frames{reset(path().back(), 80, 40000, kTcpRst | kTcpAck, 0, 1001)});
    }
    EXPECT_EQ(p.books().created, 3u);
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST_P(RejectBoth, AnswersAnAckWithAResetAtItsNumber) {
    const Bytes data = tcp(path(), 40000, 80, {.sequence = 1000, .ack = 77, .payload_size = 50});
    EXPECT_EQ(answers(p, "vm1", data), Frames{reset(path().back(), 80, 40000, kTcpRst, 77, 0)});
}

TEST_P(RejectBoth, CountsPayloadAndFinOfASegmentWithoutAck) {
    const Bytes syn =
        tcp(path(), 40000, 80, {.flags = kTcpSyn, .sequence = 0xfffffff0, .payload_size = 100});
    EXPECT_EQ(answers(p, "vm1", syn),
              Frames{reset(path().back(), 80, 40000, kTcpRst | kTcpAck, 0, 0x55)});
}

TEST_P(RejectBoth, NeverAnswersAReset) {
    EXPECT_EQ(answers(p, "vm1", tcp(path(), 40000, 80, {.flags = kTcpRst, .sequence = 1})),
              Frames{});
    EXPECT_EQ(
        answers(p, "vm1", tcp(path(), 40000, 80, {.flags = kTcpRst | kTcpAck, .sequence = 1})),
        Frames{});
}

TEST_P(RejectBoth, TellsTheSenderOfADatagramWhatWasRefused) {
    for (const Bytes& refused : {udp(path(), 1000, 53), ping(path())}) {
        EXPECT_EQ(answers(p, "vm1", refused), Frames{prohibited(path().back(), refused)});
    }
}

TEST_P(RejectBoth, QuotesNoMoreThanTheErrorMayHold) {
    const Frames got = answers(p, "vm1", udp(path(), 1000, 53, 1400));
    ASSERT_EQ(got.size(), 1u);
    EXPECT_EQ(got[0].size(), 14u + (path().is_v6() ? 1280u : 576u));
    EXPECT_TRUE(has_right_checksum(got[0]));
    EXPECT_EQ(get16(got[0], path().is_v6() ? 18 : 16), path().is_v6() ? 1240u : 576u);
}

TEST_P(RejectBoth, QuotesNoPadding) {
    const Bytes refused = udp(path(), 1000, 53, 1);
    Bytes padded = refused;
    padded.resize(90, 0xee);
    EXPECT_EQ(answers(p, "vm1", padded), Frames{prohibited(path().back(), refused)});
}

TEST_P(RejectBoth, QuotesAcrossSegments) {
    const Bytes refused = udp(path(), 1000, 53, 300);
    p.send("vm1", refused, {70, 1, 33}).step();
    const Frames got = p.sent("vm1");
    ASSERT_EQ(got.size(), 1u);
    EXPECT_TRUE(has_right_checksum(got[0]));
    const auto size = static_cast<std::ptrdiff_t>(refused.size() - 14);
    EXPECT_EQ(Bytes(got[0].end() - size, got[0].end()), Bytes(refused.begin() + 14, refused.end()));
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RejectBoth, AnswersTheHeadOfADatagramAlone) {
    const std::vector<Bytes> pieces = fragments(udp(path(), 1000, 53, 1200), 400, 9);
    ASSERT_GE(pieces.size(), 3u);
    for (const Bytes& piece : pieces) { p.send("vm1", piece); }
    p.step();
    const Frames got = p.sent("vm1");
    ASSERT_EQ(got.size(), 1u);
    EXPECT_TRUE(has_right_checksum(got[0]));
    EXPECT_EQ(p.drops("vm1", DropReason::kDfwReject), 1u);
    EXPECT_TRUE(p.packets_conserved());
}

TEST_P(RejectBoth, SaysNothingAboutAWrongChecksum) {
    Bytes broken = udp(path(), 1000, 53);
    broken.back() ^= 1U;
    EXPECT_EQ(answers(p, "vm1", broken), Frames{});
}

TEST_P(RejectBoth, SaysNothingToAGroup) {
    Path group = path();
    group.destination = group.is_v6() ? ip("ff02::5") : ip("224.1.1.1");
    group.destination_mac = group.is_v6() ? mac("33:33:00:00:00:05") : mac("01:00:5e:01:01:01");
    EXPECT_EQ(answers(p, "vm1", udp(group, 1000, 53)), Frames{});
    Path unicast_in_group = path();
    unicast_in_group.destination_mac = kBroadcast;
    EXPECT_EQ(answers(p, "vm1", udp(unicast_in_group, 1000, 53)), Frames{});
}

TEST_P(RejectBoth, IsAnsweredForARuleAtTheOtherEnd) {
    p.apply(rejecting(R"({"name": "in", "action": "reject", "direction": "in",
                          "applied_to": ["vm2"], "services": ["udp"]})"));
    const Bytes refused = udp(path(), 1000, 53);
    for (int i = 0; i < 2; ++i) {
        EXPECT_EQ(answers(p, "vm1", refused), Frames{prohibited(path().back(), refused)});
    }
    EXPECT_EQ(p.slot("vm2", kSlotDfw, Direction::kToVm).drops, 2u);
}

TEST_P(RejectBoth, EndsALiveConnectionAtTheNextPacket) {
    p.apply(two_vms());
    TcpTalk talk(path());
    p.send("vm1", talk.syn()).step().send("vm2", talk.syn_ack()).step();
    p.send("vm1", talk.ack(kClient)).step();
    ASSERT_EQ(p.sent("vm2").size(), 2u);
    ASSERT_EQ(p.sent("vm1").size(), 1u);
    p.apply(rejecting());
    EXPECT_EQ(answers(p, "vm1", talk.data(kClient)),
              Frames{reset(path().back(), 80, 40000, kTcpRst, 2'000'001, 0)});
    EXPECT_EQ(p.connections().size(), 0u);
}

TEST_P(RejectBoth, AnswersWithinItsRateAndCountsAll) {
    const Bytes refused = udp(path(), 1000, 53);
    for (unsigned i = 0; i < kRejectPerPortPps + 100; ++i) { p.send("vm1", refused); }
    p.step();
    EXPECT_EQ(p.sent("vm1").size(), kRejectPerPortPps);
    EXPECT_EQ(p.drops("vm1", DropReason::kDfwReject), kRejectPerPortPps + 100u);
    EXPECT_EQ(answers(p, "vm2", udp(path().back(), 1, 2)).size(), 1u) << "its own measure";
    p.advance(kSecond / 10);
    for (unsigned i = 0; i < 100; ++i) { p.send("vm1", refused); }
    p.step();
    EXPECT_EQ(p.sent("vm1").size(), kRejectPerPortPps / 10);
    EXPECT_TRUE(p.packets_conserved());
}

/// The frame with what hosts rarely send: four bytes of options (IPv4), or eight of them in a
/// hop-by-hop header (IPv6).
Bytes with_options(Bytes frame) {
    const bool is_v6 = frame[12] == 0x86;
    if (is_v6) {
        const Bytes hops{frame[20], 0, 1, 4, 0, 0, 0, 0};  // PadN (RFC 8200 §4.2).
        frame.insert(frame.begin() + 54, hops.begin(), hops.end());
        frame[20] = 0;
        set16(frame, 18, get16(frame, 18) + 8);
        return frame;
    }
    frame.insert(frame.begin() + 34, {1, 1, 1, 0});  // No operation, end of list (RFC 791 §3.1).
    frame[14] = 0x46;
    set16(frame, 16, get16(frame, 16) + 4);
    set16(frame, 24, 0);
    std::uint32_t sum = 0;
    for (std::size_t at = 14; at < 38; at += 2) { sum += get16(frame, at); }
    sum = (sum & 0xffffU) + (sum >> 16U);
    set16(frame, 24, ~(sum + (sum >> 16U)) & 0xffffU);
    return frame;
}

TEST_P(RejectBoth, QuotesOptionsAndExtensionHeaders) {
    const Bytes refused = with_options(udp(path(), 1000, 53, 50));
    EXPECT_EQ(answers(p, "vm1", refused), Frames{prohibited(path().back(), refused)});
    const Bytes syn = with_options(tcp(path(), 40000, 80, {.flags = kTcpSyn, .sequence = 7}));
    EXPECT_EQ(answers(p, "vm1", syn),
              Frames{reset(path().back(), 80, 40000, kTcpRst | kTcpAck, 0, 8)})
        << "none of it in a reset";
}

TEST_P(RejectBoth, CountsNoPaddingAsPayload) {
    Bytes syn = tcp(path(), 40000, 80, {.flags = kTcpSyn, .sequence = 1000, .payload_size = 3});
    syn.resize(syn.size() + 40, 0xee);
    EXPECT_EQ(answers(p, "vm1", syn),
              Frames{reset(path().back(), 80, 40000, kTcpRst | kTcpAck, 0, 1004)});
}

TEST_P(RejectBoth, SaysNothingToWhatIsCutShort) {
    for (Bytes cut : {udp(path(), 1000, 53, 100), tcp(path(), 40000, 80, {.flags = kTcpSyn})}) {
        cut.pop_back();
        const std::uint64_t before = p.drops("vm1", DropReason::kBadIpLength);
        p.send("vm1", cut).step();
        EXPECT_EQ(p.drops("vm1", DropReason::kBadIpLength), before + 1);
    }
    EXPECT_EQ(p.sent("vm1"), Frames{});
    EXPECT_EQ(p.books().created, 0u);
}

TEST_P(RejectBoth, AnswersALargeSegmentOnceAndWhole) {
    const bool is_v6 = path().is_v6();
    const auto asking = [&](const Bytes& frame, std::uint64_t flags, std::uint16_t segment_size) {
        return QueuedFrame{
            with_partial_checksum(frame),
            {},
            {flags | (is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4), segment_size}};
    };
    const Bytes large = tcp(path(), 40000, 80, {.sequence = 1000, .ack = 77, .payload_size = 9000});
    p.send("vm1", asking(large, RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG, 1400)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{reset(path().back(), 80, 40000, kTcpRst, 77, 0)});
    p.send("vm1", asking(udp(path(), 1000, 53, 900), RTE_MBUF_F_TX_UDP_CKSUM, 0)).step();
    const Frames got = p.sent("vm1");
    ASSERT_EQ(got.size(), 1u);
    EXPECT_TRUE(has_right_checksum(got[0])) << "the answer's own is not left to a device";
    EXPECT_TRUE(p.packets_conserved());
}

INSTANTIATE_TEST_SUITE_P(Families, RejectBoth, testing::Combine(testing::Bool(), testing::Bool()));

TEST(Reject, IsTheDefaultsWord) {
    nlohmann::json document = two_vms();
    document["dfw"] = {{"default", "reject"}};
    Pipeline p(document);
    const Bytes refused = udp(v4(kVm1, kVm2), 1000, 53);
    EXPECT_EQ(answers(p, "vm1", refused), Frames{prohibited(v4(kVm2, kVm1), refused)});
}

TEST(Reject, NeverAnswersAnIcmpError) {
    nlohmann::json document = two_vms();
    document["dfw"] = {{"default", "reject"}};
    for (const Path& path : {v4(kVm1, kVm2), v6(kVm1, kVm2)}) {
        Pipeline p(document);
        p.send("vm1", icmp_error(path, path.is_v6() ? 1 : 3, 1, udp(path.back(), 5, 6))).step();
        EXPECT_EQ(p.sent("vm1"), Frames{});
        EXPECT_EQ(p.drops(), 1u);
        EXPECT_TRUE(p.packets_conserved());
    }
}

TEST(Reject, SaysNothingToASenderThatIsNobody) {
    Pipeline p(rejecting());
    for (const char* source : {"0.0.0.0", "0.1.2.3", "240.0.0.1"}) {
        Path path = v4(kVm1, kVm2);
        path.source = ip(source);
        p.send("vm1", udp(path, 1000, 53)).step();
        EXPECT_EQ(p.sent("vm1"), Frames{}) << source;
    }
    EXPECT_EQ(p.drops("vm1", DropReason::kBadIpAddress) + p.drops("vm1", DropReason::kDfwReject),
              3u);
}

TEST(Reject, MirrorsTheTagAndLeavesByTheIngress) {
    nlohmann::json document = rejecting();
    document["port_groups"][0]["vlan"] = {{"mode", "trunk"}, {"ranges", {"10-20"}}};
    Pipeline p(document);
    const Bytes refused = udp(v4(kVm1, kVm2), 1000, 53);
    p.send("vm1", tagged(refused, 12)).step();
    EXPECT_EQ(p.sent("vm1"), Frames{tagged(prohibited(v4(kVm2, kVm1), refused), 12)});
}

TEST(Reject, WithoutBuffersOnlyDrops) {
    Pipeline p(rejecting(), {.buffer_count = 64});
    Frames burst(32, udp(v4(kVm1, kVm2), 1000, 53));
    std::vector<rte_mbuf*> held(32);
    ASSERT_EQ(rte_pktmbuf_alloc_bulk(&p.pool(), held.data(), 32), 0);
    for (const Bytes& frame : burst) { p.send("vm1", frame); }
    p.step();
    EXPECT_EQ(p.drops("vm1", DropReason::kDfwReject), 32u);
    EXPECT_LT(p.sent("vm1").size(), 32u);
    rte_pktmbuf_free_bulk(held.data(), 32);
    EXPECT_TRUE(p.packets_conserved());
}

}  // namespace
}  // namespace sluice::test
