// SPDX-License-Identifier: Apache-2.0
// What parse makes of well-formed frames: class, key, offsets.
#include <gtest/gtest.h>

#include "parse_frames.h"

namespace sluice::datapath::test {
namespace {

TEST(Parse, EveryValidFrameIsTaken) {
    for (const auto& [name, frame] : valid_frames()) { EXPECT_EQ(why(frame), "none") << name; }
}

TEST(Parse, KeyOfTaggedTcp4HasEveryFieldInItsPlace) {
    const Ends ends{.vlan = 101};
    const auto frame = parsed(
        ethernet(0x0800, ipv4_packet(6, tcp(kTcpAck, Bytes(5)), ends, {.tos = 46 << 2}), ends));
    Bytes expected = kMacA + kMacB + Bytes(12) + kIp4A + Bytes(12) + kIp4B +
                     Bytes{0x9c, 0x40, 0, 80, 8, 0, 101, 0, 3, 0, 0};
    expected = expected + Bytes{kKeyTagged | kKeyIpv4 | kKeyPorts, 0, 0, 0, 0, 6, 46, 0, 0};
    ASSERT_EQ(expected.size(), sizeof(FlowKey));
    EXPECT_EQ(std::memcmp(&frame.key, expected.data(), sizeof(FlowKey)), 0);
    EXPECT_EQ(frame.l3_offset, 18);
    EXPECT_EQ(frame.l4_offset, 38);
    EXPECT_EQ(frame.l4_size, 25U);
    EXPECT_EQ(frame.tcp_flags, kTcpAck);
    EXPECT_EQ(frame.tcp_header_size, 20);
}

TEST(Parse, KeyOfUdp6) {
    const auto frame =
        parsed(ethernet(0x86dd, ipv6_packet(17, udp(5000, 53, Bytes(3), {}, true), {}, 64, 0xb8)));
    EXPECT_EQ(frame.key.flags, kKeyIpv6 | kKeyPorts);
    EXPECT_EQ(std::memcmp(frame.key.source_ip, kIp6A.data(), 16), 0);
    EXPECT_EQ(std::memcmp(frame.key.destination_ip, kIp6B.data(), 16), 0);
    EXPECT_EQ(frame.key.source_port.host(), 5000);
    EXPECT_EQ(frame.key.destination_port.host(), 53);
    EXPECT_EQ(frame.key.ethertype.host(), 0x86dd);
    EXPECT_EQ(frame.key.protocol, 17);
    EXPECT_EQ(frame.key.dscp, 46);
    EXPECT_EQ(frame.key.port, kPort);
    EXPECT_EQ(frame.l4_offset, 54);
}

TEST(Parse, TrailerIsNoPayload) {
    const auto frame = parsed(ipv4_frame(6, tcp(kTcpAck, Bytes(2))) + Bytes(4));
    EXPECT_EQ(frame.l4_size, 22U);
    EXPECT_EQ(frame.frame_size, 60U);
}

TEST(Parse, IcmpQueryHasTypeCodeAndId) {
    const auto v4 = parsed(ipv4_frame(1, icmp(8, 0, {0x12, 0x34, 0, 1})));
    EXPECT_EQ(v4.key.source_port.host(), 0x0800);
    EXPECT_EQ(v4.key.destination_port.host(), 0x1234);
    const auto v6 = parsed(ipv6_frame(58, icmpv6(129, 0, {0x12, 0x34, 0, 1})));
    EXPECT_EQ(v6.key.source_port.host(), 0x8100);
    EXPECT_EQ(v6.key.destination_port.host(), 0x1234);
    EXPECT_EQ(v6.frame_class, FrameClass::kFlow);
    const auto error = parsed(ipv4_frame(1, icmp(11, 0, Bytes(32))));
    EXPECT_EQ(error.key.source_port.host(), 0x0b00);
    EXPECT_EQ(error.key.destination_port.host(), 0);
}

TEST(Parse, OnlyTheOutermostTagIsTaken) {
    const auto frame =
        parsed(ethernet(0x8100, Bytes{0, 9, 8, 0} + ipv4_packet(6, tcp(kTcpAck)), {.vlan = 4095}));
    EXPECT_EQ(frame.key.vlan, 4095);
    EXPECT_EQ(frame.key.ethertype.host(), 0x8100);
    EXPECT_FALSE(frame.key.is_ip());
    const auto service = parsed(ethernet(0x88a8, Bytes(46)));
    EXPECT_FALSE(service.key.has(kKeyTagged));
    EXPECT_EQ(service.frame_class, FrameClass::kFlow);
}

TEST(Parse, ConversationsWithTheSwitchAreInspected) {
    const std::vector<std::pair<std::string, InspectKind>> kinds = {
        {"arp", InspectKind::kArp},
        {"nd ns", InspectKind::kNd},
        {"nd dad", InspectKind::kNd},
        {"dhcp", InspectKind::kDhcp4},
        {"dhcp6", InspectKind::kDhcp6},
        {"mld", InspectKind::kMld},
        {"igmp", InspectKind::kIgmp},
        {"icmp error", InspectKind::kIcmpError},
        {"icmpv6 error", InspectKind::kIcmpError},
        {"lldp", InspectKind::kLinkLocalGroup},
        {"bpdu", InspectKind::kLinkLocalGroup}};
    for (const auto& [name, frame] : valid_frames()) {
        const auto result = parsed(frame);
        InspectKind expected = InspectKind::kNone;
        for (const auto& [kind_name, kind] : kinds) {
            expected = kind_name == name ? kind : expected;
        }
        EXPECT_EQ(result.inspect_kind, expected) << name;
        EXPECT_EQ(result.frame_class,
                  expected == InspectKind::kNone ? FrameClass::kFlow : FrameClass::kInspect)
            << name;
    }
}

TEST(Parse, FragmentFields) {
    const auto head =
        parsed(ipv4_frame(17, udp(5000, 53, Bytes(24)), {}, {.id = 77, .fragment = 0x2000}));
    EXPECT_TRUE(head.fragment && head.more_fragments);
    EXPECT_EQ(head.fragment_id, 77U);
    EXPECT_EQ(head.key.flags, kKeyIpv4 | kKeyPorts | kKeyFragment);
    const auto later = parsed(ipv4_frame(17, Bytes(9), {}, {.id = 77, .fragment = 4}));
    EXPECT_TRUE(later.fragment && !later.more_fragments);
    EXPECT_EQ(later.fragment_offset, 32);
    EXPECT_EQ(later.l4_offset, 0);
    EXPECT_EQ(later.key.flags, kKeyIpv4 | kKeyFragment);
    const auto atomic =
        parsed(ipv6_frame(44, fragment_header(17, 0, false) + udp(5000, 53, {}, {}, true)));
    EXPECT_FALSE(atomic.fragment);
    EXPECT_EQ(atomic.key.flags, kKeyIpv6 | kKeyPorts);
    const auto later6 =
        parsed(ipv6_frame(44, fragment_header(60, 32, true, 0x12345678) + Bytes(16)));
    EXPECT_EQ(later6.fragment_id, 0x12345678U);
    EXPECT_EQ(later6.key.protocol, 60);
}

TEST(Parse, ExtentOfAFragmentCountsFromTheFragmentablePart) {
    const Bytes bytes =
        ipv6_frame(60, Bytes{44, 0, 1, 4, 0, 0, 0, 0} + fragment_header(60, 0, true) +
                           Bytes{17, 0, 1, 4, 0, 0, 0, 0} + udp(1, 2, Bytes(24), {}, true));
    Mbuf mbuf(bytes);
    ParsedFrame frame;
    parse_mbuf(mbuf.head(), kPort, frame);
    ASSERT_EQ(frame.reason, DropReason::kNone);
    const FragmentExtent extent = fragment_extent(frame);
    EXPECT_EQ(extent.begin, 0U);
    EXPECT_EQ(extent.end, 40U);
    EXPECT_EQ(extent.l4_begin, 8U);
}

TEST(Parse, EcnSetupSynIsLegal) {
    EXPECT_EQ(why(ipv4_frame(6, tcp(kTcpSyn | kTcpEce | kTcpCwr))), "none");
}

}  // namespace
}  // namespace sluice::datapath::test
