// SPDX-License-Identifier: Apache-2.0
// The dirty log: which one is good enough for which memory, and how a session treats the messages
// of a migration.
#include "relay/dirty_log.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

namespace sluice::relay::test {
namespace {

constexpr std::uint64_t kMegabyte = 1U << 20U;
constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kLogAll = std::uint64_t{1} << kLogAllBit;
constexpr int kSeals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

Fd log_file(std::uint64_t size, int seals) {
    Fd file(::memfd_create("log", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
    EXPECT_EQ(::fcntl(file.get(), F_ADD_SEALS, seals), 0);
    return file;
}

Message log_base(std::uint64_t size, Fd file, std::uint64_t offset = 0) {
    Message message = request(Request::kSetLogBase, LogArea{size, offset});
    message.fds.push_back(std::move(file));
    return message;
}

Message features(std::uint64_t bits) { return request(Request::kSetFeatures, bits); }

// 64 MiB of guest, of which 32 lie behind 4 GiB: 128 KiB + 1 KiB of log.
constexpr std::uint64_t kGuestEnd = (std::uint64_t{1} << 32U) + 32 * kMegabyte;
constexpr std::uint64_t kNeeded = kGuestEnd / kPage / 8;

Message guest(std::uint64_t end = kGuestEnd) {
    const std::uint64_t high = end - 32 * kMegabyte;
    return memory_table({{0, 32 * kMegabyte, 0, 0}, {high, 32 * kMegabyte, high, 0}},
                        32 * kMegabyte);
}

TEST(RelayDirtyLog, HasABitForEachPageOfTheGuest) {
    DirtyLog log;
    EXPECT_TRUE(log.judge(log_base(kNeeded, log_file(kNeeded, kSeals)))) << "no memory yet";
    EXPECT_FALSE(log.judge(guest()));
    EXPECT_TRUE(log.judge(log_base(kNeeded - 1, log_file(kNeeded, kSeals))));
    EXPECT_TRUE(log.judge(log_base(kLogBytesMax + 1, log_file(kNeeded, kSeals))));
    EXPECT_FALSE(log.judge(log_base(kNeeded, log_file(kNeeded, kSeals))));
    EXPECT_FALSE(log.judge(log_base(kNeeded + 8, log_file(kNeeded + 8, kSeals))));
}

TEST(RelayDirtyLog, LiesInAFileThatStaysAsItIs) {
    DirtyLog log;
    EXPECT_FALSE(log.judge(guest()));
    EXPECT_TRUE(log.judge(log_base(kNeeded, log_file(kNeeded - 1, kSeals)))) << "shorter than said";
    EXPECT_TRUE(log.judge(log_base(kNeeded, log_file(kNeeded, 0)))) << "may shrink";
    EXPECT_TRUE(log.judge(log_base(kNeeded, log_file(kNeeded, kSeals | F_SEAL_WRITE))));
    EXPECT_TRUE(log.judge(log_base(kNeeded, event_file())));
    EXPECT_TRUE(log.judge(log_base(kNeeded, log_file(2 * kNeeded, kSeals), kPage))) << "offset";
}

TEST(RelayDirtyLog, MemoryOutgrowsItOnlyWhileNothingIsLogged) {
    DirtyLog log;
    EXPECT_FALSE(log.judge(guest()));
    EXPECT_FALSE(log.judge(log_base(kNeeded, log_file(kNeeded, kSeals))));
    EXPECT_FALSE(log.judge(features(kLogAll)));
    EXPECT_TRUE(log.judge(guest(kGuestEnd + kMegabyte)));
    EXPECT_TRUE(log.judge(features(kLogAll))) << "the memory is there all the same";
    EXPECT_FALSE(log.judge(features(0)));
    EXPECT_FALSE(log.judge(guest(kGuestEnd + kMegabyte)));
}

class SessionLog : public RelayTest {
protected:
    void SetUp() override {
        ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
        qemu_ = attach();
        ASSERT_TRUE(send_message(qemu_.get(), guest()));
        ASSERT_TRUE(eventually([this] { return library_.seen(0).size() == 1; }));
    }
    Fd qemu_;
};

TEST_F(SessionLog, ALogReachesTheLibraryAndIsAnswered) {
    ASSERT_TRUE(send_message(qemu_.get(), log_base(kNeeded, log_file(kNeeded, kSeals))));
    const auto reply = receive_message(qemu_.get());
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->request(), Request::kSetLogBase);
    ASSERT_TRUE(eventually([&] { return library_.seen(0).size() == 2; }));
    EXPECT_EQ(library_.seen(0)[1].fd_count, 1U);
}

TEST_F(SessionLog, ASmallLogEndsTheSession) {
    ASSERT_TRUE(send_message(qemu_.get(), log_base(kPage, log_file(kPage, kSeals))));
    EXPECT_TRUE(wait_closed(qemu_.get()));
    EXPECT_TRUE(eventually([&] { return relay_.refused("vm1", RefuseReason::kBadMemory) == 1U; }));
}

TEST_F(SessionLog, AReplayCarriesTheLogAndItsAnswerIsNobodys) {
    ASSERT_TRUE(send_message(qemu_.get(), log_base(kNeeded, log_file(kNeeded, kSeals))));
    ASSERT_TRUE(receive_message(qemu_.get()).has_value());
    ASSERT_TRUE(relay_.call([](VhostRelay& relay) { return relay.replay("vm1"); }));
    ASSERT_TRUE(eventually([&] { return library_.seen(1).size() == 2; }));
    ASSERT_TRUE(send_message(qemu_.get(), request(Request::kGetFeatures)));
    const auto reply = receive_message(qemu_.get());
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->request(), Request::kGetFeatures) << "not the log's answer";
}

TEST_F(SessionLog, AnAnnouncementIsTheSwitchsOwnAffair) {
    Message message = request(Request::kSendRarp, std::uint64_t{0x010000000002});
    message.header.flags |= kFlagNeedReply;
    ASSERT_TRUE(send_message(qemu_.get(), message));
    const auto reply = receive_message(qemu_.get());
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->as<std::uint64_t>(), 0U);
    EXPECT_EQ(relay_.state("vm1").counters.requests, 2U);
    EXPECT_EQ(library_.seen(0).size(), 1U) << "the library is not asked";
}

}  // namespace
}  // namespace sluice::relay::test
