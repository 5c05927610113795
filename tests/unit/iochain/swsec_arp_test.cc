// SPDX-License-Identifier: Apache-2.0
// Slot 1 on ARP from the VM: RFC 826, RFC 5227, SpoofGuard, the rate limit.
#include <gtest/gtest.h>

#include "tests/unit/iochain/swsec_fixture.h"

namespace sluice {
namespace {

using namespace test;

DropReason judge(const ArpFields& fields, const SwsecInput& input = guarded()) {
    SecuredVnic vnic(input);
    return vnic.inspect_frame(
        parse_frame(ethernet(kBroadcast, kOwnMac, 0x0806, arp(fields)), InspectKind::kArp));
}

TEST(SwsecArp, OwnRequestsAndRepliesPass) {
    EXPECT_EQ(judge({}), DropReason::kNone);
    EXPECT_EQ(judge({.operation = 2, .target_mac = kOtherMac}), DropReason::kNone);
}

TEST(SwsecArp, ForeignSenderIsDropped) {
    EXPECT_EQ(judge({.operation = 2,
                     .sender_ip = kGateway4,
                     .target_mac = kOtherMac,
                     .target_ip = kForeign4}),
              DropReason::kSpoofedArp);
    EXPECT_EQ(judge({.sender_mac = kOtherMac}), DropReason::kSpoofedArp);
}

TEST(SwsecArp, ProbesAndAnnouncementsOnlyForOwnAddresses) {
    EXPECT_EQ(judge({.sender_ip = kAny4, .target_ip = kOwn4}), DropReason::kNone);
    EXPECT_EQ(judge({.sender_ip = kAny4, .target_ip = kForeign4}), DropReason::kSpoofedArp);
    EXPECT_EQ(judge({.sender_ip = kOwn4, .target_ip = kOwn4}), DropReason::kNone);
    EXPECT_EQ(judge({.sender_ip = kForeign4, .target_ip = kForeign4}), DropReason::kSpoofedArp);
}

TEST(SwsecArp, MalformedIsDroppedOnTrustedPortsToo) {
    for (const SwsecInput& input : {guarded(), trusted()}) {
        for (const std::uint8_t operation : Bytes{0, 3, 8, 25}) {
            EXPECT_EQ(judge({.operation = operation}, input), DropReason::kBadArp);
        }
        EXPECT_EQ(judge({.hardware = 6}, input), DropReason::kBadArp);
        EXPECT_EQ(judge({.protocol = 0x86dd}, input), DropReason::kBadArp);
        EXPECT_EQ(judge({.hardware_size = 7}, input), DropReason::kBadArp);
        EXPECT_EQ(judge({.protocol_size = 16}, input), DropReason::kBadArp);
        EXPECT_EQ(judge({.operation = 2, .sender_ip = kAny4}, input), DropReason::kBadArp);
        EXPECT_EQ(judge({.sender_mac = kBroadcast}, input), DropReason::kBadArp);
        EXPECT_EQ(judge({.sender_mac = MacAddr{}}, input), DropReason::kBadArp);
        EXPECT_EQ(judge({.sender_mac = mac("01:00:5e:00:00:01")}, input), DropReason::kBadArp);
        EXPECT_EQ(judge({.sender_ip = ip("224.0.0.1")}, input), DropReason::kBadArp);
        EXPECT_EQ(judge({.sender_ip = ip("255.255.255.255")}, input), DropReason::kBadArp);
    }
}

TEST(SwsecArp, TruncatedIsDropped) {
    Bytes frame = ethernet(kBroadcast, kOwnMac, 0x0806, arp({}));
    for (std::size_t size = 14; size < frame.size(); ++size) {
        SecuredVnic vnic(guarded());
        const Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_EQ(vnic.inspect_frame(parse_frame(cut, InspectKind::kArp)), DropReason::kBadArp)
            << size;
    }
}

TEST(SwsecArp, TrustedPortSpeaksForOthers) {
    EXPECT_EQ(judge({.operation = 2, .sender_mac = kOtherMac, .sender_ip = kGateway4}, trusted()),
              DropReason::kNone);
}

TEST(SwsecArp, IsRateLimited) {
    SwsecInput input = guarded();
    input.limits.arp_pps = 50;
    SecuredVnic vnic(input);
    const auto frame =
        parse_frame(ethernet(kBroadcast, kOwnMac, 0x0806, arp({})), InspectKind::kArp);
    for (int i = 0; i < 50; ++i) { EXPECT_EQ(vnic.inspect_frame(frame, 1000), DropReason::kNone); }
    EXPECT_EQ(vnic.inspect_frame(frame, 1000), DropReason::kRateArp);
    EXPECT_EQ(vnic.inspect_frame(frame, 20'001'000), DropReason::kNone);
    EXPECT_EQ(vnic.inspect_frame(frame, 20'001'000), DropReason::kRateArp);
}

TEST(SwsecArp, ToTheVmNothingIsJudgedOrCharged) {
    SwsecInput input = guarded();
    input.limits.arp_pps = 1;
    SecuredVnic vnic(input);
    const auto frame = parse_frame(
        ethernet(kOwnMac, kOtherMac, 0x0806, arp({.sender_mac = kOtherMac})), InspectKind::kArp);
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(vnic.inspect_frame(frame, 0, Direction::kToVm), DropReason::kNone);
    }
}

}  // namespace
}  // namespace sluice
