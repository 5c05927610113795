// SPDX-License-Identifier: Apache-2.0
// Slots 4 to 12 and 15 by their programs: who opened it, which rule is first, and that an
// encryption rule says the same to both directions of a conversation.
#include <gtest/gtest.h>

#include "sluice/iochain/encrypt.h"
#include "sluice/iochain/redirect.h"
#include "sluice/net/address_text.h"

namespace sluice {
namespace {

using model::Initiator;

constexpr std::uint8_t kTcp = 6, kIcmp = 1, kIcmpv6 = 58;

FlowKey key_of(const char* source, const char* destination, std::uint8_t protocol,
               std::uint16_t source_port, std::uint16_t destination_port) {
    FlowKey key;
    const IpAddr from = *parse_ip(source), to = *parse_ip(destination);
    std::memcpy(key.source_ip, from.bytes.data(), 16);
    std::memcpy(key.destination_ip, to.bytes.data(), 16);
    key.flags = from.is_v4() ? kKeyIpv4 : kKeyIpv6;
    key.protocol = protocol;
    key.source_port = Be16::from_host(source_port);
    key.destination_port = Be16::from_host(destination_port);
    return key;
}

AddressList addresses(const char* prefix) {
    return {
        std::make_shared<const AddressExpression>(std::vector<IpPrefix>{*parse_prefix(prefix)})};
}

model::Service service(std::uint8_t protocol, std::uint16_t port) {
    model::Service out;
    out.any = false;
    out.protocol = protocol;
    out.destination = {port, port};
    return out;
}

std::vector<std::uint32_t> all(std::size_t count) {
    std::vector<std::uint32_t> out;
    for (std::uint32_t i = 0; i < count; ++i) { out.push_back(i); }
    return out;
}

RedirectRule redirect(std::uint16_t number, Initiator initiator, std::uint16_t port) {
    RedirectRule rule;
    rule.id = RuleId{number + 1U};
    rule.number = number;
    rule.initiator = initiator;
    rule.services = {service(kTcp, port)};
    return rule;
}

/// What a vNIC with these rules of slot 5 wants of a connection that the packet opens.
ServiceChoices choices(const std::vector<RedirectRule>& rules, const FlowKey& key,
                       Direction direction) {
    ChainProgram chain;
    chain.slots[5] = RedirectCompiler(5, rules).compile(all(rules.size()));
    ServiceChoices out;
    const Decision decision = decide(chain, {.key = key, .direction = direction, .services = &out});
    EXPECT_EQ(decision.verdict, Verdict::kPass);
    EXPECT_EQ(decision.decided, 1U << 5U);
    return out;
}

TEST(Redirect, TheOpenerDecides) {
    const std::vector<RedirectRule> rules = {redirect(1, Initiator::kIn, 80),
                                             redirect(2, Initiator::kOut, 80),
                                             redirect(3, Initiator::kBoth, 81)};
    const FlowKey web = key_of("10.0.0.1", "10.0.0.2", kTcp, 5000, 80);
    const FlowKey other = key_of("10.0.0.1", "10.0.0.2", kTcp, 5000, 81);
    const auto number = [&](const FlowKey& key, Direction direction) {
        const ServiceChoices out = choices(rules, key, direction);
        EXPECT_EQ(out.count, 1);
        EXPECT_EQ(out.items[0].slot, 5);
        EXPECT_EQ(out.items[0].of_receiver, direction == Direction::kToVm);
        return out.items[0].rule;
    };
    EXPECT_EQ(number(web, Direction::kFromVm), 2);
    EXPECT_EQ(number(web, Direction::kToVm), 1);
    EXPECT_EQ(number(other, Direction::kFromVm), 3);
    EXPECT_EQ(number(other, Direction::kToVm), 3);
}

TEST(Redirect, NothingIsAskedOfAPacketThatOpensNothing) {
    ChainProgram chain;
    const std::vector<RedirectRule> rules = {redirect(1, Initiator::kBoth, 80)};
    chain.slots[5] = RedirectCompiler(5, rules).compile(all(1));
    const FlowKey key = key_of("10.0.0.1", "10.0.0.2", kTcp, 5000, 80);
    EXPECT_EQ(decide(chain, {.key = key, .direction = Direction::kFromVm}).verdict, Verdict::kPass);
    FlowKey arp;
    EXPECT_EQ(choices(rules, arp, Direction::kFromVm).count, 0) << "no rule takes what is not IP";
}

TEST(Redirect, ABypassRuleEndsTheSearch) {
    RedirectRule bypass = redirect(0, Initiator::kBoth, 80);
    bypass.redirects = false;
    bypass.source = addresses("10.9.0.0/16");
    const std::vector<RedirectRule> rules = {bypass, redirect(1, Initiator::kBoth, 80)};
    const FlowKey trusted = key_of("10.9.0.1", "10.0.0.2", kTcp, 5000, 80);
    const FlowKey other = key_of("10.8.0.1", "10.0.0.2", kTcp, 5000, 80);
    EXPECT_EQ(choices(rules, trusted, Direction::kFromVm).count, 0);
    EXPECT_EQ(choices(rules, other, Direction::kFromVm).count, 1);
}

TEST(Redirect, ARuleOfBothVnicsInspectsOnce) {
    ServiceChoices out;
    out.add({7, 4, false});
    out.add({8, 5, false});
    out.add({7, 4, true});
    EXPECT_EQ(out.count, 2);
    EXPECT_FALSE(out.items[0].of_receiver);
}

TEST(Redirect, FingerprintsFollowTheMeaning) {
    const auto print = [](const std::vector<RedirectRule>& rules) {
        return RedirectCompiler(4, rules).compile(all(rules.size()))->fingerprint();
    };
    const RedirectRule rule = redirect(1, Initiator::kBoth, 80);
    EXPECT_EQ(print({rule}), print({rule}));
    RedirectRule bypass = rule;
    bypass.redirects = false;
    EXPECT_NE(print({rule}), print({bypass}));
    EXPECT_NE(print({rule}), print({redirect(1, Initiator::kIn, 80)}));
    EXPECT_NE(print({rule}), print({redirect(1, Initiator::kBoth, 81)}));
    EXPECT_NE(print({rule, bypass}), print({bypass, rule}));
}

TEST(Redirect, NoRuleNoProgram) {
    const std::vector<RedirectRule> rules = {redirect(1, Initiator::kBoth, 80)};
    RedirectCompiler compiler(4, rules);
    EXPECT_EQ(compiler.compile({}), nullptr);
    EXPECT_EQ(compiler.compile(all(1)), compiler.compile(all(1)));
}

EncryptRule seal(std::uint8_t policy, bool required, std::vector<model::Service> services) {
    EncryptRule rule;
    rule.id = RuleId{policy + 100U};
    rule.key_policy = policy;
    rule.required = required;
    rule.services = std::move(services);
    return rule;
}

class Encrypt : public testing::Test {
protected:
    void rules(const std::vector<EncryptRule>& rules) {
        chain_.slots[kSlotEncrypt] = EncryptCompiler(rules).compile(all(rules.size()));
    }
    [[nodiscard]] Decision out(const FlowKey& key) const {
        return decide(chain_, {.key = key, .direction = Direction::kFromVm});
    }
    [[nodiscard]] DropReason in(const FlowKey& key, std::uint8_t sealed_with,
                                bool is_from_fabric = true) const {
        return decide(chain_, {.key = key,
                               .direction = Direction::kToVm,
                               .is_from_fabric = is_from_fabric,
                               .sealed_with = sealed_with})
            .reason;
    }

    ChainProgram chain_;
    FlowKey request_ = key_of("10.0.0.1", "10.0.0.2", kTcp, 5000, 443);
    FlowKey reply_ = key_of("10.0.0.2", "10.0.0.1", kTcp, 443, 5000);
};

TEST_F(Encrypt, ARuleMatchesBothDirections) {
    rules({seal(9, true, {service(kTcp, 443)}), seal(10, false, {})});
    for (const FlowKey& key : {request_, reply_}) {
        EXPECT_EQ(out(key).key_policy, 9);
        EXPECT_TRUE(out(key).seal_required);
        EXPECT_EQ(in(key, 9), DropReason::kNone);
        EXPECT_EQ(in(key, 0), DropReason::kPolicyClear);
        EXPECT_EQ(in(key, 10), DropReason::kPolicyClear) << "under another policy";
        EXPECT_EQ(in(key, 0, false), DropReason::kNone) << "two VMs of one host";
    }
    const FlowKey other = key_of("10.0.0.1", "10.0.0.2", kTcp, 5000, 80);
    EXPECT_EQ(out(other).key_policy, 10);
    EXPECT_FALSE(out(other).seal_required);
    EXPECT_EQ(in(other, 0), DropReason::kNone) << "not required: the clear is heard";
}

// The reply's own key matches the second rule only, the turned one the first.
TEST_F(Encrypt, TheEarlierRuleOfBothKeysCounts) {
    EncryptRule first = seal(9, true, {});
    first.destination = addresses("10.0.0.2/32");
    EncryptRule second = seal(10, true, {});
    second.destination = addresses("10.0.0.1/32");
    rules({first, second});
    EXPECT_EQ(out(request_).key_policy, 9);
    EXPECT_EQ(out(reply_).key_policy, 9);
}

TEST_F(Encrypt, AClearRuleEndsTheSearch) {
    rules({seal(0, false, {service(kTcp, 443)}), seal(9, true, {})});
    EXPECT_EQ(out(reply_).key_policy, 0);
    EXPECT_FALSE(out(reply_).seal_required);
    EXPECT_EQ(in(reply_, 0), DropReason::kNone);
}

TEST_F(Encrypt, AnEchoAndItsAnswerAreOneConversation) {
    model::Service echo;
    echo.any = false;
    echo.protocol = kIcmp;
    echo.icmp_type = std::uint8_t{8};
    model::Service echo6 = echo;
    echo6.protocol = kIcmpv6;
    echo6.icmp_type = std::uint8_t{128};
    rules({seal(9, true, {echo, echo6})});
    EXPECT_EQ(out(key_of("10.0.0.1", "10.0.0.2", kIcmp, 8U << 8U, 77)).key_policy, 9);
    EXPECT_EQ(out(key_of("10.0.0.2", "10.0.0.1", kIcmp, 0, 77)).key_policy, 9);
    EXPECT_EQ(out(key_of("10.0.0.1", "10.0.0.2", kIcmp, 13U << 8U, 77)).key_policy, 0);
    EXPECT_EQ(out(key_of("2001:db8::1", "2001:db8::2", kIcmpv6, 129U << 8U, 7)).key_policy, 9);
}

TEST_F(Encrypt, WhatIsNotIpIsClear) {
    rules({seal(9, true, {})});
    const FlowKey arp;
    EXPECT_EQ(out(arp).key_policy, 0);
    EXPECT_EQ(in(arp, 0), DropReason::kNone);
}

}  // namespace
}  // namespace sluice
