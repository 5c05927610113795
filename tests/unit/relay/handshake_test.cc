// SPDX-License-Identifier: Apache-2.0
// What a handshake keeps and how it is replayed.
#include "relay/handshake.h"

#include <gtest/gtest.h>

#include "wire.h"

namespace sluice::relay::test {
namespace {

std::vector<Request> requests_of(const Handshake& handshake) {
    std::vector<Request> list;
    const auto messages = handshake.messages();
    EXPECT_TRUE(messages.has_value());
    for (const auto& message : *messages) { list.push_back(message.request()); }
    return list;
}

TEST(RelayHandshake, KeepsTheLastOfEachAndOrdersThem) {
    Handshake handshake;
    EXPECT_TRUE(handshake.record(request(Request::kSetVringEnable, VringState{0, 1})));
    EXPECT_TRUE(handshake.record(request(Request::kSetVringNum, VringState{0, 256})));
    EXPECT_TRUE(handshake.record(request(Request::kSetVringNum, VringState{0, 1024})));
    EXPECT_TRUE(handshake.record(memory_table({{0, 4096, 0, 0}}, 4096)));
    EXPECT_TRUE(handshake.record(request(Request::kSetFeatures, bit(32))));
    EXPECT_TRUE(handshake.record(request(Request::kGetFeatures)));
    const std::vector<Request> expected = {Request::kSetFeatures, Request::kSetMemTable,
                                           Request::kSetVringNum, Request::kSetVringEnable};
    EXPECT_EQ(requests_of(handshake), expected);
    EXPECT_EQ(handshake.messages()->at(2).as<VringState>().value, 1024U);
    EXPECT_EQ(handshake.region_count(), 1U);
}

TEST(RelayHandshake, ReplaysAskForNoReplyAndCarryTheirOwnDescriptors) {
    Handshake handshake;
    Message table = memory_table({{0, 4096, 0, 0}}, 4096);
    table.header.flags |= kFlagNeedReply;
    EXPECT_TRUE(handshake.record(table));
    const auto messages = handshake.messages();
    ASSERT_EQ(messages->size(), 1U);
    EXPECT_FALSE(messages->front().wants_reply());
    EXPECT_NE(messages->front().fds[0].get(), table.fds[0].get());
}

TEST(RelayHandshake, AStoppedRingKeepsItsPositionAndLosesItsDescriptors) {
    Handshake handshake;
    EXPECT_TRUE(handshake.record(request(Request::kSetVringBase, VringState{1, 5})));
    EXPECT_TRUE(handshake.record(vring_fd(Request::kSetVringKick, 1)));
    EXPECT_TRUE(handshake.record(vring_fd(Request::kSetVringCall, 1)));
    EXPECT_TRUE(handshake.record(request(Request::kGetVringBase, VringState{1, 0})));
    handshake.note_reply(request(Request::kGetVringBase, VringState{1, 99}));
    ASSERT_EQ(requests_of(handshake), std::vector<Request>{Request::kSetVringBase});
    EXPECT_EQ(handshake.messages()->front().as<VringState>().value, 99U);
}

TEST(RelayHandshake, ResetOwnerForgetsAll) {
    Handshake handshake;
    const auto before = open_fd_count();
    EXPECT_TRUE(handshake.record(memory_table({{0, 4096, 0, 0}}, 4096)));
    EXPECT_TRUE(handshake.record(request(Request::kResetOwner)));
    EXPECT_TRUE(handshake.messages()->empty());
    EXPECT_EQ(open_fd_count(), before);
}

}  // namespace
}  // namespace sluice::relay::test
