// SPDX-License-Identifier: Apache-2.0
// VXLAN at the edge, byte by byte: what leaves for a remote VTEP, over both families, tagged or
// not; what comes from one, and what of it is refused; large TCP, sizes, ECN.
#include <rte_mbuf.h>

#include <random>

#include "tests/packet/reassemble.h"
#include "tests/packet/tcp_talk.h"
#include "tests/packet/tunnel_rig.h"

namespace sluice::test {
namespace {

/// Both families of the underlay, with and without a tag, with and without the flow cache.
struct Mode {
    bool is_v6, is_tagged, is_cached;
};

class Tunnel : public testing::TestWithParam<Mode> {
protected:
    static RigOptions options() {
        RigOptions out;
        out.is_v6 = GetParam().is_v6;
        out.remotes = {out.is_v6 ? "fd00::2" : "172.16.0.2"};
        out.vlan = GetParam().is_tagged ? 77 : 0;
        out.mtu = 1600;
        out.pipeline.flow_cache = GetParam().is_cached;
        return out;
    }
    /// Resolved, and kFar known.
    static std::unique_ptr<TunnelRig> rig(const RigOptions& with = options()) {
        auto rig = std::make_unique<TunnelRig>(with);
        rig->resolve_all();
        rig->learn_far();
        return rig;
    }
    static Bytes expected(const TunnelRig& rig, const Unwrapped& got, const Bytes& inner,
                          std::uint8_t traffic_class = 0) {
        Outer outer = rig.to();
        outer.source_port = got.outer.source_port;
        outer.label = got.outer.label;
        outer.traffic_class = traffic_class;
        return wrapped(outer, inner);
    }
};
INSTANTIATE_TEST_SUITE_P(, Tunnel,
                         testing::Values(Mode{false, false, true}, Mode{true, false, true},
                                         Mode{false, true, true}, Mode{true, true, false},
                                         Mode{false, false, false}),
                         [](const auto& mode) {
                             return std::string(mode.param.is_v6 ? "Ipv6" : "Ipv4") +
                                    (mode.param.is_tagged ? "Tagged" : "") +
                                    (mode.param.is_cached ? "Cached" : "Walked");
                         });

TEST_P(Tunnel, WrapsWhatGoesToARemoteVm) {
    const auto r = rig();
    for (const Bytes& inner : {udp(v4(kVm1, kFar), 1, 2), udp(v6(kVm1, kFar), 1, 2, 1200),
                               with_dscp(udp(v4(kVm1, kFar), 3, 4), 46)}) {
        r->pipeline().send("vm1", inner).send("vm1", inner).step();
        const Frames cable = r->cable();
        ASSERT_EQ(cable.size(), 2u);
        const Unwrapped got = unwrapped(cable[0]);
        EXPECT_EQ(cable[0], expected(*r, got, inner, inner[13] == 0 ? inner[15] : 0));
        EXPECT_EQ(cable[1], cable[0]) << "a flow keeps its source port";
        EXPECT_GE(got.outer.source_port, 49152);
    }
    EXPECT_EQ(r->tep_packets(false), 6u);
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, UnwrapsWhatComesFromARemoteVm) {
    const auto r = rig();
    for (const bool has_checksum : {false, true}) {
        for (const Bytes& inner : {udp(v4(kFar, kVm1), 1, 2, 3), udp(v6(kFar, kVm1), 1, 2, 1200),
                                   ping(v4(kFar, kVm1))}) {
            Outer outer = r->from();
            outer.has_checksum = has_checksum;
            r->receive_raw(wrapped(outer, inner));
            EXPECT_EQ(r->pipeline().sent("vm1"), Frames{inner});
        }
    }
    EXPECT_EQ(r->tep_packets(true), 7u) << "with the one that taught the MAC";
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, CutsOffWhatTheCableAdded) {
    const auto r = rig();
    const Bytes inner = udp(v4(kFar, kVm1), 1, 2, 3);
    Bytes padded = wrapped(r->from(), inner);
    padded.resize(padded.size() + 9);
    r->receive_raw(padded);
    EXPECT_EQ(r->pipeline().sent("vm1"), Frames{inner});
}

TEST_P(Tunnel, TakesFramesInPieces) {
    const auto r = rig();
    const Bytes inner = udp(v4(kFar, kVm1), 1, 2, 1000);
    const Bytes frame = wrapped(r->from(), inner);
    for (std::uint16_t cut = 1; cut < 130; ++cut) {
        r->pipeline().send("vm3", frame, {cut}).step();
        EXPECT_EQ(r->pipeline().sent("vm1"), Frames{inner}) << cut;
    }
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, DropsEachFrameThatIsTooShort) {
    const auto r = rig();
    const Bytes frame = wrapped(r->from(), udp(v4(kFar, kVm1), 1, 2, 20));
    for (std::size_t size = 1; size < frame.size(); ++size) {
        r->receive_raw(Bytes(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size)));
        EXPECT_EQ(r->pipeline().sent("vm1"), Frames{}) << size;
    }
    EXPECT_EQ(r->pipeline().drops(), frame.size() - 1);
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, RefusesStrangers) {
    const auto r = rig();
    const Bytes inner = udp(v4(kFar, kVm1), 1, 2);
    Outer outer = r->from();
    outer.source = ip(GetParam().is_v6 ? "fd00::9" : "172.16.0.9");
    r->receive_raw(wrapped(outer, inner));
    EXPECT_EQ(r->drops(DropReason::kUnknownVtep), 1u);
    outer = r->from();
    outer.vni = kVni + 1;
    r->receive_raw(wrapped(outer, inner));
    EXPECT_EQ(r->drops(DropReason::kUnknownVni), 1u);
    outer = r->from();
    outer.flags = 0;
    r->receive_raw(wrapped(outer, inner));
    EXPECT_EQ(r->drops(DropReason::kBadVxlan), 1u);
    r->receive(tagged(inner, 5));
    Bytes service_tagged = tagged(inner, 5);
    service_tagged[12] = 0x88;
    service_tagged[13] = 0xa8;
    r->receive(service_tagged);
    EXPECT_EQ(r->drops(DropReason::kInnerVlan), 2u);
    r->receive(udp(v4(kVm2, kVm1), 1, 2)).receive(udp(v4(kVm2, kVm1), 1, 2));
    EXPECT_EQ(r->drops(DropReason::kTunnelSpoofedMac), 2u);
    EXPECT_EQ(r->pipeline().sent("vm1"), Frames{});
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, RefusesWrongHeaders) {
    const auto r = rig();
    const Bytes good = wrapped(r->from(), udp(v4(kFar, kVm1), 1, 2));
    const std::size_t l3 = GetParam().is_tagged ? 18 : 14;
    const std::size_t udp_at = l3 + (GetParam().is_v6 ? 40 : 20);
    std::vector<Bytes> bad;
    const auto with = [&](std::size_t at, std::uint8_t value) {
        bad.push_back(good);
        bad.back()[at] = value;
    };
    with(udp_at + 6, 0x12);  // A checksum that is not right.
    with(udp_at + 4, 0xff);  // Longer than the packet.
    with(udp_at + 5, 29);    // No room for an Ethernet header.
    if (!GetParam().is_v6) {
        with(l3 + 10, 0);    // Header checksum.
        with(l3 + 2, 0xff);  // Total length.
        with(l3 + 6, 0x20);  // More fragments.
        with(l3 + 7, 1);     // A later fragment.
        with(l3, 0x44);      // Header length.
    } else {
        with(l3 + 4, 0xff);
    }
    for (const Bytes& frame : bad) { r->receive_raw(frame); }
    EXPECT_EQ(r->drops(DropReason::kBadVxlan), bad.size());
    EXPECT_EQ(r->pipeline().sent("vm1"), Frames{});
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, IsNeverOpenedTwice) {
    const auto r = rig();
    Outer own = r->from();
    own.source_mac = kFar.mac;
    own.destination_mac = kVm1.mac;
    own.vlan = 0;
    own.source = kFar.ip4;
    own.destination = kVm1.ip4;
    const Bytes inner = wrapped(own, udp(v4(kFar, kVm2), 1, 2));
    r->receive(inner);
    EXPECT_EQ(r->pipeline().sent("vm1"), Frames{inner});
    EXPECT_EQ(r->pipeline().sent("vm2"), Frames{});
}

TEST_P(Tunnel, OtherFramesOfTheCableAreNotIts) {
    const auto r = rig();
    Outer outer = r->from();
    outer.vlan = GetParam().is_tagged ? 0 : 9;
    r->receive_raw(wrapped(outer, udp(v4(kFar, kVm1), 1, 2)));
    EXPECT_EQ(r->pipeline().sent("vm1"), Frames{});
    outer = r->from();
    outer.destination_mac = mac("02:00:00:00:99:77");
    r->receive_raw(wrapped(outer, udp(v4(kFar, kVm1), 1, 2)));
    EXPECT_EQ(r->pipeline().sent("vm1"), Frames{});
    EXPECT_EQ(r->tep_packets(true), 1u);
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, FramesWaitForTheirNextHop) {
    TunnelRig r(options());
    r.learn_far();
    const Bytes inner = udp(v4(kVm1, kFar), 1, 2);
    r.pipeline().send("vm1", inner).step();
    EXPECT_EQ(r.tunnelled().size(), 0u);
    EXPECT_EQ(r.pipeline().books().held, 1u);
    EXPECT_EQ(r.pipeline().books().unaccounted(), 0u);
    r.resolve();
    r.pipeline().step();
    const auto sent = r.tunnelled();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].inner, inner);
    EXPECT_EQ(sent[0].outer.vni, kVni);
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

TEST_P(Tunnel, AMovedNextHopIsNoticed) {
    const auto r = rig();
    const Bytes inner = udp(v4(kVm1, kFar), 1, 2);
    r->pipeline().send("vm1", inner).step();
    const MacAddr other = mac("02:00:00:00:99:0a");
    auto& context = r->pipeline().dataplane().worker(0).context();
    datapath::learn_neighbour(context, context.snapshot->vteps[0].underlay, r->remote_ip(0), other,
                              r->pipeline().index_of("vm3"));
    r->pipeline().send("vm1", inner).step();
    const auto sent = r->tunnelled();
    ASSERT_EQ(sent.size(), 2u);
    EXPECT_EQ(sent[0].outer.destination_mac, kHopMac);
    EXPECT_EQ(sent[1].outer.destination_mac, other);
}

TEST_P(Tunnel, ARemoteVtepThatIsDownGetsNothing) {
    const auto r = rig();
    r->set_works(0, false);
    r->pipeline()
        .send("vm1", arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, kFar.ip4}))
        .step();
    r->pipeline().send("vm1", udp(v4(kVm1, kFar), 1, 2)).step();
    EXPECT_EQ(r->cable().size(), 0u);
    r->set_works(0, true);
    r->pipeline().send("vm1", udp(v4(kVm1, kFar), 1, 2)).step();
    EXPECT_EQ(r->cable().size(), 1u);
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

QueuedFrame large(const Bytes& frame, bool is_v6, std::uint16_t segment_size) {
    const std::uint64_t family = is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
    return {with_partial_checksum(frame),
            {},
            {RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG | family, segment_size}};
}

TEST_P(Tunnel, CutsLargeTcpBeforeItIsWrapped) {
    for (const bool is_v6 : {false, true}) {
        const auto r = rig();
        TcpTalk talk(is_v6 ? v6(kVm1, kFar) : v4(kVm1, kFar));
        r->pipeline().send("vm1", talk.syn()).step();
        r->receive(talk.syn_ack());
        r->pipeline().send("vm1", talk.ack(TcpTalk::kClient)).step();
        static_cast<void>(r->cable());
        const Bytes whole = talk.data(TcpTalk::kClient, 9000);
        r->pipeline().send("vm1", large(whole, is_v6, 1400)).step();
        std::vector<Bytes> segments;
        for (const Bytes& frame : r->cable()) {
            const Unwrapped got = unwrapped(frame);
            EXPECT_EQ(frame, expected(*r, got, got.inner)) << "lengths and checksum of each";
            segments.push_back(got.inner);
        }
        EXPECT_EQ(faults_of_cut(whole, segments, 1400, Sum::kRight), "");
        EXPECT_EQ(segments.size(), 7u);
        EXPECT_TRUE(r->pipeline().packets_conserved());
    }
}

TEST_P(Tunnel, TellsAGuestWhatIsTooLong) {
    RigOptions with = options();
    with.mtu = 1500;
    const auto r = rig(with);
    const std::size_t most = 1500 - (GetParam().is_v6 ? 70 : 50);  // Of layer 3, inside.
    r->pipeline().send("vm1", udp(v4(kVm1, kFar), 1, 2, most - 28)).step();
    EXPECT_EQ(r->cable().size(), 1u);
    r->pipeline().send("vm1", udp(v4(kVm1, kFar), 1, 2, most - 27)).step();
    EXPECT_EQ(r->cable().size(), 0u);
    EXPECT_EQ(r->pipeline().drops("vm1", DropReason::kTooBig), 1u);
    const Frames told = r->pipeline().sent("vm1");
    ASSERT_EQ(told.size(), 1u);
    EXPECT_TRUE(has_right_checksum(told[0]));
    const Bytes back = udp(v4(kFar, kVm1), 1, 2);
    EXPECT_TRUE(std::equal(back.begin(), back.begin() + 12, told[0].begin())) << "from the far VM";
    EXPECT_EQ(told[0][34], 3);
    EXPECT_EQ(told[0][35], 4);
    EXPECT_EQ(told[0][40] * 256u + told[0][41], most);
    r->pipeline().send("vm1", udp(v6(kVm1, kFar), 1, 2, most - 47)).step();
    const Frames told6 = r->pipeline().sent("vm1");
    ASSERT_EQ(told6.size(), 1u);
    EXPECT_EQ(told6[0][54], 2);
    EXPECT_EQ(told6[0][60] * 256u + told6[0][61], most);
    r->pipeline()
        .send("vm1", udp(v4(kVm1, Vnic{kBroadcast, ip("255.255.255.255"), {}}), 1, 2, most - 27))
        .step();
    EXPECT_EQ(r->pipeline().sent("vm1"), Frames{}) << "nobody is told about a broadcast";
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, TellsAGuestWhoseMtuIsTooLarge) {
    const auto r = rig();
    r->pipeline().send("vm1", udp(v4(kVm1, kVm2), 1, 2, 1473)).step();
    EXPECT_EQ(r->pipeline().drops("vm1", DropReason::kTooBig), 1u) << "to a neighbour, too";
    const Frames told = r->pipeline().sent("vm1");
    ASSERT_EQ(told.size(), 1u);
    EXPECT_TRUE(has_right_checksum(told[0]));
    EXPECT_EQ(told[0][40] * 256u + told[0][41], 1500u);
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, CongestionReachesTheInnerPacket) {
    const auto r = rig();
    const auto ecn_of = [&](std::uint8_t inner_ecn, std::uint8_t outer_ecn) -> int {
        Bytes inner = with_dscp(udp(v4(kFar, kVm1), 1, 2), 10);
        const auto set = [](Bytes& frame, std::uint8_t ecn) {
            frame[15] = static_cast<std::uint8_t>((frame[15] & ~3U) | ecn);
            frame[24] = frame[25] = 0;
            std::uint32_t sum = 0;
            for (std::size_t i = 14; i < 34; i += 2) { sum += frame[i] * 256U + frame[i + 1]; }
            sum = (sum & 0xffffU) + (sum >> 16U);
            sum = ~(sum + (sum >> 16U));
            frame[24] = static_cast<std::uint8_t>(sum >> 8U);
            frame[25] = static_cast<std::uint8_t>(sum);
        };
        set(inner, inner_ecn);
        Outer outer = r->from();
        outer.traffic_class = outer_ecn;
        r->receive_raw(wrapped(outer, inner));
        const Frames got = r->pipeline().sent("vm1");
        if (got.empty()) { return -1; }
        const int ecn = got[0][15] & 3;
        set(inner, static_cast<std::uint8_t>(ecn));
        EXPECT_EQ(got[0], inner) << "nothing else changed, and the checksum is right";
        return ecn;
    };
    // RFC 6040 §4.2, figure 4: rows are the inner packet's, columns the outer one's.
    const int expected_ecn[4][4] = {{0, 0, 0, -1}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
    for (std::uint8_t inner = 0; inner < 4; ++inner) {
        for (std::uint8_t outer = 0; outer < 4; ++outer) {
            EXPECT_EQ(ecn_of(inner, outer), expected_ecn[inner][outer])
                << int{inner} << ' ' << int{outer};
        }
    }
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST_P(Tunnel, SurvivesRandomBytes) {
    const auto r = rig();
    std::mt19937 random(7);
    const Bytes good = wrapped(r->from(), udp(v4(kFar, kVm1), 1, 2, 40));
    for (unsigned i = 0; i < 4000; ++i) {
        Bytes frame = good;
        const unsigned changes = 1 + random() % 4;
        for (unsigned c = 0; c < changes; ++c) {
            frame[6 + random() % (frame.size() - 6)] = static_cast<std::uint8_t>(random());
        }
        if (random() % 4 == 0) { frame.resize(1 + random() % frame.size()); }
        r->pipeline().send("vm3", frame);
    }
    r->pipeline().step().advance(60 * kSecond).step();
    r->pipeline().forget_fragments();
    EXPECT_TRUE(r->pipeline().packets_conserved());
}

TEST(TunnelWorkers, AVnicOfAnotherWorkerReachesTheTunnel) {
    RigOptions options;
    options.pipeline.worker_count = 3;
    TunnelRig r(options);
    r.resolve_all();
    r.learn_far();
    for (const char* vm : {"vm1", "vm2"}) {
        const Vnic& from = std::string(vm) == "vm1" ? kVm1 : kVm2;
        const Bytes inner = udp(v4(from, kFar), 1, 2);
        r.pipeline().send(vm, inner).step();
        const auto sent = r.tunnelled();
        ASSERT_EQ(sent.size(), 1u);
        EXPECT_EQ(sent[0].inner, inner);
        EXPECT_EQ(sent[0].outer.vni, kVni);
        EXPECT_EQ(sent[0].outer.destination, r.remote_ip(0));
    }
    EXPECT_TRUE(r.pipeline().packets_conserved());
}

}  // namespace
}  // namespace sluice::test
