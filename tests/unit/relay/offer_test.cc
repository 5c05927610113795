// SPDX-License-Identifier: Apache-2.0
// A guest that comes again is offered what it was offered first, by whichever version.
#include <atomic>
#include <map>
#include <mutex>

#include "harness.h"
#include "relay/offer_book.h"

namespace sluice::relay::test {
namespace {

class Book final : public OfferBook {
public:
    std::optional<Offer> find(const std::string& port, int pid) override {
        const std::lock_guard lock(mutex);
        const auto at = offers.find({port, pid});
        return at == offers.end() ? std::nullopt : std::optional(at->second);
    }
    void note(const std::string& port, int pid, const Offer& offer) override {
        const std::lock_guard lock(mutex);
        offers[{port, pid}] = offer;
    }
    std::mutex mutex;
    std::map<std::pair<std::string, int>, Offer> offers;
};

class OfferedAgain : public RelayTest {
protected:
    void begin() {
        RelayPort made = port(SocketMode::kServer);
        made.offers = &book_;
        ASSERT_TRUE(relay_.add(made).ok());
        qemu_ = attach();
    }
    std::uint64_t ask(Request number) {
        EXPECT_TRUE(send_message(qemu_.get(), request(number)));
        const auto reply = receive_message(qemu_.get());
        EXPECT_TRUE(reply.has_value());
        return reply ? reply->as<std::uint64_t>() : 0;
    }
    ~OfferedAgain() override { relay_.remove("vm1"); }

    Book book_;
    Fd qemu_;
};

TEST_F(OfferedAgain, ANewGuestIsOfferedAllAndThatIsNoted) {
    begin();
    EXPECT_EQ(ask(Request::kGetFeatures), kVirtioFeatureMask);
    EXPECT_EQ(ask(Request::kGetProtocolFeatures), kProtocolFeatureMask);
    EXPECT_EQ(ask(Request::kGetQueueNum), 2U);
    const std::optional<Offer> noted = book_.find("vm1", getpid());
    ASSERT_TRUE(noted.has_value());
    EXPECT_EQ(*noted, (Offer{kVirtioFeatureMask, kProtocolFeatureMask, 2}));
}

TEST_F(OfferedAgain, OneThatWasHereBeforeGetsNoMoreThanThen) {
    const Offer before{kVirtioFeatureMask & ~bit(22), bit(3), 1};
    book_.note("vm1", getpid(), before);
    begin();
    EXPECT_EQ(ask(Request::kGetFeatures), before.virtio);
    EXPECT_EQ(ask(Request::kGetProtocolFeatures), before.protocol);
    EXPECT_EQ(ask(Request::kGetQueueNum), 1U);
    EXPECT_EQ(book_.find("vm1", getpid()), before);
}

TEST_F(OfferedAgain, WhatIsMissingNowIsNotPromised) {
    const Offer before{kVirtioFeatureMask | bit(34), kProtocolFeatureMask, 2};
    book_.note("vm1", getpid(), before);
    begin();
    EXPECT_EQ(ask(Request::kGetFeatures), kVirtioFeatureMask);
}

}  // namespace
}  // namespace sluice::relay::test
