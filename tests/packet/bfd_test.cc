// SPDX-License-Identifier: Apache-2.0
// BFD between VTEPs on the wire: two hosts back to back, what failure does to Reach, and what
// strangers can't do.
#include "datapath/bfd.h"

#include <gtest/gtest.h>

#include "tests/packet/vtep_host.h"

namespace sluice::test {
namespace {

using datapath::BfdPacket;
using datapath::BfdState;
using datapath::VtepPeerState;

const MacAddr kTepA = mac("02:00:00:00:99:01"), kTepB = mac("02:00:00:00:99:02");

struct Pair {
    static VtepHostOptions options_of(bool is_a, const char* a, const char* b,
                                      const VtepHostOptions& like) {
        VtepHostOptions options = like;
        options.ip = is_a ? a : b;
        options.mac = is_a ? kTepA : kTepB;
        options.remotes = {is_a ? b : a};
        return options;
    }
    explicit Pair(const char* ip_a = "172.16.0.1", const char* ip_b = "172.16.0.2",
                  const VtepHostOptions& like = {})
        : a(options_of(true, ip_a, ip_b, like)), b(options_of(false, ip_a, ip_b, like)) {}
    VtepHost a, b;
};

bool is_bfd(const Bytes& frame) {
    return frame.size() >= 66 && frame[12] == 0x08 && frame[13] == 0 && frame[23] == 17 &&
           frame[36] == 0x0e && frame[37] == 0xc8;
}

TEST(BfdWire, TwoVtepsComeUpAndNoticeWhenOneIsGone) {
    Pair pair;
    join(pair.a, pair.b, 2500);
    EXPECT_EQ(pair.a.peer(1).state, VtepPeerState::kUp);
    EXPECT_EQ(pair.b.peer(1).state, VtepPeerState::kUp);
    EXPECT_EQ(pair.a.peer(1).echo.loss_percent(), 0);
    EXPECT_TRUE(pair.a.works(1));
    join(pair.a, pair.b, 900, [](bool from_a, const Bytes&) { return from_a; });
    EXPECT_FALSE(pair.a.works(1)) << "nothing came for 900 ms";
    EXPECT_EQ(pair.a.peer(1).state, VtepPeerState::kDown);
    join(pair.a, pair.b, 2500);
    EXPECT_TRUE(pair.a.works(1));
    EXPECT_EQ(pair.a.peer(1).state, VtepPeerState::kUp);
    EXPECT_TRUE(pair.a.pipeline().packets_conserved());
    EXPECT_TRUE(pair.b.pipeline().packets_conserved());
    EXPECT_EQ(pair.a.drops(DropReason::kBadBfd), 0u);
}

TEST(BfdWire, SpeaksIpv6) {
    VtepHostOptions like;
    like.prefix_length = 64;
    Pair pair("2001:db8:9::1", "2001:db8:9::2", like);
    join(pair.a, pair.b, 2500);
    EXPECT_EQ(pair.a.peer(1).state, VtepPeerState::kUp);
    EXPECT_EQ(pair.b.peer(1).state, VtepPeerState::kUp);
    EXPECT_TRUE(pair.a.pipeline().packets_conserved());
}

TEST(BfdWire, WithoutBfdEchoAloneSaysUp) {
    VtepHostOptions like;
    like.bfd_interval_ms = 0;
    Pair pair("172.16.0.1", "172.16.0.2", like);
    join(pair.a, pair.b, 1500, [](bool, const Bytes& frame) {
        EXPECT_FALSE(is_bfd(frame));
        return true;
    });
    EXPECT_EQ(pair.a.peer(1).state, VtepPeerState::kUp);
}

TEST(BfdWire, APeerWithoutBfdIsUsed) {
    Pair pair;
    join(pair.a, pair.b, 5000, [](bool, const Bytes& frame) { return !is_bfd(frame); });
    EXPECT_EQ(pair.a.peer(1).state, VtepPeerState::kUnanswered);
    EXPECT_EQ(pair.a.peer(1).echo.loss_percent(), 0);
    EXPECT_TRUE(pair.a.works(1));
}

TEST(BfdWire, TurningItOffOnOneSideIsNoFailure) {
    Pair pair;
    join(pair.a, pair.b, 2500);
    pair.b.options.bfd_interval_ms = 0;
    pair.b.apply();
    join(pair.a, pair.b, 5000, [&](bool, const Bytes&) {
        EXPECT_TRUE(pair.a.works(1));
        return true;
    });
    EXPECT_FALSE(pair.b.peer(1).has_bfd);
    EXPECT_EQ(pair.a.drops(DropReason::kBadBfd), 0u);
    EXPECT_GT(pair.b.drops(DropReason::kBadBfd), 0u) << "a goes on asking";
}

TEST(BfdWire, ARemovedRemoteLeavesNothingBehind) {
    Pair pair;
    join(pair.a, pair.b, 2500);
    join(pair.a, pair.b, 1000, [](bool from_a, const Bytes&) { return from_a; });
    ASSERT_FALSE(pair.a.works(1));
    pair.a.options.remotes = {};
    pair.a.apply();
    EXPECT_TRUE(pair.a.works(1)) << "whoever gets the index next begins well";
    EXPECT_EQ(pair.a.context().vtep_peers.find(0, 1), nullptr);
    pair.a.pass(5000);
    for (const Bytes& frame : pair.a.sent()) { EXPECT_FALSE(is_bfd(frame)); }
}

TEST(BfdWire, AWorkerThatSleptDoesNotBlameItsPeers) {
    Pair pair;
    join(pair.a, pair.b, 2500);
    pair.a.pipeline().advance(5 * kSecond).step();
    EXPECT_TRUE(pair.a.works(1));
    join(pair.a, pair.b, 4000);
    EXPECT_TRUE(pair.a.works(1));
}

TEST(BfdWire, AWorkerThatIsShortOfItsCoreStillNoticesWhoIsGone) {
    Pair pair;
    join(pair.a, pair.b, 2500);
    for (int i = 0; i < 44; ++i) { pair.a.pipeline().advance(25 * kMillisecond).step(); }
    EXPECT_FALSE(pair.a.works(1)) << "nothing for 1100 ms";
}

// A router between two subnets: hands IPv4 on with one TTL less.
class Gateway {
public:
    static constexpr MacAddr kMac{{0x02, 0, 0, 0, 0x99, 0xfe}};

    static void carry(VtepHost& from, VtepHost& to) {
        const std::vector<Bytes> frames = from.sent();
        static_cast<void>(from.answer(frames, from.options.gateway, kMac));
        for (Bytes frame : frames) {
            if (frame[12] != 8 || frame[13] != 0) { continue; }
            EXPECT_TRUE(std::equal(frame.begin(), frame.begin() + 6, kMac.bytes.begin()));
            std::copy_n(to.options.mac.bytes.begin(), 6, frame.begin());
            std::copy_n(kMac.bytes.begin(), 6, frame.begin() + 6);
            --frame[22];
            const std::uint32_t sum = frame[24] * 256U + frame[25] + 0x0100U;
            const std::uint32_t folded = (sum & 0xffffU) + (sum >> 16U);
            frame[24] = static_cast<std::uint8_t>(folded >> 8U);
            frame[25] = static_cast<std::uint8_t>(folded);
            to.give(frame);
        }
    }
};

TEST(BfdWire, GoesThroughAGateway) {
    VtepHostOptions options;
    options.gateway = "172.16.0.254";
    options.remotes = {"172.17.0.2"};
    VtepHost a(options);
    options.ip = "172.17.0.2";
    options.mac = kTepB;
    options.gateway = "172.17.0.254";
    options.remotes = {"172.16.0.1"};
    VtepHost b(options);
    for (int ms = 0; ms < 4000; ++ms) {
        a.pass(1);
        b.pass(1);
        Gateway::carry(a, b);
        Gateway::carry(b, a);
    }
    EXPECT_EQ(a.peer(1).state, VtepPeerState::kUp);
    EXPECT_EQ(b.peer(1).state, VtepPeerState::kUp);
    EXPECT_EQ(a.drops(DropReason::kBadBfd) + b.drops(DropReason::kBadBfd), 0u);
    EXPECT_GT(a.peer(1).echo.counted, 0);
    EXPECT_EQ(a.peer(1).echo.loss_percent(), 0);
    EXPECT_TRUE(a.pipeline().packets_conserved());
}

class BfdStranger : public testing::Test {
protected:
    BfdStranger() {
        join(pair_.a, pair_.b, 2500, [this](bool from_a, const Bytes& frame) {
            if (!from_a && is_bfd(frame)) { last_ = frame; }
            return true;
        });
    }
    // What b said last, changed by `edit`, reaches a. True: it was dropped as bad.
    bool refuses(const std::function<void(BfdPacket&, Path&, std::uint8_t& ttl)>& edit) {
        BfdPacket packet = *datapath::read_bfd(last_.data() + 42, 24);
        Path path{kTepB, kTepA, ip("172.16.0.2"), ip("172.16.0.1")};
        std::uint8_t ttl = 255;
        edit(packet, path, ttl);
        const auto bytes = datapath::write_bfd(packet);
        Bytes frame = udp(path, 50000, 3784, Bytes(bytes.begin(), bytes.end()));
        frame[22] = ttl;
        frame[24] = frame[25] = 0;
        std::uint32_t sum = 0;
        for (int i = 14; i < 34; i += 2) { sum += frame[i] * 256U + frame[i + 1]; }
        sum = (sum & 0xffffU) + (sum >> 16U);
        sum = ~((sum & 0xffffU) + (sum >> 16U));
        frame[24] = static_cast<std::uint8_t>(sum >> 8U);
        frame[25] = static_cast<std::uint8_t>(sum);
        const std::uint64_t before = pair_.a.drops(DropReason::kBadBfd);
        EXPECT_TRUE(pair_.a.give(frame));
        EXPECT_EQ(pair_.a.drops(DropReason::kBadIpChecksum), 0u);
        return pair_.a.drops(DropReason::kBadBfd) == before + 1;
    }
    Pair pair_;
    Bytes last_;
};

TEST_F(BfdStranger, IsRefused) {
    EXPECT_FALSE(refuses([](auto&, auto&, auto&) {})) << "the peer itself is heard";
    EXPECT_TRUE(refuses([](auto&, auto&, auto& ttl) { ttl = 254; })) << "came through a router";
    EXPECT_TRUE(refuses([](auto& packet, auto&, auto&) { packet.yours ^= 1; }));
    EXPECT_TRUE(refuses([](auto& packet, auto&, auto&) { packet.yours = 0xffffffff; }));
    EXPECT_TRUE(refuses([](auto& packet, auto&, auto&) { packet.yours = 0; })) << "though it is up";
    EXPECT_TRUE(refuses([](auto& packet, auto&, auto&) { packet.mine = 0; }));
    EXPECT_TRUE(refuses([](auto& packet, auto&, auto&) { packet.multiplier = 0; }));
    EXPECT_TRUE(refuses([](auto&, Path& path, auto&) { path.source = ip("172.16.0.3"); }));
    EXPECT_TRUE(pair_.a.works(1));
    EXPECT_EQ(pair_.a.peer(1).bfd.state(), BfdState::kUp);
}

TEST_F(BfdStranger, CantSendWhatIsTooShort) {
    for (std::size_t size = 0; size < 24; ++size) {
        const Path path{kTepB, kTepA, ip("172.16.0.2"), ip("172.16.0.1")};
        pair_.a.give(udp(path, 50000, 3784, Bytes(last_.begin() + 42, last_.begin() + 42 + size)));
    }
    EXPECT_EQ(pair_.a.drops(DropReason::kBadBfd), 24u);
}

TEST_F(BfdStranger, TenantsBfdIsNotForTheVtep) {
    const Path path{kVm1.mac, kVm2.mac, ip("172.16.0.2"), ip("172.16.0.1")};
    EXPECT_FALSE(pair_.a.give(udp(path, 50000, 3784, Bytes(24))));
}

}  // namespace
}  // namespace sluice::test
