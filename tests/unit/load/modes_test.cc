// SPDX-License-Identifier: Apache-2.0
// Every mode from end to end, over a switch of two ports that is not one of ours: the fake back
// ends of the front-end's tests.
#include "load/modes.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "fake_back_end.h"
#include "load/noise.h"

namespace sluice::load {
namespace {

using frontend::FakeBackEnd;

class LoadModes : public testing::Test {
protected:
    LoadModes() { ::unlink(path("a").c_str()), ::unlink(path("b").c_str()); }

    static std::string path(const char* end) {
        return testing::TempDir() + "load-" + std::to_string(::getpid()) + "-" + end;
    }

    static Options options(Mode mode) {
        Options o;
        o.mode = mode;
        o.a = parse_spec(path("a") + ",listen", 1).value();
        o.b = parse_spec(path("b") + ",listen", 2).value();
        o.cpu = std::thread::hardware_concurrency() >= 2 ? 0 : -1;
        o.seconds = 0.2;
        o.warmup = 0.05;
        o.start_timeout = 5;
        o.queue_size = mode == Mode::kCrr ? 1024 : 256;
        o.port = 80;
        o.flows = mode == Mode::kTso ? 2 : 500;
        o.tcp = mode == Mode::kCrr || mode == Mode::kTso;
        return o;
    }

    // The two ports, connected or not; `mode_run` against them.
    nlohmann::ordered_json run_on_pair(const Options& o) {
        const auto result = attempt(o, true);
        EXPECT_TRUE(result.ok()) << result.error().message;
        return result.ok() ? result.value().json() : nlohmann::ordered_json{};
    }

    Result<Report> attempt(const Options& o, bool is_connected) {
        FakeBackEnd::Options device;
        device.records = false;
        device.wants_kicks = false;
        device.connects = o.a.listen;
        device.socket = o.a.path;
        place(1);  // The devices' threads; the load's goes to core 0.
        FakeBackEnd a(device);
        device.socket = o.b.path;
        FakeBackEnd b(device);
        if (is_connected) { a.connect(b); }
        auto result = run(o, stop_);
        transmitted_ = a.transmitted() + b.transmitted();
        dropped_ = a.dropped() + b.dropped();
        EXPECT_EQ(a.broken() + b.broken(), 0U);
        return result;
    }

    // Side by side with others on one core, a load finds the device always waiting, and says so.
    static void place(int cpu) {
        if (std::thread::hardware_concurrency() >= 2) { (void)pin_to(cpu); }
    }

    // What every report holds, and what must be true of it.
    void expect_sound(const nlohmann::ordered_json& r, const char* mode) {
        for (const char* key : {"seconds", "tsc_hz", "sent", "received", "lost",
                                "load_cycles_per_packet", "load_idle_share"}) {
            EXPECT_TRUE(r.contains(key)) << mode << ' ' << key;
        }
        ASSERT_TRUE(r.contains("sent_total")) << r.dump();
        EXPECT_EQ(r["mode"], mode);
        EXPECT_GT(r["received"].get<std::uint64_t>(), 0U);
        EXPECT_EQ(r["sent_total"].get<std::uint64_t>(), transmitted_);
        EXPECT_GT(r["tsc_hz"].get<double>(), 1e8);
    }

    std::atomic<bool> stop_{false};
    std::uint64_t transmitted_ = 0;
    std::uint64_t dropped_ = 0;
};

TEST_F(LoadModes, FloodCountsWhatTheSwitchCounts) {
    const auto r = run_on_pair(options(Mode::kFlood));
    expect_sound(r, "flood");
    EXPECT_EQ(dropped_, 0U);
    EXPECT_EQ(r["lost"], 0);
    EXPECT_EQ(r["sent"], r["received"]);
    EXPECT_EQ(r["sent_total"], r["received_total"]);
    EXPECT_NEAR(r["gbps"].get<double>(), r["pps"].get<double>() * 60 * 8e-9, 0.01);
}

TEST_F(LoadModes, FloodBothWaysOfManyFlows) {
    Options o = options(Mode::kFlood);
    o.both = true;
    o.flows = 20000;
    o.size = 0;
    const auto r = run_on_pair(o);
    expect_sound(r, "flood");
    EXPECT_EQ(r["sent"], r["received"]);
    EXPECT_GT(r["received_by_a"].get<std::uint64_t>(), 0U);
}

TEST_F(LoadModes, FloodOfLargeFramesWithoutOffloadsAsClient) {
    Options o = options(Mode::kFlood);
    o.a = parse_spec(path("a"), 1).value();
    o.b = parse_spec(path("b"), 2).value();
    o.mergeable = o.offloads = false;
    o.size = 1518;
    const auto r = run_on_pair(o);
    expect_sound(r, "flood");
    EXPECT_EQ(r["sent"], r["received"]);
}

TEST_F(LoadModes, PacedFloodKeepsItsPace) {
    Options o = options(Mode::kFlood);
    o.pps = 5000;
    o.gaps = true;
    o.seconds = 0.4;
    const auto r = run_on_pair(o);
    expect_sound(r, "flood");
    EXPECT_LE(r["sent"].get<std::uint64_t>(), 2100U);
    EXPECT_TRUE(r.contains("gap_max_us"));
}

TEST_F(LoadModes, FloodOfOpenedConnections) {
    Options o = options(Mode::kFlood);
    o.tcp = o.handshake = true;
    const auto r = run_on_pair(o);
    expect_sound(r, "flood");
    EXPECT_EQ(r["connections"], 500);
    EXPECT_EQ(r["lost"], 0);
}

TEST_F(LoadModes, CrrOpensAndClosesConnections) {
    Options o = options(Mode::kCrr);
    o.parallel = 64;
    o.ports = 100;
    const auto r = run_on_pair(o);
    expect_sound(r, "crr");
    EXPECT_EQ(r["failed"], 0);
    EXPECT_EQ(r["stray"], 0);
    EXPECT_EQ(r["lost"], 0);
    EXPECT_GT(r["connections_per_second"].get<double>(), 0);
    // Eight segments each: what was opened and what was not yet when the counting began.
    EXPECT_GE(r["sent"].get<std::uint64_t>(), 8 * r["closed"].get<std::uint64_t>());
}

TEST_F(LoadModes, LatencyHasASampleAPacket) {
    Options o = options(Mode::kLatency);
    o.round_trip = true;
    const auto r = run_on_pair(o);
    expect_sound(r, "latency");
    EXPECT_EQ(r["samples"].get<std::uint64_t>() + r["discarded"].get<std::uint64_t>(),
              r["received"].get<std::uint64_t>());
    EXPECT_LE(r["p50_ns"].get<double>(), r["p99_ns"].get<double>());
    EXPECT_LE(r["p99_ns"].get<double>(), r["p999_ns"].get<double>());
}

TEST_F(LoadModes, TsoSegmentsArriveWhole) {
    for (const bool mergeable : {true, false}) {
        Options o = options(Mode::kTso);
        o.mergeable = mergeable;
        const auto r = run_on_pair(o);
        expect_sound(r, "tso");
        EXPECT_EQ(r["lost"], 0);
        EXPECT_EQ(r["sent"], r["received"]);
        EXPECT_EQ(r["frame_bytes"], 60054);
    }
}

TEST_F(LoadModes, NothingArrivesIsNoResult) {
    Options o = options(Mode::kFlood);
    o.start_timeout = 0.3;
    const auto result = attempt(o, false);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message,
              "no frame that a sent arrived at b within 300 ms: is a policy in the way, or are MAC "
              "and IP not the vNIC's?");
}

TEST_F(LoadModes, NobodyAnswersIsNoResult) {
    Options o = options(Mode::kCrr);
    o.start_timeout = 0.3;
    const auto result = attempt(o, false);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(
        result.error().message,
        "no connection that a opened to b was answered within 300 ms: is a policy in the way, "
        "or are MAC and IP not the vNIC's?");
}

TEST_F(LoadModes, NoSwitchIsNoResult) {
    Options o = options(Mode::kLatency);
    o.start_timeout = 0.2;
    const auto result = run(o, stop_);
    ASSERT_FALSE(result.ok());
    EXPECT_TRUE(result.error().message.starts_with("socket " + o.a.path + ": no switch took"))
        << result.error().message;
}

TEST_F(LoadModes, TuplesUsedUpIsNoResult) {
    Options o = options(Mode::kCrr);
    o.parallel = 512;
    o.seconds = 60;  // Ends long before: 61440 connections.
    const auto result = attempt(o, true);
    ASSERT_FALSE(result.ok());
    EXPECT_TRUE(result.error().message.starts_with("all 61440 5-tuples were used"))
        << result.error().message;
}

TEST_F(LoadModes, SignalEndsARun) {
    stop_ = true;
    const auto result = attempt(options(Mode::kFlood), true);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().message, "stopped by a signal");
}

TEST(LoadNoise, HasThreePercentiles) {
    if (std::thread::hardware_concurrency() < 2) { GTEST_SKIP() << "one core"; }
    const int cpus[] = {0, 1};
    const auto report = run_noise(cpus, 0.05);
    ASSERT_TRUE(report.ok()) << report.error().message;
    const auto& r = report.value().json();
    EXPECT_EQ(r["mode"], "noise");
    EXPECT_LE(r["p10"].get<double>(), r["round_trip_cycles"].get<double>());
    EXPECT_LE(r["round_trip_cycles"].get<double>(), r["p90"].get<double>());
    const int bad[] = {0, 1000};
    EXPECT_FALSE(run_noise(bad, 0.05).ok());
}

}  // namespace
}  // namespace sluice::load
