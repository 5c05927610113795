// SPDX-License-Identifier: Apache-2.0
// The wire form of BFD control packets (RFC 5880 §4.1, §6.8.6).
#include "datapath/bfd_packet.h"

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

using datapath::BfdDiagnostic;
using datapath::BfdPacket;
using datapath::BfdState;
using datapath::kBfdSize;
using datapath::read_bfd;
using datapath::write_bfd;

BfdPacket up() {
    BfdPacket packet;
    packet.state = BfdState::kUp;
    packet.diagnostic = BfdDiagnostic::kNeighbourDown;
    packet.is_poll = true;
    packet.multiplier = 3;
    packet.mine = 0x01020304;
    packet.yours = 0x05060708;
    packet.desired_tx_us = 300000;
    packet.required_rx_us = 250000;
    return packet;
}

TEST(BfdPacket, IsWrittenAsTheRfcDrawsIt) {
    const std::array<std::uint8_t, kBfdSize> expected{0x23, 0xe0, 3,    24,   1, 2,    3,    4,
                                                      5,    6,    7,    8,    0, 0x04, 0x93, 0xe0,
                                                      0,    0x03, 0xd0, 0x90, 0, 0,    0,    0};
    EXPECT_EQ(write_bfd(up()), expected);
    EXPECT_EQ(read_bfd(expected.data(), expected.size()), up());
}

TEST(BfdPacket, IsDiscardedWhereTheRfcSaysSo) {
    struct Row {
        std::size_t at;
        std::uint8_t value;
        const char* why;
    };
    constexpr Row kRows[] = {{0, 0x43, "version 2"},      {0, 0x03, "version 0"},
                             {1, 0xe4, "authentication"}, {1, 0xe1, "multipoint"},
                             {2, 0, "multiplier 0"},      {3, 23, "too short"},
                             {3, 25, "longer than it is"}};
    for (const Row& row : kRows) {
        auto bytes = write_bfd(up());
        bytes[row.at] = row.value;
        EXPECT_FALSE(read_bfd(bytes.data(), bytes.size())) << row.why;
    }
    BfdPacket packet = up();
    packet.mine = 0;
    EXPECT_FALSE(read_bfd(write_bfd(packet).data(), kBfdSize));
    packet = up();
    packet.yours = 0;
    EXPECT_FALSE(read_bfd(write_bfd(packet).data(), kBfdSize));
    packet.state = BfdState::kDown;
    EXPECT_TRUE(read_bfd(write_bfd(packet).data(), kBfdSize));
    EXPECT_FALSE(read_bfd(write_bfd(packet).data(), kBfdSize - 1));
}

}  // namespace
}  // namespace sluice::test
