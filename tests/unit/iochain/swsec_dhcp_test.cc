// SPDX-License-Identifier: Apache-2.0
// Slot 1 on DHCP from the VM: RFC 2131, RFC 2132, RFC 8415, both guards, SpoofGuard, the rate
// limit.
#include <gtest/gtest.h>

#include "tests/unit/iochain/swsec_fixture.h"

namespace sluice {
namespace {

using namespace test;

constexpr std::uint8_t kDiscover = 1, kOffer = 2, kDecline = 4, kAck = 5, kNak = 6;

/// Fields of one DHCPv4 message, those of a DISCOVER by default.
struct Dhcp {
    std::uint8_t operation = 1;
    Bytes options = {53, 1, kDiscover, 255};
    MacAddr client_mac = kOwnMac;
    IpAddr client_ip = kAny4, relay_ip = kAny4;
    IpAddr source = kAny4;
    unsigned source_port = 68, destination_port = 67;
    Bytes cookie = {0x63, 0x82, 0x53, 0x63};
};

Bytes message(const Dhcp& d) {
    return Bytes{d.operation, 1, 6, 0} + zeros(8) + bytes_of(d.client_ip) + zeros(8) +
           bytes_of(d.relay_ip) + bytes_of(d.client_mac) + zeros(10 + 192) + d.cookie + d.options;
}
DropReason judge_payload(const Dhcp& d, const Bytes& payload, const SwsecInput& input) {
    SecuredVnic vnic(input);
    const Bytes packet =
        ipv4(d.source, ip("255.255.255.255"), 17, udp(d.source_port, d.destination_port, payload));
    return vnic.inspect_frame(
        parse_frame(ethernet(kBroadcast, kOwnMac, 0x0800, packet), InspectKind::kDhcp4));
}
DropReason judge(const Dhcp& d, const SwsecInput& input = guarded()) {
    return judge_payload(d, message(d), input);
}

Dhcp server(std::uint8_t type) {
    return {.operation = 2,
            .options = {53, 1, type, 255},
            .source = kOwn4,
            .source_port = 67,
            .destination_port = 68};
}

TEST(SwsecDhcp, ClientPassesWithoutAndWithItsAddress) {
    EXPECT_EQ(judge({}), DropReason::kNone);
    EXPECT_EQ(judge({.client_ip = kOwn4, .source = kOwn4}), DropReason::kNone);
    SwsecInput input = guarded();
    input.ips = {};
    EXPECT_EQ(judge({}, input), DropReason::kNone);
}

TEST(SwsecDhcp, ServerMessagesAreGuarded) {
    for (const std::uint8_t type : {kOffer, kAck, kNak}) {
        EXPECT_EQ(judge(server(type)), DropReason::kGuardDhcpServer);
    }
    EXPECT_EQ(judge({.source_port = 67, .destination_port = 68}), DropReason::kGuardDhcpServer);
    Dhcp disguised = server(kOffer);
    disguised.source_port = 68;
    EXPECT_EQ(judge(disguised), DropReason::kGuardDhcpServer);
    EXPECT_EQ(judge({.relay_ip = kOwn4}), DropReason::kGuardDhcpServer);
    SwsecInput allowed = guarded();
    allowed.guards.dhcp_server = false;
    EXPECT_EQ(judge(server(kOffer), allowed), DropReason::kNone);
    Dhcp spoofed = server(kOffer);
    spoofed.source = kGateway4;
    EXPECT_EQ(judge(spoofed, allowed), DropReason::kSpoofedIp);
}

TEST(SwsecDhcp, ClientMessagesAreGuarded) {
    SwsecInput input = guarded();
    input.guards.dhcp_client = true;
    EXPECT_EQ(judge({}, input), DropReason::kGuardDhcpClient);
}

TEST(SwsecDhcp, SpoofedIdentityIsDropped) {
    EXPECT_EQ(judge({.source = kForeign4}), DropReason::kSpoofedIp);
    EXPECT_EQ(judge({.client_ip = kForeign4}), DropReason::kSpoofedIp);
    EXPECT_EQ(judge({.client_mac = kOtherMac}), DropReason::kSpoofedMac);
    EXPECT_EQ(judge({.options = Bytes{53, 1, kDecline, 50, 4} + bytes_of(kForeign4) + Bytes{255}}),
              DropReason::kSpoofedIp);
    EXPECT_EQ(judge({.options = Bytes{53, 1, kDecline, 50, 4} + bytes_of(kOwn4) + Bytes{255}}),
              DropReason::kNone);
}

TEST(SwsecDhcp, MalformedIsDroppedOnTrustedPortsToo) {
    const Bytes bad_options[] = {
        {53, 1, 1, 53, 1, 2, 255},  // Two message types (RFC 3396 would join them).
        {12, 255, 'x', 53, 1, 1},   // Runs past the message.
        {53, 0, 255},               // No type.
        {53, 2, 1, 1, 255},
        {255},
        {},
        {53, 1, 0, 255},
        {53, 1, 9, 255},
        {53, 1, kOffer, 255},  // A server's type in a client's message.
        {53, 1, 1, 50, 3, 1, 2, 3, 255},
        {53},
    };
    for (const SwsecInput& input : {guarded(), trusted()}) {
        for (const Bytes& options : bad_options) {
            EXPECT_EQ(judge({.options = options}, input), DropReason::kBadDhcp);
        }
        EXPECT_EQ(judge({.operation = 3}, input), DropReason::kBadDhcp);
        for (const std::size_t at : {1U, 2U}) {  // Hardware type and address length.
            Bytes foreign = message({});
            foreign[at] = 32;
            EXPECT_EQ(judge_payload({}, foreign, input), DropReason::kBadDhcp);
        }
        EXPECT_EQ(judge({.cookie = {0, 0, 0, 0}}, input), DropReason::kBadDhcp);
        for (const std::size_t size : {0U, 1U, 100U, 236U, 239U, 240U}) {
            Bytes cut = message({});
            cut.resize(size);
            EXPECT_EQ(judge_payload({}, cut, input), DropReason::kBadDhcp) << size;
        }
    }
    EXPECT_EQ(judge({.options = {0, 0, 53, 1, 1}}), DropReason::kNone);  // Padding, no end option.
}

TEST(SwsecDhcp, IsRateLimited) {
    SwsecInput input = guarded();
    input.limits.dhcp_pps = 1;
    SecuredVnic vnic(input);
    const Bytes packet = ipv4(kAny4, ip("255.255.255.255"), 17, udp(68, 67, message({})));
    const TestFrame frame =
        parse_frame(ethernet(kBroadcast, kOwnMac, 0x0800, packet), InspectKind::kDhcp4);
    EXPECT_EQ(vnic.inspect_frame(frame), DropReason::kNone);
    EXPECT_EQ(vnic.inspect_frame(frame), DropReason::kRateDhcp);
}

DropReason judge6(const Bytes& payload, const IpAddr& source = kLocal6, unsigned source_port = 546,
                  const SwsecInput& input = guarded()) {
    SecuredVnic vnic(input);
    const Bytes packet = ipv6(source, ip("ff02::1:2"), 17, udp(source_port, 547, payload));
    return vnic.inspect_frame(parse_frame(
        ethernet(mac("33:33:00:01:00:02"), kOwnMac, 0x86dd, packet), InspectKind::kDhcp6));
}

TEST(SwsecDhcp6, ClientPassesFromItsAddresses) {
    const Bytes solicit = {1, 0, 0, 1, 0, 8, 0, 2, 0, 0};
    EXPECT_EQ(judge6(solicit), DropReason::kNone);
    EXPECT_EQ(judge6(solicit, kOwn6), DropReason::kNone);
    EXPECT_EQ(judge6(solicit, kForeign6), DropReason::kSpoofedIp);
    EXPECT_EQ(judge6(solicit, kAny6), DropReason::kSpoofedIp);
    SwsecInput input = guarded();
    input.guards.dhcp_client = true;
    EXPECT_EQ(judge6(solicit, kLocal6, 546, input), DropReason::kGuardDhcpClient);
}

TEST(SwsecDhcp6, ServerMessagesAreGuarded) {
    for (const std::uint8_t type : Bytes{2, 7, 10, 12, 13}) {
        EXPECT_EQ(judge6({type, 0, 0, 1}), DropReason::kGuardDhcpServer) << unsigned{type};
    }
    EXPECT_EQ(judge6({1, 0, 0, 1}, kLocal6, 547), DropReason::kGuardDhcpServer);
    EXPECT_EQ(judge6({7, 0, 0, 1}, kLocal6, 547, trusted()), DropReason::kNone);
}

TEST(SwsecDhcp6, MalformedIsDropped) {
    EXPECT_EQ(judge6({1, 0, 0}), DropReason::kBadDhcp);
    EXPECT_EQ(judge6({}), DropReason::kBadDhcp);
    EXPECT_EQ(judge6({1, 0, 0, 1, 0, 8, 0, 3, 0, 0}), DropReason::kBadDhcp);
    EXPECT_EQ(judge6({1, 0, 0, 1, 0, 8}), DropReason::kBadDhcp);
}

}  // namespace
}  // namespace sluice
