// SPDX-License-Identifier: Apache-2.0
// Client mode: QEMU listens, comes late, dies, returns; its folder disappears. The bounds are
// generous for a busy machine; what was measured is printed.
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>

#include "harness.h"

namespace sluice::relay::test {
namespace {

constexpr milliseconds kAttachMax{100};

class ClientMode : public RelayTest {
protected:
    /// Time from now until a listener's next connection, in which GET_FEATURES is answered too.
    milliseconds time_to_attach(const Fd& listener, Fd& qemu) {
        const auto begin = std::chrono::steady_clock::now();
        qemu = accept_from(listener);
        const auto took = std::chrono::steady_clock::now() - begin;
        EXPECT_TRUE(qemu.valid());
        EXPECT_TRUE(send_message(qemu.get(), request(Request::kGetFeatures)));
        EXPECT_TRUE(receive_message(qemu.get()).has_value());
        std::printf("attached after %.2f ms\n",
                    std::chrono::duration<double, std::milli>(took).count());
        return std::chrono::duration_cast<milliseconds>(took);
    }
};

TEST_F(ClientMode, AttachesToASocketThatIsThereAlready) {
    const Fd listener = listen_at(qemu_path());
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    Fd qemu;
    EXPECT_LT(time_to_attach(listener, qemu), kAttachMax);
    ASSERT_TRUE(relay_.wait_phase("vm1", RelayPhase::kAttached));
    const auto state = relay_.state("vm1");
    EXPECT_EQ(state.peer_pid, ::getpid());
    EXPECT_TRUE(
        state.text.starts_with("attached to pid " + std::to_string(::getpid()) + " since "));
}

TEST_F(ClientMode, AttachesWithinAHundredMillisecondsOfTheSocketAppearing) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    std::this_thread::sleep_for(milliseconds{300});
    EXPECT_EQ(relay_.state("vm1").text, "waiting for " + qemu_path());
    const Fd listener = listen_at(qemu_path());
    Fd qemu;
    EXPECT_LT(time_to_attach(listener, qemu), kAttachMax);
}

TEST_F(ClientMode, BridgesTheGapBetweenBindAndListen) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    const Fd listener = listen_at(qemu_path(), false);
    std::this_thread::sleep_for(milliseconds{400});
    EXPECT_NE(relay_.state("vm1").text.find("connect refused"), std::string::npos);
    ASSERT_EQ(::listen(listener.get(), 1), 0);
    Fd qemu;
    EXPECT_LT(time_to_attach(listener, qemu), kAttachMax);
}

TEST_F(ClientMode, FindsAStaleSocketsSuccessor) {
    { const Fd dead = listen_at(qemu_path()); }
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    std::this_thread::sleep_for(milliseconds{1300});  // Past the quick retries.
    ::unlink(qemu_path().c_str());
    const Fd listener = listen_at(qemu_path());
    Fd qemu;
    EXPECT_LT(time_to_attach(listener, qemu), kAttachMax);
}

TEST_F(ClientMode, AttachesAgainAfterEachRestartOfQemu) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    for (int round = 0; round < 5; ++round) {
        Fd listener = listen_at(qemu_path());
        Fd qemu;
        EXPECT_LT(time_to_attach(listener, qemu), kAttachMax);
        listener.reset();
        qemu.reset();
        EXPECT_TRUE(eventually(
            [&] { return library_.open_count() == 0; }));  // The device is gone with QEMU.
        ::unlink(qemu_path().c_str());
    }
    EXPECT_EQ(library_.connection_count(), 5U);  // A fresh one each time.
}

TEST_F(ClientMode, AttachesAgainAfterAQemuThatClosesItsListenerLast) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    for (int round = 0; round < 5; ++round) {
        const Fd listener = listen_at(qemu_path());
        Fd qemu;
        EXPECT_LT(time_to_attach(listener, qemu), kAttachMax);
        qemu.reset();
        std::this_thread::sleep_for(milliseconds{20});  // The relay is in its backlog again.
        ::unlink(qemu_path().c_str());
    }
}

TEST_F(ClientMode, AttachesAgainToAListenerThatStayed) {
    const Fd listener = listen_at(qemu_path());
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    for (int round = 0; round < 3; ++round) {
        Fd qemu;
        EXPECT_LT(time_to_attach(listener, qemu), kAttachMax);
    }
}

TEST_F(ClientMode, SurvivesAFolderThatIsDeletedAndMadeAgain) {
    const std::string folder = folder_.path("vm");
    std::filesystem::create_directory(folder);
    auto config = port(SocketMode::kClient);
    config.socket_path = folder + "/qemu.sock";
    ASSERT_TRUE(relay_.add(config).ok());
    std::filesystem::remove_all(folder);
    ASSERT_TRUE(
        eventually([&] { return relay_.state("vm1").text.ends_with("its folder is missing"); }));
    std::filesystem::create_directory(folder);
    std::this_thread::sleep_for(milliseconds{1200});  // The slow retry finds the new folder,
    const Fd listener = listen_at(config.socket_path);
    Fd qemu;
    EXPECT_LT(time_to_attach(listener, qemu), kAttachMax);  // and inotify is back in it.
}

TEST_F(ClientMode, FindsASocketMovedIntoAReplacedFolder) {
    const std::string folder = folder_.path("vm");
    std::filesystem::create_directory(folder);
    auto config = port(SocketMode::kClient);
    config.socket_path = folder + "/qemu.sock";
    ASSERT_TRUE(relay_.add(config).ok());
    std::filesystem::rename(folder, folder + ".old");
    std::filesystem::create_directory(folder);
    const Fd listener = listen_at(folder + "/new.sock");
    std::filesystem::rename(folder + "/new.sock", config.socket_path);
    EXPECT_TRUE(accept_from(listener).valid());
}

TEST_F(ClientMode, PortsOfOneFolderShareAWatch) {
    auto other = port(SocketMode::kClient);
    other.name = "vm2";
    other.socket_path = folder_.path("other.sock");
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    ASSERT_TRUE(relay_.add(other).ok());
    const auto before = open_fd_count();
    ASSERT_TRUE(relay_.remove("vm1"));
    EXPECT_EQ(open_fd_count(), before);
    const Fd listener = listen_at(other.socket_path);
    EXPECT_TRUE(accept_from(listener, kAttachMax).valid());  // vm2's watch is still there.
}

TEST_F(ClientMode, ARefusedQemuWaitsOutABackoff) {
    const Fd listener = listen_at(qemu_path());
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    milliseconds last{0};
    for (int round = 0; round < 4; ++round) {
        const auto begin = std::chrono::steady_clock::now();
        Fd qemu = accept_from(listener);
        const auto waited =
            std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
        if (round > 1) { EXPECT_GT(waited, last); }
        last = waited;
        Message bad = request(Request::kGetFeatures);
        bad.header.request = 999;
        EXPECT_TRUE(send_message(qemu.get(), bad));
        EXPECT_TRUE(wait_closed(qemu.get()));
    }
    EXPECT_GE(last, milliseconds{350});  // 100, 200, 400 ms.
    EXPECT_TRUE(relay_.wait_phase("vm1", RelayPhase::kBackingOff));
    EXPECT_TRUE(
        eventually([&] { return relay_.refused("vm1", RefuseReason::kUnknownRequest) == 4U; }));
    EXPECT_NE(relay_.state("vm1").text.find("request number 999 does not exist"),
              std::string::npos);
}

TEST_F(ClientMode, ANewQemuDoesNotAtoneForTheOldOne) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    {
        const Fd listener = listen_at(qemu_path());
        for (int round = 0; round < 4; ++round) {  // Next pause: 800 ms.
            Fd qemu = accept_from(listener);
            Message bad = request(Request::kGetFeatures);
            bad.header.request = 999;
            EXPECT_TRUE(send_message(qemu.get(), bad));
            EXPECT_TRUE(wait_closed(qemu.get()));
        }
    }
    ::unlink(qemu_path().c_str());
    std::this_thread::sleep_for(milliseconds{150});
    const Fd listener = listen_at(qemu_path());
    Fd qemu;
    EXPECT_LT(time_to_attach(listener, qemu), kAttachMax);
}

TEST_F(ClientMode, WithoutALibraryThePortIsDownAndSaysWhy) {
    const Fd listener = listen_at(qemu_path());
    auto config = port(SocketMode::kClient);
    config.library_path = folder_.path("absent.sock");
    ASSERT_TRUE(relay_.add(config).ok());
    EXPECT_TRUE(relay_.wait_phase("vm1", RelayPhase::kDown));
    EXPECT_NE(relay_.state("vm1").text.find("absent.sock: No such file"), std::string::npos);
    const FakeLibrary late{config.library_path};
    EXPECT_TRUE(relay_.wait_phase("vm1", RelayPhase::kAttached));
}

TEST_F(ClientMode, RefusesWhatItCannotServe) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    EXPECT_EQ(relay_.add(port(SocketMode::kClient)).error().code, Errc::kExists);
    auto other = port(SocketMode::kClient);
    other.name = "vm2";
    EXPECT_EQ(relay_.add(other).error().code, Errc::kExists);  // vm1's socket.
    other.socket_path = "/" + std::string(200, 'x');
    EXPECT_EQ(relay_.add(other).error().code, Errc::kInvalid);
    other.socket_path = "relative.sock";
    EXPECT_EQ(relay_.add(other).error().code, Errc::kInvalid);
    other.socket_path = other.library_path;
    EXPECT_EQ(relay_.add(other).error().code, Errc::kInvalid);
    EXPECT_FALSE(relay_.remove("vm2"));
    EXPECT_TRUE(relay_.remove("vm1"));
    EXPECT_TRUE(relay_.add(port(SocketMode::kClient)).ok());  // The name is free at once.
}

}  // namespace
}  // namespace sluice::relay::test
