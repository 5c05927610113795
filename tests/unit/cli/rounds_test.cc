// SPDX-License-Identifier: Apache-2.0
// Commands that ask more than once: `show conns` page by page, `top`.
#include <gtest/gtest.h>

#include "fake_daemon.h"

namespace sluice::cli {
namespace {

using nlohmann::json;
using test::FakeDaemon;
using test::Transcript;

json connection(int number) {
    return {
        {"port", "vm1"},        {"proto", "tcp"}, {"src", "10.0.0.1"},  {"sport", number},
        {"dst", "2001:db8::1"}, {"dport", 80},    {"initiator", "out"}, {"state", "established"},
        {"rule", "app/web"},    {"packets", 1},   {"bytes", 60},        {"expires_s", 9}};
}

/// A daemon with 5 connections that gives two a page.
class Conns : public testing::Test {
protected:
    Conns() {
        daemon_.answers_by("show.conns", [](const json& params) -> Result<json> {
            const int from = params["cursor"];
            json rows = json::array();
            int at = from;
            const int limit = std::min(2, params["limit"].get<int>());
            while (at < 5 && at < from + limit) { rows.push_back(connection(++at)); }
            return json{{"connections", rows}, {"cursor", at < 5 ? json(at) : json()}};
        });
    }
    FakeDaemon daemon_;
};

TEST_F(Conns, JsonIsOneListOfAllPages) {
    const Transcript run =
        daemon_.run({"-o", "json", "show", "conns", "vm1", "--filter", "proto=tcp"});
    ASSERT_EQ(run.status, 0) << run.err;
    ASSERT_EQ(run.parsed().size(), 5u);
    EXPECT_EQ(run.parsed()[4], connection(5));
    EXPECT_EQ(daemon_.asked("show.conns")["filter"], "proto=tcp");
    EXPECT_EQ(daemon_.asked("show.conns")["port"], "vm1");
}

TEST_F(Conns, LimitAndOffset) {
    const Transcript run =
        daemon_.run({"-o", "json", "show", "conns", "--offset", "1", "--limit", "2"});
    ASSERT_EQ(run.parsed().size(), 2u);
    EXPECT_EQ(run.parsed()[0], connection(2));
    EXPECT_EQ(daemon_.run({"-o", "json", "show", "conns", "--offset", "9"}).out, "[]\n");
}

TEST_F(Conns, ATableSaysThatThereIsMore) {
    const Transcript some = daemon_.run({"show", "conns", "--limit", "1"});
    EXPECT_NE(some.out.find("10.0.0.1:1  [2001:db8::1]:80"), std::string::npos) << some.out;
    EXPECT_NE(some.out.find("stopped at 1 connections, there may be more"), std::string::npos);
    EXPECT_EQ(daemon_.run({"show", "conns"}).out.find("stopped"), std::string::npos);
}

TEST_F(Conns, AnAnswerWithoutPagesIsTheWholeList) {
    FakeDaemon older;
    older.answers("show.conns", json::array());
    EXPECT_EQ(older.run({"show", "conns"}).out, "no connections\n");
}

/// A daemon whose figures grow with each question.
class Top : public testing::Test {
protected:
    Top() {
        daemon_.answers_by("show.ports", [this](const json&) -> Result<json> {
            ++asked_;
            return json::array({row("idle", 0), row("busy", 1000 * asked_)});
        });
        daemon_.answers_by("show.workers", [this](const json&) -> Result<json> {
            return json::array({{{"worker", 0},
                                 {"core", 1},
                                 {"busy_cycles", 500'000 * asked_},
                                 {"packets", 1000 * asked_},
                                 {"tsc_hz", 1'000'000}}});
        });
    }
    static json row(const char* name, int grown) {
        return {{"name", name},         {"state", "up"},
                {"worker", 0},          {"rx_packets", grown},
                {"tx_packets", 0},      {"rx_bytes", 100 * grown},
                {"tx_bytes", 0},        {"drops", {{"rule", grown / 10}}},
                {"cycles", 250 * grown}};
    }
    FakeDaemon daemon_;
    int asked_ = 0;
};

TEST_F(Top, OneJsonLineARound) {
    const Transcript run = daemon_.run({"-o", "json", "top", "-n", "1", "-d", "1"});
    ASSERT_EQ(run.status, 0) << run.err;
    EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 1);
    const json round = run.parsed();
    const double seconds = round["seconds"];
    const json busy = round["ports"][0];
    EXPECT_EQ(busy["port"], "busy");
    EXPECT_NEAR(busy["rx_packets_s"].get<double>(), 1000 / seconds, 2);
    EXPECT_NEAR(busy["rx_bits_s"].get<double>(), 800'000 / seconds, 800);
    EXPECT_NEAR(busy["drops_s"].get<double>(), 100 / seconds, 2);
    EXPECT_NEAR(busy["cycles_percent"].get<double>(), 25 / seconds, 1);
    EXPECT_EQ(busy["cycles_per_packet"], 250);
    EXPECT_EQ(round["ports"][1]["packets_s"], 0);
    EXPECT_NEAR(round["workers"][0]["busy_percent"].get<double>(), 50 / seconds, 1);
    EXPECT_EQ(round["workers"][0]["cycles_per_packet"], 500);
}

TEST_F(Top, ATableARoundWithoutTerminalCodes) {
    const Transcript run = daemon_.run({"top", "-n", "1", "-d", "1", "--sort", "drops"});
    EXPECT_NE(run.out.find("worker 0 (core 1): "), std::string::npos) << run.out;
    EXPECT_NE(run.out.find("2 ports by drops\nPORT"), std::string::npos) << run.out;
    EXPECT_LT(run.out.find("busy  "), run.out.find("idle  "));
    EXPECT_EQ(run.out.find('\x1b'), std::string::npos);
    EXPECT_EQ(daemon_.run({"top", "--sort", "size"}).status, 2);
}

}  // namespace
}  // namespace sluice::cli
