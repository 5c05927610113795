// SPDX-License-Identifier: Apache-2.0
// Messages survive the pair with their descriptors; truncated, stretched and foreign ones do not.
#include "handover/message.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <cstring>

#include "handover/limits.h"
#include "handover/schema.h"

namespace sluice::handover {
namespace {

using Clock = std::chrono::steady_clock;

struct Pair {
    Pair() {
        int ends[2] = {-1, -1};
        EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        one.reset(ends[0]);
        other.reset(ends[1]);
    }
    relay::Fd one;
    relay::Fd other;
};

Clock::time_point soon() { return Clock::now() + std::chrono::seconds(2); }

Message sample(std::size_t fds = 0) {
    Message message;
    message.kind = Kind::kGuest;
    message.body = {{"port", "vm1"}, {"later", {1, 2, 3}}};
    for (std::size_t i = 0; i < fds; ++i) { message.fds.emplace_back(eventfd(0, EFD_CLOEXEC)); }
    return message;
}

std::string refusal(std::vector<std::byte> packet, std::vector<relay::Fd> fds = {}) {
    const Result<Message> read = unpack(packet, std::move(fds));
    return read ? "" : read.error().message;
}

TEST(HandoverMessage, CrossesThePairWithItsDescriptors) {
    const Pair pair;
    for (const std::size_t count : {std::size_t{0}, std::size_t{1}, kDescriptorMax}) {
        ASSERT_TRUE(send(pair.one.get(), sample(count), soon()).ok());
        Result<Message> got = receive(pair.other.get(), soon());
        ASSERT_TRUE(got.ok()) << got.error().message;
        EXPECT_EQ(got.value().kind, Kind::kGuest);
        EXPECT_EQ(got.value().body, sample().body);
        ASSERT_EQ(got.value().fds.size(), count);
        for (const relay::Fd& fd : got.value().fds) { EXPECT_EQ(eventfd_write(fd.get(), 1), 0); }
    }
}

TEST(HandoverMessage, TooLargeIsNotSent) {
    const Pair pair;
    Message large = sample();
    large.body["text"] = std::string(kBodyBytesMax, 'x');
    EXPECT_EQ(send(pair.one.get(), large, soon()).error().code, Errc::kLimit);
    EXPECT_EQ(send(pair.one.get(), sample(kDescriptorMax + 1), soon()).error().code, Errc::kLimit);
}

TEST(HandoverMessage, EveryTruncationIsRefused) {
    const std::vector<std::byte> whole = pack(sample()).value();
    ASSERT_TRUE(unpack(whole, {}).ok());
    for (std::size_t size = 0; size < whole.size(); ++size) {
        EXPECT_NE(refusal({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}), "")
            << size;
    }
    std::vector<std::byte> longer = whole;
    longer.push_back(std::byte{' '});
    EXPECT_NE(refusal(longer), "");
}

TEST(HandoverMessage, EveryFlippedBitOfTheHeadIsRefused) {
    const std::vector<std::byte> whole = pack(sample()).value();
    for (std::size_t bit = 0; bit < sizeof(Head) * 8; ++bit) {
        std::vector<std::byte> flipped = whole;
        flipped[bit / 8] ^= static_cast<std::byte>(1U << bit % 8);
        const Result<Message> read = unpack(flipped, {});
        // Another kind is another message, and no error.
        EXPECT_TRUE(!read || read.value().kind != Kind::kGuest) << bit;
    }
}

TEST(HandoverMessage, ForeignBytesAreRefused) {
    EXPECT_NE(refusal(std::vector<std::byte>(64)), "");
    std::vector<std::byte> no_object = pack(sample()).value();
    no_object[sizeof(Head)] = std::byte{'['};
    EXPECT_NE(refusal(no_object), "");
    std::vector<relay::Fd> fds;
    fds.emplace_back(eventfd(0, EFD_CLOEXEC));
    EXPECT_NE(refusal(pack(sample()).value(), std::move(fds)), "");
}

TEST(HandoverMessage, SaysWhyNothingCame) {
    Pair pair;
    EXPECT_EQ(receive(pair.other.get(), Clock::now()).error().code, Errc::kNotFound);
    pair.one.reset();
    EXPECT_EQ(receive(pair.other.get(), soon()).error().code, Errc::kIo);
    EXPECT_EQ(send(pair.other.get(), sample(), soon()).error().code, Errc::kIo);
}

TEST(HandoverMessage, GivesUpOnAnotherEndThatDoesNotRead) {
    const Pair pair;
    Message message = sample();
    message.body["text"] = std::string(kBodyBytesMax / 2, 'x');
    Status sent = Ok{};
    for (int i = 0; i < 1000 && sent; ++i) {
        sent = send(pair.one.get(), message, Clock::now() + std::chrono::milliseconds(10));
    }
    ASSERT_FALSE(sent.ok());
    EXPECT_EQ(sent.error().code, Errc::kIo);
}

TEST(HandoverSchema, TwoBuildsTakeTheNewestThatBothSpeak) {
    EXPECT_EQ(common_schema({1, 3}, {2, 5}), 3U);
    EXPECT_EQ(common_schema({2, 5}, {1, 3}), 3U);
    EXPECT_EQ(common_schema({1, 1}, {1, 2}), 1U);
    EXPECT_EQ(common_schema({1, 2}, {3, 4}), std::nullopt);
    EXPECT_LE(own_schemas().oldest, own_schemas().newest);
}

}  // namespace
}  // namespace sluice::handover
