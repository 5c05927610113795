// SPDX-License-Identifier: Apache-2.0
// The server's part in a handover: what a call tells of its progress, and a socket that goes from
// one server to the next.
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <future>
#include <thread>

#include "admin/server.h"
#include "raw_client.h"

namespace sluice::admin {
namespace {

using nlohmann::json;
using test::RawClient;

class AdminHandover : public testing::Test {
protected:
    AdminHandover() { spdlog::set_level(spdlog::level::off); }
    ~AdminHandover() override {
        on_control([&] {
            old_.stop();
            next_.stop();
        });
        work_.reset();
        io_.stop();
        thread_.join();
        std::filesystem::remove_all(folder_);
        spdlog::set_level(spdlog::level::info);
    }
    template <typename Work>
    void on_control(Work work) {
        std::promise<void> done;
        boost::asio::post(io_, [&] {
            work();
            done.set_value();
        });
        done.get_future().wait();
    }
    static std::string fresh_folder() {
        std::string pattern = "/tmp/sluice-admin-test-XXXXXX";
        return ::mkdtemp(pattern.data());
    }
    static PlainHandler says(const char* who) {
        return [who](const json&, const Peer&) -> Result<json> { return json(who); };
    }

    const std::string folder_ = fresh_folder();
    const std::string path_ = folder_ + "/sluiced.sock";
    boost::asio::io_context io_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_{
        io_.get_executor()};
    AdminServer old_{io_, path_};
    AdminServer next_{io_, path_};
    std::thread thread_{[this] { io_.run(); }};
};

TEST_F(AdminHandover, ACallTellsHowFarItIs) {
    on_control([&] {
        old_.add("slow", Access::kRead, [](const json&, const Peer& peer) -> Result<json> {
            const auto connection = peer.connection.lock();
            connection->tell("slow.progress", {{"text", "half"}});
            connection->tell("slow.progress", {{"text", std::string(100000, 'x')}});  // Left out.
            return json("done");
        });
        ASSERT_TRUE(old_.start().ok());
    });
    RawClient client(path_);
    const json first = client.ask("slow");
    EXPECT_EQ(first.value("method", ""), "slow.progress");
    EXPECT_EQ(first["params"]["text"], "half");
    EXPECT_FALSE(first.contains("id"));
    const json second = json::parse(client.line(), nullptr, false);
    EXPECT_EQ(second["result"], "done");
}

TEST_F(AdminHandover, WhoComesWhileTheSocketMovesOnWaits) {
    BoundSocket bound;
    on_control([&] {
        old_.add("who", Access::kRead, says("old"));
        next_.add("who", Access::kRead, says("next"));
        ASSERT_TRUE(old_.start().ok());
    });
    EXPECT_EQ(RawClient(path_).ask("who")["result"], "old");
    on_control([&] {
        old_.hold();
        bound = old_.duplicate();
    });
    RawClient early(path_);
    ASSERT_TRUE(early.connected());
    on_control([&] { ASSERT_TRUE(next_.adopt(bound).ok()); });
    EXPECT_EQ(early.ask("who")["result"], "next");
}

TEST_F(AdminHandover, AServerThatIsResumedAcceptsAgain) {
    on_control([&] {
        old_.add("who", Access::kRead, says("old"));
        ASSERT_TRUE(old_.start().ok());
        old_.hold();
    });
    RawClient early(path_);
    ASSERT_TRUE(early.connected());
    on_control([&] { old_.resume(); });
    EXPECT_EQ(early.ask("who")["result"], "old");
}

}  // namespace
}  // namespace sluice::admin
