// SPDX-License-Identifier: Apache-2.0
// LACP: two groups that speak to each other over links of the test's own, in a time of its own.
#include "src/sluiced/lacp.h"

#include <gtest/gtest.h>

namespace sluice::daemon {
namespace {

constexpr MacAddr kUs{{2, 0, 0, 0, 0, 1}}, kThem{{2, 0, 0, 0, 0, 2}}, kOthers{{2, 0, 0, 0, 0, 3}};
using Indices = std::vector<std::size_t>;

class LacpPair : public testing::Test {
protected:
    void start(bool is_active, bool other_is_active, std::size_t members = 2) {
        us.emplace(kUs, 7, is_active, members);
        them.emplace(kThem, 9, other_is_active, members);
        cut.assign(members, false);
        for (std::size_t i = 0; i < members; ++i) {
            us->member(i).set_link(true, now_ms);
            them->member(i).set_link(true, now_ms);
        }
    }
    void run(std::uint64_t ms) {
        for (const std::uint64_t end = now_ms + ms; now_ms < end; now_ms += 100) {
            us->tick(now_ms);
            them->tick(now_ms);
            for (std::size_t i = 0; i < cut.size(); ++i) {
                deliver(us->member(i), them->member(i), kUs, cut[i]);
                deliver(them->member(i), us->member(i), kThem, cut[i]);
            }
        }
    }
    void deliver(LacpPort& from, LacpPort& to, const MacAddr& mac, bool is_cut) {
        const auto message = from.take_message(now_ms);
        if (!message) { return; }
        ++sent;
        const LacpFrame frame = write_lacp(*message, mac);
        const auto read = read_lacp(frame);
        ASSERT_TRUE(read.has_value());
        if (!is_cut) { to.receive(*read, now_ms); }
    }

    std::optional<LacpGroup> us, them;
    std::vector<bool> cut;
    std::uint64_t now_ms = 100000;
    unsigned sent = 0;
};

TEST_F(LacpPair, ComeTogether) {
    start(true, true);
    run(1000);
    EXPECT_EQ(us->distributing(), Indices{}) << "members are waited for";
    run(3000);
    EXPECT_EQ(us->distributing(), (Indices{0, 1}));
    EXPECT_EQ(them->distributing(), (Indices{0, 1}));
    EXPECT_STREQ(us->member(0).state_text(), "distributing");
    EXPECT_EQ(us->member(0).partner().system, kThem);
    sent = 0;
    run(10000);
    EXPECT_GE(sent, 36u) << "one a second, each way, each link";
    EXPECT_LE(sent, 44u);
}

TEST_F(LacpPair, APassiveOneFollowsAndTwoPassiveOnesAreSilent) {
    start(false, true);
    run(4000);
    EXPECT_EQ(us->distributing(), (Indices{0, 1}));
    start(false, false);
    sent = 0;
    run(10000);
    EXPECT_EQ(sent, 0u);
    EXPECT_EQ(us->distributing(), Indices{});
    EXPECT_STREQ(us->member(0).state_text(), "alone");
}

TEST_F(LacpPair, LinkLossTakesTheMemberAwayAtOnce) {
    start(true, true);
    run(4000);
    us->member(1).set_link(false, now_ms);
    EXPECT_TRUE(us->tick(now_ms));
    EXPECT_EQ(us->distributing(), Indices{0});
    us->member(1).set_link(true, now_ms);
    run(4000);
    EXPECT_EQ(us->distributing(), (Indices{0, 1}));
}

TEST_F(LacpPair, SilenceTakesItAwayInThreeSecondsAndSixEndsIt) {
    start(true, true);
    run(4000);
    cut[0] = true;
    run(1500);  // The last word may be a second old.
    EXPECT_EQ(us->distributing(), (Indices{0, 1}));
    run(3000);
    EXPECT_EQ(us->distributing(), Indices{1});
    run(3000);
    EXPECT_STREQ(us->member(0).state_text(), "alone");
    cut[0] = false;
    run(5000);
    EXPECT_EQ(us->distributing(), (Indices{0, 1}));
}

TEST_F(LacpPair, OnlyMembersWithOnePartnerAreUsed) {
    start(true, true, 3);
    LacpGroup other(kOthers, 9, true, 3);
    other.member(2).set_link(true, now_ms);
    them->member(2).set_link(false, now_ms);
    for (const std::uint64_t end = now_ms + 5000; now_ms < end; now_ms += 100) {
        us->tick(now_ms);
        them->tick(now_ms);
        other.tick(now_ms);
        for (std::size_t i = 0; i < 3; ++i) {
            LacpPort& peer = i == 2 ? other.member(2) : them->member(i);
            deliver(us->member(i), peer, kUs, false);
            deliver(peer, us->member(i), kThem, false);
        }
    }
    EXPECT_EQ(us->distributing(), (Indices{0, 1}));
    EXPECT_STREQ(us->member(2).state_text(), "detached");
}

TEST_F(LacpPair, ThePartnerMustMeanUs) {
    start(true, true, 1);
    LacpMessage message;
    message.actor = them->member(0).actor();
    message.actor.state = kLacpActivity | kLacpAggregation | kLacpSync;
    message.partner.system = kOthers;
    for (int i = 0; i < 40; ++i, now_ms += 100) {
        us->member(0).receive(message, now_ms);
        us->tick(now_ms);
    }
    EXPECT_STREQ(us->member(0).state_text(), "attached");
    message.partner = us->member(0).actor();
    us->member(0).receive(message, now_ms);
    us->tick(now_ms);
    EXPECT_STREQ(us->member(0).state_text(), "distributing");
}

TEST(LacpFrames, AreRefusedWhenMalformed) {
    const LacpFrame good = write_lacp({}, kUs);
    EXPECT_TRUE(read_lacp(good).has_value());
    EXPECT_FALSE(read_lacp(std::span(good).first(123)).has_value());
    for (const std::size_t at : {0U, 12U, 14U, 16U, 17U, 36U, 37U}) {
        LacpFrame bad = good;
        bad[at] = static_cast<std::uint8_t>(bad[at] + 0x55U);
        EXPECT_FALSE(read_lacp(bad).has_value()) << at;
    }
}

TEST(LacpFrames, MarkersAreAnswered) {
    LacpFrame marker = write_lacp({}, kThem);
    marker[14] = 2;
    marker[16] = 1;
    marker[30] = 0x77;
    const auto answer = answer_marker(marker, kUs);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ((*answer)[16], 2);
    EXPECT_EQ((*answer)[30], 0x77);
    EXPECT_TRUE(std::equal(kUs.bytes.begin(), kUs.bytes.end(), answer->begin() + 6));
    EXPECT_FALSE(answer_marker(*answer, kThem).has_value()) << "an answer is not answered";
}

}  // namespace
}  // namespace sluice::daemon
