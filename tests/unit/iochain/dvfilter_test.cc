// SPDX-License-Identifier: Apache-2.0
// Slot 0: rules in order, each field, both directions, frames without IP.
#include <gtest/gtest.h>

#include "sluice/iochain/dvfilter.h"
#include "tests/unit/iochain/chain_frames.h"

namespace sluice {
namespace {

using model::RuleDirection;
using test::ip;

FlowKey key() { return test::flow_key(ip("192.0.2.10"), ip("198.51.100.20"), 6, 1000, 80); }

AddressList list(const char* prefix) {
    return {std::make_shared<const AddressExpression>(std::vector{test::prefix(prefix)})};
}

DvfilterRule deny() {
    DvfilterRule rule;
    rule.permit = false;
    return rule;
}

bool passes(const std::vector<DvfilterRule>& rules, const FlowKey& k,
            Direction direction = Direction::kFromVm) {
    ChainProgram chain;
    chain.slots[kSlotDvfilter] = compile_dvfilter(rules);
    const Decision decision = decide(chain, {k, direction});
    EXPECT_EQ(decision.reason,
              decision.verdict == Verdict::kPass ? DropReason::kNone : DropReason::kAclDeny);
    return decision.verdict == Verdict::kPass;
}

/// A deny rule changed by `change` drops `k` but not `other`.
template <typename Change>
void expect_denies(Change&& change, const FlowKey& k, const FlowKey& other) {
    DvfilterRule rule = deny();
    change(rule);
    EXPECT_FALSE(passes({rule}, k));
    EXPECT_TRUE(passes({rule}, other));
}

TEST(Dvfilter, WithoutRulesThereIsNoProgram) { EXPECT_EQ(compile_dvfilter({}), nullptr); }

TEST(Dvfilter, FirstMatchWinsAndNoMatchPermits) {
    DvfilterRule permit;
    permit.source = list("192.0.2.0/24");
    EXPECT_TRUE(passes({permit, deny()}, key()));
    EXPECT_FALSE(passes({deny(), permit}, key()));
    DvfilterRule other = deny();
    other.source = list("203.0.113.0/24");
    EXPECT_TRUE(passes({other}, key()));
}

TEST(Dvfilter, DirectionIsSeenFromTheVm) {
    DvfilterRule out = deny(), in = deny();
    out.direction = RuleDirection::kOut;
    in.direction = RuleDirection::kIn;
    EXPECT_FALSE(passes({out}, key(), Direction::kFromVm));
    EXPECT_TRUE(passes({out}, key(), Direction::kToVm));
    EXPECT_TRUE(passes({in}, key(), Direction::kFromVm));
    EXPECT_FALSE(passes({in}, key(), Direction::kToVm));
    EXPECT_FALSE(passes({deny()}, key(), Direction::kToVm));
}

TEST(Dvfilter, MatchesEachField) {
    const FlowKey k = key();
    FlowKey other = k;
    other.source_mac = test::kOtherMac;
    expect_denies([](DvfilterRule& r) { r.source_mac = model::MacMatch{test::kOwnMac}; }, k, other);
    other.source_mac = test::mac("06:00:00:00:0a:01");
    const model::MacMatch masked{test::mac("02:00:00:00:00:00"), test::mac("ff:00:00:00:00:00")};
    expect_denies([&](DvfilterRule& r) { r.source_mac = masked; }, k, other);
    other = k;
    other.destination_mac = test::kBroadcast;
    expect_denies([](DvfilterRule& r) { r.destination_mac = model::MacMatch{test::kBroadcast}; },
                  other, k);
    other = k;
    other.ethertype = Be16::from_host(0x88e5);
    expect_denies([](DvfilterRule& r) { r.ethertype = 0x88e5; }, other, k);
    other = k;
    other.vlan = 10;
    other.flags |= kKeyTagged;
    expect_denies([](DvfilterRule& r) { r.vlan = 10; }, other, k);
    other = k;
    other.dscp = 46;
    expect_denies([](DvfilterRule& r) { r.dscp = 46; }, other, k);
    expect_denies([](DvfilterRule& r) { r.dscp = 0; }, k, other);
    other = test::flow_key(ip("192.0.2.11"), ip("198.51.100.21"), 6, 1001, 81);
    expect_denies([](DvfilterRule& r) { r.source = list("192.0.2.10"); }, k, other);
    expect_denies([](DvfilterRule& r) { r.destination = list("198.51.100.20"); }, k, other);
    expect_denies([](DvfilterRule& r) { r.services = {test::service(6, {80, 80})}; }, k, other);
    expect_denies(
        [](DvfilterRule& r) {
            r.services = {test::service(6, {}, {1000, 1000})};
        },
        k, other);
}

TEST(Dvfilter, MatchesIcmpTypeAndCode) {
    const FlowKey echo = test::flow_key(ip("192.0.2.10"), ip("198.51.100.20"), 1, 8U << 8U, 77);
    const FlowKey prohibited =
        test::flow_key(ip("192.0.2.10"), ip("198.51.100.20"), 1, 3U << 8U | 13U, 0);
    expect_denies([](DvfilterRule& r) { r.services = {test::icmp(8)}; }, echo, prohibited);
    model::Service coded = test::icmp(3);
    coded.icmp_code = 13;
    expect_denies([&](DvfilterRule& r) { r.services = {coded}; }, prohibited, echo);
}

TEST(Dvfilter, AddressesServicesAndDscpNeedIp) {
    FlowKey arp;
    arp.source_mac = test::kOwnMac;
    arp.ethertype = Be16::from_host(0x0806);
    DvfilterRule rule = deny();
    EXPECT_FALSE(passes({rule}, arp));
    rule.source = list("0.0.0.0/0");
    EXPECT_TRUE(passes({rule}, arp));
    rule = deny();
    rule.services = {test::service(0)};
    rule.services[0].any = true;
    EXPECT_TRUE(passes({rule}, arp));
    rule = deny();
    rule.dscp = 0;
    EXPECT_TRUE(passes({rule}, arp));
}

TEST(Dvfilter, SaysWhetherItReadsDscp) {
    DvfilterRule rule = deny();
    EXPECT_FALSE(reads_dscp(std::vector{rule}));
    rule.dscp = 0;
    EXPECT_TRUE(reads_dscp(std::vector{deny(), rule}));
}

TEST(Dvfilter, FingerprintFollowsMeaning) {
    DvfilterRule a = deny(), b = deny();
    a.source = list("10.0.0.0/8");
    b.services = {test::icmp(8)};
    const auto print = [](std::vector<DvfilterRule> rules) {
        return compile_dvfilter(rules)->fingerprint();
    };
    EXPECT_EQ(print({a, b}), print({a, b}));
    EXPECT_NE(print({a, b}), print({b, a}));
    EXPECT_NE(print({a, b}), print({a}));
    const auto changed = [&](auto&& change) {
        DvfilterRule c = a;
        change(c);
        return print({c, b});
    };
    EXPECT_EQ(print({a, b}), changed([](DvfilterRule& r) { r.source = list("10.0.0.0/8"); }));
    EXPECT_NE(print({a, b}), changed([](DvfilterRule& r) { r.source = list("10.0.0.0/9"); }));
    EXPECT_NE(print({a, b}), changed([](DvfilterRule& r) { std::swap(r.source, r.destination); }));
    EXPECT_NE(print({a, b}), changed([](DvfilterRule& r) { r.permit = true; }));
    EXPECT_NE(print({a, b}), changed([](DvfilterRule& r) { r.direction = RuleDirection::kIn; }));
    EXPECT_NE(print({a, b}), changed([](DvfilterRule& r) { r.vlan = 1; }));
    EXPECT_NE(print({a, b}), changed([](DvfilterRule& r) { r.dscp = 0; }));
    EXPECT_NE(print({a, b}), changed([](DvfilterRule& r) { r.ethertype = 0; }));
    EXPECT_NE(print({a, b}),
              changed([](DvfilterRule& r) { r.source_mac = model::MacMatch{test::kOwnMac}; }));
}

}  // namespace
}  // namespace sluice
