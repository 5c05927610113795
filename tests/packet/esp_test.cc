// SPDX-License-Identifier: Apache-2.0
// Slot 15 at the edge: what rules have sealed leaves as the second implementation would have it,
// what that one sealed comes in, and nothing else does where a rule requires it.
#include <rte_mbuf.h>

#include "datapath/association.h"
#include "datapath/esp.h"
#include "tests/packet/esp_host.h"
#include "tests/packet/reassemble.h"
#include "tests/packet/tcp_talk.h"

namespace sluice::test {
namespace {

class Esp : public testing::TestWithParam<bool> {
protected:
    static RigOptions with(const nlohmann::json& document, std::uint16_t mtu = 1600) {
        RigOptions out;
        out.document = document;
        out.mtu = mtu;
        out.pipeline.flow_cache = GetParam();
        return out;
    }
    // Without the ARP by which the rig learned who kFar is.
    static SlotFigures encrypt_slot(EspHost& host, const std::string& port, Direction direction) {
        SlotFigures out = host.pipeline().slot(port, kSlotEncrypt, direction);
        if (direction == Direction::kToVm) { --out.packets; }
        return out;
    }
};
INSTANTIATE_TEST_SUITE_P(, Esp, testing::Bool(), [](const auto& mode) {
    return std::string(mode.param ? "Cached" : "Walked");
});

TEST_P(Esp, SealsWhatARuleSays) {
    EspHost host(with(encrypted_all()));
    std::uint64_t number = 0;
    for (int round = 0; round < 3; ++round) {
        for (const Bytes& clear : {udp(v4(kVm1, kFar), 1, 2), udp(v6(kVm1, kFar), 1, 2, 1200)}) {
            host.send(clear);
            const auto sent = host.rig.tunnelled();
            ASSERT_EQ(sent.size(), 1u);
            EXPECT_EQ(sent[0].inner, seal_by_peer(clear, host.own, ++number));
            EXPECT_EQ(sent[0].outer.vni, kVni);
        }
    }
    EXPECT_EQ(encrypt_slot(host, "vm1", Direction::kFromVm), (SlotFigures{6, 0}));
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

// The outer port is the inner flow's, as if it were clear.
TEST_P(Esp, EntropyIsThatOfTheClearFlow) {
    EspHost host(with(encrypted_all()));
    TunnelRig clear(with({}));
    clear.resolve_all();
    clear.learn_far();
    for (std::uint16_t port = 1; port < 20; ++port) {
        host.send(udp(v4(kVm1, kFar), port, 2));
        clear.pipeline().send("vm1", udp(v4(kVm1, kFar), port, 2)).step();
        const auto one = host.rig.tunnelled(), other = clear.tunnelled();
        ASSERT_EQ(one.size(), 1u);
        ASSERT_EQ(other.size(), 1u);
        EXPECT_EQ(one[0].outer.source_port, other[0].outer.source_port);
    }
}

TEST_P(Esp, OpensWhatCameSealed) {
    EspHost host(with(encrypted_all()));
    for (int round = 0; round < 3; ++round) {
        for (const Bytes& clear : {udp(v4(kFar, kVm1), 1, 2), udp(v6(kFar, kVm1), 1, 2, 1200)}) {
            host.receive(clear);
            EXPECT_EQ(host.pipeline().sent("vm1"), Frames{clear});
        }
    }
    EXPECT_EQ(encrypt_slot(host, "vm1", Direction::kToVm), (SlotFigures{6, 0}));
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST_P(Esp, RefusesTheClearWhereItMustBeSealed) {
    EspHost host(with(encrypted_all()));
    const Bytes clear = udp(v4(kFar, kVm1), 1, 2);
    host.rig.receive(clear).receive(clear);
    host.rig.receive(seal_by_peer(clear, host.second, 1));
    EXPECT_EQ(host.pipeline().sent("vm1"), Frames{});
    EXPECT_EQ(host.rig.drops(DropReason::kPolicyClear), 3u);
    EXPECT_EQ(encrypt_slot(host, "vm1", Direction::kToVm), (SlotFigures{3, 3}));
    host.receive(clear);
    EXPECT_EQ(host.pipeline().sent("vm1"), Frames{clear}) << "another flow, as its key has it";
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST_P(Esp, HearsTheClearWhereItNeedNotBeSealed) {
    EspHost host(with(encrypted_all(false)));
    const Bytes clear = udp(v4(kFar, kVm1), 1, 2);
    host.rig.receive(clear);
    host.receive(clear);
    EXPECT_EQ(host.pipeline().sent("vm1"), (Frames{clear, clear}));
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST_P(Esp, WithoutAKeyNothingLeavesAndNothingEnters) {
    EspHost host(with(encrypted_all()), false);
    const Bytes out = udp(v4(kVm1, kFar), 1, 2), in = udp(v4(kFar, kVm1), 1, 2);
    host.send(out).send(out);
    host.rig.receive(seal_by_peer(in, host.peer, 1)).receive(seal_by_peer(in, host.peer, 2));
    EXPECT_EQ(host.rig.cable(), Frames{});
    EXPECT_EQ(host.pipeline().sent("vm1"), Frames{});
    EXPECT_EQ(host.pipeline().drops("vm1", DropReason::kNoKey), 2u);
    EXPECT_EQ(host.rig.drops(DropReason::kNoKey), 2u);
    EXPECT_EQ(encrypt_slot(host, "vm1", Direction::kFromVm).drops, 2u);
    datapath::SaEvent event;
    ASSERT_TRUE(host.associations().poll(event));
    EXPECT_EQ(event.kind, datapath::SaEvent::Kind::kWanted);
    EXPECT_EQ(event.remote, 1u);
    EXPECT_EQ(event.spi, host.peer.spi);
    EXPECT_FALSE(host.associations().poll(event)) << "said once";
    host.give_keys();
    host.send(out);
    EXPECT_EQ(host.opened(), Frames{out});
    host.receive(in);
    EXPECT_EQ(host.pipeline().sent("vm1"), Frames{in});
    ASSERT_TRUE(host.associations().poll(event));
    EXPECT_EQ(event.kind, datapath::SaEvent::Kind::kUsed);
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST_P(Esp, AKeyThatIsUsedUpSealsNothing) {
    EspHost host(with(encrypted_all()));
    auto& with_key = *host.associations().state().sender(0, kPolicyId);
    with_key.sequence = kSealedPacketsMax - 2;
    const Bytes clear = udp(v4(kVm1, kFar), 1, 2);
    host.next = kSealedPacketsMax - 1;
    host.send(clear).send(clear);
    EXPECT_EQ(host.opened(), (Frames{clear, clear}));
    host.send(clear);
    EXPECT_EQ(host.rig.cable(), Frames{});
    EXPECT_EQ(host.pipeline().drops("vm1", DropReason::kKeyExhausted), 1u);
    datapath::SaEvent event;
    ASSERT_TRUE(host.associations().poll(event));
    EXPECT_EQ(event.kind, datapath::SaEvent::Kind::kFilling);
    EXPECT_FALSE(host.associations().poll(event));
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST_P(Esp, CutsLargeTcpBeforeItIsSealed) {
    for (const bool is_v6 : {false, true}) {
        EspHost host(with(encrypted_all()));
        TcpTalk talk(is_v6 ? v6(kVm1, kFar) : v4(kVm1, kFar));
        host.send(talk.syn());
        host.receive(talk.syn_ack());
        host.send(talk.ack(TcpTalk::kClient));
        static_cast<void>(host.opened());
        const Bytes whole = talk.data(TcpTalk::kClient, 9000);
        const std::uint64_t family = is_v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4;
        host.pipeline()
            .send("vm1",
                  QueuedFrame{with_partial_checksum(whole),
                              {},
                              {RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG | family, 1400}})
            .step();
        const Frames segments = host.opened();
        EXPECT_EQ(segments.size(), 7u);
        EXPECT_EQ(faults_of_cut(whole, segments, 1400, Sum::kRight), "");
        EXPECT_TRUE(host.pipeline().packets_conserved());
    }
}

TEST_P(Esp, FinishesChecksumsBeforeItSeals) {
    EspHost host(with(encrypted_all()));
    const Bytes clear = udp(v4(kVm1, kFar), 1, 2, 300);
    host.pipeline()
        .send("vm1", QueuedFrame{with_partial_checksum(clear),
                                 {},
                                 {RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV4, 0}})
        .step();
    EXPECT_EQ(host.opened(), Frames{clear});
}

TEST_P(Esp, FragmentsGoPieceByPiece) {
    EspHost host(with(encrypted_all()));
    for (const bool is_v6 : {false, true}) {
        const std::size_t outside = is_v6 ? 8 : 0;
        const Frames out =
            fragments(udp(is_v6 ? v6(kVm1, kFar) : v4(kVm1, kFar), 1, 2, 3000), 1208, 77);
        for (const Bytes& piece : out) { host.pipeline().send("vm1", piece); }
        host.pipeline().step();
        EXPECT_EQ(host.opened(outside), out);
        const Frames in =
            fragments(udp(is_v6 ? v6(kFar, kVm1) : v4(kFar, kVm1), 1, 2, 3000), 1208, 78);
        for (const Bytes& piece : in) { host.receive(piece, outside); }
        EXPECT_EQ(host.pipeline().sent("vm1"), in);
    }
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

// What fits is what the guest is told.
TEST_P(Esp, TellsAGuestWhatFitsSealed) {
    constexpr std::uint16_t kUnderlay = 1550;
    const std::uint32_t fits = datapath::mtu_unsealed(kUnderlay - 50);
    EXPECT_EQ(fits, 1466u);
    for (const bool is_v6 : {false, true}) {
        EspHost host(with(encrypted_all(), kUnderlay));
        const Path path = is_v6 ? v6(kVm1, kFar) : v4(kVm1, kFar);
        const std::size_t headers = is_v6 ? 48 : 28;
        host.send(udp(path, 1, 2, fits - headers));
        EXPECT_EQ(host.opened().size(), 1u);
        EXPECT_EQ(host.pipeline().sent("vm1"), Frames{});
        const Bytes longer = udp(path, 1, 2, fits - headers + 1);
        host.send(longer);
        EXPECT_EQ(host.rig.cable(), Frames{});
        EXPECT_EQ(host.pipeline().drops("vm1", DropReason::kTooBig), 1u);
        const Frames told = host.pipeline().sent("vm1");
        ASSERT_EQ(told.size(), 1u);
        const std::size_t mtu_at = is_v6 ? 14 + 40 + 6 : 14 + 20 + 6;
        EXPECT_EQ(told[0][mtu_at] * 256U + told[0][mtu_at + 1], fits);
        EXPECT_TRUE(host.pipeline().packets_conserved());
    }
}

TEST_P(Esp, AnUnderlayOf1600CarriesGuestsOf1500) {
    EspHost host(with(encrypted_all()));
    host.send(udp(v4(kVm1, kFar), 1, 2, 1472));
    EXPECT_EQ(host.opened().size(), 1u);
}

TEST_P(Esp, AFloodIsSealedOnceAndCopied) {
    RigOptions options = with(encrypted_all());
    options.remotes = {"172.16.0.2", "172.16.0.3", "172.16.0.4"};
    EspHost host(options);
    Path all = v4(kVm1, kFar);
    all.destination_mac = mac("01:00:5e:01:02:03");
    all.destination = ip("239.1.2.3");
    const Bytes clear = udp(all, 1, 2);
    host.send(clear);
    const auto sent = host.rig.tunnelled();
    ASSERT_EQ(sent.size(), 3u);
    for (const Unwrapped& one : sent) { EXPECT_EQ(one.inner, seal_by_peer(clear, host.own, 1)); }
    EXPECT_EQ(host.pipeline().sent("vm2"), Frames{clear}) << "in the clear, here";
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST_P(Esp, ArpIsNotSealed) {
    EspHost host(with(encrypted_all()));
    const Bytes question = arp(kVm1.mac, kBroadcast, {1, kVm1.mac, kVm1.ip4, {}, ip("10.0.0.77")});
    host.send(question);
    const auto sent = host.rig.tunnelled();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].inner, question);
    host.rig.receive(arp(kFar.mac, kVm1.mac, {2, kFar.mac, kFar.ip4, kVm1.mac, kVm1.ip4}));
    EXPECT_EQ(host.pipeline().sent("vm1").size(), 1u);
}

TEST_P(Esp, BetweenVmsOfTheHostItIsSkippedAndCounted) {
    EspHost host(with(encrypted_all()));
    const Bytes clear = udp(v4(kVm1, kVm2), 1, 2);
    for (int i = 0; i < 5; ++i) { host.send(clear); }
    EXPECT_EQ(host.pipeline().sent("vm2"), Frames(5, clear));
    EXPECT_EQ(encrypt_slot(host, "vm2", Direction::kToVm), (SlotFigures{5, 0}));
    EXPECT_EQ(host.pipeline().dataplane().worker(0).context().counters.unsealed_local.get(), 5u);
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST_P(Esp, FramesWaitForTheirNextHopInTheClear) {
    EspHost host(with(encrypted_all()));
    auto& context = host.pipeline().dataplane().worker(0).context();
    host.send(udp(v4(kVm1, kFar), 1, 2));
    EXPECT_EQ(host.opened().size(), 1u);
    TunnelRig fresh(with(encrypted_all()));
    fresh.learn_far();
    ASSERT_TRUE(fresh.pipeline().dataplane().associations().send_with(0, host.own).ok());
    const Bytes clear = udp(v4(kVm1, kFar), 3, 4);
    fresh.pipeline().send("vm1", clear).step();
    EXPECT_EQ(fresh.tunnelled().size(), 0u);
    fresh.resolve();
    fresh.pipeline().step();
    const auto sent = fresh.tunnelled();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0].inner, seal_by_peer(clear, host.own, 1));
    EXPECT_TRUE(fresh.pipeline().packets_conserved());
    static_cast<void>(context);
}

TEST_P(Esp, ATenantsOwnEspIsATenantsPacket) {
    EspHost host(with(encrypted_all(false)));
    const datapath::SaParameters own = key_of(model::KeyAlgorithm::kAes128Gcm, 0x1234);
    const Bytes inner = seal_by_peer(udp(v4(kFar, kVm1), 1, 2), own, 9);
    host.rig.receive(inner);
    EXPECT_EQ(host.pipeline().sent("vm1"), Frames{inner}) << "in the clear";
    host.receive(inner);
    EXPECT_EQ(host.pipeline().sent("vm1"), Frames{inner}) << "sealed: opened once";
    const Bytes back = seal_by_peer(udp(v4(kVm1, kFar), 1, 2), own, 9);
    host.send(back);
    EXPECT_EQ(host.opened(), Frames{back});
}

TEST_P(Esp, WhatCameBeforeIsDropped) {
    EspHost host(with(encrypted_all()));
    const Bytes clear = udp(v4(kFar, kVm1), 1, 2);
    const Bytes sealed = seal_by_peer(clear, host.peer, 40);
    host.rig.receive(sealed).receive(sealed);
    EXPECT_EQ(host.pipeline().sent("vm1"), Frames{clear});
    EXPECT_EQ(host.rig.drops(DropReason::kEspReplay), 1u);
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

// Of the packet behind the IP header each bit counts; of IPv4's header, too, by its checksum.
TEST_P(Esp, ASingleBitThatIsWrongIsDropped) {
    EspHost host(with(encrypted_all()));
    const Bytes sealed = seal_by_peer(udp(v4(kFar, kVm1), 1, 2), host.peer, 7);
    for (std::size_t bit = 14 * 8; bit < sealed.size() * 8; ++bit) {
        Bytes bad = sealed;
        bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ 1U << bit % 8);
        host.rig.receive(bad);
        ASSERT_EQ(host.pipeline().sent("vm1"), Frames{}) << "bit " << bit;
    }
    host.rig.receive(sealed);
    EXPECT_EQ(host.pipeline().sent("vm1").size(), 1u) << "no wrong packet moved the window";
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST_P(Esp, AProxySealsAnew) {
    RigOptions options = with(encrypted_all());
    options.remotes = {"172.16.1.2", "172.16.0.3", "172.16.0.4"};
    EspHost host(options);
    Path all = v4(kFar, kVm1);
    all.destination_mac = mac("01:00:5e:01:02:03");
    all.destination = ip("239.1.2.3");
    const Bytes clear = udp(all, 1, 2);
    Outer outer = host.rig.from();
    outer.flags = 0x48;
    host.rig.receive_raw(wrapped(outer, seal_by_peer(clear, host.peer, 1)));
    const auto sent = host.rig.tunnelled();
    ASSERT_EQ(sent.size(), 2u);
    for (const Unwrapped& one : sent) { EXPECT_EQ(one.inner, seal_by_peer(clear, host.own, 1)); }
    EXPECT_EQ(host.pipeline().sent("vm1"), Frames{clear});
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST_P(Esp, AnAnswerToASealedPacketIsSealed) {
    nlohmann::json document = encrypted_all();
    document["dfw"] = {{"default", "reject"}};
    EspHost host(with(document));
    host.receive(udp(v4(kFar, kVm1), 1, 2));
    const Frames answers = host.opened();
    ASSERT_EQ(answers.size(), 1u);
    EXPECT_EQ(answers[0][23], 1) << "ICMP";
}

TEST_P(Esp, OnlyWhatTheRuleNamesIsSealed) {
    EspHost host(with(encrypted(
        {{{"name", "dns"}, {"action", "clear"}, {"services", {"udp/53"}}},
         {{"name", "rest"}, {"action", "encrypt"}, {"key_policy", "kp1"}, {"required", true}}})));
    const Bytes dns = udp(v4(kVm1, kFar), 1, 53), other = udp(v4(kVm1, kFar), 1, 54);
    host.send(dns);
    EXPECT_EQ(host.rig.tunnelled()[0].inner, dns);
    host.rig.receive(udp(v4(kFar, kVm1), 53, 1));
    EXPECT_EQ(host.pipeline().sent("vm1").size(), 1u) << "the answer is of the same conversation";
    host.send(other);
    EXPECT_EQ(host.opened(), Frames{other});
}

}  // namespace
}  // namespace sluice::test
