// SPDX-License-Identifier: Apache-2.0
// What a VTEP says and hears itself: ARP and ND for its address and for next hops, echo, and
// nothing else.
#include "datapath/underlay.h"

#include <gtest/gtest.h>

#include "tests/packet/vtep_host.h"

namespace sluice::test {
namespace {

using Frames = std::vector<Bytes>;

const MacAddr kTep = mac("02:00:00:00:99:01");
const MacAddr kRemote = mac("02:00:00:00:99:02");
const IpAddr kTepIp = ip("172.16.0.1"), kRemoteIp = ip("172.16.0.2");
const IpAddr kTep6 = ip("2001:db8:9::1"), kRemote6 = ip("2001:db8:9::2");

VtepHostOptions quiet() {
    VtepHostOptions options;
    options.bfd_interval_ms = 0;
    return options;
}
VtepHostOptions quiet6() {
    VtepHostOptions options = quiet();
    options.ip = "2001:db8:9::1";
    options.prefix_length = 64;
    return options;
}

// Announcements are over.
void settle(VtepHost& host) {
    host.pass(4000);
    static_cast<void>(host.sent());
}

TEST(Underlay, AnnouncesTheVtepWhenItComesUp) {
    VtepHost host(quiet());
    host.pass(4000);
    const Bytes says = arp(kTep, kBroadcast, {1, kTep, kTepIp, {}, kTepIp});
    const Frames sent = host.sent();
    ASSERT_EQ(sent.size(), 3u);
    EXPECT_EQ(Bytes(sent[0].begin(), sent[0].begin() + 42), says);
    host.pipeline().port("up").up = false;
    host.pass(200);
    host.pipeline().port("up").up = true;
    host.pass(200);
    EXPECT_EQ(host.sent().size(), 1u) << "and when its uplink comes back";
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST(Underlay, AnnouncesAnotherMac) {
    VtepHost host(quiet());
    settle(host);
    host.options.mac = mac("02:00:00:00:99:77");
    host.apply();
    host.pass(100);
    const Frames sent = host.sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0][11], 0x77);
}

TEST(Underlay, AnswersArpForItsAddressOnly) {
    VtepHost host(quiet());
    settle(host);
    EXPECT_TRUE(host.give(arp(kRemote, kBroadcast, {1, kRemote, kRemoteIp, {}, kTepIp})));
    Bytes answer = arp(kTep, kRemote, {2, kTep, kTepIp, kRemote, kRemoteIp});
    answer.resize(60);
    EXPECT_EQ(host.sent(), Frames{answer});
    EXPECT_FALSE(host.give(arp(kRemote, kBroadcast, {1, kRemote, kRemoteIp, {}, ip("172.16.0.9")})))
        << "who else is on that VLAN may know";
    EXPECT_FALSE(
        host.give(tagged(arp(kRemote, kBroadcast, {1, kRemote, kRemoteIp, {}, kTepIp}), 7)))
        << "another VLAN";
    EXPECT_EQ(host.sent(), Frames{});
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST(Underlay, SpeaksOnItsVlan) {
    VtepHostOptions options = quiet();
    options.vlan = 7;
    VtepHost host(options);
    settle(host);
    const Bytes question = arp(kRemote, kBroadcast, {1, kRemote, kRemoteIp, {}, kTepIp});
    EXPECT_FALSE(host.give(question));
    EXPECT_TRUE(host.give(tagged(question, 7)));
    Bytes answer = tagged(arp(kTep, kRemote, {2, kTep, kTepIp, kRemote, kRemoteIp}), 7);
    answer.resize(60);
    EXPECT_EQ(host.sent(), Frames{answer});
}

TEST(Underlay, AnswersSolicitationsForItsAddressOnly) {
    VtepHost host(quiet6());
    settle(host);
    const Path asks{kRemote, mac("33:33:ff:00:00:01"), kRemote6, ip("ff02::1:ff00:1")};
    EXPECT_TRUE(host.give(neighbour(asks, 135, kTep6)));
    const Frames sent = host.sent();
    ASSERT_EQ(sent.size(), 1u);
    const Bytes& answer = sent[0];
    EXPECT_EQ(answer[54], 136);
    EXPECT_EQ(answer[58], 0x60) << "solicited, override, no router";
    EXPECT_TRUE(has_right_checksum(answer));
    EXPECT_EQ(answer[21], 255);
    EXPECT_FALSE(host.give(neighbour(asks, 135, ip("2001:db8:9::2:1"))));
    EXPECT_EQ(host.sent(), Frames{});
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST(Underlay, DefendsItsAddressOnceInAWhileAndNamesTheRival) {
    VtepHost host(quiet());
    settle(host);
    const MacAddr rival = mac("02:00:00:00:66:66");
    for (int i = 0; i < 5; ++i) {
        host.give(arp(rival, kBroadcast, {1, rival, kTepIp, {}, kTepIp}));
    }
    EXPECT_EQ(host.sent().size(), 1u);
    EXPECT_EQ(host.context().vtep_peers.local(0).rival, rival);
    host.pass(10001);
    host.give(arp(rival, kBroadcast, {1, rival, kTepIp, {}, kTepIp}));
    EXPECT_EQ(host.sent().size(), 1u);

    VtepHost host6(quiet6());
    settle(host6);
    EXPECT_TRUE(host6.give(detection(rival, kTep6)));
    const Frames sent = host6.sent();
    ASSERT_FALSE(sent.empty());
    EXPECT_EQ(sent.back()[54], 136);
    EXPECT_EQ(host6.context().vtep_peers.local(0).rival, rival);
}

TEST(Underlay, AnswersEchoAndNothingElse) {
    VtepHost host(quiet());
    settle(host);
    const Path path{kRemote, kTep, kRemoteIp, kTepIp};
    EXPECT_TRUE(host.give(ping(path)));
    const Frames sent = host.sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_TRUE(has_right_checksum(sent[0]));
    EXPECT_EQ(sent[0], pong(path.back()));

    EXPECT_TRUE(host.give(udp(path, 5000, 5001)));
    EXPECT_TRUE(host.give(tcp(path, 5000, 22, {kTcpSyn})));
    EXPECT_TRUE(host.give(ping({kRemote, kTep, kRemoteIp, ip("172.16.0.77")})));
    EXPECT_TRUE(host.give(ethernet(kRemote, kTep, 0x88b5, Bytes(50))));
    EXPECT_EQ(host.drops(DropReason::kUnderlayNotForUs), 4u);
    Bytes broken = ping(path);
    broken.back() ^= 1U;
    EXPECT_TRUE(host.give(broken));
    EXPECT_EQ(host.drops(DropReason::kBadL4Checksum), 1u);
    EXPECT_FALSE(host.give(ping({kRemote, kVm1.mac, kRemoteIp, kTepIp}))) << "another's MAC";
    EXPECT_EQ(host.sent(), Frames{});
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST(Underlay, AnswersEchoOverIpv6) {
    VtepHost host(quiet6());
    settle(host);
    const Path path{kRemote, kTep, kRemote6, kTep6};
    EXPECT_TRUE(host.give(ping(path)));
    EXPECT_EQ(host.sent(), Frames{pong(path.back())});
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST(Underlay, AnswersSoManyASecond) {
    VtepHost host(quiet());
    settle(host);
    const Bytes asks = ping({kRemote, kTep, kRemoteIp, kTepIp});
    for (std::uint32_t i = 0; i < kUnderlayAnswersPps + 10; ++i) { host.give(asks); }
    EXPECT_EQ(host.sent().size(), kUnderlayAnswersPps);
    EXPECT_EQ(host.drops(DropReason::kUnderlayRate), 10u);
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST(Underlay, ProbesARemoteVtepOnceItsMacIsKnown) {
    VtepHostOptions options = quiet();
    options.remotes = {"172.16.0.2"};
    VtepHost host(options);
    host.pass(10);
    EXPECT_EQ(host.peer(1).state, datapath::VtepPeerState::kResolving);
    ASSERT_TRUE(host.answer(host.sent(), "172.16.0.2", kRemote));
    host.pass(60);
    const Frames sent = host.sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(host.peer(1).state, datapath::VtepPeerState::kUnanswered);
    ASSERT_EQ(sent[0][34], 8) << "an echo request";
    const Path back{kRemote, kTep, kRemoteIp, kTepIp};
    Bytes message(sent[0].begin() + 34, sent[0].begin() + 34 + 24);
    message[0] = 0;
    message[2] = message[3] = 0;
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < message.size(); i += 2) {
        sum += message[i] * 256U + message[i + 1];
    }
    sum = (sum & 0xffffU) + (sum >> 16U);
    sum = ~((sum & 0xffffU) + (sum >> 16U));
    message[2] = static_cast<std::uint8_t>(sum >> 8U);
    message[3] = static_cast<std::uint8_t>(sum);
    const std::uint64_t sent_ns = host.peer(1).echo.sent_ns;
    host.pass(3).give(pong(back));
    EXPECT_EQ(host.peer(1).echo.counted, 0) << "an answer to nothing";
    host.give(packet(back, 1, message));
    EXPECT_EQ(host.drops(DropReason::kBadL4Checksum), 0u);
    host.pass(1);
    EXPECT_EQ(host.peer(1).state, datapath::VtepPeerState::kUp);
    EXPECT_EQ(host.peer(1).echo.last_rtt_us,
              (host.pipeline().now_ns() - kMillisecond - sent_ns) / 1000);
    EXPECT_EQ(host.peer(1).echo.loss_percent(), 0);
    host.pass(4000);
    EXPECT_EQ(host.peer(1).state, datapath::VtepPeerState::kUnanswered);
    EXPECT_GT(host.peer(1).echo.loss_percent(), 50);
    EXPECT_TRUE(host.works(1)) << "echo says what is, and stops nothing";
    EXPECT_TRUE(host.pipeline().packets_conserved());
}

TEST(Underlay, BelievesOnlyAnswersToItsQuestions) {
    VtepHostOptions options = quiet();
    options.remotes = {"172.16.0.2"};
    VtepHost host(options);
    const DomainId underlay = host.pipeline().dataplane().snapshot().vteps[0].underlay;
    const auto known = [&](const char* text) {
        return datapath::find_neighbour(host.context(), underlay, ip(text));
    };
    const MacAddr liar = mac("02:00:00:00:66:66");
    host.give(arp(liar, kTep, {2, liar, ip("172.16.0.9"), kTep, kTepIp}));
    EXPECT_FALSE(known("172.16.0.9")) << "nobody asked";
    host.pass(10);
    ASSERT_TRUE(host.answer(host.sent(), "172.16.0.2", kRemote));
    host.pass(1);
    EXPECT_EQ(known("172.16.0.2"), kRemote);
    host.give(arp(liar, kTep, {2, liar, kRemoteIp, kTep, kTepIp}));
    EXPECT_EQ(known("172.16.0.2"), kRemote) << "known, and not asked again";
    host.pass(2000);
    static_cast<void>(host.sent());
    host.give(arp(liar, kBroadcast, {1, liar, kRemoteIp, {}, kRemoteIp}));
    EXPECT_EQ(known("172.16.0.2"), kRemote);
    const Frames asked = host.sent();
    ASSERT_FALSE(asked.empty()) << "a claim makes it ask";
    EXPECT_TRUE(std::equal(kRemote.bytes.begin(), kRemote.bytes.end(), asked[0].begin()))
        << "whom it knows";
    ASSERT_TRUE(host.answer(asked, "172.16.0.2", kRemote));
    host.pass(10);
    EXPECT_EQ(known("172.16.0.2"), kRemote);
}

TEST(Underlay, AsksTheGatewayForOtherSubnets) {
    VtepHostOptions options = quiet();
    options.gateway = "172.16.0.254";
    options.remotes = {"172.17.0.2"};
    VtepHost host(options);
    host.pass(10);
    const Frames asked = host.sent();
    ASSERT_TRUE(host.answer(asked, "172.16.0.254", mac("02:00:00:00:99:fe")));
    EXPECT_FALSE(host.answer(asked, "172.17.0.2", kRemote));
    host.pass(60);
    const Frames sent = host.sent();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_EQ(sent[0][5], 0xfe);
}

TEST(Underlay, KeepsWhatItUsesFreshAndForgetsWhatIsGone) {
    VtepHostOptions options = quiet();
    options.remotes = {"172.16.0.2"};
    VtepHost host(options);
    const DomainId underlay = host.pipeline().dataplane().snapshot().vteps[0].underlay;
    host.pass(10);
    ASSERT_TRUE(host.answer(host.sent(), "172.16.0.2", kRemote));
    unsigned refreshed = 0;
    for (int tenth = 0; tenth < 1300; ++tenth) {
        host.pass(100);
        if (host.answer(host.sent(), "172.16.0.2", kRemote)) { ++refreshed; }
        ASSERT_TRUE(datapath::find_neighbour(host.context(), underlay, kRemoteIp)) << tenth;
    }
    EXPECT_GE(refreshed, 2u);
    EXPECT_LE(refreshed, 3u);
    host.pass(62000);
    static_cast<void>(host.sent());
    EXPECT_FALSE(datapath::find_neighbour(host.context(), underlay, kRemoteIp));
    host.pass(5000);
    bool has_asked_all = false;
    for (const Bytes& frame : host.sent()) { has_asked_all |= frame[0] == 0xff; }
    EXPECT_TRUE(has_asked_all);
}

TEST(Underlay, LearnsThePathMtuFromWhoQuotesATunnel) {
    VtepHostOptions options = quiet();
    options.remotes = {"172.16.0.2"};
    VtepHost host(options);
    settle(host);
    const Bytes tunnel = udp({kTep, kRemote, kTepIp, kRemoteIp}, 50000, 4789, 100);
    const Path told{kRemote, kTep, ip("172.16.0.254"), kTepIp};
    const auto too_big = [&](const Bytes& about, std::uint16_t mtu) {
        Bytes error = icmp_error(told, 3, 4, about);
        const std::uint32_t sum = ((error[36] ^ 0xffU) << 8U | (error[37] ^ 0xffU)) + mtu;
        const auto inverted = static_cast<std::uint16_t>(~((sum & 0xffffU) + (sum >> 16U)));
        error[36] = static_cast<std::uint8_t>(inverted >> 8U);
        error[37] = static_cast<std::uint8_t>(inverted);
        error[40] = static_cast<std::uint8_t>(mtu >> 8U);
        error[41] = static_cast<std::uint8_t>(mtu);
        return error;
    };
    const auto mtu = [&] { return datapath::underlay_mtu(host.context(), 0, 1); };
    EXPECT_EQ(mtu(), 1600);
    EXPECT_TRUE(host.give(too_big(udp({kTep, kRemote, kTepIp, kRemoteIp}, 50000, 53, 100), 1400)));
    EXPECT_EQ(mtu(), 1600) << "no tunnel of ours";
    EXPECT_TRUE(host.give(too_big(tunnel, 9000)));
    EXPECT_EQ(mtu(), 1600);
    EXPECT_TRUE(host.give(too_big(tunnel, 1400)));
    EXPECT_EQ(mtu(), 1400);
    EXPECT_TRUE(host.give(too_big(tunnel, 68)));
    EXPECT_EQ(mtu(), 576) << "nobody makes it useless";
    host.pipeline().advance(601 * kSecond);
    host.pass(1);
    EXPECT_EQ(mtu(), 1600);
    EXPECT_EQ(host.drops(DropReason::kBadL4Checksum), 0u);
}

}  // namespace
}  // namespace sluice::test
