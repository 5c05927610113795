// SPDX-License-Identifier: Apache-2.0
// Slot 1 on neighbour discovery and group membership from the VM: RFC 4861, RFC 4862, RFC 6980,
// SpoofGuard, RA guard.
#include <gtest/gtest.h>

#include "tests/unit/iochain/swsec_fixture.h"

namespace sluice {
namespace {

using namespace test;

const IpAddr kAllNodes = ip("ff02::1"), kAllRouters = ip("ff02::2"),
             kSolicited = ip("ff02::1:ff00:10");
constexpr std::uint8_t kRs = 133, kRa = 134, kNs = 135, kNa = 136, kRedirect = 137;

Bytes option(std::uint8_t type, const MacAddr& m) { return Bytes{type, 1} + bytes_of(m); }
Bytes nd(std::uint8_t type, const Bytes& body, std::uint8_t code = 0) {
    return Bytes{type, code, 0, 0} + body;
}
Bytes ns(const IpAddr& target, const Bytes& options = {}) {
    return nd(kNs, zeros(4) + bytes_of(target) + options);
}
Bytes na(const IpAddr& target, const Bytes& options = {}, std::uint8_t flags = 0x20) {
    return nd(kNa, Bytes{flags, 0, 0, 0} + bytes_of(target) + options);
}

TestFrame frame_of(const IpAddr& source, const IpAddr& destination, const Bytes& message,
                   std::uint8_t hop_limit = 255) {
    return parse_frame(ethernet(mac("33:33:00:00:00:01"), kOwnMac, 0x86dd,
                                ipv6(source, destination, 58, message, hop_limit)),
                       InspectKind::kNd);
}
DropReason judge(const IpAddr& source, const IpAddr& destination, const Bytes& message,
                 const SwsecInput& input = guarded(), std::uint8_t hop_limit = 255) {
    SecuredVnic vnic(input);
    return vnic.inspect_frame(frame_of(source, destination, message, hop_limit));
}

TEST(SwsecNd, OwnAdvertisementPasses) {
    EXPECT_EQ(judge(kOwn6, kAllNodes, na(kOwn6, option(2, kOwnMac))), DropReason::kNone);
    EXPECT_EQ(judge(kOwn6, ip("2001:db8:a::1"), na(kOwn6, option(2, kOwnMac), 0x60)),
              DropReason::kNone);
    EXPECT_EQ(judge(kOwn6, kAllNodes, na(kOwn6, option(2, kOwnMac), 0x60)), DropReason::kNone);
}

TEST(SwsecNd, ForeignClaimsAreDropped) {
    EXPECT_EQ(judge(kOwn6, kAllNodes, na(kForeign6, option(2, kOwnMac))), DropReason::kSpoofedNd);
    EXPECT_EQ(judge(kForeign6, kAllNodes, na(kOwn6, option(2, kOwnMac))), DropReason::kSpoofedNd);
    EXPECT_EQ(judge(kOwn6, kAllNodes, na(kOwn6, option(2, kOtherMac))), DropReason::kSpoofedNd);
    EXPECT_EQ(judge(kLocal6, kAllNodes, ns(ip("fe80::101"), option(1, kOtherMac))),
              DropReason::kSpoofedNd);
    EXPECT_EQ(judge(kForeign6, kAllNodes, ns(kOwn6, option(1, kOwnMac))), DropReason::kSpoofedNd);
    EXPECT_EQ(judge(kForeign6, kAllRouters, nd(kRs, zeros(4))), DropReason::kSpoofedNd);
}

TEST(SwsecNd, TrustedPortSpeaksForOthers) {
    EXPECT_EQ(judge(kOwn6, kAllNodes, na(kForeign6, option(2, kOtherMac)), trusted()),
              DropReason::kNone);
    EXPECT_EQ(judge(kAny6, kSolicited, ns(kForeign6), trusted()), DropReason::kNone);
}

TEST(SwsecNd, DuplicateDetectionOnlyForOwnAddresses) {
    EXPECT_EQ(judge(kAny6, kSolicited, ns(kOwn6)), DropReason::kNone);
    EXPECT_EQ(judge(kAny6, kSolicited, ns(kForeign6)), DropReason::kSpoofedNd);
    EXPECT_EQ(judge(kAny6, kSolicited, ns(kOwn6, option(1, kOwnMac))), DropReason::kBadNd);
    EXPECT_EQ(judge(kAny6, kAllNodes, ns(kOwn6)), DropReason::kBadNd);
    SwsecInput input = guarded();
    input.ips = {};
    EXPECT_EQ(judge(kAny6, ip("ff02::1:ff00:a01"), ns(kLocal6), input), DropReason::kNone);
    EXPECT_EQ(judge(kAny6, kSolicited, ns(kOwn6), input), DropReason::kSpoofedNd);
}

TEST(SwsecNd, RouterSolicitationPasses) {
    EXPECT_EQ(judge(kLocal6, kAllRouters, nd(kRs, zeros(4) + option(1, kOwnMac))),
              DropReason::kNone);
    EXPECT_EQ(judge(kAny6, kAllRouters, nd(kRs, zeros(4))), DropReason::kNone);
    EXPECT_EQ(judge(kAny6, kAllRouters, nd(kRs, zeros(4) + option(1, kOwnMac))),
              DropReason::kBadNd);
}

TEST(SwsecNd, RouterMessagesAreGuarded) {
    const Bytes ra = nd(kRa, zeros(12) + option(1, kOwnMac));
    const Bytes redirect = nd(kRedirect, zeros(4) + bytes_of(kLocal6) + bytes_of(kForeign6));
    EXPECT_EQ(judge(kLocal6, kAllNodes, ra), DropReason::kGuardRa);
    EXPECT_EQ(judge(kLocal6, kAllNodes, redirect), DropReason::kGuardRa);
    SwsecInput router = guarded();
    router.guards.ra = false;
    EXPECT_EQ(judge(kLocal6, kAllNodes, ra, router), DropReason::kNone);
    EXPECT_EQ(judge(kLocal6, kAllNodes, redirect, router), DropReason::kNone);
    EXPECT_EQ(judge(kLocal6, kAllNodes, redirect + option(2, kOtherMac), router),
              DropReason::kNone);
    EXPECT_EQ(judge(kLocal6, kAllNodes, nd(kRa, zeros(12) + option(1, kOtherMac)), router),
              DropReason::kSpoofedNd);
    EXPECT_EQ(judge(kOwn6, kAllNodes, ra, router), DropReason::kBadNd);
    EXPECT_EQ(judge(ip("fe80::1"), kAllNodes, ra, router), DropReason::kSpoofedNd);
}

TEST(SwsecNd, MalformedIsDroppedOnTrustedPortsToo) {
    const Bytes good = ns(ip("fe80::101"), option(1, kOwnMac));
    for (const SwsecInput& input : {guarded(), trusted()}) {
        EXPECT_EQ(judge(kLocal6, kAllNodes, good, input), DropReason::kNone);
        EXPECT_EQ(judge(kLocal6, kAllNodes, good, input, 64), DropReason::kBadNd);
        Bytes coded = good;
        coded[1] = 1;
        EXPECT_EQ(judge(kLocal6, kAllNodes, coded, input), DropReason::kBadNd);
        EXPECT_EQ(
            judge(kLocal6, kAllNodes, ns(ip("fe80::101"), Bytes{1, 0, 0, 0, 0, 0, 0, 0}), input),
            DropReason::kBadNd);
        EXPECT_EQ(
            judge(kLocal6, kAllNodes, ns(ip("fe80::101"), Bytes{1, 32, 0, 0, 0, 0, 0, 0}), input),
            DropReason::kBadNd);
        EXPECT_EQ(judge(kLocal6, kAllNodes, ns(ip("fe80::101"), Bytes{1, 1, 2}), input),
                  DropReason::kBadNd);
        EXPECT_EQ(judge(kLocal6, kAllNodes, ns(kAllNodes), input), DropReason::kBadNd);
        const Bytes long_option = Bytes{1, 2} + bytes_of(kOwnMac) + zeros(8);
        EXPECT_EQ(judge(kLocal6, kAllNodes, ns(ip("fe80::101"), long_option), input),
                  DropReason::kBadNd);
        EXPECT_EQ(judge(kOwn6, kAllNodes, na(kAllNodes), input), DropReason::kBadNd);
        EXPECT_EQ(judge(kAny6, kAllNodes, na(kOwn6), input), DropReason::kBadNd);
    }
    for (std::size_t size = 8; size < 24; ++size) {
        const Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_EQ(judge(kLocal6, kAllNodes, cut), DropReason::kBadNd) << size;
    }
}

TEST(SwsecNd, FragmentHeaderIsDropped) {
    const Bytes message = ns(ip("fe80::101"), option(1, kOwnMac));
    const auto with = [&](std::uint8_t header) {
        SecuredVnic vnic(guarded());
        const Bytes packet =
            ipv6(kLocal6, kAllNodes, header, Bytes{58, 0, 0, 0, 0, 0, 0, 0} + message);
        return vnic.inspect_frame(parse_frame(
            ethernet(mac("33:33:00:00:00:01"), kOwnMac, 0x86dd, packet), InspectKind::kNd));
    };
    EXPECT_EQ(with(44), DropReason::kBadNd);
    TestFrame head = frame_of(kLocal6, kAllNodes, message);
    head.parsed.fragment = true;
    EXPECT_EQ(SecuredVnic(guarded()).inspect_frame(head), DropReason::kBadNd);
    EXPECT_EQ(with(60), DropReason::kNone);  // Destination options.
}

TEST(SwsecNd, IsRateLimited) {
    SwsecInput input = guarded();
    input.limits.nd_pps = 2;
    SecuredVnic vnic(input);
    const TestFrame frame = frame_of(kLocal6, kAllRouters, nd(kRs, zeros(4)));
    EXPECT_EQ(vnic.inspect_frame(frame), DropReason::kNone);
    EXPECT_EQ(vnic.inspect_frame(frame), DropReason::kNone);
    EXPECT_EQ(vnic.inspect_frame(frame), DropReason::kRateNd);
}

TEST(SwsecMembership, ReportsComeFromTheVnicOrNobody) {
    const auto report = [&](const IpAddr& source) {
        SecuredVnic vnic(guarded());
        const bool v4 = source.is_v4();
        const Bytes packet = v4 ? ipv4(source, ip("224.0.0.22"), 2, zeros(16))
                                : ipv6(source, ip("ff02::16"), 58, Bytes{143, 0} + zeros(26), 1);
        return vnic.inspect_frame(
            parse_frame(ethernet(mac("33:33:00:00:00:16"), kOwnMac, v4 ? 0x0800 : 0x86dd, packet),
                        v4 ? InspectKind::kIgmp : InspectKind::kMld));
    };
    for (const IpAddr& good : {kLocal6, kAny6, kOwn4, kAny4}) {
        EXPECT_EQ(report(good), DropReason::kNone);
    }
    for (const IpAddr& bad : {ip("fe80::1"), kForeign6, kForeign4}) {
        EXPECT_EQ(report(bad), DropReason::kSpoofedIp);
    }
}

TEST(SwsecIcmpError, ComesFromTheVnic) {
    const auto error = [&](const IpAddr& source) {
        SecuredVnic vnic(guarded());
        return vnic.inspect_frame(
            parse_frame(ethernet(kOtherMac, kOwnMac, 0x0800,
                                 ipv4(source, kForeign4, 1, Bytes{3, 1} + zeros(34))),
                        InspectKind::kIcmpError));
    };
    EXPECT_EQ(error(kOwn4), DropReason::kNone);
    EXPECT_EQ(error(kForeign4), DropReason::kSpoofedIp);
}

}  // namespace
}  // namespace sluice
