// SPDX-License-Identifier: Apache-2.0
// The firewall log's file: whole lines or none, put aside when it is long, opened anew when asked.
#include "src/sluiced/log_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace sluice::daemon {
namespace {

class LogFileTest : public testing::Test {
protected:
    LogFileTest() {
        char path[] = "/tmp/sluice-log-XXXXXX";
        folder_ = mkdtemp(path);
        path_ = folder_ + "/log";
    }
    ~LogFileTest() override { std::filesystem::remove_all(folder_); }

    static std::string content(const std::string& path) {
        std::stringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
    }

    std::string folder_, path_;
};

TEST_F(LogFileTest, AppendsToWhatIsThere) {
    std::ofstream(path_) << "old\n";
    LogFile file(path_, 1000);
    ASSERT_TRUE(file.append("one\n").ok());
    ASSERT_TRUE(file.append("two\nthree\n").ok());
    EXPECT_EQ(content(path_), "old\none\ntwo\nthree\n");
}

TEST_F(LogFileTest, IsPutAsideBeforeItIsTooLong) {
    std::ofstream(path_) << "123456789\n";
    LogFile file(path_, 20);
    ASSERT_TRUE(file.append("abcdefghi\n").ok());
    ASSERT_TRUE(file.append("next\n").ok());
    EXPECT_EQ(content(path_ + ".old"), "123456789\nabcdefghi\n");
    EXPECT_EQ(content(path_), "next\n");
    ASSERT_TRUE(file.append("a line that is longer than the whole file may be\n").ok());
    EXPECT_EQ(content(path_ + ".old"), "next\n");
}

TEST_F(LogFileTest, GoesOnInANewFileAfterItWasMoved) {
    LogFile file(path_, 1000);
    ASSERT_TRUE(file.append("one\n").ok());
    std::filesystem::rename(path_, path_ + ".old");
    ASSERT_TRUE(file.append("two\n").ok());
    file.close();
    ASSERT_TRUE(file.append("three\n").ok());
    EXPECT_EQ(content(path_ + ".old"), "one\ntwo\n");
    EXPECT_EQ(content(path_), "three\n");
}

TEST_F(LogFileTest, AHalfWrittenLineIsTakenBack) {
    LogFile file(path_, 1000);
    ASSERT_TRUE(file.append("one\n").ok());
    std::signal(SIGXFSZ, SIG_IGN);
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
    const rlimit small{10, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
    const Status full = file.append("a line that does not fit\n");
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_FALSE(full.ok());
    EXPECT_EQ(content(path_), "one\n");
    ASSERT_TRUE(file.append("two\n").ok());
    EXPECT_EQ(content(path_), "one\ntwo\n");
}

TEST_F(LogFileTest, SaysWhichPathAndWhy) {
    LogFile file(folder_ + "/none/log", 1000);
    const Status opened = file.open();
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().message,
              "firewall log " + folder_ + "/none/log: open: No such file or directory");
    EXPECT_FALSE(file.append("one\n").ok());
}

}  // namespace
}  // namespace sluice::daemon
