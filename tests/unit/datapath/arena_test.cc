// SPDX-License-Identifier: Apache-2.0
// The arena's files: found again, refused with a sentence, never half believed; room ahead of use.
#include "datapath/arena.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace sluice::datapath {
namespace {

namespace fs = std::filesystem;

class ArenaFiles : public testing::Test {
protected:
    ArenaFiles() {
        std::string name = fs::exists("/dev/shm") ? "/dev/shm/arena-test-XXXXXX"
                                                  : testing::TempDir() + "arena-test-XXXXXX";
        folder_ = mkdtemp(name.data());
        options_.folder = folder_ + "/arena";
        options_.connection_capacity = 1U << 20U;
        options_.learned_capacity = 1U << 16U;
        options_.seed = 42;
        options_.product = "1.2.3";
        options_.lock_wait_ms = 20;
    }
    ~ArenaFiles() override { fs::remove_all(folder_); }

    std::unique_ptr<Arena> open() {
        Result<std::unique_ptr<Arena>> opened = Arena::open(options_);
        EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().message);
        return opened.ok() ? std::move(opened).value() : nullptr;
    }
    /// Changes a byte of the header, or, with `seals`, a field of it as another version would.
    void patch_header(std::size_t at, std::uint32_t value, bool seals) {
        std::string bytes;
        {
            std::ifstream file(options_.folder + "/header", std::ios::binary);
            bytes.assign(std::istreambuf_iterator<char>(file), {});
        }
        ASSERT_EQ(bytes.size(), 128U);
        std::memcpy(bytes.data() + at, &value, sizeof value);
        if (seals) {
            std::uint64_t sum = 0xcbf29ce484222325ULL;
            for (std::size_t i = 0; i < 120; ++i) {
                sum = (sum ^ static_cast<unsigned char>(bytes[i])) * 0x100000001b3ULL;
            }
            std::memcpy(bytes.data() + 120, &sum, sizeof sum);
        }
        std::ofstream(options_.folder + "/header", std::ios::binary) << bytes;
    }

    std::string folder_;
    ArenaOptions options_;
};

constexpr std::size_t kSchemaAt = 8, kReaderAt = 12, kBootAt = 32;

TEST_F(ArenaFiles, WhatWasWrittenIsFoundAgainUnderTheSameSeed) {
    {
        const auto arena = open();
        EXPECT_FALSE(arena->is_found());
        ASSERT_TRUE(arena->connections().grow(1));
        std::memcpy(arena->connections().get(), "here", 4);
    }
    options_.seed = 43;
    const auto again = open();
    EXPECT_TRUE(again->is_found());
    EXPECT_EQ(again->why(), "");
    EXPECT_EQ(again->seed(), 42U);
    EXPECT_EQ(again->connections().file_bytes(), kArenaStepBytes);
    EXPECT_EQ(std::memcmp(again->connections().get(), "here", 4), 0);
}

TEST_F(ArenaFiles, OneOwnerAtATime) {
    const auto first = open();
    const Result<std::unique_ptr<Arena>> second = Arena::open(options_);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, Errc::kState);
    EXPECT_NE(second.error().message.find("another sluiced"), std::string::npos);
}

TEST_F(ArenaFiles, BesideItsOwnerItSeesWhatIsAddedOnceItTakesOver) {
    const auto owner = open();
    ASSERT_TRUE(owner->connections().grow(1));
    options_.beside_owner = true;
    const auto next = open();
    ASSERT_NE(next, nullptr);
    EXPECT_FALSE(next->is_owner());
    EXPECT_FALSE(next->take_over().ok());
    ASSERT_TRUE(owner->connections().grow(kArenaStepBytes + 1));
    std::memcpy(static_cast<char*>(owner->connections().get()) + kArenaStepBytes, "late", 4);
    owner->release();
    ASSERT_TRUE(next->take_over());
    EXPECT_EQ(next->connections().file_bytes(), 2 * kArenaStepBytes);
    EXPECT_EQ(
        std::memcmp(static_cast<char*>(next->connections().get()) + kArenaStepBytes, "late", 4), 0);
    next->release();
    EXPECT_TRUE(owner->take_over());  // Rolled back.
}

TEST_F(ArenaFiles, ANewerSchemaIsRefusedWithASentence) {
    open();
    patch_header(kSchemaAt, kArenaSchema + 1, true);
    patch_header(kReaderAt, kArenaSchema + 1, true);
    const auto arena = open();
    EXPECT_FALSE(arena->is_found());
    EXPECT_EQ(arena->why(), "sluiced 1.2.3 wrote it with schema 5, this version reads 3 to 4");
}

TEST_F(ArenaFiles, ANewerSchemaThatSaysWeCanReadItIsRead) {
    open();
    patch_header(kSchemaAt, kArenaSchema + 1, true);
    EXPECT_TRUE(open()->is_found());
}

TEST_F(ArenaFiles, TheSchemaBeforeIsReadAndWrittenAnew) {
    open();
    patch_header(kSchemaAt, kArenaSchemaOldest, true);
    {
        const auto arena = open();
        EXPECT_TRUE(arena->is_found());
        EXPECT_EQ(arena->schema(), kArenaSchemaOldest);
        ASSERT_TRUE(arena->note_adopted());
    }
    EXPECT_EQ(open()->schema(), kArenaSchema);
}

TEST_F(ArenaFiles, OneOlderThanThatIsRefused) {
    open();
    patch_header(kSchemaAt, kArenaSchemaOldest - 1, true);
    const auto arena = open();
    EXPECT_FALSE(arena->is_found());
    EXPECT_NE(arena->why().find("schema 2"), std::string::npos);
}

TEST_F(ArenaFiles, AnotherBootAndADamagedHeaderBeginAnew) {
    open();
    patch_header(kBootAt, 0x30303030, true);
    EXPECT_EQ(open()->why(), "it is from before the host was started");
    patch_header(kBootAt, 0x31313131, false);
    EXPECT_EQ(open()->why(), "its header is damaged");
    std::ofstream(options_.folder + "/header", std::ios::trunc) << "short";
    EXPECT_EQ(open()->why(), "its header is damaged");
}

TEST_F(ArenaFiles, OldRecordsGoWithTheirHeader) {
    {
        const auto arena = open();
        ASSERT_TRUE(arena->connections().grow(1));
        std::memcpy(arena->connections().get(), "here", 4);
        std::ofstream(options_.folder + "/" + kArenaNamesFile) << "names";
    }
    fs::remove(options_.folder + "/header");
    const auto arena = open();
    EXPECT_FALSE(arena->is_found());
    EXPECT_EQ(arena->connections().file_bytes(), 0U);
    EXPECT_FALSE(fs::exists(options_.folder + "/" + kArenaNamesFile));
}

TEST_F(ArenaFiles, AFolderThatOthersMayWriteToIsNotTrusted) {
    fs::create_directory(options_.folder);
    chmod(options_.folder.c_str(), 0777);
    const Result<std::unique_ptr<Arena>> opened = Arena::open(options_);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, Errc::kDenied);
    fs::remove(options_.folder);
    fs::create_directory_symlink(folder_, options_.folder);
    EXPECT_FALSE(Arena::open(options_).ok());
}

TEST_F(ArenaFiles, AFileThatWasCutIsUsedAsFarAsItGoes) {
    {
        const auto arena = open();
        ASSERT_TRUE(arena->connections().grow(3 * kArenaStepBytes));
    }
    fs::resize_file(options_.folder + "/connections", kArenaStepBytes + 12345);
    const auto arena = open();
    EXPECT_EQ(arena->connections().file_bytes(), kArenaStepBytes);
    std::memset(arena->connections().get(), 1, arena->connections().capacity());  // No SIGBUS.
}

TEST_F(ArenaFiles, FilesAreOursAlone) {
    const auto arena = open();
    for (const char* name : {"", "/header", "/lock", "/connections", "/learned", "/pins"}) {
        struct stat found {};
        ASSERT_EQ(stat((options_.folder + name).c_str(), &found), 0) << name;
        EXPECT_EQ(found.st_mode & 077U, 0U) << name;
    }
}

}  // namespace
}  // namespace sluice::datapath
