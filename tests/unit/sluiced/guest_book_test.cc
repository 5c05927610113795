// SPDX-License-Identifier: Apache-2.0
// GuestBook: what a guest was offered is known to the next process, and only of that guest.
#include "src/sluiced/guest_book.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace sluice::daemon {
namespace {

TEST(GuestBook, KnowsAGuestAgainAndNoOther) {
    std::string folder = testing::TempDir() + "guests-XXXXXX";
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    const std::string path = folder + "/guests";
    const relay::Offer offer{7, 5, 2};
    {
        GuestBook book;
        ASSERT_TRUE(book.load(path));
        EXPECT_FALSE(book.find("vm1", getpid()));
        book.note("vm1", getpid(), offer);
        EXPECT_EQ(book.find("vm1", getpid()), offer);
    }
    {
        GuestBook next;
        ASSERT_TRUE(next.load(path));
        EXPECT_EQ(next.find("vm1", getpid()), offer);
        EXPECT_FALSE(next.find("vm1", getppid())) << "another process: another QEMU";
        EXPECT_FALSE(next.find("vm2", getpid()));
        EXPECT_FALSE(next.find("vm1", 1 << 30)) << "no such process";
        for (std::uint64_t i = 0; i < 1000; ++i) { next.note("vm1", getpid(), {i, 5, 2}); }
    }
    const auto long_size = std::filesystem::file_size(path);
    GuestBook third;
    ASSERT_TRUE(third.load(path));
    EXPECT_LT(std::filesystem::file_size(path), long_size / 100);
    EXPECT_EQ(third.find("vm1", getpid()), (relay::Offer{999, 5, 2}));
    std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sluice::daemon
