// SPDX-License-Identifier: Apache-2.0
// A write to a guest's eventfd that can count no further ends by an interrupt, and is told of.
#include "datapath/vhost_call.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace sluice::datapath {
namespace {

constexpr eventfd_t kFull = ~eventfd_t{0} - 1;

TEST(VhostCall, AnOrdinaryCallIsNotTouched) {
    ASSERT_TRUE(install_call_interrupts().ok());
    const int fd = ::eventfd(0, EFD_CLOEXEC);
    EXPECT_EQ(::eventfd_write(fd, 1), 0);
    EXPECT_EQ(interrupt_blocked_calls(), 0U);
    EXPECT_FALSE(take_blocked_call());
    ::close(fd);
}

TEST(VhostCall, ABlockedCallEndsAndIsMarkedOnce) {
    ASSERT_TRUE(install_call_interrupts().ok());
    const int fd = ::eventfd(0, EFD_CLOEXEC);
    ASSERT_EQ(::eventfd_write(fd, kFull), 0);
    std::atomic<bool> is_done{false};
    std::thread worker([&] {
        EXPECT_EQ(::eventfd_write(fd, 1), -1);
        EXPECT_TRUE(take_blocked_call());
        EXPECT_FALSE(take_blocked_call());
        is_done = true;
    });
    unsigned interrupted = 0;
    while (!is_done) {
        interrupted += interrupt_blocked_calls();
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    worker.join();
    EXPECT_GE(interrupted, 1U);
    EXPECT_FALSE(take_blocked_call()) << "it was another thread's";
    ::close(fd);
}

TEST(VhostCall, ABlockingPortIsToldOnce) {
    const int port = 0;
    const int other = 0;
    EXPECT_EQ(take_blocking(), nullptr);
    tell_blocking(&port);
    tell_blocking(&port);
    tell_blocking(&other);
    EXPECT_EQ(take_blocking(), &port);
    EXPECT_EQ(take_blocking(), &other);
    EXPECT_EQ(take_blocking(), nullptr);
}

TEST(VhostCall, AFullCounterThatDoesNotBlockIsNoFault) {
    const int fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ASSERT_EQ(::eventfd_write(fd, kFull), 0);
    EXPECT_EQ(::eventfd_write(fd, 1), -1);
    EXPECT_FALSE(take_blocked_call());
    ::close(fd);
}

}  // namespace
}  // namespace sluice::datapath
