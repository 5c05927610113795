// SPDX-License-Identifier: Apache-2.0
// Filters that a client hands over: run if they are sound, refused if not.
#include "src/sluiced/capture_filter.h"

#include <gtest/gtest.h>

#include <array>

namespace sluice::daemon {
namespace {

using nlohmann::json;

// "ether proto 0x0806": ldh [12]; jeq #0x806, 0, 1; ret #65535; ret #0.
const json kArp = {{40, 0, 0, 12}, {21, 0, 1, 0x806}, {6, 0, 0, 65535}, {6, 0, 0, 0}};

std::array<std::uint8_t, 60> frame_of(std::uint16_t ethertype) {
    std::array<std::uint8_t, 60> frame{};
    frame[12] = static_cast<std::uint8_t>(ethertype >> 8U);
    frame[13] = static_cast<std::uint8_t>(ethertype);
    return frame;
}

TEST(CaptureFilter, RunsItsProgram) {
    const auto filter = make_capture_filter(kArp);
    ASSERT_TRUE(filter.ok()) << filter.error().message;
    const auto arp = frame_of(0x0806);
    const auto ip = frame_of(0x0800);
    EXPECT_TRUE(filter.value()->matches(arp, arp.size()));
    EXPECT_FALSE(filter.value()->matches(ip, ip.size()));
    EXPECT_FALSE(filter.value()->matches({arp.data(), 13}, 13))
        << "reads no byte that is not there";
}

TEST(CaptureFilter, IsNoneWithoutAProgram) {
    for (const json& nothing : {json(), json::array()}) {
        const auto filter = make_capture_filter(nothing);
        ASSERT_TRUE(filter.ok());
        EXPECT_EQ(filter.value(), nullptr);
    }
}

TEST(CaptureFilter, RefusesWhatIsNoProgram) {
    for (const json& bad :
         {json("arp"), json{1, 2}, json{{6, 0, 0}}, json{{6, 0, 0, -1}}, json{{6, 0, 256, 0}},
          json{{65536, 0, 0, 0}}, json{{6, 0, 0, 4294967296}}, json{{6, 0, 0, "1"}}}) {
        const auto filter = make_capture_filter(bad);
        ASSERT_FALSE(filter.ok()) << bad;
        EXPECT_EQ(filter.error().message,
                  "filter: not a BPF program: expected a list of [code, jt, jf, k]");
    }
}

TEST(CaptureFilter, RefusesProgramsThatLeaveTheirBounds) {
    const json endless = {{40, 0, 0, 12}};
    const json jump = {{21, 0, 9, 1}, {6, 0, 0, 0}};
    const json backwards = {{5, 0, 0, 0xffffffffU}, {6, 0, 0, 0}};
    const json memory = {{96, 0, 0, 16}, {6, 0, 0, 0}};
    const json division = {{52, 0, 0, 0}, {6, 0, 0, 0}};
    const json unknown_code = {{0x0d, 0, 0, 0}, {6, 0, 0, 0}};
    const json unknown_size = {{0x38, 0, 0, 0}, {6, 0, 0, 0}};
    for (const json& bad :
         {endless, jump, backwards, memory, division, unknown_code, unknown_size}) {
        const auto filter = make_capture_filter(bad);
        ASSERT_FALSE(filter.ok()) << bad;
        EXPECT_EQ(filter.error().message, "filter: the BPF program is not valid");
    }
}

TEST(CaptureFilter, RefusesProgramsThatAreTooLong) {
    json program = json::array();
    for (std::size_t i = 0; i < kCaptureFilterMax; ++i) { program.push_back({6, 0, 0, 0}); }
    EXPECT_TRUE(make_capture_filter(program).ok());
    program.push_back({6, 0, 0, 0});
    EXPECT_EQ(make_capture_filter(program).error().code, Errc::kLimit);
}

}  // namespace
}  // namespace sluice::daemon
