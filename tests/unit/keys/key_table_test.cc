// SPDX-License-Identifier: Apache-2.0
// KeyTable: who has which keys when; no name is begun twice, whatever happens; no key is missing
// while senders rotate and restart; forged SPIs push nobody out.
#include "src/sluiced/key_table.h"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace sluice::daemon {
namespace {

const IpAddr kOwn = IpAddr::v4(0xac100001), kOther = IpAddr::v4(0xac100002);

TableConfig config_with(std::uint32_t rotate_s = 100, std::uint64_t revision = 1) {
    TableConfig config;
    config.policies[7] = {rotate_s, {{0, revision}}};
    config.vteps = {{kOwn, 3}};
    config.remotes = {IpAddr{}, kOther};
    return config;
}

std::uint32_t spi(std::uint64_t epoch, std::uint16_t generation, std::uint8_t worker = 0) {
    return Spi{7, static_cast<std::uint8_t>(epoch), generation, worker}.value();
}

// What workers would hold after all plans.
struct World {
    KeyTable table;
    std::map<std::pair<std::uint16_t, std::uint8_t>, std::uint32_t> sending;
    std::set<std::pair<std::uint16_t, std::uint32_t>> receiving;
    std::set<std::tuple<IpAddr, std::uint32_t, std::uint64_t>> names;
    TableConfig config;
    std::uint16_t next_generation = 10;
    bool is_disk_slow = false;

    void set(TableConfig next) {
        config = next;
        table.configure(std::move(next));
    }
    void run(std::uint64_t now_s) {
        while (table.is_due(now_s)) {
            const KeyPlan plan = table.plan(now_s);
            for (const auto& key : plan.stop_receiving) { EXPECT_EQ(receiving.erase(key), 1u); }
            for (const auto& key : plan.stop_sending) { EXPECT_EQ(sending.erase(key), 1u); }
            for (const auto& one : plan.receive) {
                EXPECT_TRUE(receiving.emplace(one.remote, one.spi).second);
            }
            for (const auto& one : plan.send) {
                sending[{one.vtep, Spi::of(one.spi).policy}] = one.spi;
                const auto name = std::tuple(config.vteps[one.vtep].ip, one.spi, one.epoch);
                EXPECT_TRUE(names.insert(name).second) << "begun twice";
            }
            if (!plan.wants_generation || is_disk_slow) { return; }
            table.set_generation(next_generation++);
        }
    }
    bool opens(std::uint32_t name) const { return receiving.contains({1, name}); }
};

TEST(KeyTable, SendsUnderTheRunningEpoch) {
    World world;
    world.set(config_with());
    world.run(1000);
    EXPECT_EQ(world.sending.at({0, 7}), spi(10, 10, 3));
    EXPECT_FALSE(world.table.is_due(1099));
    world.run(1100);
    EXPECT_EQ(world.sending.at({0, 7}), spi(11, 10, 3));
    EXPECT_EQ(world.next_generation, 11) << "an epoch needs no new generation";
}

TEST(KeyTable, SendsNothingWithoutGenerationOrKey) {
    World world;
    world.is_disk_slow = true;
    world.set(config_with());
    world.run(1000);
    EXPECT_TRUE(world.sending.empty());
    world.is_disk_slow = false;
    TableConfig later = config_with();
    later.policies[7].revisions = {{12, 1}};
    world.set(later);
    world.run(1000);
    EXPECT_TRUE(world.sending.empty());
    world.run(1200);
    EXPECT_EQ(world.sending.size(), 1u);
    world.set({});
    world.run(1200);
    EXPECT_TRUE(world.sending.empty());
}

TEST(KeyTable, WhatIsBegunAnewInAnEpochHasANewGeneration) {
    World world;
    world.set(config_with());
    world.run(1000);
    TableConfig moved = config_with();
    moved.vteps = {{kOther, 1}, {kOwn, 3}};
    world.set(moved);
    world.run(1001);
    EXPECT_EQ(Spi::of(world.sending.at({1, 7})).generation, 11);
    world.set(config_with(100, 2));  // Another key.
    world.run(1002);
    EXPECT_EQ(world.sending.at({0, 7}), spi(10, 12, 3));
    world.set({});
    world.run(1003);
    world.set(config_with(100, 2));
    world.run(1004);
    EXPECT_EQ(world.sending.at({0, 7}), spi(10, 13, 3));
    world.table.note_filling(spi(10, 13, 3));
    world.run(1005);
    EXPECT_EQ(world.sending.at({0, 7}), spi(10, 14, 3));
    world.table.note_filling(spi(10, 13, 3));
    world.run(1006);
    EXPECT_EQ(world.sending.at({0, 7}), spi(10, 14, 3)) << "that one is gone already";
}

TEST(KeyTable, AClockThatGoesBackBeginsNothingTwice) {
    World world;
    world.set(config_with());
    world.run(1100);
    world.run(1099);
    EXPECT_EQ(world.sending.at({0, 7}), spi(11, 10, 3)) << "a second is nothing";
    world.run(700);
    EXPECT_EQ(world.sending.at({0, 7}), spi(7, 11, 3));
    world.run(1100);
    EXPECT_EQ(world.sending.at({0, 7}), spi(11, 11, 3));
}

TEST(KeyTable, HoldsLastRunningAndNextOfWhoWasHeard) {
    World world;
    world.set(config_with());
    world.table.note_wanted(1, spi(10, 5), 1000);
    world.run(1000);
    EXPECT_EQ(world.receiving.size(), 3u);
    world.table.note_used(1, spi(10, 5), 1000);
    world.run(1000);
    for (const std::uint64_t epoch : {9U, 10U, 11U}) { EXPECT_TRUE(world.opens(spi(epoch, 5))); }
    for (const std::uint64_t epoch : {10U, 11U}) { EXPECT_TRUE(world.opens(spi(epoch, 6))); }
    EXPECT_EQ(world.receiving.size(), 5u);
    world.run(1100);
    EXPECT_TRUE(world.opens(spi(12, 5)));
    EXPECT_FALSE(world.opens(spi(9, 5)));
    world.table.note_used(1, spi(11, 6), 1150);
    world.run(1150);
    EXPECT_TRUE(world.opens(spi(11, 5)) && world.opens(spi(10, 5))) << "what is still on its way";
    EXPECT_TRUE(world.opens(spi(12, 6)) && world.opens(spi(12, 7)));
    EXPECT_FALSE(world.opens(spi(12, 5)));
}

TEST(KeyTable, ForgetsWhoIsSilent) {
    World world;
    world.set(config_with());
    world.table.note_wanted(1, spi(10, 5), 1000);
    world.run(1000);
    world.table.note_used(1, spi(10, 5), 1000);
    world.run(1299);
    EXPECT_FALSE(world.receiving.empty());
    world.run(1300);
    EXPECT_TRUE(world.receiving.empty());
    world.table.note_wanted(1, spi(13, 5), 1300);
    world.run(1300);
    EXPECT_EQ(world.receiving.size(), 3u);
    world.run(1300 + KeyTable::kOfferS);
    EXPECT_TRUE(world.receiving.empty()) << "nothing opened with it";
}

TEST(KeyTable, OffersOnlyWhatAGroupKeyIsHeldOf) {
    World world;
    world.set(config_with());
    for (const std::uint32_t bad :
         {spi(8, 5), spi(12, 5), Spi{8, 10, 5, 0}.value(), spi(10, 5) & 0x7fffffffU, 0U}) {
        world.table.note_wanted(1, bad, 1000);
    }
    world.table.note_wanted(0, spi(10, 5), 1000);
    world.table.note_wanted(2, spi(10, 5), 1000);
    world.run(1000);
    EXPECT_TRUE(world.receiving.empty());
    for (std::uint16_t i = 0; i < 4096; ++i) { world.table.note_wanted(1, spi(10, i), 1000); }
    world.table.note_used(1, spi(10, 4095), 1000);  // Not made yet: says nothing.
    world.run(1000);
    EXPECT_EQ(world.receiving.size(), 3 * KeyTable::kOfferMax);
}

TEST(KeyTable, AnotherHostUnderTheSameIndexIsNobodyKnown) {
    World world;
    world.set(config_with());
    world.table.note_wanted(1, spi(10, 5), 1000);
    world.run(1000);
    world.table.note_used(1, spi(10, 5), 1000);
    world.run(1000);
    TableConfig next = config_with();
    next.remotes[1] = IpAddr::v4(0xac100009);
    world.set(next);
    world.run(1001);
    EXPECT_TRUE(world.receiving.empty());
}

TEST(KeyTable, AnotherKeyReplacesWhatWasMadeOfTheOldOne) {
    World world;
    world.set(config_with());
    world.table.note_wanted(1, spi(10, 5), 1000);
    world.run(1000);
    world.set(config_with(100, 2));
    const KeyPlan plan = world.table.plan(1000);
    EXPECT_EQ(plan.stop_receiving.size(), 3u);
    EXPECT_EQ(plan.receive.size(), 3u);
}

// Nothing comes within an epoch of the first packet: the next ones are of other epochs.
TEST(KeyTable, AnOfferFollowsTheEpochs) {
    World world;
    world.set(config_with(1));
    world.table.note_wanted(1, spi(1000, 5), 1000);
    for (std::uint64_t now = 1000; now < 1000 + KeyTable::kOfferS; ++now) {
        world.run(now);
        EXPECT_TRUE(world.opens(spi(now, 5))) << now;
    }
}

// A sender and a receiver with clocks apart by less than an epoch, restarts and rotations: whatever
// the sender uses is held, but for the first packet of a start that nobody could know of.
TEST(KeyTable, LosesNothingWhileASenderRotates) {
    std::mt19937_64 random(1);
    for (int round = 0; round < 50; ++round) {
        World sender, receiver;
        sender.set(config_with(2));
        receiver.set(config_with(2));
        const std::uint64_t skew = random() % 2;
        std::size_t missed = 0;
        for (std::uint64_t now = 1000; now < 1400; ++now) {
            if (random() % 20 == 0) { sender.table.set_generation(sender.next_generation++); }
            sender.run(now + skew);
            receiver.run(now);
            const std::uint32_t name = sender.sending.at({0, 7});
            if (!receiver.opens(name)) {
                ++missed;
                receiver.table.note_wanted(1, name, now);
                receiver.run(now);
            }
            ASSERT_TRUE(receiver.opens(name));
            receiver.table.note_used(1, name, now);
            receiver.run(now);
        }
        EXPECT_EQ(missed, 1u) << "the first one";
    }
}

}  // namespace
}  // namespace sluice::daemon
