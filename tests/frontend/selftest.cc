// SPDX-License-Identifier: Apache-2.0
// The front-end against FakeBackEnd, a device that loops frames back: layouts, headers, merging,
// notifications, floods, resets, reconnects, attacks. No switch, no privileges; sockets live in a
// temporary folder.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <numeric>

#include "attack.h"
#include "fake_back_end.h"
#include "flood.h"
#include "front_end.h"

namespace sluice::frontend {
namespace {

constexpr Milliseconds kTimeout{5000};
const std::atomic<bool> kNeverStop{false};

[[nodiscard]] std::vector<std::uint8_t> frame_of(std::size_t bytes, std::uint8_t first = 1) {
    std::vector<std::uint8_t> frame(bytes);
    std::iota(frame.begin(), frame.end(), first);
    return frame;
}

class FrontEndTest : public testing::Test {
protected:
    FrontEndTest() {
        std::string pattern = testing::TempDir() + "/frontend.XXXXXX";
        folder_ = ::mkdtemp(pattern.data());
        options_.socket = (folder_ / "vm.sock").string();
        device_options_.socket = options_.socket;
    }
    ~FrontEndTest() override {
        guest_.reset();
        device_.reset();
        EXPECT_TRUE(std::filesystem::is_empty(folder_)) << "a socket file was left behind";
        std::filesystem::remove_all(folder_);
    }

    void start() {
        guest_ = std::make_unique<FrontEnd>(options_);
        expect_ok(guest_->open());
        device_options_.connects = options_.mode == SocketMode::kServer;
        device_ = std::make_unique<FakeBackEnd>(device_options_);
        expect_ok(guest_->start(kTimeout));
    }
    static void expect_ok(const Status& status) {
        EXPECT_TRUE(status.ok()) << (status ? "" : status.error().message);
    }
    SendResult send_one(const TxFrame& frame) { return guest_->send({&frame, 1}, kTimeout); }
    void expect_loops(const std::vector<std::uint8_t>& frame, Layout layout = Layout::kSingle,
                      std::size_t piece = 0) {
        EXPECT_EQ(send_one({frame, {}, layout, piece}).completed, 1U);
        const auto back = guest_->receive(kTimeout);
        ASSERT_TRUE(back.has_value());
        EXPECT_FALSE(back->broken);
        EXPECT_EQ(back->frame, frame);
    }

    std::filesystem::path folder_;
    Options options_;
    FakeBackEnd::Options device_options_;
    std::unique_ptr<FakeBackEnd> device_;
    std::unique_ptr<FrontEnd> guest_;
};

TEST_F(FrontEndTest, NegotiatesOnlyWhatIsOffered) {
    device_options_.features &= ~bit(Feature::kHostTso6);
    start();
    EXPECT_FALSE(guest_->has(Feature::kHostTso6));
    EXPECT_TRUE(guest_->has(Feature::kMrgRxbuf));
    EXPECT_TRUE(guest_->has(Feature::kProtocolFeatures));
    EXPECT_EQ(device_->enabled_rings(), 2U);
}

TEST_F(FrontEndTest, TellsTheMtu) {
    options_.mtu = 1450;
    start();
    EXPECT_EQ(device_->mtu(), 1450U);
}

TEST_F(FrontEndTest, ConnectsAsClient) {
    options_.mode = SocketMode::kClient;
    start();
    expect_loops(frame_of(60));
}

TEST_F(FrontEndTest, WorksWithOneMemoryRegion) {
    options_.region_count = 1;
    start();
    expect_loops(frame_of(60));
}

TEST_F(FrontEndTest, SingleLayoutIsOneDescriptor) {
    start();
    expect_loops(frame_of(100));
    EXPECT_EQ(device_->seen().at(0).pieces, (std::vector<std::uint32_t>{112}));
}

TEST_F(FrontEndTest, ChainedLayoutPutsTheHeaderAlone) {
    start();
    expect_loops(frame_of(100), Layout::kChained, 40);
    EXPECT_EQ(device_->seen().at(0).pieces, (std::vector<std::uint32_t>{12, 40, 40, 20}));
    EXPECT_FALSE(device_->seen().at(0).indirect);
}

TEST_F(FrontEndTest, IndirectLayoutUsesATable) {
    start();
    expect_loops(frame_of(101), Layout::kIndirect);
    EXPECT_EQ(device_->seen().at(0).pieces, (std::vector<std::uint32_t>{12, 51, 50}));
    EXPECT_TRUE(device_->seen().at(0).indirect);
}

TEST_F(FrontEndTest, SplitHeaderLayoutCutsTheHeader) {
    start();
    expect_loops(frame_of(60), Layout::kSplitHeader, 60);
    EXPECT_EQ(device_->seen().at(0).pieces, (std::vector<std::uint32_t>{5, 7, 60}));
}

TEST_F(FrontEndTest, CarriesTheHeaderBothWays) {
    start();
    const NetHeader header{kHeaderNeedsCsum, kGsoTcp4, 54, 1448, 34, 16, 0};
    const auto frame = frame_of(9000);
    EXPECT_EQ(send_one({frame, header}).completed, 1U);
    EXPECT_EQ(device_->seen().at(0).header, header);
    const auto back = guest_->receive(kTimeout);
    ASSERT_TRUE(back.has_value());
    EXPECT_EQ(back->header.gso_size, 1448);
    EXPECT_EQ(back->header.csum_offset, 16);
    EXPECT_EQ(back->frame, frame);
    EXPECT_EQ(back->buffer_count, 5U);  // 9012 bytes in buffers of 2048.
}

TEST_F(FrontEndTest, MergesTheLargestFrame) {
    start();
    expect_loops(frame_of(65562), Layout::kIndirect, 4096);
}

TEST_F(FrontEndTest, ReceivesIntoChainedAndIndirectBuffers) {
    for (const Layout layout : {Layout::kChained, Layout::kIndirect}) {
        options_.rx.layout = layout;
        start();
        for (unsigned i = 0; i < 600; ++i) {
            expect_loops(frame_of(1500, static_cast<std::uint8_t>(i)));
        }
        guest_.reset();
        device_.reset();
    }
}

TEST_F(FrontEndTest, SendsMoreFramesThanTheRingHolds) {
    options_.queue_size = 64;
    start();
    std::vector<std::vector<std::uint8_t>> frames;
    std::vector<TxFrame> out;
    for (unsigned i = 0; i < 1000; ++i) {
        frames.push_back(frame_of(60, static_cast<std::uint8_t>(i)));
    }
    for (const auto& frame : frames) { out.push_back({frame, {}, Layout::kChained, 30}); }
    const SendResult result = guest_->send(out, kTimeout);
    EXPECT_EQ(result.submitted, 1000U);
    EXPECT_EQ(result.completed, 1000U);
    EXPECT_EQ(device_->transmitted(), 1000U);
}

TEST_F(FrontEndTest, FrameThatCannotFitIsNotSubmitted) {
    start();
    const auto frame = frame_of(60);
    const auto huge = frame_of(70'000);
    const TxFrame out[] = {{frame, {}}, {huge, {}}, {frame, {}}};
    EXPECT_EQ(guest_->send(out, kTimeout).submitted, 1U);
}

TEST_F(FrontEndTest, HoldsBuffersUntilTold) {
    options_.queue_size = 16;
    start();
    guest_->pair(0).rx.hold_buffers(true);
    for (unsigned i = 0; i < 16; ++i) { expect_loops(frame_of(60)); }
    const auto frame = frame_of(60);
    EXPECT_EQ(send_one({frame, {}}).completed, 1U);
    EXPECT_EQ(device_->dropped(), 1U);
    guest_->pair(0).rx.hold_buffers(false);
    expect_loops(frame_of(60));
}

TEST_F(FrontEndTest, KicksOnlyWhenAsked) {
    for (const bool event_idx : {false, true}) {
        device_options_.wants_kicks =
            event_idx;  // Without the event index: the flag; with it: avail_event.
        options_.features =
            event_idx ? kDefaultFeatures : kDefaultFeatures & ~bit(Feature::kEventIdx);
        start();
        const auto kicks_at_start = guest_->ring_counters().kicks;
        for (unsigned i = 0; i < 10; ++i) { expect_loops(frame_of(60)); }
        const auto kicks = guest_->ring_counters().kicks - kicks_at_start;
        EXPECT_TRUE(event_idx ? kicks > 0 : kicks == 0) << kicks << " kicks";
        guest_.reset();
        device_.reset();
    }
}

TEST_F(FrontEndTest, CountsCallsThatTheDeviceForgets) {
    device_options_.calls = false;
    start();
    expect_loops(frame_of(60));
    EXPECT_GE(guest_->ring_counters().missed_calls, 1U);
    EXPECT_EQ(guest_->ring_counters().calls, 0U);
}

TEST_F(FrontEndTest, EveryQueuePairCarriesFrames) {
    options_.queue_pairs = 4;
    start();
    EXPECT_EQ(device_->enabled_rings(), 8U);
    for (unsigned pair = 0; pair < 4; ++pair) {
        const auto frame = frame_of(60 + pair);
        const TxFrame out{frame, {}};
        EXPECT_EQ(guest_->send({&out, 1}, kTimeout, pair).completed, 1U);
        EXPECT_EQ(guest_->receive(kTimeout)->frame, frame);
    }
    expect_ok(guest_->enable_pairs(1));
    EXPECT_EQ(device_->enabled_rings(), 2U);
}

TEST_F(FrontEndTest, ResetStartsAfresh) {
    start();
    expect_loops(frame_of(60));
    expect_ok(guest_->reset());
    EXPECT_EQ(guest_->pair(0).tx.ring().next_avail(), 0U);
    expect_loops(frame_of(60));
    EXPECT_EQ(guest_->counters().starts, 2U);
}

TEST_F(FrontEndTest, StopAndResumeKeepTheRings) {
    start();
    for (unsigned i = 0; i < 300; ++i) { expect_loops(frame_of(60)); }
    expect_ok(guest_->stop());
    expect_ok(guest_->resume(false));
    EXPECT_EQ(guest_->pair(0).tx.ring().next_avail(), 300U);
    expect_loops(frame_of(60));
}

TEST_F(FrontEndTest, NoticesALostDeviceAndGoesOnWithTheNext) {
    start();
    expect_loops(frame_of(60));
    device_.reset();
    EXPECT_TRUE(guest_->wait_disconnected(kTimeout));
    EXPECT_FALSE(guest_->receive(kTimeout).has_value());
    device_ = std::make_unique<FakeBackEnd>(device_options_);
    expect_ok(guest_->reconnect(kTimeout, false));
    expect_loops(frame_of(60));
}

TEST_F(FrontEndTest, FloodBalancesToTheFrame) {
    device_options_.records = false;
    start();
    FloodPort port{guest_.get(), {{frame_of(60), {}}}, 100'000, 0};
    const auto result = flood({&port, 1}, {.seconds = 20}, kNeverStop);
    ASSERT_TRUE(result.ok());
    const FloodResult& r = result.value()[0];
    EXPECT_EQ(r.sent, 100'000U);
    EXPECT_EQ(r.unsent, 0U);
    EXPECT_EQ(r.received + device_->dropped(), 100'000U);
    EXPECT_EQ(device_->transmitted(), 100'000U);
    expect_loops(frame_of(61));  // Both rings still serve single frames.
}

TEST_F(FrontEndTest, FloodOfManyFramesRotates) {
    start();
    FloodPort port{guest_.get(), {}, 1000, 0};
    for (unsigned i = 0; i < 1000; ++i) {
        port.frames.push_back({frame_of(60 + i % 7, static_cast<std::uint8_t>(i)), {}});
    }
    const auto result = flood({&port, 1}, {.seconds = 20, .read_lengths = true}, kNeverStop);
    ASSERT_TRUE(result.ok());
    EXPECT_EQ(result.value()[0].received + device_->dropped(), 1000U);
    const auto seen = device_->seen();
    ASSERT_EQ(seen.size(), 1000U);
    for (unsigned i = 0; i < 1000; ++i) { EXPECT_EQ(seen[i].bytes, port.frames[i].frame) << i; }
}

TEST_F(FrontEndTest, FloodKeepsItsPace) {
    device_options_.records = false;
    start();
    FloodPort port{guest_.get(), {{frame_of(60), {}}}, 0, 10'000};
    const auto result = flood({&port, 1}, {.seconds = 0.5}, kNeverStop);
    ASSERT_TRUE(result.ok());
    EXPECT_GT(result.value()[0].sent, 4'000U);
    EXPECT_LE(result.value()[0].sent, 5'000U);
}

TEST_F(FrontEndTest, FloodIsRefusedWhenFramesDoNotFit) {
    start();
    FloodPort port{guest_.get(), {{frame_of(60'000), {}}}, 0, 0};
    const auto result = flood({&port, 1}, {}, kNeverStop);
    ASSERT_FALSE(result.ok());
    EXPECT_EQ(result.error().code, Errc::kLimit);
}

TEST_F(FrontEndTest, EveryAttackIsSurvivedAndRecoveredFrom) {
    for (const Attack* one : all_attacks()) {
        SCOPED_TRACE(one->name);
        EXPECT_EQ(find_attack(one->name), one) << "two attacks have this name";
        if (one->destroys_memory) { continue; }  // The small back-end has no SIGBUS handler,
        if (one->name == "call_is_a_socket") { continue; }  // and keeps any descriptor: its peer's.
        start();
        const auto frame = frame_of(60);
        (void)attack(*guest_, *one, frame, 7, Milliseconds(20));
        expect_ok(guest_->reconnect(kTimeout, true));
        expect_loops(frame_of(60));
        guest_.reset();
        device_.reset();
    }
}

TEST_F(FrontEndTest, UsedUpAttackNeedsNoReset) {
    start();
    const auto frame = frame_of(60);
    EXPECT_EQ(attack(*guest_, *find_attack("short_header"), frame, 1, kTimeout).used, 1U);
    EXPECT_EQ(device_->broken(), 1U);
    expect_loops(frame_of(60));
}

TEST(Layouts, ParseByName) {
    EXPECT_EQ(parse_layout("indirect"), Layout::kIndirect);
    EXPECT_EQ(parse_layout("sideways"), std::nullopt);
}

/// Sum over IPv4 addresses, protocol, length and the UDP datagram of 10 bytes: 0xffff if its
/// checksum is right.
[[nodiscard]] std::uint32_t udp_sum(const std::vector<std::uint8_t>& frame) {
    std::uint32_t sum = 17 + 10;
    for (std::size_t i = 26; i < frame.size(); i += 2) {
        sum += static_cast<std::uint32_t>(frame[i] << 8U | frame[i + 1]);
    }
    while (sum > 0xffff) { sum = (sum & 0xffffU) + (sum >> 16U); }
    return sum;
}

TEST(Flows, VaryKeepsChecksumsRight) {
    // 02:..:01 -> 02:..:02, 10.0.0.1 -> 10.0.0.2, UDP 1000 -> 2000, "ab".
    FloodFrame base{
        {2,  0,    0,    0,  0, 2, 2, 0,  0, 0, 0, 1, 8,    0, 0x45, 0, 0,  30, 0, 0,    0,   0, 64,
         17, 0x66, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2, 3, 0xe8, 7, 0xd0, 0, 10, 0,  0, 0x61, 0x62},
        {}};
    const std::uint32_t checksum = ~udp_sum(base.frame) & 0xffffU;
    base.frame[40] = static_cast<std::uint8_t>(checksum >> 8U);
    base.frame[41] = static_cast<std::uint8_t>(checksum);
    const auto flows = vary_flows(base, 70'000);
    ASSERT_EQ(flows.size(), 70'000U);
    for (const FloodFrame& flow : flows) { ASSERT_EQ(udp_sum(flow.frame), 0xffffU); }
    EXPECT_NE(flows[0].frame, flows[65'000].frame);
    EXPECT_EQ(vary_flows({frame_of(60), {}}, 5).size(), 1U);
}

}  // namespace
}  // namespace sluice::frontend
