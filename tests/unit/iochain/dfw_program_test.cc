// SPDX-License-Identifier: Apache-2.0
// Slot 2's program: defaults, sharing, fingerprints, and the table that says by which key a reply
// is judged.
#include <gtest/gtest.h>

#include "sluice/iochain/dfw.h"
#include "tests/unit/iochain/chain_frames.h"

namespace sluice {
namespace {

using model::RuleDirection;
using model::Service;
using test::ip;

const IpAddr kVm = ip("192.0.2.10");
const IpAddr kPeer = ip("198.51.100.20");

AddressList list(std::initializer_list<const char*> prefixes) {
    std::vector<IpPrefix> out;
    for (const char* text : prefixes) { out.push_back(test::prefix(text)); }
    return {std::make_shared<const AddressExpression>(out)};
}

Service tcp(std::uint16_t port) { return test::service(6, {port, port}); }

struct Firewall {
    DfwInput input{.rules = {}, .default_allow = false, .default_rule = RuleId{1}};

    DfwRule& add(bool allow, RuleDirection direction, std::vector<Service> services) {
        DfwRule rule;
        rule.id = RuleId{static_cast<std::uint32_t>(input.rules.size()) + 2};
        rule.allow = allow;
        rule.direction = direction;
        rule.services = std::move(services);
        input.rules.push_back(rule);
        return input.rules.back();
    }
    [[nodiscard]] std::vector<std::uint32_t> all() const {
        std::vector<std::uint32_t> indices(input.rules.size());
        for (std::uint32_t i = 0; i < indices.size(); ++i) { indices[i] = i; }
        return indices;
    }
    [[nodiscard]] ChainProgram chain() const {
        ChainProgram chain;
        chain.slots[kSlotDfw] = DfwCompiler(input).compile(all());
        return chain;
    }
    [[nodiscard]] auto fingerprint() const { return chain().slots[kSlotDfw]->fingerprint(); }
};

FlowKey from_vm(unsigned source_port, unsigned destination_port) {
    return test::flow_key(kVm, kPeer, 6, source_port, destination_port);
}
FlowKey to_vm(unsigned source_port, unsigned destination_port) {
    return test::flow_key(kPeer, kVm, 6, source_port, destination_port);
}

/// As the connection keeps it: no flags.
FlowKey bare(const FlowKey& of) {
    FlowKey key = of;
    key.flags = 0;
    key.source_mac = key.destination_mac = MacAddr{};
    key.ethertype = Be16{};
    return key;
}

TEST(DfwProgram, DefaultDecidesWithoutRules) {
    Firewall firewall;
    const Decision denied = decide(firewall.chain(), {from_vm(1, 2), Direction::kFromVm});
    EXPECT_EQ(denied.verdict, Verdict::kDrop);
    EXPECT_EQ(denied.reason, DropReason::kDfwDeny);
    EXPECT_EQ(denied.slot, kSlotDfw);
    EXPECT_EQ(denied.rule.value, 1U);
    firewall.input.default_allow = true;
    const Decision allowed = decide(firewall.chain(), {from_vm(1, 2), Direction::kFromVm});
    EXPECT_EQ(allowed.verdict, Verdict::kPass);
    EXPECT_TRUE(allowed.stateful);
    EXPECT_TRUE(allowed.tcp_strict);
}

TEST(DfwProgram, RuleSetsStatefulAndStrict) {
    Firewall firewall;
    firewall.add(true, RuleDirection::kOut, {tcp(80)}).tcp_strict = false;
    firewall.add(true, RuleDirection::kOut, {tcp(81)}).stateful = false;
    const ChainProgram chain = firewall.chain();
    const Decision loose = decide(chain, {from_vm(9, 80), Direction::kFromVm});
    EXPECT_EQ(loose.rule.value, 2U);
    EXPECT_TRUE(loose.stateful);
    EXPECT_FALSE(loose.tcp_strict);
    EXPECT_FALSE(decide(chain, {from_vm(9, 81), Direction::kFromVm}).stateful);
    EXPECT_EQ(decide(chain, {to_vm(9, 81), Direction::kToVm}).reason, DropReason::kDfwDeny);
}

TEST(DfwProgram, LeavesOtherEthertypesAlone) {
    const ChainProgram chain = Firewall{}.chain();
    FlowKey key;
    key.ethertype = Be16::from_host(0x88e5);
    const Decision decision = decide(chain, {key, Direction::kFromVm});
    EXPECT_EQ(decision.verdict, Verdict::kPass);
    EXPECT_EQ(decision.rule.value, 0U);
    EXPECT_EQ(decision.decided, 1U << kSlotDfw);
}

TEST(DfwProgram, ServiceOfSeveralPairsOfPortsIsExact) {
    Firewall firewall;
    firewall.add(true, RuleDirection::kBoth,
                 {test::service(17, {1000, 2000}, {53, 53}),
                  test::service(17, {3000, 4000}, {123, 123}), test::icmp(8)});
    const ChainProgram chain = firewall.chain();
    const auto verdict = [&](std::uint8_t protocol, unsigned source, unsigned destination) {
        return decide(chain,
                      {test::flow_key(kPeer, kVm, protocol, source, destination), Direction::kToVm})
            .verdict;
    };
    EXPECT_EQ(verdict(17, 53, 1500), Verdict::kPass);
    EXPECT_EQ(verdict(17, 123, 3500), Verdict::kPass);
    EXPECT_EQ(verdict(17, 53, 3500), Verdict::kDrop);
    EXPECT_EQ(verdict(17, 123, 1500), Verdict::kDrop);
    EXPECT_EQ(verdict(1, 8U << 8U, 77), Verdict::kPass);
    EXPECT_EQ(verdict(1, 0, 77), Verdict::kDrop);
}

// One row of the table in iochain/dfw/README.md.
struct ReplyCase {
    const char* what;
    Direction direction;
    ConnectionSide side;
    bool opener_stateful, responder_stateful;
    bool out_stateful, in_stateful;  ///< Of the rules "out tcp/80" and "in tcp/80".
    Verdict expected;
    std::uint32_t rule;  ///< 2: out tcp/80, 3: in tcp/80, 1: default (drop).
};

TEST(DfwProgram, JudgesRepliesByTheOpenersKey) {
    constexpr auto kFrom = Direction::kFromVm, kTo = Direction::kToVm;
    constexpr auto kOpener = ConnectionSide::kOpener, kResponder = ConnectionSide::kResponder;
    const ReplyCase cases[] = {
        {"opener's packet leaves: own key, out", kFrom, kOpener, true, false, true, true,
         Verdict::kPass, 2},
        {"opener's packet arrives: own key, in", kTo, kOpener, false, true, true, true,
         Verdict::kPass, 3},
        {"reply leaves the responder: opener's key, in", kFrom, kResponder, false, true, true, true,
         Verdict::kPass, 3},
        {"reply arrives at the opener: opener's key, out", kTo, kResponder, true, false, true, true,
         Verdict::kPass, 2},
        {"responder's side was not stateful: own key, out", kFrom, kResponder, true, false, true,
         true, Verdict::kDrop, 1},
        {"opener's side was not stateful: own key, in", kTo, kResponder, false, true, true, true,
         Verdict::kDrop, 1},
        {"rule became stateless: own key, out", kFrom, kResponder, true, true, true, false,
         Verdict::kDrop, 1},
        {"rule became stateless: own key, in", kTo, kResponder, true, true, false, true,
         Verdict::kDrop, 1},
    };
    for (const ReplyCase& c : cases) {
        Firewall firewall;
        firewall.add(true, RuleDirection::kOut, {tcp(80)}).stateful = c.out_stateful;
        firewall.add(true, RuleDirection::kIn, {tcp(80)}).stateful = c.in_stateful;
        // The VM opened (out) if its side of the packet says so.
        const bool vm_opened = (c.direction == kFrom) == (c.side == kOpener);
        const FlowKey opener = vm_opened ? from_vm(5000, 80) : to_vm(5000, 80);
        const FlowKey reply = vm_opened ? to_vm(80, 5000) : from_vm(80, 5000);
        const ConnectionView view{c.side, bare(opener), c.opener_stateful, c.responder_stateful};
        const FlowKey& key = c.side == kOpener ? opener : reply;
        const Decision decision = decide(firewall.chain(), {key, c.direction, &view});
        EXPECT_EQ(decision.verdict, c.expected) << c.what;
        EXPECT_EQ(decision.rule.value, c.rule) << c.what;
    }
}

TEST(DfwProgram, ReplyOfForbiddenConnectionIsDropped) {
    Firewall firewall;
    firewall.add(false, RuleDirection::kOut, {tcp(80)});
    firewall.add(true, RuleDirection::kBoth, {});
    const ConnectionView view{ConnectionSide::kResponder, bare(from_vm(5000, 80)), true, false};
    const Decision decision = decide(firewall.chain(), {to_vm(80, 5000), Direction::kToVm, &view});
    EXPECT_EQ(decision.reason, DropReason::kDfwDeny);
    EXPECT_EQ(decision.rule.value, 2U);
}

TEST(DfwProgram, IcmpErrorNeedsAConnectionOrAStatelessRule) {
    Firewall firewall;
    firewall.add(true, RuleDirection::kBoth, {test::icmp(11)}).stateful = false;
    firewall.add(true, RuleDirection::kBoth, {});
    const ChainProgram chain = firewall.chain();
    const auto error = [&](std::uint8_t type) {
        return test::parse_frame(
            test::ethernet(test::kOwnMac, test::kOtherMac, 0x0800,
                           test::ipv4(kPeer, kVm, 1, test::Bytes{type, 1, 0, 0, 0, 0, 0, 0})),
            InspectKind::kIcmpError);
    };
    const auto judge = [&](std::uint8_t type, bool related) {
        return inspect(chain, error(type).parsed, Direction::kToVm, nullptr, related, 0).reason;
    };
    EXPECT_EQ(judge(3, true), DropReason::kNone);
    EXPECT_EQ(judge(3, false), DropReason::kIcmpNoConnection);
    EXPECT_EQ(judge(11, false), DropReason::kNone);
    const auto dhcp =
        test::parse_frame(test::ethernet(test::kBroadcast, test::kOwnMac, 0x0800,
                                         test::ipv4(kVm, kPeer, 17, test::udp(68, 67, {}))),
                          InspectKind::kDhcp4);
    EXPECT_EQ(
        inspect(Firewall{}.chain(), dhcp.parsed, Direction::kFromVm, nullptr, false, 0).verdict,
        Verdict::kPass);
}

TEST(DfwProgram, IsSharedByVnicsWithTheSameRules) {
    Firewall firewall;
    for (int i = 0; i < 100; ++i) { firewall.add(true, RuleDirection::kBoth, {tcp(80)}); }
    DfwCompiler compiler(firewall.input);
    const std::vector<std::uint32_t> some = {1, 5, 99};
    const auto first = compiler.compile(some);
    EXPECT_EQ(first, compiler.compile(some));
    EXPECT_NE(first, compiler.compile(firewall.all()));
}

TEST(DfwProgram, SharesExpressionsInsteadOfCopyingThem) {
    const auto set =
        std::make_shared<const AddressExpression>(std::vector{test::prefix("192.0.2.0/24")});
    Firewall firewall;
    for (int i = 0; i < 50; ++i) { firewall.add(true, RuleDirection::kBoth, {}).source = {set}; }
    EXPECT_EQ(set.use_count(), 51);
    const auto program = DfwCompiler(firewall.input).compile(firewall.all());
    EXPECT_EQ(set.use_count(),
              51);  // The table keeps an index over it, and not one a rule or a vNIC.
}

TEST(DfwProgram, FingerprintFollowsMeaning) {
    const auto build = [](auto&& change) {
        Firewall firewall;
        firewall.add(true, RuleDirection::kIn, {tcp(80)}).source =
            list({"10.0.0.0/24", "10.0.1.0/24"});
        firewall.add(false, RuleDirection::kBoth, {tcp(81), tcp(82)}).destination =
            list({"2001:db8::/64"});
        change(firewall.input);
        return firewall.fingerprint();
    };
    const auto base = build([](DfwInput&) {});
    EXPECT_EQ(base, build([](DfwInput&) {}));
    EXPECT_EQ(base, build([](DfwInput& in) { in.rules[0].source = list({"10.0.0.0/23"}); }));
    const std::vector<void (*)(DfwInput&)> changes = {
        [](DfwInput& in) { in.rules[0].source = list({"10.0.0.0/22"}); },
        [](DfwInput& in) { in.rules[0].source = {}; },
        [](DfwInput& in) { in.rules[0].negate_source = true; },
        [](DfwInput& in) { std::swap(in.rules[0].source, in.rules[0].destination); },
        [](DfwInput& in) { in.rules[0].allow = false; },
        [](DfwInput& in) { in.rules[0].direction = RuleDirection::kOut; },
        [](DfwInput& in) { in.rules[0].stateful = false; },
        [](DfwInput& in) { in.rules[0].tcp_strict = false; },
        [](DfwInput& in) { in.rules[0].services = {tcp(8080)}; },
        [](DfwInput& in) { in.rules[0].services = {}; },
        [](DfwInput& in) { in.rules[0].id = RuleId{77}; },
        [](DfwInput& in) { in.rules[1].services.pop_back(); },
        [](DfwInput& in) {
            in.rules[1].services[0].source = {1, 2};
        },
        [](DfwInput& in) { std::swap(in.rules[0], in.rules[1]); },
        [](DfwInput& in) { in.rules.pop_back(); },
        [](DfwInput& in) { in.default_allow = true; },
        [](DfwInput& in) { in.default_rule = RuleId{99}; },
    };
    for (std::size_t i = 0; i < changes.size(); ++i) {
        EXPECT_NE(base, build(changes[i])) << "change " << i;
    }
}

TEST(DfwProgram, FingerprintIgnoresRulesOfOthers) {
    Firewall firewall;
    firewall.add(true, RuleDirection::kIn, {tcp(80)});
    firewall.add(true, RuleDirection::kIn, {tcp(81)});
    const std::vector<std::uint32_t> mine = {0};
    const auto before = DfwCompiler(firewall.input).compile(mine)->fingerprint();
    firewall.input.rules[1].services = {tcp(9999)};
    firewall.add(false, RuleDirection::kIn, {});
    EXPECT_EQ(before, DfwCompiler(firewall.input).compile(mine)->fingerprint());
}

}  // namespace
}  // namespace sluice
