// SPDX-License-Identifier: Apache-2.0
// The launcher with programs of a few lines of shell: what they are given, what may not be started,
// and that nothing of them stays.
#include "handover/launcher.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace sluice::handover {
namespace {

class LauncherTest : public ::testing::Test {
protected:
    LauncherTest() {
        char name[] = "/tmp/sluice-launcher-XXXXXX";
        folder_ = mkdtemp(name);
        Result<Launcher> made = Launcher::fork({"/usr/sbin/sluiced", "--socket", "/run/x"});
        EXPECT_TRUE(made.ok());
        launcher_.emplace(std::move(made).value());
    }
    ~LauncherTest() override { std::filesystem::remove_all(folder_); }

    std::string script(const std::string& text, mode_t mode = 0755) {
        const std::string path = folder_ + "/program";
        std::ofstream(path) << "#!/bin/sh\n" << text;
        chmod(path.c_str(), mode);
        return path;
    }
    // What it writes to stderr until it ends.
    static std::string errors_of(const Started& started) {
        std::string text;
        char bytes[256];
        for (;;) {
            pollfd entry{started.errors.get(), POLLIN, 0};
            if (poll(&entry, 1, 5000) <= 0) { return text + "(no end)"; }
            const ssize_t size = read(started.errors.get(), bytes, sizeof bytes);
            if (size <= 0) { return text; }
            text.append(bytes, static_cast<std::size_t>(size));
        }
    }
    // The other end of the pair is closed within five seconds.
    static bool is_gone(const Started& started) {
        pollfd entry{started.socket.get(), POLLIN, 0};
        return poll(&entry, 1, 5000) > 0 && (entry.revents & POLLHUP) != 0;
    }

    std::string folder_;
    std::optional<Launcher> launcher_;
};

TEST_F(LauncherTest, GivesTheCommandLineAndThePair) {
    Result<Started> started =
        launcher_->start(script("echo $0 $@ >&2; ls /proc/self/fd >&2; exit 3\n"));
    ASSERT_TRUE(started.ok()) << started.error().message;
    EXPECT_GT(started.value().pid, 0);
    // ls has one of its own for the folder, number 5.
    EXPECT_EQ(errors_of(started.value()),
              folder_ + "/program --socket /run/x --takeover 3\n0\n1\n2\n3\n4\n5\n");
    EXPECT_TRUE(is_gone(started.value()));
}

TEST_F(LauncherTest, EndsWhatItStartedWithItsChildren) {
    Result<Started> started = launcher_->start(script("sleep 1000 & echo on >&2; sleep 1000\n"));
    ASSERT_TRUE(started.ok());
    pollfd entry{started.value().errors.get(), POLLIN, 0};
    ASSERT_GT(poll(&entry, 1, 5000), 0);
    launcher_->kill();
    EXPECT_TRUE(is_gone(started.value()));
}

TEST_F(LauncherTest, EndsWhatNobodyKept) {
    Result<Started> started = launcher_->start(script("sleep 1000\n"));
    ASSERT_TRUE(started.ok());
    launcher_.reset();
    EXPECT_TRUE(is_gone(started.value()));
}

TEST_F(LauncherTest, LeavesWhatWasKept) {
    Result<Started> started = launcher_->start(script("exec sleep 1000\n"));
    ASSERT_TRUE(started.ok());
    ASSERT_TRUE(launcher_->keep().ok());
    launcher_.reset();
    pollfd entry{started.value().socket.get(), POLLIN, 0};
    EXPECT_EQ(poll(&entry, 1, 200), 0);
    kill(started.value().pid, SIGKILL);
    EXPECT_TRUE(is_gone(started.value()));
}

TEST_F(LauncherTest, RefusesWhatIsNoProgramOrAnybodys) {
    const auto why = [this](const std::string& path) {
        const auto started = launcher_->start(path);
        return started ? std::string() : started.error().message;
    };
    EXPECT_EQ(why("sluiced"), "binary sluiced: expected an absolute path");
    EXPECT_EQ(why("/no/such"), "binary /no/such: No such file or directory");
    EXPECT_EQ(why("/tmp"), "binary /tmp: is no program");
    const std::string path = script("exit 0\n", 0775);
    EXPECT_EQ(why(path), "binary " + path + ": others may write it");
    chmod(path.c_str(), 0755);
    EXPECT_EQ(check_binary(path, getuid()).ok(), true);
    if (getuid() == 0 && chown(path.c_str(), 12345, 12345) == 0) {
        EXPECT_EQ(why(path), "binary " + path + ": does not belong to root");
    }
    std::ofstream(folder_ + "/text") << "no program";
    chmod((folder_ + "/text").c_str(), 0755);
    EXPECT_NE(why(folder_ + "/text"), "");  // exec says no.
}

TEST(TakeoverArguments, AreTheDaemonsOwnWithOneTakeover) {
    const std::vector<std::string> wanted{"/new", "--a", "b", "--takeover", "3"};
    EXPECT_EQ(takeover_arguments("/new", {"/old", "--a", "b"}), wanted);
    EXPECT_EQ(takeover_arguments("/new", {"/old", "--takeover", "9", "--a", "b"}), wanted);
}

}  // namespace
}  // namespace sluice::handover
