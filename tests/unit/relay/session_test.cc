// SPDX-License-Identifier: Apache-2.0
// What a session lets through, narrows, refuses, and how it survives the library. Server mode,
// because then the test decides when QEMU comes.
#include <sys/socket.h>

#include <cstring>

#include "harness.h"

namespace sluice::relay::test {
namespace {

constexpr std::uint64_t kMegabyte = 1U << 20U;

class SessionRules : public RelayTest {
protected:
    void SetUp() override {
        ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
        qemu_ = attach();
    }
    std::uint64_t ask(Request number) {
        EXPECT_TRUE(send_message(qemu_.get(), request(number)));
        const auto reply = receive_message(qemu_.get());
        EXPECT_TRUE(reply.has_value());
        return reply ? reply->as<std::uint64_t>() : 0;
    }
    bool seen(std::size_t connection, std::size_t count) {
        return eventually([&] { return library_.seen(connection).size() >= count; });
    }
    void send_handshake() {
        EXPECT_TRUE(send_message(qemu_.get(), request(Request::kSetOwner)));
        EXPECT_TRUE(send_message(qemu_.get(), request(Request::kSetFeatures, bit(32) | bit(30))));
        EXPECT_TRUE(
            send_message(qemu_.get(), memory_table({{0, kMegabyte, 0x7000, 0}}, kMegabyte)));
        EXPECT_TRUE(send_message(qemu_.get(), request(Request::kSetVringNum, VringState{0, 256})));
        EXPECT_TRUE(send_message(qemu_.get(), vring_fd(Request::kSetVringKick, 0)));
        EXPECT_TRUE(send_message(qemu_.get(), vring_fd(Request::kSetVringCall, 0)));
        EXPECT_TRUE(seen(0, 6));
    }
    void expect_refused(RefuseReason reason) {
        EXPECT_TRUE(wait_closed(qemu_.get()));
        EXPECT_TRUE(eventually([&] { return relay_.refused("vm1", reason) == 1U; }))
            << to_string(reason);
        EXPECT_TRUE(eventually([&] { return library_.open_count() == 0; }));
    }

    Fd qemu_;
};

TEST_F(SessionRules, PassesMessagesWholeWithTheirDescriptors) {
    send_handshake();
    const auto messages = library_.seen(0);
    ASSERT_EQ(messages.size(), 6U);
    EXPECT_EQ(messages[0].header.request, static_cast<std::uint32_t>(Request::kSetOwner));
    EXPECT_EQ(messages[2].payload.size(), 40U);
    EXPECT_EQ(messages[2].fd_count, 1U);
    EXPECT_EQ(messages[4].fd_count, 1U);
    EXPECT_EQ(relay_.state("vm1").counters.requests, 6U);
}

TEST_F(SessionRules, NarrowsWhatTheLibraryOffers) {
    EXPECT_EQ(ask(Request::kGetFeatures), kVirtioFeatureMask);
    EXPECT_EQ(ask(Request::kGetProtocolFeatures), kProtocolFeatureMask);
    EXPECT_EQ(ask(Request::kGetQueueNum), 2U);
}

TEST_F(SessionRules, RelaysAcknowledgements) {
    Message message = memory_table({{0, kMegabyte, 0x7000, 0}}, kMegabyte);
    message.header.flags |= kFlagNeedReply;
    ASSERT_TRUE(send_message(qemu_.get(), message));
    const auto reply = receive_message(qemu_.get());
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->header.request, message.header.request);
    EXPECT_EQ(reply->as<std::uint64_t>(), 0U);
}

TEST_F(SessionRules, JoinsAMessageThatComesByteByByte) {
    const auto message = request(Request::kSetFeatures, bit(32));
    for (const char byte : bytes_of(message)) {
        ASSERT_TRUE(send_bytes(qemu_.get(), {&byte, 1}));
        std::this_thread::sleep_for(milliseconds{3});
    }
    ASSERT_TRUE(seen(0, 1));
    EXPECT_EQ(library_.seen(0)[0].payload.size(), 8U);
}

TEST_F(SessionRules, SeparatesMessagesThatComeTogether) {
    std::string bytes;
    for (int i = 0; i < 50; ++i) { bytes += bytes_of(request(Request::kSetFeatures, bit(32))); }
    ASSERT_TRUE(send_bytes(qemu_.get(), bytes));
    EXPECT_TRUE(seen(0, 50));
}

TEST_F(SessionRules, IdleBetweenMessagesIsNoFault) {
    std::this_thread::sleep_for(kMessageTimeout + milliseconds{300});
    EXPECT_EQ(ask(Request::kGetQueueNum), 2U);
}

TEST_F(SessionRules, CutsAPeerThatStopsInMidMessage) {
    const auto begin = std::chrono::steady_clock::now();
    const std::string bytes = bytes_of(request(Request::kSetFeatures, bit(32)));
    ASSERT_TRUE(send_bytes(qemu_.get(), std::string_view{bytes}.substr(0, 15)));
    expect_refused(RefuseReason::kTimeout);
    EXPECT_GE(std::chrono::steady_clock::now() - begin, kMessageTimeout - milliseconds{50});
    EXPECT_TRUE(library_.seen(0).empty());
}

TEST_F(SessionRules, CutsAPeerThatTricklesPastTheDeadline) {
    const std::string bytes = bytes_of(request(Request::kSetFeatures, bit(32)));
    for (std::size_t i = 0; i < 12;
         ++i) {  // A byte each 200 ms: each one in time, the whole too late.
        if (!send_bytes(qemu_.get(), std::string_view{bytes}.substr(i, 1))) { break; }
        std::this_thread::sleep_for(milliseconds{200});
    }
    expect_refused(RefuseReason::kTimeout);
}

TEST_F(SessionRules, CutsAPeerThatDoesNotTakeItsReplies) {
    const std::string bytes = bytes_of(request(Request::kGetFeatures));
    timeval limit{0, 100000};
    ::setsockopt(qemu_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    for (int i = 0; i < 100000 && send_bytes(qemu_.get(), bytes); ++i) {}
    EXPECT_TRUE(eventually([&] { return relay_.refused("vm1", RefuseReason::kTimeout) == 1U; }));
}

TEST_F(SessionRules, CutsTheLinkWhenTheLibraryDoesNotRead) {
    library_.set_deaf(true);
    timeval limit{0, 100000};
    ::setsockopt(qemu_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    const std::string bytes = bytes_of(request(Request::kSetFeatures, bit(32)));
    for (int i = 0; i < 100000 && send_bytes(qemu_.get(), bytes); ++i) {}
    EXPECT_TRUE(relay_.wait_phase("vm1", RelayPhase::kDown));
    EXPECT_NE(relay_.state("vm1").text.find("did not take a message"), std::string::npos);
    library_.set_deaf(false);
}

TEST_F(SessionRules, RefusesAnOversizePayloadAtItsHeader) {
    Message message = request(Request::kSetFeatures);
    message.header.size = 0x7fffffff;
    ASSERT_TRUE(send_message(qemu_.get(), message));
    expect_refused(RefuseReason::kBadSize);
}

TEST_F(SessionRules, RefusesMoreDescriptorsThanFit) {
    Message message = memory_table({{0, kMegabyte, 0x7000, 0}}, kMegabyte);
    while (message.fds.size() < 9) { message.fds.push_back(memory_file(kMegabyte)); }
    ASSERT_TRUE(send_message(qemu_.get(), message));
    expect_refused(RefuseReason::kBadFds);
}

TEST_F(SessionRules, RefusesADescriptorWhereNoneBelongs) {
    Message message = request(Request::kSetOwner);
    message.fds.push_back(event_file());
    ASSERT_TRUE(send_message(qemu_.get(), message));
    expect_refused(RefuseReason::kBadFds);
}

TEST_F(SessionRules, RefusesATruncatedMemoryFile) {
    ASSERT_TRUE(
        send_message(qemu_.get(), memory_table({{0, kMegabyte, 0x7000, 0}}, kMegabyte - 1)));
    expect_refused(RefuseReason::kBadMemory);
}

TEST_F(SessionRules, TheDaemonMayDropASession) {
    ASSERT_TRUE(relay_.call(
        [](VhostRelay& relay) { return relay.drop("vm1", "guest memory disappeared"); }));
    expect_refused(RefuseReason::kDropped);
    EXPECT_NE(relay_.state("vm1").text.find("guest memory disappeared"), std::string::npos);
}

TEST_F(SessionRules, ARefusalHitsItsOwnPortAlone) {
    auto other = port(SocketMode::kServer);
    other.name = "vm2";
    other.socket_path = folder_.path("other.sock");
    ASSERT_TRUE(relay_.add(other).ok());
    Fd neighbour;
    ASSERT_TRUE(eventually([&] { return (neighbour = connect_to(other.socket_path)).valid(); }));
    ASSERT_TRUE(relay_.wait_phase("vm2", RelayPhase::kAttached));
    Message bad = request(Request::kSetOwner);
    bad.header.flags = 2;
    ASSERT_TRUE(send_message(qemu_.get(), bad));
    EXPECT_TRUE(wait_closed(qemu_.get()));
    ASSERT_TRUE(send_message(neighbour.get(), request(Request::kGetFeatures)));
    EXPECT_TRUE(receive_message(neighbour.get()).has_value());
    EXPECT_TRUE(eventually([&] { return relay_.refused("vm1", RefuseReason::kBadHeader) == 1U; }));
    EXPECT_EQ(relay_.state("vm2").phase, RelayPhase::kAttached);
}

TEST_F(SessionRules, ReplaysTheHandshakeWhenTheLibraryLeaves) {
    send_handshake();
    library_.drop_connections();
    ASSERT_TRUE(seen(1, 6));
    const auto again = library_.seen(1);
    const std::vector<Request> order = {Request::kSetFeatures,  Request::kSetOwner,
                                        Request::kSetMemTable,  Request::kSetVringNum,
                                        Request::kSetVringCall, Request::kSetVringKick};
    for (std::size_t i = 0; i < order.size(); ++i) {
        EXPECT_EQ(again[i].header.request, static_cast<std::uint32_t>(order[i])) << i;
    }
    EXPECT_EQ(again[2].fd_count, 1U);
    EXPECT_EQ(again[4].fd_count, 1U);
    EXPECT_EQ(ask(Request::kGetQueueNum), 2U);  // QEMU noticed nothing.
    EXPECT_EQ(relay_.state("vm1").phase, RelayPhase::kAttached);
    EXPECT_EQ(relay_.state("vm1").counters.replays, 1U);
}

TEST_F(SessionRules, ReplaysOnDemand) {
    send_handshake();
    ASSERT_TRUE(relay_.call([](VhostRelay& relay) { return relay.replay("vm1"); }));
    EXPECT_TRUE(seen(1, 6));
}

TEST_F(SessionRules, GivesUpAfterThreeReplaysAMinute) {
    send_handshake();
    for (std::size_t round = 1; round <= 4; ++round) {
        library_.drop_connections();
        if (round <= 3) { ASSERT_TRUE(seen(round, 6)); }
    }
    EXPECT_TRUE(wait_closed(qemu_.get()));
    EXPECT_TRUE(relay_.wait_phase("vm1", RelayPhase::kDown));
    EXPECT_EQ(relay_.state("vm1").counters.replays, 3U);
}

TEST_F(SessionRules, AnAnswerThatTheLibraryOwesCannotBeReplayed) {
    send_handshake();
    library_.set_answering(false);
    ASSERT_TRUE(send_message(qemu_.get(), request(Request::kGetFeatures)));
    ASSERT_TRUE(seen(0, 7));
    library_.drop_connections();
    EXPECT_TRUE(wait_closed(qemu_.get()));  // QEMU starts anew.
    EXPECT_EQ(library_.connection_count(), 1U);
}

}  // namespace
}  // namespace sluice::relay::test
