// SPDX-License-Identifier: Apache-2.0
// Server mode: whose file the relay may remove, one peer at a time, listening on.
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "harness.h"

namespace sluice::relay::test {
namespace {

class ServerMode : public RelayTest {};

TEST_F(ServerMode, ListensWithMode0660AndRemovesItsSocket) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    struct stat file {};
    EXPECT_TRUE(eventually([&] {
        return ::stat(qemu_path().c_str(), &file) == 0 && (file.st_mode & 07777U) == 0660U;
    }));  // Bound first, opened to the group then.
    EXPECT_TRUE(S_ISSOCK(file.st_mode));
    EXPECT_EQ(relay_.state("vm1").text, "waiting for a QEMU to connect to " + qemu_path());
    relay_.remove("vm1");
    EXPECT_FALSE(std::filesystem::exists(qemu_path()));
}

TEST_F(ServerMode, ReplacesAStaleSocket) {
    { const Fd dead = listen_at(qemu_path()); }
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    EXPECT_TRUE(attach().valid());
}

TEST_F(ServerMode, LeavesAFileThatIsNoSocketAlone) {
    { std::ofstream{qemu_path()} << "precious"; }
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    ASSERT_TRUE(relay_.wait_phase("vm1", RelayPhase::kDown));
    EXPECT_NE(relay_.state("vm1").text.find("no socket is in its place"), std::string::npos);
    relay_.remove("vm1");
    EXPECT_EQ(std::filesystem::file_size(qemu_path()), 8U);
}

TEST_F(ServerMode, LeavesASocketInUseAloneAndTakesOverLater) {
    Fd holder = listen_at(qemu_path());
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    ASSERT_TRUE(relay_.wait_phase("vm1", RelayPhase::kDown));
    EXPECT_NE(relay_.state("vm1").text.find("another process listens"), std::string::npos);
    EXPECT_TRUE(connect_to(qemu_path()).valid());
    holder.reset();
    EXPECT_TRUE(relay_.wait_phase("vm1", RelayPhase::kWaiting));
    EXPECT_TRUE(attach().valid());
}

TEST_F(ServerMode, TurnsASecondPeerAwayAndKeepsTheFirst) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    const Fd first = attach();
    const Fd second = connect_to(qemu_path());
    EXPECT_TRUE(wait_closed(second.get()));
    EXPECT_EQ(relay_.state("vm1").counters.peers_refused, 1U);
    ASSERT_TRUE(send_message(first.get(), request(Request::kGetFeatures)));
    EXPECT_TRUE(receive_message(first.get()).has_value());
}

TEST_F(ServerMode, ListensOnWhenThePeerIsGone) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    for (int round = 0; round < 3; ++round) {
        const Fd qemu = attach();
        ASSERT_TRUE(send_message(qemu.get(), request(Request::kGetFeatures)));
        EXPECT_TRUE(receive_message(qemu.get()).has_value());
    }
    EXPECT_TRUE(relay_.wait_phase("vm1", RelayPhase::kWaiting));
    EXPECT_EQ(relay_.state("vm1").counters.attaches, 3U);
}

TEST_F(ServerMode, MakesItsSocketAgainWhenSomebodyRemovesIt) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(qemu_path()); }));
    std::filesystem::remove(qemu_path());
    EXPECT_TRUE(eventually([&] { return std::filesystem::exists(qemu_path()); }));
    EXPECT_TRUE(attach().valid());
}

TEST_F(ServerMode, DoesNotRemoveASuccessorsSocket) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    ASSERT_TRUE(eventually([&] { return std::filesystem::exists(qemu_path()); }));
    std::filesystem::remove(qemu_path());
    const Fd successor = listen_at(qemu_path());
    relay_.remove("vm1");
    EXPECT_TRUE(std::filesystem::exists(qemu_path()));
}

TEST_F(ServerMode, RemovingAnAttachedPortClosesBothSides) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    const Fd qemu = attach();
    relay_.remove("vm1");
    EXPECT_TRUE(wait_closed(qemu.get()));
    EXPECT_TRUE(eventually([&] { return library_.open_count() == 0; }));
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    EXPECT_TRUE(attach().valid());
}

}  // namespace
}  // namespace sluice::relay::test
