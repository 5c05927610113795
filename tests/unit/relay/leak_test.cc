// SPDX-License-Identifier: Apache-2.0
// No descriptor stays behind: a thousand peers that are killed with descriptors on the way, refused
// ones, and handshakes that were recorded.
#include <filesystem>
#include <random>
#include <system_error>

#include "harness.h"

namespace sluice::relay::test {
namespace {

constexpr unsigned kSeed = 20240229;

/// What the open descriptors are, for the message of a failure.
std::string open_fds() {
    std::string list;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        std::error_code gone;
        list += "\n" + entry.path().filename().string() + " " +
                std::filesystem::read_symlink(entry, gone).string();
    }
    return list;
}

class RelayLeak : public RelayTest {
protected:
    /// Descriptors of this process once nobody is attached.
    std::size_t settled_count() {
        EXPECT_TRUE(eventually([&] { return library_.open_count() == 0; }));
        EXPECT_TRUE(eventually([&] { return relay_.state("vm1").phase != RelayPhase::kAttached; }));
        return open_fd_count();
    }
};

TEST_F(RelayLeak, NothingStaysAfterAThousandKilledPeers) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    const Message table = memory_table({{0, 4096, 0, 0}, {4096, 4096, 4096, 4096}}, 8192);
    const std::string start = bytes_of(request(Request::kSetOwner));
    const std::string bytes = bytes_of(table);
    (void)attach();
    const std::size_t before = settled_count();
    std::mt19937 random{kSeed};
    for (int round = 0; round < 1000; ++round) {
        const Fd qemu = connect_to(qemu_path());
        if (!qemu.valid()) { continue; }
        (void)send_bytes(qemu.get(), start);
        const bool whole = random() % 2 == 0;  // Recorded and passed on, or killed in mid-message.
        const std::size_t cut = whole ? bytes.size() : 1 + random() % bytes.size();
        (void)send_bytes(qemu.get(), std::string_view{bytes}.substr(0, cut), table.fds);
        if (round % 8 != 0) {
            std::this_thread::sleep_for(milliseconds{1});
        }  // Else: at its heels.
    }
    EXPECT_TRUE(eventually([&] { return settled_count() == before; }, milliseconds{15000}))
        << "seed " << kSeed << ": " << open_fd_count() << " descriptors, " << before << " before"
        << open_fds();
    const auto counters = relay_.state("vm1").counters;
    std::printf("%lu attaches, %lu requests, %lu second peers\n", counters.attaches,
                counters.requests, counters.peers_refused);
    EXPECT_GT(counters.attaches, 100U);
}

TEST_F(RelayLeak, NothingStaysAfterRefusedMessages) {
    const Fd listener = listen_at(qemu_path());
    ASSERT_TRUE(relay_.add(port(SocketMode::kClient)).ok());
    (void)accept_from(listener);
    const std::size_t before = settled_count();
    for (int round = 0; round < 3; ++round) {
        const Fd qemu = accept_from(listener);
        Message bad = memory_table({{0, 4096, 0, 0}}, 4095);
        while (bad.fds.size() < 8U + static_cast<std::size_t>(round)) {
            bad.fds.push_back(event_file());
        }
        EXPECT_TRUE(send_message(qemu.get(), bad));
        EXPECT_TRUE(wait_closed(qemu.get()));
    }
    EXPECT_TRUE(eventually([&] { return settled_count() == before; }));
}

TEST_F(RelayLeak, RemovingPortsReturnsEverything) {
    ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
    (void)attach();
    const std::size_t before = settled_count();
    for (int round = 0; round < 50; ++round) {
        ASSERT_TRUE(relay_.remove("vm1"));
        ASSERT_TRUE(relay_.add(port(SocketMode::kServer)).ok());
        const Fd qemu = attach();
        ASSERT_TRUE(send_message(qemu.get(), memory_table({{0, 4096, 0, 0}}, 4096)));
    }
    EXPECT_TRUE(eventually([&] { return settled_count() == before; }));
}

TEST(RelayStop, ADestroyedContextFreesWhatStillRuns) {
    const std::size_t before = open_fd_count();
    {
        const TemporaryFolder folder;
        const FakeLibrary library{folder.path("library.sock")};
        const Fd listener = listen_at(folder.path("qemu.sock"));
        asio::io_context context;
        VhostRelay relay{context};
        RelayPort port;
        port.name = "vm1";
        port.socket_path = folder.path("qemu.sock");
        port.library_path = folder.path("library.sock");
        ASSERT_TRUE(relay.add(port).ok());
        for (int i = 0; i < 20; ++i) { context.run_for(milliseconds{5}); }
        EXPECT_EQ(relay.state("vm1")->phase, RelayPhase::kAttached);
    }
    EXPECT_EQ(open_fd_count(), before);
}

}  // namespace
}  // namespace sluice::relay::test
