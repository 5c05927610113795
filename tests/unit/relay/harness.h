// SPDX-License-Identifier: Apache-2.0
// A relay on a thread of its own, and calls into it. Test threads.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <future>
#include <string>
#include <thread>

#include "fake_library.h"
#include "relay/vhost_relay.h"
#include "wire.h"

namespace sluice::relay::test {

class RelayThread {
public:
    RelayThread() : relay_(std::in_place, context_), thread_([this] { context_.run(); }) {}
    ~RelayThread() {
        call([](VhostRelay& relay) { relay.stop(); });
        work_.reset();  // run() returns when the last coroutine has ended.
        thread_.join();
    }
    RelayThread(const RelayThread&) = delete;
    RelayThread& operator=(const RelayThread&) = delete;

    /// Runs f(relay) on the relay's thread and returns what it returns.
    template <typename F>
    auto call(F f) -> decltype(f(std::declval<VhostRelay&>())) {
        std::packaged_task<decltype(f(std::declval<VhostRelay&>()))()> task{
            [&] { return f(*relay_); }};
        auto result = task.get_future();
        asio::post(context_, [&task] { task(); });
        return result.get();
    }
    Status add(const RelayPort& port) {
        return call([&](VhostRelay& relay) { return relay.add(port); });
    }
    bool remove(const std::string& name) {
        return call([&](VhostRelay& relay) { return relay.remove(name); });
    }
    RelayState state(const std::string& name) {
        return call([&](VhostRelay& relay) { return relay.state(name).value_or(RelayState{}); });
    }
    std::uint64_t refused(const std::string& name, RefuseReason reason) {
        return state(name).counters.refused[static_cast<std::size_t>(reason)];
    }
    bool wait_phase(const std::string& name, RelayPhase phase,
                    milliseconds timeout = milliseconds{5000}) {
        return eventually([&] { return state(name).phase == phase; }, timeout);
    }

private:
    asio::io_context context_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    std::optional<VhostRelay> relay_;
    std::thread thread_;
};

/// A relay with one port, a library behind it, and QEMU's end in the test's hands.
class RelayTest : public ::testing::Test {
protected:
    RelayPort port(SocketMode mode) {
        RelayPort made;
        made.name = "vm1";
        made.socket_path = qemu_path();
        made.mode = mode;
        made.library_path = folder_.path("library.sock");
        made.queue_pair_max = 2;
        return made;
    }
    [[nodiscard]] std::string qemu_path() const { return folder_.path("qemu.sock"); }
    /// Connects as QEMU to a port in server mode and waits until the relay has attached it.
    Fd attach() {
        const auto before = relay_.state("vm1").counters.attaches;
        Fd qemu;
        EXPECT_TRUE(eventually([&] { return (qemu = connect_to(qemu_path())).valid(); }));
        EXPECT_TRUE(eventually([&] { return relay_.state("vm1").counters.attaches > before; }));
        return qemu;
    }

    TemporaryFolder folder_;
    FakeLibrary library_{folder_.path("library.sock")};
    RelayThread relay_;
};

}  // namespace sluice::relay::test
