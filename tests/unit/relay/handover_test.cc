// SPDX-License-Identifier: Apache-2.0
// A port that goes from one relay to another, and one that comes back. QEMU notices neither.
#include "harness.h"

namespace sluice::relay::test {
namespace {

constexpr std::uint64_t kMegabyte = 1U << 20U;

class Handover : public RelayTest {
protected:
    void SetUp() override {
        ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
        qemu_ = attach();
    }
    void send_handshake() {
        ASSERT_TRUE(send_message(qemu_.get(), request(Request::kSetOwner)));
        ASSERT_TRUE(send_message(qemu_.get(), request(Request::kSetFeatures, bit(32) | bit(30))));
        ASSERT_TRUE(
            send_message(qemu_.get(), memory_table({{0, kMegabyte, 0x7000, 0}}, kMegabyte)));
        ASSERT_TRUE(send_message(qemu_.get(), request(Request::kSetVringNum, VringState{0, 256})));
        ASSERT_TRUE(send_message(qemu_.get(), vring_fd(Request::kSetVringKick, 0)));
        ASSERT_TRUE(eventually([&] { return library_.seen(0).size() == 5; }));
    }
    void hold() {
        relay_.call([](VhostRelay& relay) {
            relay.hold();
            return true;
        });
    }
    bool is_quiet() {
        return relay_.call([](VhostRelay& relay) { return relay.is_quiet(); });
    }
    HandedPort hand_over() {
        return relay_.call([](VhostRelay& relay) { return relay.hand_over("vm1"); });
    }
    void resume() {
        relay_.call([](VhostRelay& relay) {
            relay.resume();
            return true;
        });
    }
    void release() {
        relay_.call([](VhostRelay& relay) {
            relay.release_library();
            return true;
        });
    }

    Fd qemu_;
    FakeLibrary next_library_{folder_.path("next.sock")};
    RelayThread next_;
};

TEST_F(Handover, BringsTheGuestToTheOtherRelay) {
    send_handshake();
    hold();
    ASSERT_TRUE(eventually([&] { return is_quiet(); }));
    HandedPort handed = hand_over();
    ASSERT_TRUE(handed.qemu.valid());
    ASSERT_TRUE(handed.listener.socket.valid());
    EXPECT_EQ(handed.said.size(), 5U);
    RelayPort there = port(SocketMode::kServer);
    there.library_path = folder_.path("next.sock");
    ASSERT_TRUE(
        next_.call([&](VhostRelay& relay) { return relay.add(there, std::move(handed)); }).ok());
    ASSERT_TRUE(eventually([&] { return next_library_.seen(0).size() == 5; }));
    const auto before = library_.seen(0);
    const auto after = next_library_.seen(0);
    std::size_t fd_count = 0;
    for (const auto& message : after) { fd_count += message.fd_count; }
    EXPECT_EQ(fd_count, 2U);
    EXPECT_EQ(before.size(), after.size());
    // What QEMU says from now on goes there, and only there.
    ASSERT_TRUE(send_message(qemu_.get(), request(Request::kGetFeatures)));
    const auto reply = receive_message(qemu_.get());
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->request(), Request::kGetFeatures);
    EXPECT_EQ(next_library_.seen(0).size(), 6U);
    EXPECT_EQ(library_.seen(0).size(), 5U);
    EXPECT_EQ(next_.state("vm1").phase, RelayPhase::kAttached);
}

TEST_F(Handover, OfAListenerThatWaitsKeepsItsSocket) {
    send_handshake();
    qemu_.reset();
    ASSERT_TRUE(relay_.wait_phase("vm1", RelayPhase::kWaiting));
    hold();
    HandedPort handed = hand_over();
    EXPECT_FALSE(handed.qemu.valid());
    // One that comes in between waits; nobody refuses it.
    Fd early = connect_to(qemu_path());
    ASSERT_TRUE(early.valid());
    RelayPort there = port(SocketMode::kServer);
    there.library_path = folder_.path("next.sock");
    ASSERT_TRUE(
        next_.call([&](VhostRelay& relay) { return relay.add(there, std::move(handed)); }).ok());
    ASSERT_TRUE(send_message(early.get(), request(Request::kGetFeatures)));
    EXPECT_TRUE(receive_message(early.get()).has_value());
    EXPECT_EQ(next_.state("vm1").counters.attaches, 1U);
    EXPECT_EQ(relay_.state("vm1").counters.attaches, 1U);  // The one of SetUp().
}

TEST_F(Handover, ComesBackWithAReplayThatCountsForNothing) {
    send_handshake();
    for (std::size_t round = 1; round <= kReplayMax + 2; ++round) {
        hold();
        ASSERT_TRUE(eventually([&] { return is_quiet(); }));
        release();
        ASSERT_TRUE(eventually([&] { return library_.open_count() == 0; }));
        resume();
        ASSERT_TRUE(eventually([&] {
            return library_.connection_count() == round + 1 && library_.seen(round).size() == 5;
        })) << round;
    }
    ASSERT_TRUE(send_message(qemu_.get(), request(Request::kGetFeatures)));
    EXPECT_TRUE(receive_message(qemu_.get()).has_value());
}

TEST_F(Handover, ReadsNothingOfQemuWhileItIsHeld) {
    send_handshake();
    hold();
    ASSERT_TRUE(eventually([&] { return is_quiet(); }));
    ASSERT_TRUE(send_message(qemu_.get(), request(Request::kGetFeatures)));
    EXPECT_FALSE(receive_message(qemu_.get(), milliseconds{50}).has_value());
    resume();
    EXPECT_TRUE(receive_message(qemu_.get()).has_value());
    EXPECT_EQ(library_.connection_count(), 1U);  // It was not let go of.
}

TEST_F(Handover, LeavesOutAQemuInTheMiddleOfAMessage) {
    send_handshake();
    const std::string bytes = bytes_of(request(Request::kGetFeatures));
    ASSERT_TRUE(send_bytes(qemu_.get(), bytes.substr(0, 5)));
    // It is read before it is held: the relay answers to calls in between.
    ASSERT_TRUE(eventually([&] {
        hold();
        const bool is_held = is_quiet();
        if (is_held) { resume(); }
        return !is_held;
    }));
    EXPECT_FALSE(hand_over().qemu.valid());
    ASSERT_TRUE(send_bytes(qemu_.get(), bytes.substr(5)));
    EXPECT_TRUE(receive_message(qemu_.get()).has_value());
    EXPECT_TRUE(eventually([&] { return is_quiet(); }));
    EXPECT_TRUE(hand_over().qemu.valid());
    resume();
}

}  // namespace
}  // namespace sluice::relay::test
