// SPDX-License-Identifier: Apache-2.0
// The network service header, byte for byte (RFC 8300 §2), what is no such header, and the tags of
// other hosts' networks. Pure: no pipeline is stepped.
#include <set>

#include "datapath/nsh_header.h"
#include "datapath/service_networks.h"
#include "tests/packet/frames.h"

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

using datapath::NshHeader;
using datapath::ServiceNetworks;

NshHeader some_header() {
    NshHeader header;
    header.destination = MacAddr{{0x06, 0x53, 0x12, 0x34, 0x56, 0x01}};
    header.source = MacAddr{{0x06, 0x53, 0x12, 0x34, 0x56, 0x00}};
    header.what.path = 0x123456;
    header.what.index = 250;
    header.what.port = PortIndex{7};
    header.what.service_vid = 0x64;
    header.what.slot = 12;
    header.what.direction = Direction::kToVm;
    header.what.side = ConnectionSide::kResponder;
    header.what.bypasses_rest = true;
    header.what.connection = {0x01020304, 0x05060708};
    header.origin = 0xabcd;
    return header;
}

Bytes written(const NshHeader& header) {
    Bytes out(datapath::kNshEnvelope + 60);
    datapath::write_nsh(out.data(), header);
    return out;
}

TEST(NshHeader, IsWrittenAsTheRfcDrawsIt) {
    const Bytes expected = {0x06, 0x53, 0x12, 0x34, 0x56, 0x01, 0x06, 0x53, 0x12, 0x34, 0x56, 0x00,
                            0x89, 0x4f, 0x0f, 0xc6, 0x01, 0x03,  // Version 0, TTL 63, length 6; MD
                                                                 // type 1; Ethernet.
                            0x12, 0x34, 0x56, 0xfa,              // Path, index.
                            0x00, 0x07, 0x00, 0x64,              // Port, VID.
                            0x0c, 0xab, 0xcd,
                            0x07,  // Slot, origin, bypass | responder | to the VM.
                            0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08};
    Bytes out = written(some_header());
    out.resize(datapath::kNshEnvelope);
    EXPECT_EQ(out, expected);
    NshHeader oam = some_header();
    oam.is_oam = true;
    oam.ttl = 1;
    EXPECT_EQ(written(oam)[14], 0x20);
    EXPECT_EQ(written(oam)[15], 0x46);
}

TEST(NshHeader, IsReadAsItWasWritten) {
    for (const bool is_oam : {false, true}) {
        NshHeader header = some_header();
        header.is_oam = is_oam;
        header.ttl = 17;
        const Bytes bytes = written(header);
        const auto read = datapath::read_nsh(bytes);
        ASSERT_TRUE(read.has_value());
        EXPECT_EQ(written(*read), bytes);
    }
}

TEST(NshHeader, BitsThatMustBeIgnoredAre) {
    Bytes bytes = written(some_header());
    bytes[14] |= 0x10;  // U.
    bytes[16] |= 0xf0;
    EXPECT_TRUE(datapath::read_nsh(bytes).has_value());
}

struct Malformed {
    const char* what;
    std::size_t at;
    std::uint8_t value;
};
class MalformedNsh : public testing::TestWithParam<Malformed> {};

TEST_P(MalformedNsh, IsNone) {
    Bytes bytes = written(some_header());
    bytes[GetParam().at] = GetParam().value;
    EXPECT_FALSE(datapath::read_nsh(bytes).has_value()) << GetParam().what;
}

INSTANTIATE_TEST_SUITE_P(
    Table, MalformedNsh,
    testing::Values(Malformed{"ethertype", 13, 0x4e}, Malformed{"version 1", 14, 0x4f},
                    Malformed{"version 3", 14, 0xcf}, Malformed{"length 2", 15, 0xc2},
                    Malformed{"length 7", 15, 0xc7}, Malformed{"length 0", 15, 0xc0},
                    Malformed{"MD type 2", 16, 0x02}, Malformed{"MD type 0", 16, 0x00},
                    Malformed{"IPv4 inside", 17, 0x01}, Malformed{"NSH inside", 17, 0x04},
                    Malformed{"MPLS inside", 17, 0x05}, Malformed{"index 0", 21, 0x00}));

TEST(NshHeader, WithoutTtlOrPathItIsNone) {
    Bytes bytes = written(some_header());
    bytes[14] = 0x00;
    bytes[15] = 0x06;
    EXPECT_FALSE(datapath::read_nsh(bytes).has_value());
    bytes = written(some_header());
    bytes[18] = bytes[19] = bytes[20] = 0;
    EXPECT_FALSE(datapath::read_nsh(bytes).has_value());
}

TEST(NshHeader, TruncatedItIsNone) {
    const Bytes bytes = written(some_header());
    for (std::size_t size = 0; size < datapath::kNshEnvelope + 14; ++size) {
        EXPECT_FALSE(datapath::read_nsh({bytes.data(), size}).has_value()) << size;
    }
    EXPECT_TRUE(datapath::read_nsh({bytes.data(), datapath::kNshEnvelope + 14}).has_value());
}

TEST(ServiceNetworks, EachHasATagAndKeepsIt) {
    ServiceNetworks networks;
    std::set<std::uint16_t> tags;
    for (std::uint16_t remote = 1; remote <= 20; ++remote) {
        for (std::uint16_t vid = 1; vid <= 50; ++vid) {
            const std::uint16_t tag = networks.tag_of({remote, vid}, nullptr, 5);
            EXPECT_TRUE(tag >= 1 && tag <= 4094);
            EXPECT_TRUE(tags.insert(tag).second);
            EXPECT_EQ(networks.tag_of({remote, vid}, nullptr, 6), tag);
            EXPECT_EQ(networks.find(tag), (ServiceNetworks::Network{remote, vid}));
        }
    }
}

TEST(ServiceNetworks, TheHostsOwnTagsAreNotGiven) {
    ServiceNetworks networks;
    ServiceNetworks::OwnVids own;
    own.fill(0);
    for (const unsigned free : {7U, 8U, 9U}) { own[free] = 0xffff; }
    std::set<std::uint16_t> tags;
    for (std::uint16_t vid = 1; vid <= 3; ++vid) {
        tags.insert(networks.tag_of({1, vid}, &own, 5));
    }
    EXPECT_EQ(tags, (std::set<std::uint16_t>{7, 8, 9}));
    EXPECT_EQ(networks.tag_of({1, 4}, &own, 5), 0);
}

TEST(ServiceNetworks, WhatIsUnusedForLongIsGivenAway) {
    ServiceNetworks networks;
    for (std::uint32_t n = 0; n < 4094; ++n) {
        const ServiceNetworks::Network network{static_cast<std::uint16_t>(n / 100 + 1),
                                               static_cast<std::uint16_t>(n % 100 + 1)};
        ASSERT_NE(networks.tag_of(network, nullptr, 100), 0);
    }
    EXPECT_EQ(networks.tag_of({200, 1}, nullptr, 100 + kServiceNetworkIdleS), 0);
    EXPECT_NE(networks.tag_of({200, 1}, nullptr, 101 + kServiceNetworkIdleS), 0);
}

}  // namespace
}  // namespace sluice::test
