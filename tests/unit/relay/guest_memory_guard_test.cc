// SPDX-License-Identifier: Apache-2.0
// Guest memory truncated under a reader: zeros, a mark, and no crash; any other SIGBUS still kills.
#include "relay/guest_memory_guard.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <csignal>
#include <thread>
#include <vector>

#include "relay/limits.h"
#include "wire.h"

namespace sluice::relay::test {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kPages = 16;
constexpr std::size_t kBytes = kPage * kPages;

/// A shared mapping of a memory file, as librte_vhost makes it.
struct Mapping {
    Fd file = memory_file(kBytes);
    char* bytes = static_cast<char*>(
        ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0));
    Mapping() = default;
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping() { ::munmap(bytes, kBytes); }
    void truncate(std::size_t size) {
        ASSERT_EQ(::ftruncate(file.get(), static_cast<off_t>(size)), 0);
    }
    [[nodiscard]] char read(std::size_t at) const {
        return *const_cast<const volatile char*>(bytes + at);
    }
};

class GuestMemoryGuard : public ::testing::Test {
protected:
    void SetUp() override { ASSERT_TRUE(guest_memory::install_handler()); }
    void TearDown() override {
        guest_memory::remove_port(1);
        guest_memory::remove_port(2);
        guest_memory::forget_files(1);
        std::signal(SIGBUS, SIG_DFL);
    }
};

TEST_F(GuestMemoryGuard, TruncatedMemoryReadsAsZerosAndMarksThePort) {
    Mapping guest;
    std::fill_n(guest.bytes, kBytes, 'x');
    ASSERT_TRUE(guest_memory::add(guest.bytes, kBytes, 1));
    EXPECT_FALSE(guest_memory::poisoned(1));
    guest.truncate(0);
    EXPECT_EQ(guest.read(5 * kPage + 7), 0);
    EXPECT_TRUE(guest_memory::poisoned(1));
    EXPECT_TRUE(guest_memory::poison_flag(1).load());
    EXPECT_FALSE(guest_memory::poisoned(2));
    EXPECT_EQ(guest.read(0), 0);  // Below the first fault: a second one.
    EXPECT_EQ(guest.read(kBytes - 1), 0);
    guest.bytes[kPage] = 'y';  // And it takes writes.
    EXPECT_EQ(guest.read(kPage), 'y');
}

TEST_F(GuestMemoryGuard, WhatIsStillBackedStays) {
    Mapping guest;
    std::fill_n(guest.bytes, kBytes, 'x');
    ASSERT_TRUE(guest_memory::add(guest.bytes, kBytes, 1));
    guest.truncate(4 * kPage);
    EXPECT_EQ(guest.read(4 * kPage), 0);
    EXPECT_EQ(guest.read(4 * kPage - 1), 'x');
}

TEST_F(GuestMemoryGuard, ANeighboursMemoryIsUntouched) {
    Mapping guest;
    Mapping neighbour;
    neighbour.bytes[0] = 'n';
    ASSERT_TRUE(guest_memory::add(guest.bytes, kBytes, 1));
    ASSERT_TRUE(guest_memory::add(neighbour.bytes, kBytes, 2));
    guest.truncate(0);
    EXPECT_EQ(guest.read(0), 0);
    EXPECT_FALSE(guest_memory::poisoned(2));
    EXPECT_EQ(neighbour.read(0), 'n');
}

TEST_F(GuestMemoryGuard, ManyThreadsMayFaultAtOnce) {
    Mapping guest;
    ASSERT_TRUE(guest_memory::add(guest.bytes, kBytes, 1));
    guest.truncate(0);
    std::vector<std::thread> readers;
    for (std::size_t i = 0; i < 8; ++i) {
        readers.emplace_back([&guest, i] {
            for (std::size_t page = 0; page < kPages; ++page) {
                EXPECT_EQ(guest.read(((page * 7 + i) % kPages) * kPage), 0);
            }
        });
    }
    for (auto& reader : readers) { reader.join(); }
    EXPECT_TRUE(guest_memory::poisoned(1));
}

TEST_F(GuestMemoryGuard, RemovedRegionsAndMarksAreForgotten) {
    Mapping guest;
    ASSERT_TRUE(guest_memory::add(guest.bytes, kBytes, 1));
    guest.truncate(0);
    EXPECT_EQ(guest.read(0), 0);
    EXPECT_TRUE(guest_memory::remove(guest.bytes));
    EXPECT_FALSE(guest_memory::remove(guest.bytes));
    guest_memory::remove_port(1);
    EXPECT_FALSE(guest_memory::poisoned(1));
}

TEST_F(GuestMemoryGuard, RefusesNonsenseAndAFullTable) {
    EXPECT_FALSE(guest_memory::add(nullptr, 1, 1));
    int anything = 0;
    EXPECT_FALSE(guest_memory::add(&anything, 0, 1));
    EXPECT_FALSE(guest_memory::add(&anything, 1, static_cast<std::uint16_t>(kGuardPortMax)));
    std::vector<char> targets(kGuardRegionMax);
    for (auto& target : targets) { ASSERT_TRUE(guest_memory::add(&target, 1, 1)); }
    EXPECT_FALSE(guest_memory::add(&anything, 1, 1));
    guest_memory::remove_port(1);
    EXPECT_TRUE(guest_memory::add(&anything, 1, 1));
}

TEST_F(GuestMemoryGuard, AFileThatTheLibraryIsAboutToMapIsGuarded) {
    Mapping guest;
    std::fill_n(guest.bytes, kBytes, 'x');
    guest_memory::expect(std::vector<int>{guest.file.get()}, 1);
    guest.truncate(4 * kPage);
    EXPECT_EQ(guest.read(5 * kPage), 0);
    EXPECT_TRUE(guest_memory::poisoned(1));
    EXPECT_EQ(guest.read(kPage), 'x');
    EXPECT_EQ(guest.read(kBytes - 1), 0);
    EXPECT_TRUE(guest_memory::take_poison(1));
    EXPECT_FALSE(guest_memory::take_poison(1));
}

TEST_F(GuestMemoryGuard, ManyThreadsMayFaultInAnExpectedFileAtOnce) {
    for (int round = 0; round < 50; ++round) {
        Mapping guest;
        guest_memory::expect(std::vector<int>{guest.file.get()}, 1);
        guest.truncate(0);
        std::vector<std::thread> readers;
        for (std::size_t i = 0; i < 4; ++i) {
            readers.emplace_back([&guest] { EXPECT_EQ(guest.read(3 * kPage), 0); });
        }
        for (auto& reader : readers) { reader.join(); }
    }
}

TEST_F(GuestMemoryGuard, AForgottenFileKills) {
    Mapping guest;
    guest_memory::expect(std::vector<int>{guest.file.get()}, 1);
    guest_memory::forget_files(1);
    guest.truncate(0);
    EXPECT_EXIT((void)guest.read(0), ::testing::KilledBySignal(SIGBUS), "");
}

TEST_F(GuestMemoryGuard, AnotherBusErrorStillKills) {
    Mapping guest;
    guest.truncate(0);
    EXPECT_EXIT((void)guest.read(0), ::testing::KilledBySignal(SIGBUS), "");
    EXPECT_EXIT(::kill(::getpid(), SIGBUS), ::testing::KilledBySignal(SIGBUS), "");
}

}  // namespace
}  // namespace sluice::relay::test
