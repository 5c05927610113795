// SPDX-License-Identifier: Apache-2.0
// The server over a real Unix socket: framing, limits, deadlines, credentials, audit, and what it
// does with the path.
#include "admin/server.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#include "admin/params.h"
#include "raw_client.h"

namespace sluice::admin {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;
using nlohmann::json;
using test::RawClient;

constexpr uid_t kNobody = 65534;
constexpr gid_t kChangeGroup = 54321;

// Runs `work` on a thread with other credentials; the kernel's, as glibc's would change the whole
// process.
template <typename Work>
void as_user(uid_t uid, std::vector<gid_t> groups, Work work) {
    std::thread([&] {
        ASSERT_EQ(::syscall(SYS_setgroups, groups.size(), groups.data()), 0);
        ASSERT_EQ(::syscall(SYS_setresgid, kNobody, kNobody, kNobody), 0);
        ASSERT_EQ(::syscall(SYS_setresuid, uid, uid, uid), 0);
        work();
    }).join();
}

class Server : public testing::Test {
protected:
    Server() {
        std::string pattern = "/tmp/sluice-admin-test-XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        std::filesystem::permissions(folder_, std::filesystem::perms(0755));
        path_ = folder_ + "/run/sluiced.sock";
        options_.audit = [this](const AuditRecord& record) {
            const std::scoped_lock lock(mutex_);
            audited_.push_back(record);
        };
        spdlog::set_level(spdlog::level::off);
    }

    ~Server() override {
        if (server_) {
            on_control([&] { server_->stop(); });
            work_.reset();
            io_.stop();
            thread_.join();
        }
        server_.reset();
        std::filesystem::remove_all(folder_);
        spdlog::set_level(spdlog::level::info);
    }

    void start() {
        server_ = std::make_unique<AdminServer>(io_, path_, options_);
        add_methods();
        const auto status = server_->start();
        ASSERT_TRUE(status.ok()) << status.error().message;
        thread_ = std::thread([this] { io_.run(); });
    }

    void add_methods() {
        server_->add("echo", Access::kRead,
                     [](const json& params, const Peer&) -> Result<json> { return params; });
        server_->add("count", Access::kChange,
                     [this](const json&, const Peer&) -> Result<json> { return json(++count_); });
        server_->add("fail", Access::kRead, [](const json&, const Peer&) -> Result<json> {
            return Error{Errc::kInvalid, "port vm1: mac \"x\" is bad", "port vm1"};
        });
        server_->add("throw", Access::kRead, [](const json& params, const Peer&) -> Result<json> {
            return params.at("absent");
        });
        server_->add("strict", Access::kRead, [](const json& params, const Peer&) -> Result<json> {
            ParamReader read(params);
            const auto name = read.required_text("name");
            if (const auto status = read.finish(); !status.ok()) { return status.error(); }
            return json(name);
        });
        server_->add("large", Access::kRead, [](const json& params, const Peer&) -> Result<json> {
            return json(json::array_t(params.at("rows").get<std::size_t>(), {{"port", "vm1"}}));
        });
        server_->add("fail.late", Access::kRead,
                     [this](const json& params, const Peer&) -> asio::awaitable<Result<json>> {
                         asio::steady_timer timer(io_, 1ms);
                         co_await timer.async_wait(asio::use_awaitable);
                         if (params.empty()) {
                             co_return Error{Errc::kInvalid, "port " + std::string(50, 'x'),
                                             "port " + std::string(40, 'y')};
                         }
                         throw std::runtime_error("late " + params.dump());
                     });
        server_->add("slow", Access::kChange,
                     [this](const json&, const Peer&) -> asio::awaitable<Result<json>> {
                         EXPECT_EQ(running_.fetch_add(1), 0);  // Changes never overlap.
                         asio::steady_timer timer(io_, 30ms);
                         boost::system::error_code ec;
                         co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ec));
                         running_.fetch_sub(1);
                         co_return json(++count_);
                     });
    }

    template <typename Work>
    void on_control(Work work) {
        std::promise<void> done;
        asio::post(io_, [&] {
            work();
            done.set_value();
        });
        done.get_future().wait();
    }

    std::size_t connection_count() {
        std::size_t count = 0;
        on_control([&] { count = server_->connection_count(); });
        return count;
    }

    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
    std::string folder_;
    std::string path_;
    Options options_;
    std::unique_ptr<AdminServer> server_;
    std::thread thread_;
    std::atomic<int> count_{0};
    std::atomic<int> running_{0};
    std::mutex mutex_;
    std::vector<AuditRecord> audited_;
};

TEST_F(Server, AnswersOneLineWithOneLine) {
    start();
    RawClient client(path_);
    EXPECT_EQ(client.ask("echo", {{"a", 1}})["result"], json({{"a", 1}}));
    EXPECT_EQ(client.ask("echo")["result"], json::object());
}

TEST_F(Server, AnswersPipelinedLinesInOrder) {
    start();
    RawClient client(path_);
    client.send(
        "{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":1}\n\r\n\n"
        "{\"jsonrpc\":\"2.0\",\"method\":\"echo\",\"id\":2}\r\n{\"jsonrpc\":\"2.0\",");
    EXPECT_EQ(json::parse(client.line())["id"], 1);
    EXPECT_EQ(json::parse(client.line())["id"], 2);
    client.send("\"method\":\"echo\",\"id\":3}\n");
    EXPECT_EQ(json::parse(client.line())["id"], 3);
}

TEST_F(Server, ErrorsKeepTheConnection) {
    start();
    RawClient client(path_);
    client.send("hello\n");
    EXPECT_EQ(json::parse(client.line())["error"]["code"], kParseError);
    client.send("[]\n");
    EXPECT_EQ(json::parse(client.line())["error"]["code"], kInvalidRequest);
    EXPECT_EQ(client.ask("no.such")["error"]["code"], kMethodNotFound);
    EXPECT_EQ(client.ask("strict", {{"nmae", "x"}})["error"]["code"], kInvalidParams);
    const auto failed = client.ask("fail")["error"];
    EXPECT_EQ(failed["code"], kMethodFailed);
    EXPECT_EQ(failed["data"]["object"], "port vm1");
    EXPECT_EQ(client.ask("throw")["error"]["code"], kInternalError);
    EXPECT_EQ(client.ask("fail.late")["error"]["data"]["object"], "port " + std::string(40, 'y'));
    EXPECT_EQ(client.ask("fail.late", {{"a", 1}})["error"]["code"], kInternalError);
    EXPECT_EQ(client.ask("strict", {{"name", "x"}})["result"], "x");
}

TEST_F(Server, NotificationIsExecutedAndNotAnswered) {
    start();
    RawClient client(path_);
    client.send(
        "{\"jsonrpc\":\"2.0\",\"method\":\"count\"}\n"
        "{\"jsonrpc\":\"2.0\",\"method\":\"nothing\"}\n");
    EXPECT_EQ(client.ask("count")["result"], 2);
}

TEST_F(Server, LargeRequestsAndAnswersPassWhole) {
    start();
    RawClient client(path_);
    const std::string text(3U << 20U, 'x');
    EXPECT_EQ(client.ask("echo", {{"text", text}})["result"]["text"], text);
    EXPECT_EQ(client.ask("large", {{"rows", 200000}})["result"].size(), 200000u);
    EXPECT_EQ(client.ask("echo")["result"], json::object());
}

TEST_F(Server, RequestOverTheLimitIsCutOffAlone) {
    options_.limits.request_size_max = 1000;
    start();
    RawClient good(path_);
    RawClient bad(path_);
    EXPECT_EQ(good.ask("echo")["result"], json::object());
    bad.send(std::string(200'000, ' '));
    const auto answer = json::parse(bad.line());
    EXPECT_EQ(answer["error"]["data"]["code"], "limit");
    EXPECT_TRUE(bad.closed_by_peer());
    EXPECT_EQ(good.ask("echo")["result"], json::object());
    RawClient whole(path_);  // The same with a newline at its end.
    whole.send(std::string(2000, ' ') + "\n");
    EXPECT_EQ(json::parse(whole.line())["error"]["data"]["code"], "limit");
    EXPECT_TRUE(whole.closed_by_peer());
}

TEST_F(Server, AnswerOverTheLimitIsAnError) {
    options_.limits.answer_size_max = 1000;
    start();
    RawClient client(path_);
    EXPECT_EQ(client.ask("large", {{"rows", 1000}})["error"]["data"]["code"], "limit");
    EXPECT_EQ(client.ask("large", {{"rows", 2}})["result"].size(), 2u);
}

TEST_F(Server, PeerIdleInMidRequestIsCutOffAndIdleBetweenRequestsIsNot) {
    options_.limits.request_idle_timeout = 100ms;
    start();
    RawClient resting(path_);
    RawClient stuck(path_);
    EXPECT_EQ(resting.ask("echo")["result"], json::object());
    stuck.send("{\"jsonrpc\":");
    EXPECT_TRUE(stuck.closed_by_peer());
    EXPECT_EQ(resting.ask("echo")["result"], json::object());
}

TEST_F(Server, PeerThatDoesNotReadItsAnswerIsCutOff) {
    options_.limits.answer_timeout = 200ms;
    start();
    RawClient client(path_);
    EXPECT_EQ(client.ask("echo")["result"], json::object());
    client.send(
        "{\"jsonrpc\":\"2.0\",\"method\":\"large\",\"params\":{\"rows\":300000},\"id\":1}\n");
    for (int i = 0; i < 200 && connection_count() != 0; ++i) { std::this_thread::sleep_for(50ms); }
    EXPECT_EQ(connection_count(), 0u);
    EXPECT_EQ(RawClient(path_).ask("echo")["result"], json::object());
}

TEST_F(Server, ConnectionOverTheLimitIsToldAndClosed) {
    start();
    std::vector<RawClient> clients;
    for (int i = 0; i < 64; ++i) {
        clients.emplace_back(path_);
        EXPECT_EQ(clients.back().ask("echo")["result"], json::object()) << i;
    }
    RawClient excess(path_);
    EXPECT_EQ(json::parse(excess.line())["error"]["data"]["code"], "limit");
    EXPECT_TRUE(excess.closed_by_peer());
    EXPECT_EQ(clients.front().ask("echo")["result"], json::object());
    clients.pop_back();
    for (int i = 0; i < 100 && connection_count() > 63; ++i) { std::this_thread::sleep_for(10ms); }
    EXPECT_EQ(RawClient(path_).ask("echo")["result"], json::object());
}

TEST_F(Server, AChangerTakesThePlaceOfWhoeverRestedLongest) {
    options_.limits.connection_count_max = 3;
    options_.limits.evictable_after = 20ms;
    start();
    std::vector<RawClient> clients;
    for (int i = 0; i < 3; ++i) {
        clients.emplace_back(path_);
        EXPECT_EQ(clients.back().ask("echo")["result"], json::object()) << i;
    }
    std::this_thread::sleep_for(40ms);
    EXPECT_EQ(clients[0].ask("echo")["result"], json::object());  // Now the second rests longest.
    RawClient late(path_);
    EXPECT_EQ(late.ask("count")["result"], 1);
    EXPECT_TRUE(clients[1].closed_by_peer());
    EXPECT_EQ(clients[0].ask("echo")["result"], json::object());
    EXPECT_EQ(clients[2].ask("echo")["result"], json::object());
    RawClient too_soon(path_);
    EXPECT_EQ(json::parse(too_soon.line())["error"]["data"]["code"], "limit");
}

TEST_F(Server, OneReaderCannotKeepAllOthersOut) {
    if (::getuid() != 0) { GTEST_SKIP() << "needs root to become somebody else"; }
    options_.limits.reader_connection_count_max = 2;
    start();
    std::vector<RawClient> readers;
    as_user(kNobody, {}, [&] {
        for (int i = 0; i < 2; ++i) {
            readers.emplace_back(path_);
            EXPECT_EQ(readers.back().ask("echo")["result"], json::object());
        }
        RawClient excess(path_);
        EXPECT_EQ(json::parse(excess.line())["error"]["data"]["code"], "limit");
    });
    as_user(kNobody - 1, {},
            [&] { EXPECT_EQ(RawClient(path_).ask("echo")["result"], json::object()); });
}

TEST_F(Server, ARequestThatTricklesIsCutOff) {
    options_.limits.request_idle_timeout = 10s;
    options_.limits.request_timeout = 100ms;
    start();
    RawClient client(path_);
    const auto began = std::chrono::steady_clock::now();
    while (connection_count() > 0 || std::chrono::steady_clock::now() - began < 50ms) {
        client.send(" ");
        std::this_thread::sleep_for(5ms);
        ASSERT_LT(std::chrono::steady_clock::now() - began, 5s);
    }
    EXPECT_TRUE(client.closed_by_peer());
}

TEST_F(Server, MethodsAreListedWithWhatTheyDo) {
    start();
    const json rows = RawClient(path_).ask("methods")["result"];
    EXPECT_NE(std::find(rows.begin(), rows.end(), json({{"name", "count"}, {"changes", true}})),
              rows.end());
    EXPECT_NE(std::find(rows.begin(), rows.end(), json({{"name", "echo"}, {"changes", false}})),
              rows.end());
}

TEST_F(Server, ChangesRunOneAtATime) {
    start();
    std::vector<RawClient> clients;
    for (int i = 0; i < 5; ++i) { clients.emplace_back(path_); }
    for (auto& client : clients) {
        client.send("{\"jsonrpc\":\"2.0\",\"method\":\"slow\",\"id\":1}\n");
    }
    RawClient reader(path_);
    EXPECT_EQ(reader.ask("echo")["result"], json::object());  // Reads do not wait for them.
    for (auto& client : clients) { EXPECT_TRUE(json::parse(client.line()).contains("result")); }
    EXPECT_EQ(count_.load(), 5);
}

TEST_F(Server, PeerThatLeavesDuringItsChangeStillGetsItDone) {
    start();
    { RawClient(path_).send("{\"jsonrpc\":\"2.0\",\"method\":\"slow\",\"id\":1}\n"); }
    for (int i = 0; i < 100 && count_.load() == 0; ++i) { std::this_thread::sleep_for(10ms); }
    EXPECT_EQ(count_.load(), 1);
}

TEST_F(Server, OnlyRootAndTheGroupMayChange) {
    if (::getuid() != 0) { GTEST_SKIP() << "needs root to become somebody else"; }
    start();
    as_user(kNobody, {}, [&] {
        RawClient client(path_);
        EXPECT_EQ(client.ask("echo")["result"], json::object());
        const auto answer = client.ask("count");
        EXPECT_EQ(answer["error"]["data"]["code"], "denied");
        EXPECT_EQ(answer["error"]["code"], kMethodFailed);
    });
    EXPECT_EQ(count_.load(), 0);
    EXPECT_EQ(RawClient(path_).ask("count")["result"], 1);
    const std::scoped_lock lock(mutex_);
    ASSERT_EQ(audited_.size(), 2u);
    EXPECT_EQ(audited_[0].peer.uid, kNobody);
    EXPECT_EQ(audited_[0].result.substr(0, 7), "denied:");
    EXPECT_EQ(audited_[1].peer.uid, 0u);
    EXPECT_EQ(audited_[1].peer.pid, ::getpid());
    EXPECT_EQ(audited_[1].method, "count");
    EXPECT_EQ(audited_[1].result, "ok");
}

TEST_F(Server, ReadersHaveSmallerLimitsAndLeaveRoomForOperators) {
    if (::getuid() != 0) { GTEST_SKIP() << "needs root to become somebody else"; }
    options_.limits.reader_request_size_max = 1000;
    options_.limits.connection_count_max = 4;
    options_.limits.reserved_connection_count = 2;
    start();
    std::vector<RawClient> readers;
    as_user(kNobody, {}, [&] {
        for (int i = 0; i < 2; ++i) {
            readers.emplace_back(path_);
            EXPECT_EQ(readers.back().ask("echo")["result"], json::object());
        }
        RawClient excess(path_);
        EXPECT_EQ(json::parse(excess.line())["error"]["data"]["code"], "limit");
    });
    EXPECT_EQ(RawClient(path_).ask("echo", {{"text", std::string(5000, 'x')}}).count("result"), 1u);
    readers[0].send(std::string(5000, ' '));
    EXPECT_EQ(json::parse(readers[0].line())["error"]["data"]["code"], "limit");
}

TEST(PeerCredentials, SupplementaryGroupMayChange) {
    if (::getuid() != 0) { GTEST_SKIP() << "needs root to become somebody else"; }
    const auto may_change = [](std::vector<gid_t> groups) {
        bool result = false;
        as_user(kNobody, std::move(groups), [&] {
            int pair[2];
            ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
            const auto peer = read_peer(pair[0], kChangeGroup);
            ASSERT_TRUE(peer.ok());
            result = peer.value().may_change;
            ::close(pair[0]);
            ::close(pair[1]);
        });
        return result;
    };
    std::vector<gid_t> many(500);
    for (std::size_t i = 0; i < many.size(); ++i) { many[i] = static_cast<gid_t>(60000 + i); }
    EXPECT_FALSE(may_change({}));
    EXPECT_FALSE(may_change(many));
    EXPECT_TRUE(may_change({kChangeGroup}));
    many.push_back(kChangeGroup);
    EXPECT_TRUE(may_change(many));
}

TEST_F(Server, SocketIsOpenToAllInAFolderThatIsNot) {
    start();
    struct stat file {};
    ASSERT_EQ(::stat(path_.c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777U, 0666u);
    ASSERT_EQ(::stat((folder_ + "/run").c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777U, 0755u);
    on_control([&] { server_->stop(); });
    EXPECT_NE(::stat(path_.c_str(), &file), 0);
}

TEST_F(Server, TakesOverAStaleSocketAndNeverALiveOneOrAFile) {
    start();
    {
        AdminServer second(io_, path_);
        const auto status = second.start();
        ASSERT_FALSE(status.ok());
        EXPECT_EQ(status.error().code, Errc::kExists);
    }
    EXPECT_EQ(RawClient(path_).ask("echo")["result"], json::object());

    const std::string stale = folder_ + "/stale.sock";
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, stale.c_str(), stale.size());
    ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    ::close(fd);
    on_control([&] {
        AdminServer third(io_, stale);
        EXPECT_TRUE(third.start().ok());
    });
    EXPECT_FALSE(std::filesystem::exists(stale));

    const std::string file = folder_ + "/file";
    std::ofstream(file) << "precious";
    AdminServer fourth(io_, file);
    EXPECT_EQ(fourth.start().error().code, Errc::kExists);
    EXPECT_TRUE(std::filesystem::exists(file));
}

TEST_F(Server, RefusesPathsThatCannotBe) {
    AdminServer longer(io_, "/tmp/" + std::string(200, 'x'));
    EXPECT_EQ(longer.start().error().code, Errc::kInvalid);
    AdminServer homeless(io_, folder_ + "/a/b/c.sock");
    EXPECT_EQ(homeless.start().error().code, Errc::kIo);
}

TEST_F(Server, StopEndsConnectionsInTheMiddleOfThings) {
    start();
    RawClient busy(path_);
    RawClient resting(path_);
    EXPECT_EQ(resting.ask("echo")["result"], json::object());
    busy.send("{\"jsonrpc\":\"2.0\",\"method\":\"slow\",\"id\":1}\n");
    std::this_thread::sleep_for(10ms);
    on_control([&] { server_->stop(); });
    EXPECT_TRUE(resting.closed_by_peer());
    EXPECT_TRUE(busy.closed_by_peer());
    for (int i = 0; i < 100 && connection_count() > 0; ++i) { std::this_thread::sleep_for(10ms); }
    EXPECT_EQ(connection_count(), 0u);
}

}  // namespace
}  // namespace sluice::admin
